"""The official Python client as a black box: its models parse every answer, its calls have their effect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from hatchet_sdk import BulkCancelReplayOpts, ClientConfig, Hatchet, RunFilter
from hatchet_sdk.clients.rest.models.v1_task_status import V1TaskStatus

from limpet.core.definitions import StickyStrategy
from limpet.core.ids import SECOND_US
from limpet.core.inputs import CancelRequested, ReplayRequested, RunsTriggered, WorkerPaused, WorkflowDeleted
from limpet.core.rows import EventType, RunStatus, TaskStatus
from limpet.edges.trace_context import traceparent
from limpet.store.api import LogLine, RunQuery, RunRecord

from .conftest import Town
from .world import NOW, NOW_S, TENANT, World, task

SINCE = datetime.fromtimestamp(NOW_S, UTC) - timedelta(hours=1)
UNTIL = SINCE + timedelta(hours=2)


@pytest.fixture(scope="session")
def hatchet(town: Town) -> Hatchet:
    return Hatchet(config=ClientConfig(token=town.token, logger=logging.getLogger("official")))


@pytest_asyncio.fixture(loop_scope="session")
async def full(world: World) -> AsyncIterator[World]:
    """A world with something of everything."""
    worker = await world.worker_joins("north", "greet:greet", "report:fetch")
    await world.workflow("greet", sticky=StickyStrategy.SOFT, description="says hello")
    await world.workflow(
        "Report", task("fetch", "Report"), task("write", "Report", parents=("fetch",)), on_failure=task("mop", "Report")
    )
    for status in TaskStatus:
        await world.run("greet", status)
    for statuses in ((TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.RUNNING), (TaskStatus.QUEUED,)):
        record = await world.run("Report", *statuses, status=RunStatus.RUNNING)
        for kind in EventType:
            await world.event(record.tasks[0], kind, NOW, worker=worker.key, message="because")
    yield world


async def newest(world: World, status: RunStatus) -> RunRecord:
    return (await world.reader.runs(TENANT.no, RunQuery(statuses=(status,))))[0][0]


# runs


@pytest.mark.parametrize("only_tasks", [True, False])
@pytest.mark.parametrize("include_payloads", [True, False])
async def test_runs_list(full: World, hatchet: Hatchet, only_tasks: bool, include_payloads: bool) -> None:
    found = await hatchet.runs.aio_list(
        since=SINCE, until=UNTIL, only_tasks=only_tasks, include_payloads=include_payloads, limit=100
    )
    assert len(found.rows) == (len(TaskStatus) + 4 if only_tasks else len(TaskStatus) + 2)
    assert {row.status for row in found.rows} == set(V1TaskStatus)


async def test_runs_list_with_pagination(full: World, hatchet: Hatchet) -> None:
    found = await hatchet.runs.aio_list_with_pagination(since=SINCE, until=UNTIL, only_tasks=True)
    assert len(found) == len(TaskStatus) + 4


async def test_runs_list_with_every_filter(full: World, hatchet: Hatchet) -> None:
    record = await newest(full, RunStatus.RUNNING)
    found = await hatchet.runs.aio_list(
        since=SINCE,
        until=UNTIL,
        only_tasks=True,
        statuses=[V1TaskStatus.COMPLETED, V1TaskStatus.QUEUED],
        workflow_ids=[record.workflow.id],
        additional_metadata={"customer": "42"},
    )
    assert {row.workflow_id for row in found.rows} == {record.workflow.id}


@pytest.mark.parametrize("status", list(RunStatus))
async def test_runs_get_status_and_result(full: World, hatchet: Hatchet, status: RunStatus) -> None:
    record = await newest(full, status)
    details = await hatchet.runs.aio_get(record.run.id)
    assert details.run.metadata.id == record.run.id
    assert details.run.status.name == status.name
    assert await hatchet.runs.aio_get_status(record.run.id) == details.run.status
    assert await hatchet.runs.aio_get_result(record.run.id) == details.run.output
    assert len(details.tasks) == len(record.tasks)
    assert details.task_events or status is RunStatus.QUEUED  # the newest of these backs off: its events are rows
    assert len(details.shape) == len(record.tasks) or record.workflow.name == "Report"


async def test_every_event_type_is_parsed(full: World, hatchet: Hatchet) -> None:
    running = (await full.reader.runs(TENANT.no, RunQuery(statuses=(RunStatus.RUNNING,))))[0]
    (record,) = [each for each in running if len(each.tasks) == 3]
    details = await hatchet.runs.aio_get(record.run.id)
    assert {event.event_type.name for event in details.task_events} == {kind.name for kind in EventType}


async def test_runs_get_task_run(full: World, hatchet: Hatchet) -> None:
    record = await newest(full, RunStatus.FAILED)
    found = await hatchet.runs.aio_get_task_run(record.tasks[0].id)
    assert found.error_message == "ValueError: no such thing"


async def test_runs_create(full: World, hatchet: Hatchet) -> None:
    details = await hatchet.runs.aio_create("greet", {"name": "Ada"}, additional_metadata={"a": "b"}, priority=2)
    assert details.run.input == {"name": "Ada"}
    assert details.run.additional_metadata == {"a": "b", "traceparent": traceparent(details.run.metadata.id)}
    item = full.submitted[-1][1]
    assert isinstance(item, RunsTriggered)
    assert item.items[0].priority == 2


async def test_runs_cancel_and_replay(full: World, hatchet: Hatchet) -> None:
    record = await newest(full, RunStatus.RUNNING)
    await hatchet.runs.aio_cancel(record.run.id)
    await hatchet.runs.aio_replay(record.run.id)
    assert [item for _, item in full.submitted] == [CancelRequested((record.run.id,)), ReplayRequested((record.run.id,))]


async def test_runs_bulk_by_filter(full: World, hatchet: Hatchet) -> None:
    record = await newest(full, RunStatus.FAILED)
    wanted = RunFilter(since=SINCE, until=UNTIL, statuses=[V1TaskStatus.FAILED], additional_metadata={"customer": "42"})
    await hatchet.runs.aio_bulk_replay(BulkCancelReplayOpts(filters=wanted))
    await hatchet.runs.aio_bulk_cancel(BulkCancelReplayOpts(ids=[record.run.id]))
    assert [item for _, item in full.submitted] == [ReplayRequested((record.run.id,)), CancelRequested((record.run.id,))]


async def test_runs_bulk_by_filters_with_pagination(full: World, hatchet: Hatchet) -> None:
    record = await newest(full, RunStatus.FAILED)
    await hatchet.runs.aio_bulk_replay_by_filters_with_pagination(
        sleep_time=0, since=SINCE, until=UNTIL, statuses=[V1TaskStatus.FAILED]
    )
    assert [item for _, item in full.submitted] == [ReplayRequested((record.run.id,))]


# workers, workflows, logs, metrics


async def test_workers_list_get_pause_and_unpause(full: World, hatchet: Hatchet) -> None:
    (row,) = (await hatchet.workers.aio_list()).rows or []
    assert row.slot_config is not None
    assert row.slot_config["default"].limit == 100
    whole = await hatchet.workers.aio_get(row.metadata.id)
    assert {each.name for each in whole.registered_workflows or []} == {"greet", "Report"}
    assert (await hatchet.workers.aio_pause(row.metadata.id)).status == "PAUSED"
    assert (await hatchet.workers.aio_unpause(row.metadata.id)).status == "ACTIVE"
    assert [item for _, item in full.submitted] == [WorkerPaused(row.metadata.id, True), WorkerPaused(row.metadata.id, False)]


async def test_workflows_list_get_version_and_delete(full: World, hatchet: Hatchet) -> None:
    rows = (await hatchet.workflows.aio_list(workflow_name="greet")).rows or []
    assert [row.name for row in rows] == ["greet"]
    identity = rows[0].metadata.id
    assert (await hatchet.workflows.aio_get(identity)).description == "says hello"
    version = await hatchet.workflows.aio_get_version(identity)
    assert (version.sticky, version.order) == ("SOFT", 1)
    assert (await hatchet.workflows.aio_get_version(identity, version.metadata.id)).metadata.id == version.metadata.id
    await hatchet.workflows.aio_delete(identity)
    assert full.submitted == [(TENANT.id, WorkflowDeleted(identity))]


async def test_W1_6_the_id_of_a_workflow_object(full: World, hatchet: Hatchet) -> None:
    row = next(row for row in await full.reader.workflows(TENANT.no) if row.name == "greet")
    found = await asyncio.to_thread(lambda: hatchet.workflow(name="greet").id)
    assert found == row.id


async def test_logs_list(full: World, hatchet: Hatchet) -> None:
    record = await newest(full, RunStatus.FAILED)
    lines = [
        LogLine(TENANT.no, record.run.id, 0, NOW + place * SECOND_US, level, f"line {place}", '{"a": [1]}')
        for place, level in enumerate(("DEBUG", "INFO", "WARN", "ERROR", "LOUD"))
    ]
    await full.store.append_logs(lines)
    rows = (await hatchet.logs.aio_list(record.run.id, since=SINCE, until=UNTIL)).rows or []
    assert [row.message for row in rows] == [line.message for line in lines]
    assert rows[0].metadata == {"a": [1]}


async def test_metrics(full: World, hatchet: Hatchet) -> None:
    counts = await hatchet.metrics.aio_get_task_metrics(since=SINCE, until=UNTIL)
    assert (counts.queued, counts.running, counts.failed, counts.cancelled) == (4, 3, 2, 1)
    queues = await hatchet.metrics.aio_get_queue_metrics()
    assert queues == {"greet:greet": 3, "report:fetch": 1}
    stats = await hatchet.metrics.aio_get_task_stats()
    assert stats["greet"].queued is not None
    assert stats["greet"].queued.total == 3
    assert "limpet_tenant_tasks" in await hatchet.metrics.aio_scrape_tenant_prometheus_metrics()
