"""Following runs while they happen (W14.1, W14.2, W14.4, E3)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2
from limpet.core.decision import RunFinished, TaskChanged
from limpet.core.ids import Instant, RunKey, TaskRunId, WorkflowRunId
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.outbox import BUFFER_ITEMS_MAX

from .conftest import MINE, THEIRS, Edge, rest_of, status_of
from .fake_door import AT, TENANT, run_id, run_record, task_row

S = grpc.StatusCode
RUN, TASK = run_id(1), run_id(2)
E = wire.ResourceEventType


def changed(status: TaskStatus, retry_count: int = 0, run: str = RUN) -> TaskChanged:
    return TaskChanged(WorkflowRunId(run), TaskRunId(TASK), status, retry_count, 3, Instant(AT))


def ended(status: RunStatus = RunStatus.COMPLETED, run: str = RUN) -> RunFinished:
    return RunFinished(WorkflowRunId(run), RunKey(1), status, Instant(AT), ())


async def following(edge: Edge, metadata: Any = MINE, **request: str) -> Any:
    call = edge.dispatcher.SubscribeToWorkflowEvents(wire.SubscribeToWorkflowEventsRequest(**request), metadata=metadata)
    await call.initial_metadata()
    return call


async def follow_run(edge: Edge) -> Any:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, [task_row(2, 0, TaskStatus.ASSIGNED)]))
    return await following(edge, workflow_run_id=RUN)


async def put_chunk(edge: Edge, index: int | None, text: str = "") -> None:
    request = events_pb2.PutStreamEventRequest(
        task_run_external_id=TASK, message=(text or f"chunk {index}").encode(), event_index=index
    )
    await edge.events.PutStreamEvent(request, metadata=MINE)


async def test_task_events_field_by_field_and_hangup_last(edge: Edge) -> None:
    call = await follow_run(edge)
    edge.streams.deliver(
        TENANT,
        [changed(TaskStatus.QUEUED, 1), changed(TaskStatus.RUNNING, 1), changed(TaskStatus.FAILED, 1), ended(RunStatus.FAILED)],
    )
    started, failed, end = await rest_of(call)
    assert (started.workflow_run_id, started.resource_type, started.event_type) == (
        RUN,
        wire.RESOURCE_TYPE_STEP_RUN,
        E.RESOURCE_EVENT_TYPE_STARTED,
    )
    assert (started.resource_id, started.task_retries, started.retry_count, started.hangup) == (TASK, 3, 1, False)
    assert started.event_timestamp.seconds == AT // 1_000_000
    assert failed.event_type == E.RESOURCE_EVENT_TYPE_FAILED
    assert (end.resource_type, end.resource_id, end.event_type, end.hangup) == (
        wire.RESOURCE_TYPE_WORKFLOW_RUN,
        RUN,
        E.RESOURCE_EVENT_TYPE_FAILED,
        True,
    )
    assert await status_of(call) == (S.OK, "")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (TaskStatus.RUNNING, E.RESOURCE_EVENT_TYPE_STARTED),
        (TaskStatus.COMPLETED, E.RESOURCE_EVENT_TYPE_COMPLETED),
        (TaskStatus.SKIPPED, E.RESOURCE_EVENT_TYPE_COMPLETED),
        (TaskStatus.FAILED, E.RESOURCE_EVENT_TYPE_FAILED),
        (TaskStatus.CANCELLED, E.RESOURCE_EVENT_TYPE_CANCELLED),
        (TaskStatus.QUEUED, None),
        (TaskStatus.BACKING_OFF, None),
        (TaskStatus.ASSIGNED, None),
        (TaskStatus.PENDING, None),
    ],
)
async def test_each_status_has_its_event_or_none(edge: Edge, status: TaskStatus, kind: int | None) -> None:
    call = await follow_run(edge)
    edge.streams.deliver(TENANT, [changed(status), ended()])
    events = await rest_of(call)
    assert [one.event_type for one in events[:-1]] == ([] if kind is None else [kind])


async def test_A95_chunks_arrive_in_order_complete_and_before_the_end(edge: Edge) -> None:
    call = await follow_run(edge)
    for index in [1, 0, 2, 5, 4, 3, 7]:
        await put_chunk(edge, index)
    edge.streams.deliver(TENANT, [ended()])
    *chunks, end = await rest_of(call)
    assert [one.event_index for one in chunks] == [0, 1, 2, 3, 4, 5, 7]
    assert [one.event_payload for one in chunks] == [f"chunk {n}".encode() for n in [0, 1, 2, 3, 4, 5, 7]]
    assert {(one.event_type, one.resource_type, one.resource_id) for one in chunks} == {
        (E.RESOURCE_EVENT_TYPE_STREAM, wire.RESOURCE_TYPE_STEP_RUN, TASK)
    }
    assert end.hangup


async def test_W14_2_a_gap_is_skipped_when_its_time_is_up(edge: Edge) -> None:
    """Nothing else happens on the stream: the chunk leaves by itself."""
    call = await follow_run(edge)
    await put_chunk(edge, 3)
    async with asyncio.timeout(5):
        assert (await call.read()).event_index == 3
    call.cancel()


async def test_E3_chunks_of_a_newer_attempt_start_over(edge: Edge) -> None:
    call = await follow_run(edge)
    await put_chunk(edge, 0, "old")
    edge.streams.deliver(TENANT, [changed(TaskStatus.QUEUED, 1)])
    await put_chunk(edge, 0, "new")
    edge.streams.deliver(TENANT, [ended()])
    assert [one.event_payload for one in await rest_of(call)] == [b"old", b"new", b""]


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
async def test_W14_2_a_finished_run_hangs_up_and_closes(edge: Edge, status: RunStatus) -> None:
    edge.door.reader.add(run_record(1, status, []))
    [event] = await rest_of(await following(edge, workflow_run_id=RUN))
    assert (event.hangup, event.resource_type) == (True, wire.RESOURCE_TYPE_WORKFLOW_RUN)


@pytest.mark.parametrize("run", [run_id(99), "nonsense"])
async def test_W14_2_an_unknown_run_is_not_found_after_some_patience(edge: Edge, run: str) -> None:
    call = await following(edge, workflow_run_id=run)
    code, text = await status_of(call)
    assert (code, run in text) == (S.NOT_FOUND, True)


async def test_S1_another_tenants_run_is_unknown(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    assert (await status_of(await following(edge, THEIRS, workflow_run_id=RUN)))[0] is S.NOT_FOUND


async def test_nothing_to_follow_is_refused(edge: Edge) -> None:
    assert (await status_of(await following(edge)))[0] is S.INVALID_ARGUMENT


async def test_R33_an_end_of_ours_is_unavailable_so_that_the_client_returns(edge: Edge) -> None:
    call = await follow_run(edge)
    edge.streams.end_all("owner changed")
    assert await status_of(call) == (S.UNAVAILABLE, "owner changed")
    assert len(edge.streams) == 0


async def test_R45_TSLOWREADER_a_follower_that_falls_behind_loses_its_stream(edge: Edge) -> None:
    call = await follow_run(edge)
    edge.streams.deliver(TENANT, [changed(TaskStatus.RUNNING)] * (BUFFER_ITEMS_MAX + 1))
    code, text = await status_of(call)
    assert (code, "was not read for too long" in text) == (S.UNAVAILABLE, True)


class TestByMetadata:
    async def test_W14_4_all_runs_with_the_pair_until_the_last_has_ended(self, edge: Edge) -> None:
        mine = [run_record(n, RunStatus.RUNNING, [], metadata=b'{"k":"v"}') for n in (1, 3)]
        for record in (
            *mine,
            run_record(4, RunStatus.RUNNING, [], metadata=b'{"k":"other"}'),
            run_record(5, RunStatus.RUNNING, []),
        ):
            edge.door.reader.add(record)
        call = await following(edge, additional_meta_key="k", additional_meta_value="v")
        for number in (1, 4, 5, 3):
            edge.streams.deliver(TENANT, [changed(TaskStatus.RUNNING, run=run_id(number))])
        edge.door.reader.add(run_record(1, RunStatus.COMPLETED, [], metadata=b'{"k":"v"}'))
        edge.streams.deliver(TENANT, [ended(run=run_id(1))])
        seen = [await call.read() for _ in range(3)]
        assert [(one.workflow_run_id, one.hangup) for one in seen] == [(run_id(1), False), (run_id(3), False), (run_id(1), False)]
        edge.door.reader.add(run_record(3, RunStatus.COMPLETED, [], metadata=b'{"k":"v"}'))
        edge.streams.deliver(TENANT, [ended(run=run_id(3))])
        assert [(one.workflow_run_id, one.hangup) for one in await rest_of(call)] == [(run_id(3), True)]

    async def test_W14_4_chunks_of_a_matching_run(self, edge: Edge) -> None:
        edge.door.reader.add(run_record(1, RunStatus.RUNNING, [task_row(2, 0, TaskStatus.ASSIGNED)], metadata=b'{"n":5}'))
        call = await following(edge, additional_meta_key="n", additional_meta_value="5")
        for index in (1, 0):
            await put_chunk(edge, index)
        assert [(await call.read()).event_index for _ in range(2)] == [0, 1]
        call.cancel()
