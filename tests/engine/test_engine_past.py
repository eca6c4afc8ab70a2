"""Events of the past in the real stores: found by key, scope and time, judged on their payloads, newest first (W11.12, W11.13)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_faults import KeepingStreams

from limpet.core.conditions import LookBack
from limpet.core.event_inputs import EventsPushed, PushedEvent
from limpet.core.ids import SECOND_US
from limpet.core.inputs import RunsTriggered, Trigger, WorkflowPut
from limpet.core.rows import TaskStatus
from limpet.engine import looking_back
from limpet.engine.clock import ManualClock
from limpet.engine.engine import Engine
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.store.api import PAGE_PAYLOAD_BYTES_MAX
from limpet.store.memory import MemoryStore
from limpet.store.sqlite.store import SqliteStore
from limpet.testing.builders import event, make_task, make_workflow


def judge(expression: str, payload: bytes) -> bool:
    """The expression is the number that the payload must have; whether it is the edge's language matters to nobody here."""
    return json.loads(payload).get("n") == int(expression)


class Shop:
    """An engine, a clock, and events one second apart."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.engine, self.clock, self.count = engine, clock, 0

    async def push(self, name: str, payload: bytes = b"{}", *, scope: str | None = None) -> int:
        """The instant at which the event was stored."""
        self.count += 1
        answers = tuple((one, judge(one, payload)) for one in self.engine.awaited(DEFAULT_TENANT_ID, name))
        pushed = PushedEvent(f"00000000-0000-4000-8000-{self.count:012x}", name, payload, scope=scope, answers=answers)
        await self.engine.submit(DEFAULT_TENANT_ID, EventsPushed((pushed,)))
        at = self.clock.now()
        self.clock.advance(SECOND_US)
        return at

    async def found(self, asked: LookBack) -> str | None:
        """Id of the event that answers."""
        no = self.engine.tenant_no(DEFAULT_TENANT_ID)
        assert no is not None
        row = (await self.engine._loop._past.find(no, [asked]))[asked]
        return None if row is None else str(int(row.id[-12:], 16))


@pytest.fixture(params=["memory", "sqlite"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "limpet.db", auto_migrate=True)
    clock = ManualClock()
    engine = Engine(store, KeepingStreams(), clock, judge=judge)
    await engine.start()
    yield Shop(engine, clock)
    await engine.stop()


async def test_the_newest_event_with_that_key_and_scope_from_that_instant_on_is_found(shop: Shop) -> None:
    first = await shop.push("e", scope="eu")
    second = await shop.push("e", scope="us")
    third = await shop.push("e")
    await shop.push("f", scope="eu")
    assert await shop.found(LookBack("e", "", first, "")) == "3"
    assert await shop.found(LookBack("e", "eu", first, "")) == "1"
    assert await shop.found(LookBack("e", "eu", first + 1, "")) is None
    assert await shop.found(LookBack("e", "us", second, "")) == "2"
    assert await shop.found(LookBack("e", "", third + 1, "")) is None
    assert await shop.found(LookBack("g", "", first, "")) is None


async def test_an_expression_is_held_against_payloads_the_newest_first_and_against_so_many(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await shop.push("e", b'{"n":7}')
    for n in (8, 7, 9):
        await shop.push("e", b'{"n":%d}' % n)
    assert await shop.found(LookBack("e", "", first, "7")) == "3"
    assert await shop.found(LookBack("e", "", first, "5")) is None
    monkeypatch.setattr(looking_back, "LOOK_BACK_EVENTS_MAX", 1)
    assert await shop.found(LookBack("e", "", first, "7")) is None
    assert await shop.found(LookBack("e", "", first, "9")) == "4"


async def test_payloads_that_no_page_has_room_for_are_judged_too(shop: Shop) -> None:
    large = b'{"n":%d,"x":"%b"}'
    size = 2 * 1024 * 1024
    for n in range(PAGE_PAYLOAD_BYTES_MAX // size + 2):
        await shop.push("e", large % (n, b"y" * size))
    assert await shop.found(LookBack("e", "", 1, "0")) == "1"


async def test_W11_13_a_task_begins_with_an_event_that_came_before_it_waited(shop: Shop) -> None:
    await shop.push("e", b'{"n":7}', scope="eu")
    since = shop.clock.now() - 60 * SECOND_US
    tasks = [
        make_task("a", wait_for=[event("e", "7", scope="eu", since=since)]),
        make_task("b", wait_for=[event("e", "8", since=since)]),
    ]
    await shop.engine.submit(DEFAULT_TENANT_ID, WorkflowPut(make_workflow("W", *tasks)))
    reply = await shop.engine.submit(DEFAULT_TENANT_ID, RunsTriggered((Trigger("W"),)))
    assert isinstance(reply, tuple)
    no = shop.engine.tenant_no(DEFAULT_TENANT_ID)
    assert no is not None

    async def statuses() -> list[TaskStatus]:
        await shop.engine._loop.settled()
        record = await shop.engine.reader.run(no, reply[0])
        assert record is not None
        return [TaskStatus(task.status) for task in record.tasks]

    for _ in range(100):
        if await statuses() == [TaskStatus.QUEUED, TaskStatus.PENDING]:
            break
        await asyncio.sleep(0)  # the step that asks comes by itself
    assert await statuses() == [TaskStatus.QUEUED, TaskStatus.PENDING]
    await shop.push("e", b'{"n":8}')
    assert await statuses() == [TaskStatus.QUEUED, TaskStatus.QUEUED]
