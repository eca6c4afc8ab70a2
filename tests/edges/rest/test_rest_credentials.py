"""Who may call what: every operation of the routing table with every bad credential, and with other tenants' ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import jwt
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from limpet.core.errors import NotOwner
from limpet.core.ids import SECOND_US, TenantId, TenantNo
from limpet.core.rows import TaskStatus
from limpet.edges.rest.app import ROUTERS
from limpet.edges.signing import new_key_ring
from limpet.store.api import Tenant

from .conftest import Town
from .world import NOW, NOW_S, OTHER, TENANT, World

NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"
SINCE = "?since=2020-01-01T00:00:00Z&only_tasks=true"
OBJECTS = ("task", "run", "worker", "workflow", "event", "filter", "webhook", "cron", "scheduled", "key:path")


DESCRIPTION = ("GET", "/api/v1/openapi.json")


def operations() -> Iterator[tuple[str, str]]:
    """Every (method, path template) that the REST tree serves."""
    yield DESCRIPTION
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods):
                yield method, f"/api{route.path}"


OPERATIONS = sorted(set(operations()))


def filled(template: str, tenant: str = TENANT.id, thing: str = NOBODY) -> str:
    """The path with ids in it."""
    for name in OBJECTS:
        template = template.replace("{" + name + "}", thing)
    return template.replace("{tenant}", tenant) + SINCE


async def call(client: httpx.AsyncClient, method: str, path: str, token: str | None = None) -> httpx.Response:
    headers = {} if token is None else {"authorization": token}
    return await client.request(method, path, headers=headers, json=None if method in ("GET", "HEAD") else {})


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(town: Town, world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a token of its own."""
    async with httpx.AsyncClient(base_url=town.url) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bad_tokens(town: Town) -> dict[str, str | None]:
    """Credentials that open nothing."""
    good = town.token
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    expired = await town.token_for(TENANT, now=NOW_S - 100_000)
    revoked = await town.token_for(TENANT, revoked_at=NOW - SECOND_US)
    kid = {"kid": town.keys.key_id}
    return {
        "none": None,
        "another scheme": f"Basic {good}",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "bad signature": f"Bearer {head}.{body}.{signature[:-4]}AAAA",
        "alg none": "Bearer " + jwt.encode(claims, "", algorithm="none", headers=kid),
        "HS256": "Bearer " + jwt.encode(claims, "x" * 32, algorithm="HS256", headers=kid),
        "another key": "Bearer " + jwt.encode(claims, new_key_ring().signing, algorithm="EdDSA", headers=kid),
        "wrong audience": "Bearer " + jwt.encode({**claims, "aud": "x"}, town.keys.signing, algorithm="EdDSA", headers=kid),
        "wrong issuer": "Bearer " + jwt.encode({**claims, "iss": "x"}, town.keys.signing, algorithm="EdDSA", headers=kid),
        "unknown tenant": "Bearer " + jwt.encode({**claims, "sub": NOBODY}, town.keys.signing, algorithm="EdDSA", headers=kid),
    }


BAD = (
    "none",
    "another scheme",
    "expired",
    "revoked",
    "bad signature",
    "alg none",
    "HS256",
    "another key",
    "wrong audience",
    "wrong issuer",
    "unknown tenant",
)


def test_the_table_of_operations_is_read_from_the_routes() -> None:
    assert len(OPERATIONS) >= 60
    assert ("POST", "/api/v1/stable/tenants/{tenant}/tasks/cancel") in OPERATIONS


async def test_whatever_the_api_describes_is_in_the_table(http: httpx.AsyncClient) -> None:
    described = (await http.get(DESCRIPTION[1])).json()["paths"]
    found = {(verb.upper(), "/api" + path.replace("{key}", "{key:path}")) for path, verbs in described.items() for verb in verbs}
    assert found <= set(OPERATIONS)


@pytest.mark.parametrize("credential", BAD)
async def test_X_MATRIX_no_operation_opens_for_a_bad_credential(
    world: World, stranger: httpx.AsyncClient, bad_tokens: dict[str, str | None], credential: str
) -> None:
    for method, template in OPERATIONS:
        answer = await call(stranger, method, filled(template), bad_tokens[credential])
        assert answer.status_code == 403, (method, template)
        assert method == "HEAD" or set(answer.json()) == {"errors"}
    assert world.submitted == []


async def test_every_bad_credential_is_in_the_matrix(bad_tokens: dict[str, str | None]) -> None:
    assert set(bad_tokens) == set(BAD)


