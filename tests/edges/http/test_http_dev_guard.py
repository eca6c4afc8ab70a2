"""Development mode: no web page may speak to a developer's engine (design section 3, X-CSRF)."""

from __future__ import annotations

import httpx
import pytest
from hatchet_sdk import ClientConfig, Hatchet

from limpet.edges.tokens import Addresses, dev_token
from tests.edges.rest.world import TENANT, World

from .conftest import Serve

TRIGGER = f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs/trigger"
WORKER = "/api/v1/workers/01a0c450-6c00-7953-88f4-4348692302eb"


async def status(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return (await client.request(method, path, headers=headers, content=body)).status_code


@pytest.mark.parametrize("host", ["localhost", "localhost:8888", "127.0.0.1:1", "[::1]", "[::1]:8888", "LOCALHOST"])
async def test_loopback_names_are_answered(serve: Serve, host: str) -> None:
    assert await status(await serve(dev_mode=True), "GET", "/health", {"host": host}) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "", "[", "user@evil.example"],
)
async def test_X_CSRF_a_foreign_host_name_is_refused(serve: Serve, host: str) -> None:
    assert await status(await serve(dev_mode=True), "GET", "/health", {"host": host}) == 421


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"origin": "http://localhost:8888"}, 200),
        ({"origin": "http://LOCALHOST:8888"}, 200),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "http://127.0.0.1:8888"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "file://localhost:8888"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({}, 200),
    ],
)
async def test_X_CSRF_only_the_engines_own_pages_may_call(serve: Serve, headers: dict[str, str], expected: int) -> None:
    path = f"/api/v1/tenants/{TENANT.id}"
    assert await status(await serve(dev_mode=True), "GET", path, {"host": "localhost:8888", **headers}) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        (None, 415),
    ],
)
async def test_X_CSRF_a_change_needs_json(world: World, serve: Serve, content_type: str | None, expected: int) -> None:
    await world.open()
    await world.workflow("greet")
    headers = {} if content_type is None else {"content-type": content_type}
    port = await serve(dev_mode=True)
    assert await status(port, "POST", TRIGGER, headers, b'{"workflowName": "greet", "input": {}}') == expected
    assert len(world.submitted) == (expected == 200)


async def test_a_deletion_has_no_body_and_needs_no_type(serve: Serve) -> None:
    port = await serve(dev_mode=True)
    assert await status(port, "DELETE", f"{WORKER}/labels/x", {}) == 404
    assert await status(port, "DELETE", f"{WORKER}/labels/x", {"content-type": "text/plain"}) == 415


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"authorization": "Bearer x"}, b"", 404),
        ({}, b"", 415),
        ({"authorization": "Bearer x"}, b"a=b", 415),
    ],
)
async def test_X_CSRF_an_empty_form_passes_with_a_token(
    world: World, serve: Serve, headers: dict[str, str], body: bytes, expected: int
) -> None:
    """The TypeScript client sends calls without a body as forms."""
    await world.open()
    path = f"/api/v1/tenants/{TENANT.id}/workflows/crons/01a0c450-6c00-7953-88f4-4348692302eb"
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert await status(await serve(dev_mode=True), "POST", path, {**form, **headers}, body) == expected


async def test_CORS_is_off(serve: Serve) -> None:
    port = await serve(dev_mode=True)
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.options(TRIGGER, headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_server_with_tokens_answers_to_any_name(serve: Serve) -> None:
    assert await status(await serve(), "GET", "/health", {"host": "limpet.example", "origin": "https://x.example"}) == 200


async def test_the_official_client_passes_the_guard_with_the_token_that_dev_mode_prints(world: World, serve: Serve) -> None:
    await world.open()
    row = await world.workflow("greet")
    worker = await world.worker_joins("north")
    url = f"http://127.0.0.1:{await serve(dev_mode=True)}"
    hatchet = Hatchet(config=ClientConfig(token=dev_token(TENANT.id, Addresses(url, "127.0.0.1:1"))))
    assert (await hatchet.runs.aio_create("greet", {})).run.workflow_id == row.id
    assert (await hatchet.workers.aio_pause(worker.worker_id)).metadata.id == worker.worker_id
    await hatchet.workflows.aio_delete(row.id)
    assert len(world.submitted) == 3
