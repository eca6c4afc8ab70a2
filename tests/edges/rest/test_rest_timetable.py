"""Crons and scheduled runs over REST, answered by the real core over the rows of the world."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from .world import NOW_S, OTHER, TENANT, World

WORKFLOWS = f"/api/v1/tenants/{TENANT.id}/workflows"
CRONS, SCHEDULED = f"{WORKFLOWS}/crons", f"{WORKFLOWS}/scheduled"
NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"
NOW = datetime.fromtimestamp(NOW_S, UTC)


async def make_cron(
    http: httpx.AsyncClient, name: str = "nightly", expression: str = "0 3 * * *", **values: Any
) -> httpx.Response:
    body = {"cronName": name, "cronExpression": expression, "input": {"x": 1}, "additionalMetadata": {"m": "n"}, **values}
    return await http.post(f"{WORKFLOWS}/greet/crons", json=body)


async def make_scheduled(
    http: httpx.AsyncClient, seconds: float = 3600, workflow: str = "greet", **values: Any
) -> httpx.Response:
    at = (NOW + timedelta(seconds=seconds)).isoformat()
    body = {"triggerAt": at, "input": {"x": 1}, "additionalMetadata": {"m": "n"}, **values}
    return await http.post(f"{WORKFLOWS}/{workflow}/scheduled", json=body)


async def ids(http: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [row["metadata"]["id"] for row in answer.json()["rows"]]


async def test_B72_B78_a_cron_makes_the_round_trip(world: World, http: httpx.AsyncClient) -> None:
    workflow = await world.workflow("greet")
    made = await make_cron(http, expression="@hourly", priority=3)
    assert made.status_code == 200, made.text
    cron = made.json()
    assert cron["nextAt"].startswith((NOW + timedelta(hours=1)).strftime("%Y-%m-%dT%H:00:00"))
    assert {name: cron[name] for name in ("cron", "name", "input", "additionalMetadata", "enabled", "method", "priority")} == {
        "cron": "@hourly", "name": "nightly", "input": {"x": 1}, "additionalMetadata": {"m": "n"}, "enabled": True,
        "method": "API", "priority": 3,
    }  # fmt: skip
    assert (cron["workflowId"], cron["workflowName"], cron["tenantId"]) == (workflow.id, "greet", TENANT.id)
    path = f"{CRONS}/{cron['metadata']['id']}"
    assert (await http.get(path)).json() == cron
    assert await ids(http, CRONS, cronName="nightly", additionalMetadata="m:n") == [cron["metadata"]["id"]]
    assert await ids(http, CRONS, workflowId=workflow.id) == await ids(http, CRONS, workflowName="greet")
    assert await ids(http, CRONS, workflowName="other") == await ids(http, CRONS, additionalMetadata="m:o") == []
    gone = await http.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert [(await http.request(method, path)).status_code for method in ("GET", "DELETE", "POST")] == [404, 404, 404]


async def test_F6_15_crons_are_ordered(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    b, a = [(await make_cron(http, name)).json()["metadata"]["id"] for name in ("b", "a")]
    assert await ids(http, CRONS) == [a, b]
    assert await ids(http, CRONS, orderByField="name", orderByDirection="DESC") == [b, a]
    assert await ids(http, CRONS, orderByField="name", orderByDirection="ASC", limit=1, offset=1) == [b]
    assert (await http.get(CRONS, params={"orderByField": "age"})).status_code == 400


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cronExpression": "* * *"}, "cannot be read"), ({"cronExpression": "0 0 30 2 *"}, "cannot be read"),
        ({"cronName": ""}, "cronName"), ({"priority": 4}, "between 1 and 3"), ({"input": []}, "input must be a JSON object"),
    ],
)  # fmt: skip
async def test_B71_PR3_a_cron_that_cannot_be_is_400(
    world: World, http: httpx.AsyncClient, values: dict[str, Any], sentence: str
) -> None:
    await world.workflow("greet")
    refused = await make_cron(http, **values)
    assert refused.status_code == 400
    assert sentence in refused.text


async def test_B73_F6_11_a_second_one_and_an_unknown_workflow_are_400(world: World, http: httpx.AsyncClient) -> None:
    assert (await make_cron(http)).status_code == 400
    await world.workflow("greet")
    assert (await make_cron(http)).status_code == 200
    again = await make_cron(http)
    assert again.status_code == 400
    assert "already" in again.text


async def test_B74_F6_14_switching_and_triggering_now(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    path = f"{CRONS}/{(await make_cron(http)).json()['metadata']['id']}"
    off = await http.patch(path, json={"enabled": False})
    assert (off.status_code, off.content) == (204, b"")
    cron = (await http.get(path)).json()
    assert (cron["enabled"], cron["nextAt"]) == (False, None)
    assert (await http.patch(path, json={"enabled": True})).status_code == 204
    assert (await http.get(path)).json()["enabled"]
    assert (await http.patch(path, json={})).status_code == 400
    run_id = (await http.post(path)).json()["workflowRunId"]
    assert (await http.get(f"/api/v1/stable/workflow-runs/{run_id}")).json()["run"]["input"] == {"x": 1}


async def test_B79_B89_a_scheduled_run_makes_the_round_trip(world: World, http: httpx.AsyncClient) -> None:
    workflow = await world.workflow("greet")
    made = await make_scheduled(http, priority=2)
    assert made.status_code == 200, made.text
    row = made.json()
    assert {name: row[name] for name in ("input", "additionalMetadata", "method", "priority", "workflowName")} == {
        "input": {"x": 1}, "additionalMetadata": {"m": "n"}, "method": "API", "priority": 2, "workflowName": "greet"
    }  # fmt: skip
    assert datetime.fromisoformat(row["triggerAt"]) == NOW + timedelta(hours=1)
    path = f"{SCHEDULED}/{row['metadata']['id']}"
    assert (await http.get(path)).json() == row
    assert await ids(http, SCHEDULED, workflowId=workflow.id, statuses="SCHEDULED") == [row["metadata"]["id"]]
    assert await ids(http, SCHEDULED, statuses="SUCCEEDED") == await ids(http, SCHEDULED, parentWorkflowRunId=NOBODY) == []
    moved = await http.patch(path, json={"triggerAt": (NOW + timedelta(hours=2)).isoformat()})
    assert datetime.fromisoformat(moved.json()["triggerAt"]) == NOW + timedelta(hours=2)
    assert (await http.get(path)).json() == moved.json()
    assert (await http.delete(path)).status_code == 204
    assert [(await http.request(method, path)).status_code for method in ("GET", "DELETE", "POST")] == [404, 404, 404]
    assert (await http.patch(path, json={"triggerAt": NOW.isoformat()})).status_code == 404


async def test_B80_B82_B83_what_has_started_is_gone(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    past = await make_scheduled(http, -5)
    assert past.status_code == 200
    assert (await http.get(f"{SCHEDULED}/{past.json()['metadata']['id']}")).status_code == 404
    path = f"{SCHEDULED}/{(await make_scheduled(http)).json()['metadata']['id']}"
    run_id = (await http.post(path)).json()["workflowRunId"]
    assert (await http.get(f"/api/v1/stable/workflow-runs/{run_id}")).status_code == 200
    assert (await http.get(path)).status_code == 404
    assert await ids(http, SCHEDULED) == []


async def test_F7_11_scheduled_runs_are_ordered(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    late, soon = [(await make_scheduled(http, seconds)).json()["metadata"]["id"] for seconds in (90, 60)]
    assert await ids(http, SCHEDULED) == [soon, late]
    assert await ids(http, SCHEDULED, orderByField="triggerAt", orderByDirection="DESC") == [late, soon]
    assert await ids(http, SCHEDULED, orderByField="triggerAt", orderByDirection="ASC") == [soon, late]


async def test_B85_a_bulk_deletion_names_the_id_that_is_unknown(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    made = [(await make_scheduled(http)).json()["metadata"]["id"] for _ in range(3)]
    answer = await http.post(f"{SCHEDULED}/bulk-delete", json={"scheduledWorkflowRunIds": [*made, NOBODY]})
    assert answer.json()["deletedIds"] == made
    (error,) = answer.json()["errors"]
    assert error["id"] == NOBODY
    assert "not found" in error["error"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"scheduledWorkflowRunIds": [NOBODY], "filter": {"workflowId": NOBODY}}, {"scheduledWorkflowRunIds": []},
        {"scheduledWorkflowRunIds": [NOBODY] * 501}, {"filter": {}},
    ],
)  # fmt: skip
async def test_B86_neither_nor_both_nor_too_many_are_400(world: World, http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post(f"{SCHEDULED}/bulk-delete", json=body)).status_code == 400


async def test_B87_a_bulk_deletion_by_filter_takes_only_what_matches(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    kept = (await make_scheduled(http, additionalMetadata={"m": "o"})).json()["metadata"]["id"]
    gone = [(await make_scheduled(http)).json()["metadata"]["id"] for _ in range(2)]
    answer = (await http.post(f"{SCHEDULED}/bulk-delete", json={"filter": {"additionalMetadata": ["m:n"]}})).json()
    assert (sorted(answer["deletedIds"]), answer["errors"]) == (sorted(gone), [])
    assert await ids(http, SCHEDULED) == [kept]


async def test_F7_10_a_bulk_change_moves_what_it_finds(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    one = (await make_scheduled(http)).json()["metadata"]["id"]
    at = (NOW + timedelta(days=1)).isoformat()
    answer = await http.post(
        f"{SCHEDULED}/bulk-update", json={"updates": [{"id": each, "triggerAt": at} for each in (one, NOBODY)]}
    )
    assert answer.json()["updatedIds"] == [one]
    assert [error["id"] for error in answer.json()["errors"]] == [NOBODY]
    assert datetime.fromisoformat((await http.get(f"{SCHEDULED}/{one}")).json()["triggerAt"]) == NOW + timedelta(days=1)
    assert (await http.post(f"{SCHEDULED}/bulk-update", json={"updates": []})).status_code == 400


async def test_X5_of_another_tenant_nothing_is_found(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    cron = (await make_cron(http)).json()["metadata"]["id"]
    theirs = f"/api/v1/tenants/{OTHER.id}/workflows/crons/{cron}"
    assert (await http.get(theirs)).status_code in (403, 404)
