"""The loop with the real core and the real stores: what a worker and a caller see through the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_faults import Fault, FaultyStore, KeepingStreams

from limpet.core.decision import CancelTask, RunFinished, StartTask
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.errors import NotFound
from limpet.core.explain import Outlook
from limpet.core.ids import SECOND_US, ActionId
from limpet.core.inputs import (
    CancelRequested,
    RunsTriggered,
    StreamOpened,
    TaskCompleted,
    TaskStarted,
    Trigger,
    WorkerRegistered,
    WorkerSeen,
    WorkflowPut,
)
from limpet.core.machine import Machine
from limpet.core.rows import RunStatus, TaskStatus
from limpet.engine.clock import ManualClock
from limpet.engine.engine import Engine
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings
from limpet.store.api import ONLY_GROUP, Store
from limpet.store.memory import MemoryStore
from limpet.store.sqlite.store import SqliteStore

ACTION = ActionId("echo:say")


class Shop:
    """An engine with the real core, one workflow of one task, and one worker."""

    def __init__(self, store: Store) -> None:
        self.clock, self.streams = ManualClock(), KeepingStreams()
        self.store = FaultyStore(store)
        self.engine = self.new_engine()
        self.worker_id = ""

    def new_engine(self) -> Engine:
        return Engine(self.store, self.streams, self.clock, EngineSettings(), load_core=Machine.load)  # type: ignore[arg-type]

    async def open(self) -> None:
        await self.engine.start()
        task = TaskDefinition("say", ACTION, retries=1)
        await self.say(WorkflowPut(WorkflowDefinition("echo", (task,))))
        self.worker_id = str(await self.say(WorkerRegistered("w", (ACTION,), (("default", 2),))))
        await self.say(StreamOpened(self.worker_id, 1))

    async def say(self, item):  # type: ignore[no-untyped-def]
        return await self.engine.submit(DEFAULT_TENANT_ID, item)

    async def trigger(self, payload: bytes = b'{"a":1}') -> str:
        (run_id,) = await self.say(RunsTriggered((Trigger("echo", payload),)))
        return run_id

    def starts(self) -> list[StartTask]:
        return [one for one in self.streams.delivered if isinstance(one, StartTask)]

    async def started(self) -> StartTask:
        """The last start, confirmed."""
        start = self.starts()[-1]
        await self.say(TaskStarted(start.task_run_id, start.retry_count, self.worker_id))
        return start

    async def restart(self) -> None:
        await self.engine.stop()
        self.engine = self.new_engine()
        await self.engine.start()

    async def poison_memory(self) -> None:
        """Let a commit fail for its data once, so that the tenant is reloaded and the input applied again."""
        self.store.will("commit", Fault.DATA)
        await self.say(WorkerRegistered("another", (ACTION,), (("default", 0),)))
        assert self.store.happened["commit data"] >= 1


@pytest.fixture(params=["memory", "sqlite"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "limpet.db", auto_migrate=True))
    await shop.open()
    yield shop
    await shop.engine.stop(drain=False)


async def test_a_run_goes_from_trigger_to_result(shop: Shop) -> None:
    run_id = await shop.trigger()
    shop.streams.wanted.add(run_id)
    start = await shop.started()
    assert (start.worker_id, start.action_id, start.input.data) == (shop.worker_id, ACTION, b'{"a":1}')
    assert shop.engine.started_at(DEFAULT_TENANT_ID, [start.task_run_id]) == {start.task_run_id: shop.clock.now()}
    await shop.say(TaskCompleted(start.task_run_id, 0, shop.worker_id, b'{"b":2}'))
    finished = [one for one in shop.streams.delivered if isinstance(one, RunFinished)]
    assert [(one.workflow_run_id, one.status) for one in finished] == [(run_id, RunStatus.COMPLETED)]
    assert finished[0].results[0].payload is not None
    assert finished[0].results[0].payload.data == b'{"b":2}'
    explanation = await shop.engine.explain(DEFAULT_TENANT_ID, start.task_run_id)
    assert explanation.outlook is Outlook.ENDED


async def test_T11_a_waiting_task_times_out_by_the_clock_alone(shop: Shop) -> None:
    for _ in range(2):
        await shop.trigger()
    waiting = await shop.trigger()
    assert len(shop.starts()) == 2
    assert (await shop.engine.explain(DEFAULT_TENANT_ID, waiting)).outlook is not Outlook.NOW
    for _ in range(40):
        await shop.say(WorkerSeen(shop.worker_id))
        shop.clock.advance(10 * SECOND_US)
    await shop.say(WorkerSeen(shop.worker_id))
    record = await shop.engine.reader.run(shop.engine.tenant_no(DEFAULT_TENANT_ID), waiting)  # type: ignore[arg-type]
    assert record is not None
    assert record.run.status == RunStatus.FAILED


async def test_L4_a_silent_worker_loses_its_task_without_any_input(shop: Shop) -> None:
    await shop.trigger()
    start = await shop.started()
    other = str(await shop.say(WorkerRegistered("other", (ACTION,), (("default", 1),))))
    await shop.say(StreamOpened(other, 2))
    for _ in range(4):
        shop.clock.advance(8 * SECOND_US)
        await shop.say(WorkerSeen(other))
    assert [(one.worker_id, one.retry_count) for one in shop.starts()] == [(shop.worker_id, 0), (other, 1)]
    assert start.task_run_id == shop.starts()[-1].task_run_id


async def test_T_RECEIPT_RELOAD_a_restart_sends_nothing_again_and_takes_the_outcome(shop: Shop) -> None:
    await shop.trigger()
    start = await shop.started()
    await shop.restart()
    await shop.say(StreamOpened(shop.worker_id, 2))
    await shop.say(TaskCompleted(start.task_run_id, 0, shop.worker_id, b"{}"))
    assert len(shop.starts()) == 1
    record = await shop.engine.reader.task(shop.engine.tenant_no(DEFAULT_TENANT_ID), start.task_run_id)  # type: ignore[arg-type]
    assert record is not None
    assert record.task.status == TaskStatus.COMPLETED


async def test_T_KILL_DISPATCH_a_start_that_died_with_the_engine_is_sent_once_more_and_counts_as_nobodys_fault(
    shop: Shop,
) -> None:
    """R25, R26, R28: the assignment was committed; the engine died before a byte of it left."""
    await shop.trigger()
    (unsent,) = shop.starts()
    shop.streams.delivered.clear()
    await shop.restart()
    await shop.say(StreamOpened(shop.worker_id, 2))
    grace_us, beat_us = EngineSettings().core.receipt_grace_after_load_us, 4 * SECOND_US
    for _ in range(grace_us // beat_us):
        shop.clock.advance(beat_us)
        await shop.say(WorkerSeen(shop.worker_id))
    assert shop.starts() == [], "the worker may have got it, and have its say until the grace is over"
    shop.clock.advance(beat_us)
    await shop.say(WorkerSeen(shop.worker_id))
    await shop.engine._deliverer.emptied()  # its payload is read from the store
    (again,) = shop.starts()
    assert (again.task_run_id, again.retry_count) == (unsent.task_run_id, 1)
    await shop.say(TaskCompleted(again.task_run_id, 1, shop.worker_id, b"{}"))
    record = await shop.engine.reader.task(shop.engine.tenant_no(DEFAULT_TENANT_ID), again.task_run_id)  # type: ignore[arg-type]
    assert record is not None
    assert (record.task.status, record.task.internal_retries, record.task.app_retries) == (TaskStatus.COMPLETED, 0, 0)


async def test_R8_a_reload_in_the_middle_of_work_is_not_noticed_by_workers(shop: Shop) -> None:
    await shop.trigger()
    start = await shop.started()
    await shop.poison_memory()
    await shop.trigger(b'{"next":1}')
    assert [one.input.data for one in shop.starts()] == [b'{"a":1}', b'{"next":1}'], "its stream is still known"
    assert start.task_run_id in shop.engine.started_at(DEFAULT_TENANT_ID, [start.task_run_id])
    view = shop.engine.worker(DEFAULT_TENANT_ID, shop.worker_id)
    assert view is not None
    assert view.stream_open
    assert shop.streams.ended == []


async def test_T_LOST_RELOAD_a_silent_worker_is_noticed_although_the_engine_reloads_often(shop: Shop) -> None:
    for _ in range(5):
        shop.clock.advance(7 * SECOND_US)
        await shop.poison_memory()
    view = shop.engine.worker(DEFAULT_TENANT_ID, shop.worker_id)
    assert view is not None
    assert view.lost_at is not None
    await shop.poison_memory()
    view = shop.engine.worker(DEFAULT_TENANT_ID, shop.worker_id)
    assert view is not None
    assert view.lost_at is not None


async def test_WK20_a_start_that_no_stream_took_goes_elsewhere(shop: Shop) -> None:
    shop.streams.deaf.add(shop.worker_id)
    other = str(await shop.say(WorkerRegistered("other", (ACTION,), (("default", 1),))))
    await shop.say(StreamOpened(other, 2))
    for _ in range(20):
        await shop.trigger()
        if shop.starts():
            break
        shop.clock.advance(SECOND_US)
        await shop.say(WorkerSeen(other))
    assert {one.worker_id for one in shop.starts()} == {other}


async def test_CN2_a_cancel_reaches_the_worker(shop: Shop) -> None:
    run_id = await shop.trigger()
    start = await shop.started()
    assert await shop.say(CancelRequested((run_id,))) == (start.task_run_id,)
    cancels = [one for one in shop.streams.delivered if isinstance(one, CancelTask)]
    assert [(one.worker_id, one.task_run_id) for one in cancels] == [(shop.worker_id, start.task_run_id)]


async def test_I5_a_repeated_request_is_found_in_the_store(shop: Shop) -> None:
    once = RunsTriggered((Trigger("echo", request_id="r-1"),))
    first = await shop.say(once)
    await shop.restart()
    assert await shop.say(once) == first


async def test_an_unknown_task_is_not_found(shop: Shop) -> None:
    with pytest.raises(NotFound):
        await shop.engine.explain(DEFAULT_TENANT_ID, "11111111-1111-4111-8111-111111111111")
    with pytest.raises(NotFound):
        await shop.engine.explain(DEFAULT_TENANT_ID, "nonsense")


async def test_R25_hundreds_of_runs_through_lost_answers_and_reloads_are_started_once_each(shop: Shop) -> None:
    """Every fifty runs something happens to a commit; none is lost, none is sent twice."""
    faults = (Fault.ANSWER_LOST, Fault.DATA, Fault.NAMELESS)
    for n in range(30):
        if n % 5 == 0:
            shop.store.will("commit", faults[n // 5 % 3])
        await asyncio.gather(*[shop.trigger(b"%d" % (n * 10 + m)) for m in range(10)])
        done = 0
        while done < len(shop.starts()):
            start = shop.starts()[done]
            await shop.say(TaskCompleted(start.task_run_id, start.retry_count, shop.worker_id, b"{}"))
            done += 1
        await shop.say(WorkerSeen(shop.worker_id))
    sent = [(one.task_run_id, one.retry_count) for one in shop.starts()]
    assert len(sent) == len(set(sent)) == 300, "R25"
    assert sorted(one.input.data or b"" for one in shop.starts()) == sorted(b"%d" % n for n in range(300))
    assert sum(shop.store.happened.values()) >= 6
    assert (await shop.store.fences())[ONLY_GROUP].seq == shop.engine.health().commit_seq
