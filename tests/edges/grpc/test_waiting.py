"""Waiting for results (R36, E2, W8.8, W8.9, X26)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.core.decision import PayloadRef, RunFinished, TaskResult
from limpet.core.ids import Instant, RunKey, TaskRunId, WorkflowRunId
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.grpc.translate.outcomes import ERROR_CUTS, TaskEnd, fitted
from limpet.store.api import TransientStoreError

from .conftest import MINE, THEIRS, Edge, rest_of, status_of
from .fake_door import AT, OTHER_TENANT, TENANT, run_id, run_record, task_row

S = grpc.StatusCode
MIB = 1024 * 1024
RUN = run_id(1)


def result(number: int, name: str, status: TaskStatus, data: bytes | None = None, *, is_error: bool = False) -> TaskResult:
    payload = None if data is None else PayloadRef(number, name, is_error=is_error, data=data)
    return TaskResult(TaskRunId(run_id(number)), name, status, payload)


def finished(*results: TaskResult, run: str = RUN, status: RunStatus = RunStatus.COMPLETED) -> RunFinished:
    return RunFinished(WorkflowRunId(run), RunKey(1), status, Instant(AT), results)


@asynccontextmanager
async def waiting(edge: Edge, *run_ids: str, metadata: Any = MINE) -> AsyncIterator[Any]:
    """An open result stream that has asked for these runs."""
    call = edge.dispatcher.SubscribeToWorkflowRuns(metadata=metadata)
    await call.initial_metadata() if not run_ids else None
    await ask(call, run_ids)
    yield call
    call.cancel()


async def ask(call: Any, run_ids: Sequence[str]) -> None:
    for one in run_ids:
        await call.write(wire.SubscribeToWorkflowRunsRequest(workflow_run_id=one))


async def looked_up(edge: Edge, run: str) -> None:
    """Return once the server has looked this run up."""
    async with asyncio.timeout(5):
        while ("run", run) not in edge.door.reader.asked:
            edge.door.reader.looked.clear()
            await edge.door.reader.looked.wait()


def shown(event: wire.WorkflowRunEvent) -> list[tuple[str, bytes | None, str | None]]:
    """Name, output, error of each result; None for what is absent."""
    return [
        (one.task_name, one.output if one.HasField("output") else None, one.error if one.HasField("error") else None)
        for one in event.results
    ]


async def test_a_run_that_ends_while_one_waits(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN) as call:
        await looked_up(edge, RUN)
        assert edge.streams.wants_result(TENANT, RUN)
        edge.streams.deliver(TENANT, [finished(result(2, "step1", TaskStatus.COMPLETED, b'{"x": 1}'))])
        event = await call.read()
    assert (event.workflow_run_id, event.event_type) == (RUN, wire.WORKFLOW_RUN_EVENT_TYPE_FINISHED)
    assert event.event_timestamp.seconds == AT // 1_000_000
    [one] = event.results
    assert (one.task_run_external_id, one.job_run_id, one.task_name, one.output) == (run_id(2), run_id(2), "step1", b'{"x": 1}')
    assert not one.HasField("error")


async def test_R36_a_run_that_had_ended_is_answered_at_once_with_every_kind_of_end(edge: Edge) -> None:
    tasks = [
        task_row(2, 0, TaskStatus.COMPLETED, output=b'{"x":1}'),
        task_row(3, 1, TaskStatus.COMPLETED, output=b""),
        task_row(4, 2, TaskStatus.SKIPPED),
        task_row(5, 3, TaskStatus.CANCELLED, error="by user"),
        task_row(6, 4, TaskStatus.FAILED, error="E: x"),
    ]
    edge.door.reader.add(run_record(1, RunStatus.FAILED, tasks, ("done", "silent", "skipped", "stopped", "failed")))
    async with waiting(edge, RUN) as call:
        event = await call.read()
    assert event.event_timestamp.seconds == (AT + 5_000_000) // 1_000_000
    assert shown(event) == [
        ("done", b'{"x":1}', None), ("silent", None, None), ("skipped", b'{"skipped": true}', None), ("stopped", None, ""), ("failed", None, "E: x"),
    ]  # fmt: skip


async def test_W8_8_the_same_ends_from_a_run_that_ends_now(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN) as call:
        await looked_up(edge, RUN)
        edge.streams.deliver(TENANT, [
            finished(
                result(3, "silent", TaskStatus.COMPLETED), result(4, "skipped", TaskStatus.SKIPPED, b'{"skipped":true}'),
                result(5, "stopped", TaskStatus.CANCELLED), result(6, "failed", TaskStatus.FAILED, b"E: x", is_error=True),
                result(7, "wordless", TaskStatus.FAILED), status=RunStatus.FAILED,
            )
        ])  # fmt: skip
        event = await call.read()
    assert shown(event) == [
        ("silent", None, None), ("skipped", b'{"skipped": true}', None), ("stopped", None, ""), ("failed", None, "E: x"),
        ("wordless", None, "The task failed without a message."),
    ]  # fmt: skip


async def test_TRESULTRACE_a_run_that_ends_between_registration_and_look_up_is_answered_once(edge: Edge) -> None:
    record = run_record(1, RunStatus.COMPLETED, [task_row(2, 0, TaskStatus.COMPLETED, output=b'{"x":1}')])

    async def ends_while_read(tenant_no: int, run: str) -> Any:
        edge.streams.deliver(TENANT, [finished(result(2, "step1", TaskStatus.COMPLETED, b'{"x":1}'))])
        return record

    edge.door.reader.run = ends_while_read  # type: ignore[method-assign, assignment]
    async with waiting(edge, RUN) as call:
        await call.done_writing()
        events = await rest_of(call)
    assert [shown(event) for event in events] == [[("step1", b'{"x":1}', None)]]


async def test_E2_a_result_whose_outputs_were_not_read_is_read_from_the_store(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN) as call:
        await looked_up(edge, RUN)
        edge.door.reader.add(run_record(1, RunStatus.COMPLETED, [task_row(2, 0, TaskStatus.COMPLETED, output=b'{"x":1}')]))
        unread = TaskResult(TaskRunId(run_id(2)), "step1", TaskStatus.COMPLETED, PayloadRef(2, "step1"))
        edge.streams.deliver(TENANT, [finished(unread)])
        assert shown(await call.read()) == [("step1", b'{"x":1}', None)]


async def test_duplicate_ids_are_harmless(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN, RUN) as call:
        await looked_up(edge, RUN)
        await call.done_writing()
        edge.streams.deliver(TENANT, [finished(), finished()])
        events = await rest_of(call)
    assert [event.workflow_run_id for event in events] == [RUN]


async def test_W8_10_asking_again_after_a_replay_waits_for_the_new_end(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.COMPLETED, [task_row(2, 0, TaskStatus.COMPLETED, output=b'{"x":1}')]))
    async with waiting(edge, RUN) as call:
        assert shown(await call.read()) == [("step1", b'{"x":1}', None)]
        edge.door.reader.add(run_record(1, RunStatus.QUEUED, []))
        edge.door.reader.asked.clear()
        await ask(call, [RUN])
        await looked_up(edge, RUN)
        edge.streams.deliver(TENANT, [finished(result(2, "step1", TaskStatus.COMPLETED, b'{"x":2}'))])
        assert shown(await call.read()) == [("step1", b'{"x":2}', None)]


async def test_R36_an_unknown_run_is_looked_for_again(edge: Edge) -> None:
    async with waiting(edge, RUN) as call:
        await looked_up(edge, RUN)
        edge.door.reader.add(run_record(1, RunStatus.COMPLETED, []))
        assert (await call.read()).workflow_run_id == RUN


@pytest.mark.parametrize("run", [run_id(99), "nonsense", ""])
async def test_R36_a_run_that_stays_unknown_is_told_to_its_own_waiter_only(edge: Edge, run: str) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN, run) as call:
        event = await call.read()
        assert (event.workflow_run_id, len(event.results)) == (run, 1)
        assert f"workflow run {run} not found" in event.results[0].error
        edge.streams.deliver(TENANT, [finished()])
        assert (await call.read()).workflow_run_id == RUN


async def test_S1_another_tenants_runs_are_unknown(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.COMPLETED, []))
    async with waiting(edge, RUN, metadata=THEIRS) as call:
        assert "not found" in (await call.read()).results[0].error
    edge.streams.deliver(OTHER_TENANT, [finished()])


async def test_R33_the_stream_ends_well_only_when_nothing_is_waited_for(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN) as call:
        await looked_up(edge, RUN)
        await call.done_writing()
        assert not call.done()
        edge.streams.deliver(TENANT, [finished()])
        assert (await call.read()).workflow_run_id == RUN
        assert await status_of(call) == (S.OK, "")


async def test_R33_every_other_end_is_unavailable(edge: Edge) -> None:
    async with waiting(edge) as call:
        edge.streams.end_all("owner changed")
        assert await status_of(call) == (S.UNAVAILABLE, "owner changed")
    edge.door.reader.failure = TransientStoreError("locked")
    async with waiting(edge, RUN) as call:
        assert (await status_of(call))[0] is S.UNAVAILABLE
    edge.door.reader.failure = KeyError("bug")
    async with waiting(edge, RUN) as call:
        assert (await status_of(call))[0] is S.UNAVAILABLE


async def test_a_stream_that_is_over_waits_for_nothing(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, []))
    async with waiting(edge, RUN) as call:
        await looked_up(edge, RUN)
        waiter = next(iter(edge.streams.waiters))
        call.cancel()
        async with asyncio.timeout(5):
            await waiter.box.wait_ended()
            await waiter.all_answered()
    assert not edge.streams.wants_result(TENANT, RUN)


async def test_X26_TOVERSIZE_a_run_with_ten_mebibytes_of_results_keeps_its_small_ones(edge: Edge) -> None:
    outputs = [json.dumps({"x": "x" * size}).encode() for size in (3 * MIB - 20, 3 * MIB - 30, 2 * MIB, 1 * MIB, 10)]
    tasks = [task_row(n + 2, n, TaskStatus.COMPLETED, output=output) for n, output in enumerate(outputs)]
    edge.door.reader.add(run_record(1, RunStatus.COMPLETED, tasks, tuple(f"t{n}" for n in range(5))))
    async with waiting(edge, RUN) as call:
        event = await call.read()
    assert event.ByteSize() <= 4 * MIB
    assert [output for _, output, _ in shown(event)] == [None, None, *outputs[2:]]
    for n in (0, 1):
        error = event.results[n].error
        assert f"The output of task t{n} ({len(outputs[n])} bytes) was left out" in error
        assert run_id(n + 2) in error


def test_X26_errors_are_shortened_before_an_output_is_left_out() -> None:
    output = b"x" * (2 * MIB)
    ends = [TaskEnd("i", "big", TaskStatus.COMPLETED, output, None)]
    ends += [TaskEnd(str(n), f"t{n}", TaskStatus.FAILED, None, "E: x\n" + "y" * 60_000) for n in range(50)]
    cut = fitted(ends, 4 * MIB)
    assert cut[0].output == output
    assert all(end.error is not None and end.error.startswith("E: x") and "60005 bytes in all" in end.error for end in cut[1:])
    assert max(len((end.error or "").encode()) for end in cut) <= ERROR_CUTS[0]


def test_X26_what_fits_is_not_touched() -> None:
    ends = [TaskEnd("i", "t", TaskStatus.FAILED, None, "y" * 60_000)]
    assert fitted(ends, 4 * MIB) is ends
