"""One event that many tasks await, with the real core and real stores: turns of others in between, ends in between (R53)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_faults import KeepingStreams
from engine_house import OTHER_TENANT

from limpet.core.event_inputs import EventsPushed, PushedEvent
from limpet.core.ids import TenantNo
from limpet.core.inputs import RunsTriggered, Trigger, WorkflowPut
from limpet.core.machine import Machine
from limpet.core.settings import Settings
from limpet.engine.clock import ManualClock
from limpet.engine.engine import Engine
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings
from limpet.store.api import Store
from limpet.store.memory import MemoryStore
from limpet.store.sqlite.store import SqliteStore
from limpet.testing.builders import event, make_task, make_workflow

WAITING = 12
TURNS_MAX = 1_000


class Queue:
    """An engine whose steps let one task go on, with many runs that await the same event."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.engine = self.new_engine()

    def new_engine(self) -> Engine:
        settings = EngineSettings(core=Settings(heard_batch_max=1))
        return Engine(self.store, KeepingStreams(), ManualClock(), settings, load_core=Machine.load)

    async def open(self) -> None:
        await self.engine.start()
        await self.engine.create_tenant(OTHER_TENANT, "other")
        await self.engine.submit(DEFAULT_TENANT_ID, WorkflowPut(make_workflow("waits", make_task("a", wait_for=[event("paid")]))))
        await self.engine.submit(OTHER_TENANT, WorkflowPut(make_workflow("quick", "b")))
        await self.engine.submit(DEFAULT_TENANT_ID, RunsTriggered((Trigger("waits"),) * WAITING))

    async def push(self) -> None:
        pushed = PushedEvent("00000000-0000-4000-8000-000000000001", "paid")
        await self.engine.submit(DEFAULT_TENANT_ID, EventsPushed((pushed,)))

    def left(self) -> int:
        """Tasks whose turn has not come, as the engine's memory knows."""
        core = self.engine._core(DEFAULT_TENANT_ID)
        assert isinstance(core, Machine)
        return len(core.state.waits.ripe)

    async def undecided(self) -> int:
        """Tasks whose turn has not come, as the store knows."""
        return sum(wait.decided_at is None for wait in (await self.store.load(TenantNo(1))).waits)

    async def all_go_on(self) -> None:
        for _ in range(TURNS_MAX):
            await self.engine._loop.settled()
            if not self.left():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.left()} tasks still wait for their turn")


@pytest.fixture(params=["memory", "sqlite"])
async def queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Queue]:
    queue = Queue(MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "limpet.db", auto_migrate=True))
    await queue.open()
    yield queue
    await queue.engine.stop()


async def test_R53_others_have_their_turns_while_the_tasks_of_an_event_go_on(queue: Queue) -> None:
    await queue.push()
    await queue.engine.submit(OTHER_TENANT, RunsTriggered((Trigger("quick"),)))
    assert queue.left(), "the other tenant was answered before all of them had gone on"
    await queue.all_go_on()
    assert await queue.undecided() == 0


async def test_R53_an_acknowledged_event_reaches_everybody_also_when_the_engine_ends_before_their_turn(queue: Queue) -> None:
    await queue.push()
    await queue.engine.stop()
    queue.engine = queue.new_engine()
    await queue.store.open()
    assert 0 < await queue.undecided() < WAITING
    await queue.store.close()
    await queue.engine.start()
    await queue.all_go_on()
    assert await queue.undecided() == 0
