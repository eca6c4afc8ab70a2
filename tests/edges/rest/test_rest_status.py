"""Status codes, error bodies, absent features, the description of the API."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from limpet.core.errors import LimpetError, NotFound
from limpet.edges.rest.absent import ABSENT, Absent
from limpet.edges.rest.status import STATUS_OF, status_of
from limpet.store.api import TransientStoreError

from .world import TENANT, World

NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"
TRIGGER = f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs/trigger"


def leaves(kind: type[LimpetError] = LimpetError) -> Iterator[type[LimpetError]]:
    children = [child for child in kind.__subclasses__() if child.__module__.startswith("limpet.")]  # others' tests have some
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.__name__)
def test_every_error_of_the_engine_has_a_status(leaf: type[LimpetError]) -> None:
    assert leaf in STATUS_OF


def test_a_finer_error_takes_the_status_of_its_base() -> None:
    class WorkflowNotFound(NotFound):
        pass

    assert status_of(WorkflowNotFound("workflow", "x")) == 404
    assert status_of(LimpetError("what?")) == 500


async def test_R35_a_store_that_cannot_be_read_is_unavailable(world: World, http: httpx.AsyncClient) -> None:
    world.refusal = TransientStoreError("database is locked: /var/lib/x.db")
    answer = await http.post(TRIGGER, json={"workflowName": "greet", "input": {}})
    assert answer.status_code == 503
    assert "/var/lib" not in answer.text


def calls() -> list[tuple[str, Absent]]:
    return [(method, absent) for absent in ABSENT for method in absent.methods]


@pytest.mark.parametrize(("method", "absent"), calls(), ids=lambda each: each if isinstance(each, str) else each.path)
async def test_a_feature_that_is_not_there_yet_says_so(http: httpx.AsyncClient, method: str, absent: Absent) -> None:
    names = dict.fromkeys(("event", "filter", "webhook", "cron", "scheduled", "workflow", "task"), NOBODY)
    path = "/api" + absent.path.format(tenant=TENANT.id, **names)
    answer = await http.request(method, path, json={})
    assert answer.status_code == 501, path
    assert absent.feature in answer.json()["errors"][0]["description"]


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api", "/api/", "/nothing", "/", "/api/v1/stable/tasks", "/api/../etc/passwd"]
)
async def test_unknown_paths_are_404_in_the_error_schema(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == 404


async def test_a_wrong_method_is_405(http: httpx.AsyncClient) -> None:
    answer = await http.put(f"/api/v1/workers/{NOBODY}", json={})
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


async def test_X14_answers_carry_the_security_headers(http: httpx.AsyncClient) -> None:
    for path in (f"/api/v1/tenants/{TENANT.id}", "/health", "/nothing"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


async def test_the_api_describes_itself_and_every_operation_has_a_sentence(http: httpx.AsyncClient) -> None:
    described = (await http.get("/api/v1/openapi.json")).json()
    operations = [(path, verb, each) for path, verbs in described["paths"].items() for verb, each in verbs.items()]
    assert len(operations) >= 25
    assert [path for path, _, each in operations if not each.get("description")] == []
    trigger = described["paths"]["/v1/stable/tenants/{tenant}/workflow-runs/trigger"]["post"]
    schema = trigger["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["workflowName"]
    assert "comparator" in str(schema["properties"]["desiredWorkerLabels"])
    assert "$defs" not in str(schema)
