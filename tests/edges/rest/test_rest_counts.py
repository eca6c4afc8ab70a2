"""Numbers, names and timings of runs; single runs and events in the older shape. Parsed by the official client's models, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hatchet_sdk.clients.rest.api.event_api import EventApi
from hatchet_sdk.clients.rest.api.workflow_api import WorkflowApi
from hatchet_sdk.clients.rest.api.workflow_run_api import WorkflowRunApi
from hatchet_sdk.clients.rest.api.workflow_runs_api import WorkflowRunsApi
from hatchet_sdk.clients.rest.api_client import ApiClient
from hatchet_sdk.clients.rest.configuration import Configuration

from limpet.core.ids import SECOND_US
from limpet.core.rows import TaskStatus
from limpet.core.views import SlotView

from .conftest import Town
from .test_rest_older import BEFORE
from .world import NOW, OTHER, TENANT, World, task

OLDER, NEWER = f"/api/v1/tenants/{TENANT.id}", f"/api/v1/stable/tenants/{TENANT.id}"
NOBODY = "00000000-0000-7000-8000-000000000000"
SINCE = {"since": "2020-01-01T00:00:00Z"}


@pytest.fixture(scope="session")
def official(town: Town) -> ApiClient:
    return ApiClient(Configuration(host=town.url, access_token=town.token))


async def got(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def in_thread(call: Callable[..., Any], *values: Any, **options: Any) -> Any:
    """The generated client blocks."""
    return await asyncio.to_thread(lambda: call(*values, **options))


async def some_runs(world: World) -> None:
    await world.workflow("greet")
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report", parents=("fetch",)))
    for status in (TaskStatus.QUEUED, TaskStatus.BACKING_OFF, TaskStatus.RUNNING, TaskStatus.COMPLETED, TaskStatus.FAILED):
        await world.run("greet", status)
    await world.run("Report", TaskStatus.ASSIGNED, TaskStatus.PENDING, metadata=b'{"a":"b"}')


async def test_runs_and_tasks_are_counted_with_the_filters_of_their_list(world: World, http: httpx.AsyncClient) -> None:
    await some_runs(world)
    path = f"{NEWER}/workflow-runs/count"
    assert await got(http, path, **SINCE, only_tasks=False) == {"count": 6}
    assert await got(http, path, **SINCE, only_tasks=True) == {"count": 7}
    assert await got(http, path, **SINCE, only_tasks=False, statuses=["QUEUED", "FAILED"]) == {"count": 3}
    assert await got(http, path, **SINCE, only_tasks=True, additional_metadata="a:b") == {"count": 2}
    assert (await http.get(path, params={"only_tasks": True})).status_code == 400


async def test_runs_are_counted_by_older_status(world: World, http: httpx.AsyncClient) -> None:
    await some_runs(world)
    path = f"{OLDER}/workflows/runs/metrics"
    counts = {"PENDING": 2, "QUEUED": 2, "RUNNING": 2, "SUCCEEDED": 1, "FAILED": 1, "CANCELLED": 0}
    assert await got(http, path) == {"counts": counts}
    assert (await got(http, path, additionalMetadata="a:b"))["counts"] == {**dict.fromkeys(counts, 0), "RUNNING": 1}
    assert (await got(http, path, workflowId=NOBODY))["counts"] == dict.fromkeys(counts, 0)


async def test_unfinished_tasks_are_counted_in_all_and_by_workflow(world: World, http: httpx.AsyncClient) -> None:
    await some_runs(world)
    greet = next(row for row in await world.reader.workflows(TENANT.no) if row.name == "greet")
    answer = await got(http, f"{OLDER}/queue-metrics")
    assert answer["total"] == {"numQueued": 2, "numRunning": 2, "numPending": 1}
    assert answer["workflow"][greet.id] == {"numQueued": 2, "numRunning": 1, "numPending": 0}
    assert list((await got(http, f"{OLDER}/queue-metrics", workflows=greet.id.upper()))["workflow"]) == [greet.id]


async def test_slots_of_a_workflow_are_those_of_active_workers_that_offer_its_tasks(
    world: World, http: httpx.AsyncClient
) -> None:
    row = await world.workflow("greet")
    path = f"{OLDER}/workflows/{row.id}/worker-count"
    assert await got(http, path) == {"freeSlotCount": 0, "maxSlotCount": 0}
    await world.worker_joins("north", "greet:greet", slots=(SlotView("default", 10, 4), SlotView("gpu", 3, 3)))
    await world.worker_joins("south", "greet:greet", slots=(SlotView("default", 5, 5),))
    await world.worker_joins("other", "other:other")
    await world.worker_joins("silent", "greet:greet", seen_at=None)
    await world.worker_joins("paused", "greet:greet", paused=True)
    assert await got(http, path) == {"freeSlotCount": 9, "maxSlotCount": 15}
    assert (await http.get(path.replace(row.id, NOBODY))).status_code == 404


async def test_names_are_shown_for_the_ids_that_exist(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report"))
    one, two = await world.run("greet"), await world.run("Report")
    await world.workflow("theirs", no=OTHER.no)
    theirs = (await world.run("theirs", no=OTHER.no)).run.id
    answer = await got(
        http, f"{NEWER}/workflow-runs/display-names", external_ids=[two.run.id.upper(), NOBODY, theirs, one.run.id]
    )
    names = [f"Report-{two.run.created_at // 1000}", f"greet-{one.tasks[0].created_at // 1000}"]
    assert [row["displayName"] for row in answer["rows"]] == names
    assert [row["metadata"]["id"] for row in answer["rows"]] == [two.run.id, one.run.id]
    for ids in (["x"], [NOBODY] * 501):
        assert (await http.get(f"{NEWER}/workflow-runs/display-names", params={"external_ids": ids})).status_code == 400


async def test_timings_go_down_to_the_depth_that_is_asked_for(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    top = await world.run("greet", TaskStatus.RUNNING)
    world.receipts[top.tasks[0].id] = NOW + SECOND_US
    child = await world.run("greet", TaskStatus.COMPLETED, parent_run_id=top.run.id, parent_task_id=top.tasks[0].id)
    await world.run("greet", parent_run_id=child.run.id, parent_task_id=child.tasks[0].id)
    path = f"/api/v1/stable/workflow-runs/{top.run.id}/task-timings"
    assert [row["depth"] for row in (await got(http, path))["rows"]] == [0]
    rows = (await got(http, path, depth=10))["rows"]
    assert [row["depth"] for row in rows] == [0, 1, 2]
    assert rows[0]["startedAt"] > rows[0]["queuedAt"]
    assert (rows[1]["parentTaskExternalId"], rows[1]["workflowRunId"]) == (top.tasks[0].id, child.run.id)
    assert [row["finishedAt"] is None for row in rows] == [True, False, True]
    assert (await http.get(path, params={"depth": 11})).status_code == 400
    assert (await http.get(path.replace(top.run.id, NOBODY))).status_code == 404


async def test_single_runs_and_events_in_the_older_shape(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("shop", events=("order:*",))
    event = (await http.post(f"{OLDER}/events", json={"key": "order:a", "data": {"n": 1}})).json()
    event_id, run_id = event["metadata"]["id"], event["triggeredRuns"][0]["workflowRunId"]
    assert await got(http, f"/api/v1/events/{event_id.upper()}") == event
    for path in (f"/api/v1/events/{event_id}/data", f"{OLDER}/events/{event_id}/data"):
        assert await got(http, path) == {"data": '{"n":1}'}
    assert (await got(http, f"{OLDER}/events/keys"))["rows"] == ["order:a"]
    assert await got(http, f"{OLDER}/workflow-runs/{run_id}/input") == {"n": 1}
    run = await got(http, f"{OLDER}/workflow-runs/{run_id}")
    assert (run["triggeredBy"]["eventId"], len(run["jobRuns"])) == (event_id, 1)
    for path in (
        f"/api/v1/events/{NOBODY}",
        "/api/v1/events/x/data",
        f"{OLDER}/workflow-runs/{NOBODY}",
        f"{OLDER}/workflow-runs/x/input",
    ):
        assert (await http.get(path)).status_code == 404


async def test_a_workflow_tells_what_starts_it(world: World, http: httpx.AsyncClient) -> None:
    row = await world.workflow("greet", events=("order:*",), crons=("@daily",))
    shown = (await got(http, f"/api/v1/workflows/{row.id}"))["triggers"]
    version = shown["workflow_version_id"]
    assert shown["tenant_id"] == TENANT.id
    assert shown["events"] == [{"parent_id": version, "event_key": "order:*"}]
    assert shown["crons"] == [{"parent_id": version, "cron": "@daily"}]
    assert (await got(http, f"/api/v1/workflows/{row.id}/versions"))["triggers"] == shown


async def test_the_official_client_reads_all_of_them(world: World, http: httpx.AsyncClient, official: ApiClient) -> None:
    row = await world.workflow("shop", events=("a",), crons=("@daily",))
    event = (await http.post(f"{OLDER}/events", json={"key": "a", "data": {"n": 1}})).json()
    event_id, run_id = event["metadata"]["id"], event["triggeredRuns"][0]["workflowRunId"]
    older, newer, events, single = WorkflowApi(official), WorkflowRunsApi(official), EventApi(official), WorkflowRunApi(official)
    assert (await in_thread(newer.v1_workflow_run_count_get, TENANT.id, BEFORE, False)).count == 1
    assert (await in_thread(newer.v1_workflow_run_display_names_list, TENANT.id, [run_id])).rows[0].metadata.id == run_id
    assert (await in_thread(newer.v1_workflow_run_get_timings, run_id, depth=2)).rows[0].depth == 0
    assert (await in_thread(older.workflow_run_get_metrics, TENANT.id)).counts.queued == 1
    assert (await in_thread(older.tenant_get_queue_metrics, TENANT.id)).total.num_queued == 1
    assert (await in_thread(older.workflow_get_workers_count, TENANT.id, row.id)).max_slot_count == 0
    assert (await in_thread(older.workflow_run_get, TENANT.id, run_id)).status == "PENDING"
    assert (await in_thread(older.workflow_get, row.id)).triggers.crons[0].cron == "@daily"
    assert (await in_thread(events.event_get, event_id)).key == "a"
    assert (await in_thread(events.event_data_get, event_id)).data == '{"n":1}'
    assert (await in_thread(events.event_key_list, TENANT.id)).rows == ["a"]
    assert await in_thread(single.workflow_run_get_input, TENANT.id, run_id) == {"n": 1}
