"""The worker against a scripted engine: receipts, outcomes, cancels, lost streams, draining."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import grpc
import pytest

from limpet import Context, Depends, EmptyModel, Limpet, NonRetryableException, RetryAfterException, WorkerStatus
from limpet.contracts import dispatcher_pb2
from limpet.contracts.dispatcher_pb2 import (
    STEP_EVENT_TYPE_COMPLETED,
    STEP_EVENT_TYPE_FAILED,
    STEP_EVENT_TYPE_STARTED,
)
from limpet.exceptions import LifespanSetupError, TaskRunError
from limpet.sdk._worker.watchdog import LoopWatchdog
from tests.sdk.scripted_engine import ScriptedEngine, cancel_action, start_action, worker_id


async def test_a_task_is_received_started_and_completed(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    async def greet(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"run": ctx.task_run_id, "worker": ctx.worker.id(), "same": ctx.worker_id == ctx.worker.id()}

    async with client.worker("w", workflows=[greet]) as worker:
        assert worker.status is WorkerStatus.HEALTHY
        await scripted.send(start_action("greet:greet"))
        [completed] = await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    assert json.loads(completed.event_payload) == {"run": "task-1", "worker": worker_id(1), "same": True}
    assert completed.retry_count == 0
    assert completed.worker_id == worker_id(1)
    assert scripted.events(STEP_EVENT_TYPE_STARTED), "the receipt comes before the outcome"
    [register] = scripted.requests("Register")
    assert (list(register.actions), dict(register.slot_config)) == (["greet:greet"], {"default": 100})
    assert not register.HasField("slots")


async def test_R25_the_same_attempt_sent_twice_runs_once(client: Limpet, scripted: ScriptedEngine) -> None:
    runs: list[int] = []

    @client.task()
    async def once(input: EmptyModel, ctx: Context) -> None:
        runs.append(ctx.retry_count)

    async with client.worker("w", workflows=[once]):
        await scripted.send(start_action("once:once"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        await scripted.send(start_action("once:once"))
        await scripted.send(start_action("once:once", retry_count=1))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED, 2)
    assert runs == [0, 1]


async def test_R26_the_receipt_leaves_while_the_event_loop_is_blocked(client: Limpet, scripted: ScriptedEngine) -> None:
    """The worker's loop is held until the engine, in another loop, has seen the second receipt."""
    seen = threading.Event()

    @client.task()
    async def hold(input: EmptyModel, ctx: Context) -> None:
        if ctx.task_run_id == "first":
            seen.wait(10)

    worker = client.worker("w", workflows=[hold])
    thread = threading.Thread(target=lambda: asyncio.run(worker.aio_start()), daemon=True)
    thread.start()
    await scripted.send(start_action("hold:hold", task_run_id="first"))
    await scripted.event(STEP_EVENT_TYPE_STARTED)
    await scripted.send(start_action("hold:hold", task_run_id="second"))
    await scripted.until(
        lambda: any(event.task_run_external_id == "second" for event in scripted.events(STEP_EVENT_TYPE_STARTED))
    )
    assert not scripted.events(STEP_EVENT_TYPE_COMPLETED)
    seen.set()
    await scripted.event(STEP_EVENT_TYPE_COMPLETED, 2)
    worker._loop.call_soon_threadsafe(worker._session.request_stop)  # type: ignore[union-attr]
    await asyncio.to_thread(thread.join)


async def test_R27_heartbeats_go_on_while_the_event_loop_is_blocked(client: Limpet, scripted: ScriptedEngine) -> None:
    """The worker's loop is held until the engine, in another loop, has heard three more of them."""
    heard = threading.Event()

    @client.task()
    async def hold(input: EmptyModel, ctx: Context) -> dict[str, bool]:
        return {"heard": heard.wait(10)}

    worker = client.worker("w", workflows=[hold])
    worker._heartbeat_interval_s = 0.02
    thread = threading.Thread(target=lambda: asyncio.run(worker.aio_start()), daemon=True)
    thread.start()
    await scripted.send(start_action("hold:hold"))
    await scripted.event(STEP_EVENT_TYPE_STARTED)
    await scripted.called("Heartbeat", len(scripted.requests("Heartbeat")) + 3)
    assert not scripted.events(STEP_EVENT_TYPE_COMPLETED)
    heard.set()
    [completed] = await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    assert json.loads(completed.event_payload) == {"heard": True}
    worker._loop.call_soon_threadsafe(worker._session.request_stop)  # type: ignore[union-attr]
    await asyncio.to_thread(thread.join)


