"""Assignment streams (WK-15 to WK-21, R25, R33, R45, X2, X26)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.core.decision import CancelTask, CloseStreams, PayloadRef, StartTask
from limpet.core.errors import EngineStopping, LimitReached, NotFound
from limpet.core.ids import ActionId, Instant, RunKey, TaskKey, TaskRunId, WorkerId, WorkflowRunId
from limpet.core.inputs import StreamClosed, StreamOpened, TaskFailed
from limpet.edges.grpc import listening as listening_module
from limpet.edges.outbox import Outbox
from limpet.edges.trace_context import traced

from .conftest import MINE, THEIRS, Edge, status_of
from .fake_door import AT, OTHER_TENANT, TENANT, run_id

S = grpc.StatusCode
MIB = 1024 * 1024
W = run_id(1)
TASK = run_id(2)


def start(number: int = 2, **more: Any) -> StartTask:
    fields: dict[str, Any] = {
        "worker_id": WorkerId(W), "task_key": TaskKey(number), "task_run_id": TaskRunId(run_id(number)), "run_key": RunKey(1),
        "workflow_run_id": WorkflowRunId(run_id(9)), "action_id": ActionId("Ns_wf:Step"), "task_name": "Step", "retry_count": 0, "priority": 1,
        "workflow_id": run_id(11), "workflow_version_id": run_id(12), "metadata": b"{}", "created_at": Instant(AT),
        "input": PayloadRef(1, "input", of_run=True, data=b'{"a": 1.0}'),
    }  # fmt: skip
    return StartTask(**{**fields, **more})


def cancel(number: int = 2, retry_count: int = 0) -> CancelTask:
    return CancelTask(
        WorkerId(W), TaskRunId(run_id(number)), WorkflowRunId(run_id(9)), ActionId("Ns_wf:Step"), "Step", retry_count
    )


@asynccontextmanager
async def listening(edge: Edge, metadata: Any = MINE) -> AsyncIterator[Any]:
    """An open assignment stream, as a client sees it."""
    call = edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=metadata)
    await call.initial_metadata()
    yield call
    call.cancel()


async def end_of(call: Any) -> tuple[S, str]:
    async with asyncio.timeout(5):
        return await status_of(call)


async def first_taken(box: Outbox[Any]) -> None:
    """Return once the writer has taken something out of the box."""
    taken, pop = asyncio.Event(), box.pop

    def noted() -> Any:
        taken.set()
        return pop()

    box.pop = noted  # type: ignore[method-assign]
    await taken.wait()


class TestAction:
    async def test_a_start_carries_everything_the_client_reads(self, edge: Edge) -> None:
        one = start(
            retry_count=3, priority=2, metadata=b'{"m":"1"}', parent_run_id=run_id(13), child_index=0, child_key="k",
            parents=(PayloadRef(3, 'say "hi"', data=b'{"x":[1]}'), PayloadRef(4, "silent", data=b"")),
        )  # fmt: skip
        async with listening(edge) as call:
            assert edge.streams.deliver(TENANT, [one]) == []
            action = await call.read()
        assert action.action_type == wire.START_STEP_RUN
        assert json.loads(action.action_payload) == {
            "input": {"a": 1.0}, "parents": {'say "hi"': {"x": [1]}, "silent": {}}, "triggers": {}, "triggered_by": "manual", "user_data": {},
        }  # fmt: skip
        assert b'"input":{"a": 1.0}' in action.action_payload, "payloads are spliced, never written anew"
        assert (action.tenant_id, action.workflow_run_id, action.action_id) == (TENANT, run_id(9), "Ns_wf:Step")
        assert (action.task_run_external_id, action.job_run_id, action.job_name, action.task_name) == (TASK, TASK, "Step", "Step")
        assert (action.retry_count, action.priority, action.additional_metadata) == (
            3,
            2,
            traced(b'{"m":"1"}', action.workflow_run_id),
        )
        assert (action.workflow_id, action.workflow_version_id, action.parent_workflow_run_id) == (
            run_id(11),
            run_id(12),
            run_id(13),
        )
        assert (action.child_workflow_index, action.HasField("child_workflow_index"), action.child_workflow_key) == (0, True, "k")
        assert action.task_inserted_at.seconds == AT // 1_000_000
        assert not action.HasField("durable_task_invocation_count")

    async def test_a_top_level_start_names_no_parent(self, edge: Edge) -> None:
        async with listening(edge) as call:
            edge.streams.deliver(TENANT, [start()])
            action = await call.read()
        assert not any(action.HasField(name) for name in ("parent_workflow_run_id", "child_workflow_index", "child_workflow_key"))

    async def test_W6_5_an_on_failure_start_carries_the_errors(self, edge: Edge) -> None:
        errors = (PayloadRef(3, "step1", is_error=True, data=b'E: "x"\nTrace'),)
        async with listening(edge) as call:
            edge.streams.deliver(TENANT, [start(errors=errors), start(3)])
            with_errors, without = await call.read(), await call.read()
        assert json.loads(with_errors.action_payload)["step_run_errors"] == {"step1": 'E: "x"\nTrace'}
        assert "step_run_errors" not in json.loads(without.action_payload)

    async def test_X26_the_errors_of_many_tasks_are_cut_to_fit(self, edge: Edge) -> None:
        errors = tuple(PayloadRef(n, f"t{n}", is_error=True, data=b"\x01" * 64 * 1024) for n in range(100))
        async with listening(edge) as call:
            edge.streams.deliver(TENANT, [start(errors=errors)])
            action = await call.read()
        assert action.ByteSize() <= 4 * MIB
        assert len(json.loads(action.action_payload)["step_run_errors"]) == 100

    async def test_CN2_a_cancel_names_the_same_attempt(self, edge: Edge) -> None:
        async with listening(edge) as call:
            edge.streams.deliver(TENANT, [cancel(retry_count=4)])
            action = await call.read()
        assert action.action_type == wire.CANCEL_STEP_RUN
        assert (action.task_run_external_id, action.retry_count, action.action_id, action.task_name) == (
            TASK,
            4,
            "Ns_wf:Step",
            "Step",
        )
        assert (action.workflow_run_id, action.HasField("durable_task_invocation_count")) == (run_id(9), False)

    async def test_X26_a_start_that_no_message_can_carry_fails_its_task_and_names_the_sizes(self, edge: Edge) -> None:
        big = [PayloadRef(n, f"p{n}", data=json.dumps({"x": "x" * 2 * MIB}).encode()) for n in range(3)]
        async with listening(edge) as call:
            edge.streams.deliver(TENANT, [start(retry_count=1, parents=tuple(big)), start(3)])
            assert (await call.read()).task_run_external_id == run_id(3)
        failed = await edge.door.until(TaskFailed)
        assert isinstance(failed, TaskFailed)
        assert (failed.task_run_id, failed.retry_count, failed.worker_ref, failed.retryable) == (TASK, 1, W, False)
        assert all(f"p{n} {2 * MIB + 9} bytes" in failed.error for n in range(3))


class TestSession:
    async def test_WK17_two_streams_newest_gets_starts(self, edge: Edge) -> None:
        async with listening(edge) as older, listening(edge) as newer:
            edge.streams.deliver(TENANT, [start(), cancel()])
            assert [(await newer.read()).action_type, (await newer.read()).action_type] == [
                wire.START_STEP_RUN,
                wire.CANCEL_STEP_RUN,
            ]
            assert (await older.read()).action_type == wire.CANCEL_STEP_RUN

    async def test_WK17_session_numbers_grow_and_each_end_is_told(self, edge: Edge) -> None:
        for _ in range(2):
            async with listening(edge):
                pass
        closed = await edge.door.until(StreamClosed, 2)
        opened = [item for _, item in edge.door.submitted if isinstance(item, StreamOpened)]
        assert isinstance(closed, StreamClosed)
        assert opened[0].session < opened[1].session == closed.session
        assert {tenant for tenant, _ in edge.door.submitted} == {TENANT}
        assert edge.streams.deliver(TENANT, [start()]) == [(TASK, 0)]

    async def test_an_unknown_worker_is_told_so(self, edge: Edge) -> None:
        edge.door.replies[StreamOpened] = NotFound("worker", W, "register again")
        code, text = await end_of(edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=MINE))
        assert (code, W in text) == (S.NOT_FOUND, True)
        assert not edge.streams.sessions.is_listening(TENANT, W)

    async def test_R10_a_slow_commit_of_the_opening_makes_nobody_deaf(self, edge: Edge) -> None:
        """The worker counts as listening, and its starts wait in the buffer, before StreamOpened is answered."""
        release = asyncio.Event()

        async def slow(_: object) -> None:
            await release.wait()

        edge.door.replies[StreamOpened] = slow
        call = edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=MINE)
        await edge.door.until(StreamOpened)
        assert edge.streams.sessions.is_listening(TENANT, W)
        assert edge.streams.deliver(TENANT, [start()]) == []
        release.set()
        assert (await call.read()).task_run_external_id == TASK
        call.cancel()

    async def test_a_client_that_leaves_while_the_opening_commits_is_closed_too(self, edge: Edge) -> None:
        async def never(_: object) -> None:
            await asyncio.Event().wait()

        edge.door.replies[StreamOpened] = never
        call = edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=MINE)
        await edge.door.until(StreamOpened)
        call.cancel()
        async with asyncio.timeout(5):
            await edge.door.until(StreamClosed)

    async def test_an_end_is_told_again_until_the_engine_takes_it(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listening_module, "TELL_AGAIN_FIRST_S", 0.001)
        edge.door.replies[StreamClosed] = LimitReached("the inbox is full")
        async with listening(edge):
            pass
        await edge.door.until(StreamClosed, 3)
        del edge.door.replies[StreamClosed]
        count = len(edge.door.submitted)
        await edge.door.until(StreamClosed, count)  # one more, which is taken

    async def test_an_engine_that_stops_is_not_told_again(self, edge: Edge) -> None:
        edge.door.replies[StreamClosed] = EngineStopping("bye")
        async with listening(edge):
            pass
        await edge.door.until(StreamClosed)

    async def test_S1_a_stream_of_another_tenant_gets_nothing_of_ours(self, edge: Edge) -> None:
        async with listening(edge, THEIRS):
            assert edge.streams.deliver(TENANT, [start()]) == [(TASK, 0)]
            assert edge.streams.deliver(OTHER_TENANT, [start()]) == []


class TestEnds:
    async def test_R26_a_deaf_stream_ends_with_unavailable_and_its_reason(self, edge: Edge) -> None:
        async with listening(edge) as call:
            edge.streams.deliver(TENANT, [CloseStreams(WorkerId(W), None, "no receipt came")])
            assert await end_of(call) == (S.UNAVAILABLE, "no receipt came")
        await edge.door.until(StreamClosed)

    async def test_R33_hand_over_ends_every_stream_with_unavailable(self, edge: Edge) -> None:
        async with listening(edge) as one, listening(edge) as other:
            edge.streams.end_all("owner changed")
            assert [await end_of(one), await end_of(other)] == [(S.UNAVAILABLE, "owner changed")] * 2

    async def test_R33_a_bug_ends_a_stream_with_unavailable(self, edge: Edge) -> None:
        edge.door.replies[StreamOpened] = KeyError("bug")
        assert (await end_of(edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=MINE)))[0] is S.UNAVAILABLE

    async def test_R33_stopping_ends_streams_with_unavailable_and_tells_the_engine(self, edge: Edge) -> None:
        async with listening(edge) as call:
            stopping = asyncio.create_task(edge.server.stop(2))
            assert await end_of(call) == (S.UNAVAILABLE, "the engine is stopping: connect again")
            await stopping
        assert any(isinstance(item, StreamClosed) for _, item in edge.door.submitted)

    async def test_R33_a_stopping_edge_lets_nobody_in_again(self, edge: Edge) -> None:
        edge.server._gate.is_closed = True
        code, _ = await end_of(edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=MINE))
        assert code is S.UNAVAILABLE
        assert edge.door.submitted == []

    async def test_R45_TSLOWREADER_a_worker_that_never_reads_loses_its_stream(self, edge: Edge) -> None:
        large = PayloadRef(1, "input", of_run=True, data=json.dumps({"x": "x" * 2 * MIB}).encode())
        async with listening(edge) as call:
            session = next(iter(edge.streams.sessions))
            edge.streams.deliver(TENANT, [start(number, input=large) for number in range(2, 12)])
            await first_taken(session.box)  # of twenty mebibytes
            assert session.box.is_full
            edge.ticker.ahead += 6
            edge.streams.check_pace()
            await edge.door.until(StreamClosed)
            assert edge.streams.counts.slow_readers_ended == 1
            assert edge.streams.deliver(TENANT, [start()]) == [(TASK, 0)]
            code, text = await end_of(call)
            assert (code, "was not read for too long" in text) == (S.UNAVAILABLE, True)


class TestRecheck:
    async def test_XREVOKE_a_revoked_token_ends_its_open_streams(self) -> None:
        async with Edge(access_recheck_s=0.01) as edge, listening(edge) as mine, listening(edge, THEIRS) as theirs:
            del edge.access.tenants["bearer one"]
            assert await end_of(mine) == (S.UNAUTHENTICATED, "invalid auth token")
            edge.streams.deliver(OTHER_TENANT, [start()])
            assert (await theirs.read()).task_run_external_id == TASK

    async def test_XREVOKE_unreadable_tokens_leave_open_streams_alone(self, edge: Edge) -> None:
        async with listening(edge) as call:
            edge.access.unavailable = True
            edge.server._gate.recheck()
            edge.streams.deliver(TENANT, [start()])
            assert (await call.read()).task_run_external_id == TASK

    async def test_a_token_that_now_opens_another_tenant_ends_the_stream(self, edge: Edge) -> None:
        async with listening(edge) as call:
            edge.access.tenants["bearer one"] = OTHER_TENANT
            edge.server._gate.recheck()
            assert (await end_of(call))[0] is S.UNAUTHENTICATED
