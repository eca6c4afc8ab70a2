"""Pushed events and filters over REST, answered by the real core over the rows of the world."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from limpet.core.event_inputs import ExpressionFailed, ExpressionFailure
from limpet.core.event_rows import FailureSource
from limpet.core.rows import WorkflowRow
from limpet.store.api import EventQuery

from .world import NOW_S, OTHER, TENANT, World

EVENTS = f"/api/v1/stable/tenants/{TENANT.id}/events"
PUSH = f"/api/v1/tenants/{TENANT.id}/events"
FILTERS = f"/api/v1/stable/tenants/{TENANT.id}/filters"
FAILURES = f"/api/v1/stable/tenants/{TENANT.id}/cel/failures"
NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"
SEEN_AT = datetime.fromtimestamp(NOW_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")


async def shop(world: World) -> WorkflowRow:
    return await world.workflow("shop", events=("order:*",))


async def push(http: httpx.AsyncClient, key: str = "order:created", **values: Any) -> dict[str, Any]:
    answer = await http.post(PUSH, json={"key": key, "data": {"n": 2}, "additionalMetadata": {"m": "x"}, **values})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def make_filter(http: httpx.AsyncClient, workflow: WorkflowRow, **values: Any) -> httpx.Response:
    body = {"workflowId": workflow.id, "expression": "input.n > payload.min", "scope": "s", "payload": {"min": 1}, **values}
    return await http.post(FILTERS, json=body)


async def keys(http: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await http.get(EVENTS, params=query)
    assert answer.status_code == 200, answer.text
    return [row["key"] for row in answer.json()["rows"]]


async def test_B50_a_pushed_event_is_shown_with_its_run(world: World, http: httpx.AsyncClient) -> None:
    workflow = await shop(world)
    event = await push(http, scope="t", priority=2)
    (run,) = event.pop("triggeredRuns")
    assert run["filterId"] is None
    assert event.pop("metadata")["id"]
    assert event.pop("seenAt").startswith(SEEN_AT)
    assert event == {
        "key": "order:created", "tenantId": TENANT.id, "payload": {"n": 2}, "additionalMetadata": {"m": "x"}, "scope": "t",
        "workflowRunSummary": {"running": 0, "queued": 1, "succeeded": 0, "failed": 0, "cancelled": 0},
        "triggeringWebhookName": None,
    }  # fmt: skip
    record = await world.reader.run(TENANT.no, run["workflowRunId"])
    assert record is not None
    assert (record.run.workflow_key, record.run.input, record.run.priority) == (workflow.key, b'{"n":2}', 2)


async def test_B68_events_are_listed_by_what_is_asked(world: World, http: httpx.AsyncClient) -> None:
    workflow = await shop(world)
    one = await push(http, "order:a", scope="s")
    await push(http, "b", additionalMetadata={"m": "x", "n": 1})
    assert await keys(http) == ["b", "order:a"]
    assert await keys(http, keys=["order:a", "c"]) == await keys(http, scopes="s") == ["order:a"]
    assert await keys(http, workflowIds=workflow.id.upper()) == await keys(http, workflowRunStatuses="QUEUED") == ["order:a"]
    assert await keys(http, eventIds=one["metadata"]["id"]) == ["order:a"]
    assert await keys(http, additionalMetadata=["m:x", "n:1"]) == await keys(http, limit=1) == ["b"]
    assert await keys(http, workflowRunStatuses="FAILED") == await keys(http, until="2001-01-01T00:00:00Z") == []
    assert await keys(http, since="2001-01-01T00:00:00Z", offset=1) == ["order:a"]
    assert (await http.get(EVENTS + "/keys")).json()["rows"] == ["b", "order:a"]
    assert (await http.get(f"{EVENTS}/{one['metadata']['id']}")).json() == one
    for path in (f"{EVENTS}/{NOBODY}", f"{EVENTS}/nothing"):
        assert (await http.get(path)).status_code == 404
    assert (await http.get(EVENTS, params={"workflowRunStatuses": "LOST"})).status_code == 400


async def test_F5_2_several_are_pushed_in_order_or_none(world: World, http: httpx.AsyncClient) -> None:
    await shop(world)
    answer = await http.post(PUSH + "/bulk", json={"events": [{"key": "order:1", "data": {}}, {"key": "x", "data": {}}]})
    assert [(row["key"], len(row["triggeredRuns"])) for row in answer.json()["rows"]] == [("order:1", 1), ("x", 0)]
    for events in ([], [{"key": "k", "data": {}}, {"key": "k", "data": []}], [{"key": "k"}] * 1001):
        assert (await http.post(PUSH + "/bulk", json={"events": events})).status_code == 400
    assert await keys(http) == ["x", "order:1"]


@pytest.mark.parametrize(
    "body",
    [
        {"key": ""}, {"key": "k", "data": [1]}, {"key": "k", "data": {}, "priority": 4}, {"key": "k", "data": {}, "scope": ""},
        {"data": {}}, {"key": "k\0", "data": {}}, {"key": "k", "data": {"a": "\0"}},
    ],
)  # fmt: skip
async def test_B51_what_is_no_event_is_a_bad_request(world: World, http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post(PUSH, json=body)).status_code == 400


async def test_F5_21_a_filter_makes_the_round_trip(world: World, http: httpx.AsyncClient) -> None:
    workflow = await shop(world)
    made = (await make_filter(http, workflow)).json()
    path = f"{FILTERS}/{made['metadata']['id']}"
    assert {name: made[name] for name in ("workflowId", "scope", "expression", "payload", "isDeclarative", "tenantId")} == {
        "workflowId": workflow.id, "scope": "s", "expression": "input.n > payload.min", "payload": {"min": 1},
        "isDeclarative": False, "tenantId": TENANT.id,
    }  # fmt: skip
    assert (await http.get(path)).json() == made
    assert len((await push(http, scope="s"))["triggeredRuns"]) == 1
    assert (await push(http, scope="s", data={"n": 1}))["triggeredRuns"] == (await push(http))["triggeredRuns"] == []
    changed = (await http.patch(path, json={"expression": "input.n == 1.0", "payload": None, "scope": None})).json()
    assert {**changed, "metadata": None} == {**made, "expression": "input.n == 1.0", "metadata": None}
    (run,) = (await push(http, scope="s", data={"n": 1}))["triggeredRuns"]
    assert run["filterId"] == made["metadata"]["id"]
    assert (await http.patch(path, json={"payload": {}, "scope": "t"})).json()["payload"] == {}
    gone = await http.delete(path)
    assert (gone.status_code, gone.json()["scope"]) == (200, "t")
    assert [(await http.request(method, path, json={})).status_code for method in ("GET", "PATCH", "DELETE")] == [404] * 3


async def test_F5_21_filters_are_listed_newest_first(world: World, http: httpx.AsyncClient) -> None:
    workflow, other = await shop(world), await world.workflow("other")
    ids = [
        (await make_filter(http, each, scope=scope)).json()["metadata"]["id"]
        for each, scope in ((workflow, "a"), (other, "b"), (workflow, "b"))
    ]

    async def found(**query: Any) -> list[int]:
        rows = (await http.get(FILTERS, params=query)).json()["rows"]
        return [ids.index(row["metadata"]["id"]) for row in rows]

    assert await found() == [2, 1, 0]
    assert await found(workflowIds=workflow.id) == [2, 0]
    assert await found(scopes=["b", "c"]) == [2, 1]
    assert await found(scopes="b", limit=1, offset=1) == [1]
    assert (await http.get(FILTERS, params={"limit": 2})).json()["pagination"]["next_page"] == 2


@pytest.mark.parametrize(
    "values", [{"scope": ""}, {"expression": "x" * 5_000}, {"payload": [1]}, {"payload": {"a": "x" * 70_000}}, {"scope": None}]
)
async def test_a_filter_that_cannot_be_kept_is_a_bad_request(
    world: World, http: httpx.AsyncClient, values: dict[str, Any]
) -> None:
    assert (await make_filter(http, await shop(world), **values)).status_code == 400


async def test_S1_filters_and_events_of_others_do_not_exist(world: World, http: httpx.AsyncClient) -> None:
    theirs = await world.workflow("theirs", no=OTHER.no, events=("order:*",))
    assert (await make_filter(http, theirs)).status_code == 404
    assert (await push(http))["triggeredRuns"] == []
    assert (await world.reader.pushed_events(OTHER.no, EventQuery()))[1] == 0


async def test_B62_F5_20_a_failed_filter_is_shown(world: World, http: httpx.AsyncClient) -> None:
    made = (await make_filter(http, await shop(world), expression="input.missing == 1")).json()
    event = await push(http, scope="s")
    await world.submit(TENANT.id, ExpressionFailed(FailureSource.WEBHOOK, ExpressionFailure("github", "no such key")))
    webhook, failed = (await http.get(FAILURES)).json()["rows"]
    assert (failed["source"], failed["about"], failed["eventId"]) == ("FILTER", made["metadata"]["id"], event["metadata"]["id"])
    assert "missing" in failed["message"]
    assert (webhook["source"], webhook["about"], webhook["eventId"]) == ("WEBHOOK", "github", None)
    assert len((await http.get(FAILURES, params={"limit": 1})).json()["rows"]) == 1


async def test_F5_13_runs_and_counts_are_asked_by_event(world: World, http: httpx.AsyncClient) -> None:
    await shop(world)
    await world.run("shop")
    event = (await push(http))["metadata"]["id"]
    base = f"/api/v1/stable/tenants/{TENANT.id}"
    query = {"since": "2001-01-01T00:00:00Z", "triggering_event_external_id": event.upper()}
    runs = (await http.get(f"{base}/workflow-runs", params={**query, "only_tasks": False})).json()["rows"]
    assert len(runs) == 1
    counts = (await http.get(f"{base}/task-metrics", params=query)).json()
    assert {each["status"]: each["count"] for each in counts if each["count"]} == {"QUEUED": 1}