async def test_an_unknown_action_fails_with_a_sentence(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    async def known(input: EmptyModel, ctx: Context) -> None: ...

    async with client.worker("w", workflows=[known]):
        await scripted.send(start_action("gone:gone"))
        [failed] = await scripted.event(STEP_EVENT_TYPE_FAILED)
    assert "gone:gone" in failed.event_payload.decode()
    assert not failed.should_not_retry


@pytest.mark.parametrize(
    ("error", "should_not_retry", "retry_after_ms"),
    [
        (ValueError("no"), False, None),
        (NonRetryableException("never"), True, None),
        (RetryAfterException("later", after=timedelta(seconds=2)), False, 2000),
        (SystemExit(3), False, None),
    ],
)
async def test_W7_a_raised_exception_is_reported(
    client: Limpet, scripted: ScriptedEngine, error: BaseException, should_not_retry: bool, retry_after_ms: int | None
) -> None:
    @client.task()
    def fail(input: EmptyModel, ctx: Context) -> None:
        raise error

    async with client.worker("w", workflows=[fail]):
        await scripted.send(start_action("fail:fail"))
        [failed] = await scripted.event(STEP_EVENT_TYPE_FAILED)
    read = TaskRunError.deserialize(failed.event_payload.decode())
    assert (read.exc_type, read.task_run_external_id) == (type(error).__name__, "task-1")
    assert failed.should_not_retry is should_not_retry
    assert (failed.retry_after_ms if failed.HasField("retry_after_ms") else None) == retry_after_ms


async def test_W2_7_an_illegal_output_fails_the_task(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    def text(input: EmptyModel, ctx: Context) -> Any:
        return "just text"

    async with client.worker("w", workflows=[text]):
        await scripted.send(start_action("text:text"))
        [failed] = await scripted.event(STEP_EVENT_TYPE_FAILED)
    assert failed.event_payload.startswith(b"IllegalTaskOutputError")


async def test_CN4_a_cancel_sets_the_flag_then_cancels_and_is_not_reported(
    client: Limpet, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limpet.sdk._worker.runner.CANCEL_GRACE_S", 0.01)
    flagged = asyncio.Event()

    @client.task()
    async def long(input: EmptyModel, ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert ctx.is_cancelled
            flagged.set()

    async with client.worker("w", workflows=[long]):
        await scripted.send(start_action("long:long"))
        await scripted.event(STEP_EVENT_TYPE_STARTED)
        await scripted.send(cancel_action(retry_count=1))  # another attempt: without effect
        await scripted.send(cancel_action())
        await asyncio.wait_for(flagged.wait(), 10)
    assert not scripted.events(STEP_EVENT_TYPE_FAILED)
    assert not scripted.events(STEP_EVENT_TYPE_COMPLETED)


async def test_CN4_a_sync_task_sees_the_flag(client: Limpet, scripted: ScriptedEngine) -> None:
    seen = threading.Event()

    @client.task()
    def poll(input: EmptyModel, ctx: Context) -> None:
        while not ctx.is_cancelled:
            threading.Event().wait(0.001)
        seen.set()

    async with client.worker("w", workflows=[poll]):
        await scripted.send(start_action("poll:poll"))
        await scripted.event(STEP_EVENT_TYPE_STARTED)
        await scripted.send(cancel_action())
        assert await asyncio.to_thread(seen.wait, 10)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL])
async def test_WK8_a_lost_stream_is_opened_again_with_the_same_id(
    client: Limpet, scripted: ScriptedEngine, code: grpc.StatusCode
) -> None:
    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> None: ...

    async with client.worker("w", workflows=[work]):
        await scripted.end_stream(code)
        listens = await scripted.called("ListenV2", 2)
        await scripted.send(start_action("work:work"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    assert {listen.worker_id for listen in listens} == {worker_id(1)}
    assert scripted.workers_registered == 1


async def test_a_forgotten_worker_registers_again_with_its_workflows(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"worker": ctx.worker_id}

    async with client.worker("w", workflows=[work]) as worker:
        await scripted.end_stream(grpc.StatusCode.NOT_FOUND)
        listens = await scripted.called("ListenV2", 2)
        await scripted.send(start_action("work:work"))
        [completed] = await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        assert worker.id == worker_id(2)
    assert listens[-1].worker_id == worker_id(2)
    assert len(scripted.requests("PutWorkflow")) == 2
    assert json.loads(completed.event_payload) == {"worker": worker_id(2)}


async def test_a_heartbeat_for_an_unknown_worker_leads_to_a_new_registration(client: Limpet, scripted: ScriptedEngine) -> None:
    async def unknown_once(request: Any, context: grpc.aio.ServicerContext) -> Any:
        if request.worker_id == worker_id(1):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such worker")
        return dispatcher_pb2.HeartbeatResponse()

    scripted.answers["Heartbeat"] = unknown_once

    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> None: ...

    worker = client.worker("w", workflows=[work])
    worker._heartbeat_interval_s = 0.02
    async with worker:
        await scripted.until(lambda: any(beat.worker_id == worker_id(2) for beat in scripted.requests("Heartbeat")))


async def test_WK34_a_drain_lets_running_tasks_end_then_reports_then_unsubscribes(
    client: Limpet, scripted: ScriptedEngine
) -> None:
    release, steps = asyncio.Event(), []

    async def lifespan() -> AsyncIterator[str]:
        yield "state"
        steps.append("cleaned up")

    @client.task()
    async def slow(input: EmptyModel, ctx: Context) -> dict[str, str]:
        await release.wait()
        steps.append("ended")
        return {"lifespan": ctx.lifespan}

    async with client.worker("w", workflows=[slow], lifespan=lifespan) as worker:
        await scripted.send(start_action("slow:slow"))
        await scripted.event(STEP_EVENT_TYPE_STARTED)
        leaving = asyncio.create_task(worker.exit_gracefully())
        await asyncio.sleep(0)
        assert not scripted.requests("Unsubscribe")
        release.set()
        await leaving
    names = [call.name for call in scripted.calls]
    [completed] = scripted.events(STEP_EVENT_TYPE_COMPLETED)
    assert json.loads(completed.event_payload) == {"lifespan": "state"}
    assert names.index("Unsubscribe") > max(n for n, name in enumerate(names) if name == "SendStepActionEvent")
    assert steps == ["ended", "cleaned up"]


async def test_W18_3_a_failing_lifespan_stops_the_start(client: Limpet, scripted: ScriptedEngine) -> None:
    async def lifespan() -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> None: ...

    with pytest.raises(LifespanSetupError, match="no database"):
        await client.worker("w", workflows=[work], lifespan=lifespan).aio_start()
    assert not scripted.requests("Register")


async def test_outcomes_are_repeated(client: Limpet, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from limpet.sdk._transport import Retries

    monkeypatch.setattr("limpet.sdk._worker.reports.OUTCOME_RETRIES", Retries(attempts=20, wait=lambda _: 0.0))
    refusals = 3

    async def refuse(request: Any, context: grpc.aio.ServicerContext) -> Any:
        nonlocal refusals
        if request.event_type == STEP_EVENT_TYPE_COMPLETED and refusals:
            refusals -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return dispatcher_pb2.ActionEventResponse()

    scripted.answers["SendStepActionEvent"] = refuse

    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> None: ...

    async with client.worker("w", workflows=[work]):
        await scripted.send(start_action("work:work"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED, 4)


steps_of_connection: list[str] = []


@asynccontextmanager
async def connection(input: EmptyModel, ctx: Context) -> AsyncIterator[str]:
    steps_of_connection.append("open")
    yield "conn"
    steps_of_connection.append("closed")


async def test_W18_2_dependencies_are_entered_and_left(client: Limpet, scripted: ScriptedEngine) -> None:
    steps_of_connection.clear()

    @client.task()
    def use(input: EmptyModel, ctx: Context, conn: Annotated[str, Depends(connection)]) -> dict[str, str]:
        steps_of_connection.append("used")
        return {"conn": conn}

    async with client.worker("w", workflows=[use]):
        await scripted.send(start_action("use:use"))
        [completed] = await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    assert json.loads(completed.event_payload) == {"conn": "conn"}
    assert steps_of_connection == ["open", "used", "closed"]


async def test_W14_lines_and_chunks_of_a_task(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    async def talk(input: EmptyModel, ctx: Context) -> None:
        ctx.log("plain")
        ctx.log({"a": 1})
        logging.getLogger("shop").error("captured")
        await ctx.aio_put_stream("first")
        await ctx.aio_put_stream(b"second")

    async with client.worker("w", workflows=[talk]):
        await scripted.send(start_action("talk:talk", retry_count=2))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        lines = await scripted.called("PutLog", 3)
    chunks = scripted.requests("PutStreamEvent")
    assert [(line.message, line.level, line.task_retry_count) for line in lines] == [
        (b"plain", "INFO", 2),
        (b'{"a": 1}', "INFO", 2),
        (b"captured", "ERROR", 2),
    ]
    assert [(chunk.message, chunk.event_index) for chunk in chunks] == [(b"first", 0), (b"second", 1)]


async def test_slots_labels_and_timeouts_reach_the_engine(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        await ctx.aio_refresh_timeout(timedelta(seconds=90))
        await ctx.aio_release_slot()
        await ctx.aio_upsert_worker_labels({"model": "b", "ready": True})
        return dict(ctx.worker.labels())

    async with client.worker("w", slots=3, labels={"model": "a", "gpu": 2}, workflows=[work]):
        await scripted.send(start_action("work:work"))
        [completed] = await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    [refresh] = scripted.requests("RefreshTimeout")
    [release] = scripted.requests("ReleaseSlot")
    [upsert] = scripted.requests("UpsertWorkerLabels")
    assert (refresh.increment_timeout_by, release.task_run_external_id) == ("90s", "task-1")
    assert (upsert.labels["model"].str_value, upsert.labels["ready"].int_value) == ("b", 1)
    assert json.loads(completed.event_payload) == {"model": "b", "gpu": 2, "ready": True}
    assert dict(scripted.requests("Register")[0].slot_config) == {"default": 3}


async def test_a_blocked_loop_is_noticed_and_the_task_named() -> None:
    warned, texts = threading.Event(), []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())
            warned.set()

    ear, own_logger = Ear(), logging.getLogger("limpet.sdk._worker.watchdog")
    own_logger.addHandler(ear)
    watchdog = LoopWatchdog(asyncio.get_running_loop(), blocked_after_s=0.05)
    watchdog.start()

    async def culprit() -> None:
        assert warned.wait(10)

    await asyncio.create_task(culprit(), name="task 'culprit'")
    watchdog.stop()
    own_logger.removeHandler(ear)
    assert "task 'culprit'" in texts[0]
    assert "warned.wait" in texts[0] or "in wait" in texts[0]


async def test_two_tasks_with_one_action_id_are_refused(client: Limpet) -> None:
    def make() -> Any:
        @client.task(name="twin")
        async def twin(input: EmptyModel, ctx: Context) -> None: ...

        return twin

    with pytest.raises(ValueError, match="twin:twin"):
        await client.worker("w", workflows=[make(), make()]).aio_start()


async def test_terminate_after_a_number_of_tasks(scripted: ScriptedEngine) -> None:
    client = Limpet(config=scripted.config.model_copy(update={"terminate_worker_after_num_tasks": 1}))

    @client.task()
    async def work(input: EmptyModel, ctx: Context) -> None: ...

    worker = client.worker("w", workflows=[work])
    serving = asyncio.create_task(worker.aio_start())
    await scripted.send(start_action("work:work"))
    await asyncio.wait_for(serving, 10)
    assert len(scripted.events(STEP_EVENT_TYPE_COMPLETED)) == 1


async def test_a_worker_without_workflows_is_refused(client: Limpet) -> None:
    with pytest.raises(ValueError, match="carries no workflows"):
        await client.worker("empty").aio_start()
    with pytest.raises(ValueError, match="carries no workflows"):
        client.worker("empty").start()