async def test_X_TENANT_a_path_of_another_tenant_is_refused_like_one_of_nobodys(world: World, http: httpx.AsyncClient) -> None:
    templates = [(method, template) for method, template in OPERATIONS if "{tenant}" in template]
    assert len(templates) > 20
    for method, template in templates:
        theirs = await call(http, method, filled(template, OTHER.id))
        nobodys = await call(http, method, filled(template, NOBODY))
        assert theirs.status_code == nobodys.status_code == 403, (method, template)
        assert theirs.content == nobodys.content
    assert world.submitted == []


async def test_X11_things_of_another_tenant_are_404_like_those_of_nobody(world: World, http: httpx.AsyncClient) -> None:
    workflow = await world.workflow("theirs", no=OTHER.no)
    record = await world.run("theirs", TaskStatus.RUNNING, no=OTHER.no)
    worker = await world.worker_joins("theirs", no=OTHER.no)
    ids = {"{task}": record.tasks[0].id, "{run}": record.run.id, "{workflow}": workflow.id, "{worker}": worker.worker_id}
    checked = 0
    for method, template in OPERATIONS:
        by_name = template.endswith(("/crons", "/scheduled"))  # there the workflow stands in the path by its name
        name = None if by_name else next((name for name in ids if name in template), None)
        theirs = "" if name is None else filled(template, thing=ids[name])
        answer = None if name is None else await call(http, method, theirs)
        if name is None or answer is None or answer.status_code == 501:
            continue
        nobodys = await call(http, method, filled(template))
        assert answer.status_code == nobodys.status_code == 404, (method, template)
        assert answer.text.replace(ids[name], NOBODY) == nobodys.text
        checked += 1
    assert checked >= 14
    assert world.submitted == []


async def test_X11_cancelling_another_tenants_run_by_id_reaches_only_the_callers_core(
    world: World, http: httpx.AsyncClient
) -> None:
    await world.workflow("theirs", no=OTHER.no)
    record = await world.run("theirs", TaskStatus.RUNNING, no=OTHER.no)
    answer = await http.post(f"/api/v1/stable/tenants/{TENANT.id}/tasks/cancel", json={"externalIds": [record.run.id]})
    assert answer.json() == {"ids": []}
    assert {tenant for tenant, _ in world.submitted} == {TENANT.id}


async def test_X5_the_tenant_comes_from_the_token_not_from_the_body(
    town: Town, world: World, stranger: httpx.AsyncClient
) -> None:
    await world.workflow("greet")
    token = await town.token_for(TENANT)
    body = {"workflowName": "greet", "input": {}, "tenantId": OTHER.id, "tenant": OTHER.id}
    path = f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs/trigger"
    answer = await stranger.post(path, json=body, headers={"authorization": f"bearer {token}"})
    assert answer.status_code == 200
    assert answer.json()["run"]["tenantId"] == TENANT.id


async def test_each_tenant_sees_its_own(town: Town, world: World, stranger: httpx.AsyncClient) -> None:
    token = await town.token_for(OTHER)
    headers = {"authorization": f"Bearer {token}"}
    answer = await stranger.get(f"/api/v1/tenants/{OTHER.id}", headers=headers)
    assert answer.json()["name"] == "Red Team"


async def test_X_REVOKE_a_token_table_that_cannot_be_read_is_503_not_403(
    town: Town, world: World, stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(town.access, "_read_at", NOW_S - 1_000)
    answer = await call(stranger, "GET", filled("/api/v1/tenants/{tenant}"), f"Bearer {town.token}")
    assert answer.status_code == 503


async def test_R35_a_tenant_that_is_not_served_yet_is_503_and_opens_nothing(
    town: Town, world: World, stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = Tenant(TenantNo(3), TenantId(NOBODY), "New Team", NOW)
    monkeypatch.setattr(town, "known", [*town.known, newest])
    token = await town.token_for(newest)
    for method, template in OPERATIONS:
        answer = await call(stranger, method, filled(template, NOBODY), f"Bearer {token}")
        assert answer.status_code == 503, (method, template)
        assert method == "HEAD" or "is new" in answer.text
    assert world.submitted == []


async def test_R20_a_standby_is_503_on_every_operation_and_says_who_serves(
    town: Town, world: World, stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "owner_elsewhere", NotOwner("first at first:7077"))
    for method, template in OPERATIONS:
        answer = await call(stranger, method, filled(template), f"Bearer {town.token}")
        assert answer.status_code == 503, (method, template)
        assert method == "HEAD" or "first:7077" in answer.text
    assert world.submitted == []
