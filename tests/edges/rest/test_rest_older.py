"""Lists in the older shape: runs, events, runs of a workflow by concurrency key. Parsed by the official client's models, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hatchet_sdk.clients.rest.api.event_api import EventApi
from hatchet_sdk.clients.rest.api.workflow_api import WorkflowApi
from hatchet_sdk.clients.rest.api_client import ApiClient
from hatchet_sdk.clients.rest.configuration import Configuration
from hatchet_sdk.clients.rest.models.workflow_kind import WorkflowKind
from hatchet_sdk.clients.rest.models.workflow_run_status import WorkflowRunStatus

from limpet.core.definitions import ConcurrencyLimit, LimitStrategy
from limpet.core.ids import SECOND_US
from limpet.core.rows import RunStatus, TaskStatus

from .conftest import Town
from .world import NOW, NOW_S, OTHER, TENANT, World, task

RUNS = f"/api/v1/tenants/{TENANT.id}/workflows/runs"
EVENTS = f"/api/v1/tenants/{TENANT.id}/events"
NOBODY = "00000000-0000-7000-8000-000000000000"
BEFORE, AFTER = (datetime.fromtimestamp(NOW_S, UTC) + timedelta(hours=hours) for hours in (-1, 1))


@pytest.fixture(scope="session")
def official(town: Town) -> ApiClient:
    return ApiClient(Configuration(host=town.url, access_token=town.token))


@pytest_asyncio.fixture(loop_scope="session")
async def full(world: World) -> AsyncIterator[World]:
    """One task, several tasks, and a run of each status."""
    await world.workflow("greet")
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report", parents=("fetch",)))
    for status in (TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED):
        await world.run("greet", status)
    await world.run("Report", TaskStatus.COMPLETED, TaskStatus.RUNNING)
    yield world


async def rows(http: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(RUNS, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


async def found(http: httpx.AsyncClient, **query: Any) -> list[str]:
    return [row["metadata"]["id"] for row in await rows(http, **query)]


async def test_runs_are_listed_by_each_filter(world: World, http: httpx.AsyncClient) -> None:
    workflow = await world.workflow("greet")
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report"))
    parent = (await world.run("Report", TaskStatus.RUNNING)).run.id
    child = (await world.run("greet", parent_run_id=parent, parent_task_id=NOBODY, metadata=b'{"a":"b","n":1}')).run.id
    ended = (await world.run("greet", TaskStatus.COMPLETED, created_at=NOW - 60 * SECOND_US)).run.id
    assert await found(http) == [child, parent, ended]
    assert await found(http, workflowId=workflow.id.upper()) == await found(http, kinds=["FUNCTION"]) == [child, ended]
    assert await found(http, kinds="DAG") == await found(http, statuses=["RUNNING"]) == [parent]
    assert await found(http, kinds="DURABLE") == await found(http, kinds="DAG", workflowId=workflow.id) == []
    assert await found(http, parentWorkflowRunId=parent) == await found(http, parentStepRunId=NOBODY) == [child]
    assert await found(http, additionalMetadata=["a:b", "n:1"]) == [child]
    assert await found(http, statuses="QUEUED") == await found(http, statuses="PENDING") == [child]
    assert await found(http, statuses=["BACKOFF"]) == await found(http, eventId=NOBODY) == []
    assert await found(http, createdAfter=BEFORE.isoformat(), createdBefore=AFTER.isoformat()) == [child, parent, ended]
    assert await found(http, createdAfter=AFTER.isoformat()) == await found(http, finishedBefore=BEFORE.isoformat()) == []
    assert await found(http, finishedAfter=BEFORE.isoformat()) == await found(http, limit=1, offset=2) == [ended]


async def test_a_run_says_who_started_it_and_how_it_ended(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    metadata = b'{"hatchet__event_id":"%s","hatchet__cron_expression":"@daily"}' % NOBODY.encode()
    record = await world.run("greet", TaskStatus.FAILED, metadata=metadata, parent_run_id=NOBODY)
    await world.change(record.tasks[0], error="no milk")
    (row,) = await rows(http)
    assert (row["status"], row["error"], row["input"]) == ("FAILED", "no milk", {"n": 1.0})
    assert {name: value for name, value in row["triggeredBy"].items() if name != "metadata"} == {
        "parentWorkflowRunId": NOBODY, "eventId": NOBODY, "cronSchedule": "@daily",
    }  # fmt: skip
    shape = (await http.get(f"/api/v1/tenants/{TENANT.id}/workflow-runs/{record.run.id}/shape")).json()
    assert {name: shape[name] for name in row} == row


async def test_metadata_that_only_looks_like_the_engines_breaks_no_list(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    await world.run("greet", metadata=b'{"hatchet__event_id":7,"hatchet__cron_expression":{"a":[]}}')
    (row,) = await rows(http)
    assert (row["triggeredBy"]["eventId"], row["triggeredBy"]["cronSchedule"]) == (None, None)


@pytest.mark.parametrize(
    "query",
    [
        {"orderByField": "duration"}, {"orderByDirection": "ASC"}, {"orderByField": "size"}, {"statuses": "COMPLETED"}, {"kinds": "X"},
        {"limit": 0}, {"additionalMetadata": "a"}, {"createdAfter": "yesterday"},
    ],
)  # fmt: skip
async def test_a_question_that_is_not_answered_is_refused_with_a_sentence(http: httpx.AsyncClient, query: dict[str, Any]) -> None:
    answer = await http.get(RUNS, params=query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["description"]


async def test_events_are_listed_by_each_filter(world: World, http: httpx.AsyncClient) -> None:
    workflow = await world.workflow("shop", events=("order:*",))
    events = [
        (await http.post(EVENTS, json={"key": key, "data": {"n": 1}, "additionalMetadata": {"m": key}})).json()
        for key in ("order:a", "b")
    ]

    async def keys(**query: Any) -> list[str]:
        answer = await http.get(EVENTS, params=query)
        assert answer.status_code == 200, answer.text
        return [row["key"] for row in answer.json()["rows"]]

    assert (
        await keys() == await keys(search="") == await keys(orderByField="createdAt", orderByDirection="desc") == ["b", "order:a"]
    )
    assert await keys(keys="order:a") == await keys(workflows=workflow.id.upper()) == await keys(statuses="QUEUED") == ["order:a"]
    assert (
        await keys(additionalMetadata="m:b") == await keys(eventIds=events[1]["metadata"]["id"]) == await keys(limit=1) == ["b"]
    )
    assert await keys(statuses="FAILED") == await keys(offset=2) == []
    for refused in ({"search": "milk"}, {"orderByDirection": "asc"}, {"orderByField": "key"}):
        assert (await http.get(EVENTS, params=refused)).status_code == 400


async def test_runs_of_a_workflow_are_counted_by_their_first_concurrency_key(world: World, http: httpx.AsyncClient) -> None:
    limit = ConcurrencyLimit(expression="input.user", max_runs=1, strategy=LimitStrategy.GROUP_ROUND_ROBIN)
    workflow, free = await world.workflow("greet", concurrency=(limit,)), await world.workflow("free")
    for keys in (b'["ada"]', b'["ada","x"]', b'["bob"]', b'[{"error":"no such key"}]'):
        await world.run("greet", limit_keys=keys)
    await world.run("greet", TaskStatus.RUNNING, limit_keys=b'["ada"]')
    await world.run("free", limit_keys=b'["[\\"a rate limit\\",1,null]"]')

    async def counts(workflow_id: str, **query: str) -> tuple[Any, Any]:
        answer = await http.get(f"/api/v1/workflows/{workflow_id}/metrics", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["groupKeyCount"], answer.json()["groupKeyRunsCount"]

    assert await counts(workflow.id) == (2, None)
    assert await counts(workflow.id, groupKey="ada") == (2, 3)
    assert await counts(workflow.id, groupKey="ada", status="RUNNING") == (1, 1)
    assert await counts(workflow.id, groupKey="eve", status="QUEUED") == (2, 0)
    assert await counts(free.id, groupKey="ada") == (0, 0)
    assert (await http.get(f"/api/v1/workflows/{NOBODY}/metrics")).status_code == 404
    assert (await http.get(f"/api/v1/workflows/{workflow.id}/metrics", params={"status": "LOST"})).status_code == 400


async def in_thread(call: Callable[..., Any], *values: Any, **options: Any) -> Any:
    """The generated client blocks."""
    return await asyncio.to_thread(lambda: call(*values, **options))


async def test_the_official_client_reads_runs_and_metrics(full: World, official: ApiClient) -> None:
    calls = WorkflowApi(official)
    listed = await in_thread(calls.workflow_run_list, TENANT.id, limit=100)
    assert {row.status for row in listed.rows} == {
        WorkflowRunStatus.PENDING, WorkflowRunStatus.RUNNING, WorkflowRunStatus.SUCCEEDED, WorkflowRunStatus.FAILED,
        WorkflowRunStatus.CANCELLED,
    }  # fmt: skip
    one = await in_thread(
        calls.workflow_run_list, TENANT.id, kinds=[WorkflowKind.DAG], statuses=[WorkflowRunStatus.RUNNING],
        created_after=BEFORE, created_before=AFTER, additional_metadata=["customer:42"],
    )  # fmt: skip
    assert len(one.rows) == 1
    row = next(row for row in await full.reader.workflows(TENANT.no) if row.name == "greet")
    metrics = await in_thread(calls.workflow_get_metrics, row.id, status=WorkflowRunStatus.RUNNING, group_key="ada")
    assert (metrics.group_key_count, metrics.group_key_runs_count) == (0, 0)


async def test_the_official_client_reads_events(world: World, http: httpx.AsyncClient, official: ApiClient) -> None:
    await http.post(EVENTS, json={"key": "a", "data": {"n": 1}})
    listed = await in_thread(EventApi(official).event_list, TENANT.id, limit=10, keys=["a"])
    assert [row.key for row in listed.rows] == ["a"]


async def test_X5_another_tenant_is_not_listed(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet", no=OTHER.no)
    record = await world.run("greet", no=OTHER.no, status=RunStatus.QUEUED)
    assert await found(http) == []
    assert await found(http, workflowId=record.workflow.id) == []
    assert (await http.get(RUNS.replace(TENANT.id, OTHER.id))).status_code in (403, 404)
    assert (await http.get(f"/api/v1/workflows/{record.workflow.id}/metrics")).status_code == 404
