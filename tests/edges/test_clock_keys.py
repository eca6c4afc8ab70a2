"""The edge's answers to the clock: expressions evaluated for runs that are due (decision 0025)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from limpet.core.clock_starts import StartsKeyed
from limpet.core.decision import KeysWanted
from limpet.core.errors import EngineStopping, IdempotencyCollision, NotSupported, WorkflowChanged
from limpet.core.ids import Instant, TenantId
from limpet.core.inputs import KeyTaken
from limpet.core.limits_view import LimitsView, StartAsked
from limpet.core.records import UnusableKey
from limpet.core.run_keys import RunKeys
from limpet.core.timetable_inputs import CronTriggered, ScheduleTriggered
from limpet.edges import run_keys
from limpet.edges.clock_keys import ClockKeys
from limpet.edges.run_keys import KEYED_TRIES_MAX, start_now
from tests.edges.grpc.fake_door import TENANT, FakeDoor

OTHER = TenantId("another")


@pytest.fixture
async def working() -> AsyncIterator[tuple[ClockKeys, FakeDoor]]:
    """The edge at work on a scripted engine."""
    keys, door = ClockKeys(), FakeDoor()
    work = asyncio.create_task(keys.run(door))
    yield keys, door
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


def question(row_id: str, *expressions: str, user: str = "ada", idempotency: str | None = None) -> StartAsked:
    limits = LimitsView("v-1", expressions, idempotency=idempotency)
    return StartAsked(row_id, 7, Instant(5), f'{{"user":"{user}"}}'.encode(), b'{"m":"n"}', limits)


async def answered(door: FakeDoor, count: int = 1) -> StartsKeyed:
    item = await asyncio.wait_for(door.until(StartsKeyed, count), 10)
    assert isinstance(item, StartsKeyed)
    return item


async def test_expressions_are_evaluated_over_input_and_metadata_of_the_run(working: tuple[ClockKeys, FakeDoor]) -> None:
    keys, door = working
    keys.want(
        TENANT, KeysWanted((question("r1", "input.user", "input.missing"), question("r2", idempotency="additional_metadata.m")))
    )
    one, two = (await answered(door)).items
    assert (one.row_id, one.due_at, one.slot, one.keys.version_id) == ("r1", 7, 5, "v-1")
    assert one.keys.keys[0] == "ada"
    assert isinstance(one.keys.keys[1], UnusableKey)
    assert (two.keys.keys, two.keys.idempotency) == ((), "n")


async def test_a_newer_question_of_a_tenant_replaces_the_older_and_tenants_take_turns() -> None:
    keys, door = ClockKeys(), FakeDoor()
    for row_id in ("old", "new"):
        keys.want(TENANT, KeysWanted((question(row_id, "input.user"),)))
    keys.want(OTHER, KeysWanted((question("other", "input.user"),)))
    work = asyncio.create_task(keys.run(door))
    await answered(door, 2)
    work.cancel()
    told = [(tenant, item.items[0].row_id) for tenant, item in door.submitted if isinstance(item, StartsKeyed)]
    assert told == [(TENANT, "new"), (OTHER, "other")]


@pytest.mark.parametrize("failure", [EngineStopping("going"), RuntimeError("a bug")], ids=["stopping", "bug"])
async def test_an_answer_that_nobody_takes_stops_nothing(working: tuple[ClockKeys, FakeDoor], failure: Exception) -> None:
    keys, door = working
    door.replies[StartsKeyed] = failure
    keys.want(TENANT, KeysWanted((question("r1", "input.user"),)))
    await answered(door)
    del door.replies[StartsKeyed]
    keys.want(TENANT, KeysWanted((question("r2", "input.user"),)))
    assert (await answered(door, 2)).items[0].row_id == "r2"


async def test_without_the_library_every_key_says_what_is_missing(
    working: tuple[ClockKeys, FakeDoor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise NotSupported("install limpet[cel]")

    monkeypatch.setattr(run_keys, "compile_expression", missing)
    keys, door = working
    keys.want(TENANT, KeysWanted((question("r1", "input.user", idempotency="'k'"),)))
    (one,) = (await answered(door)).items
    assert one.keys.keys == (UnusableKey("install limpet[cel]"),)
    assert one.keys.idempotency == UnusableKey("install limpet[cel]")


class TestStartNow:
    async def test_what_the_core_asks_for_is_computed_and_handed_in(self) -> None:
        door = FakeDoor()

        async def core(item: object) -> object:
            assert isinstance(item, CronTriggered)
            return question("c", "input.user") if item.keys is None else "run-1"

        door.replies[CronTriggered] = core
        assert await start_now(door, TENANT, CronTriggered("c")) == "run-1"
        (_, last) = door.submitted[-1]
        assert isinstance(last, CronTriggered)
        assert last.keys == RunKeys("v-1", ("ada",), last.keys.stand_in if last.keys else "")

    async def test_a_held_key_is_a_collision(self) -> None:
        door = FakeDoor(replies={ScheduleTriggered: KeyTaken("run-7")})
        with pytest.raises(IdempotencyCollision) as caught:
            await start_now(door, TENANT, ScheduleTriggered("s"))
        assert caught.value.existing_run_id == "run-7"

    async def test_R52_not_for_ever(self) -> None:
        door = FakeDoor(replies={ScheduleTriggered: question("s", "input.user")})
        with pytest.raises(WorkflowChanged):
            await start_now(door, TENANT, ScheduleTriggered("s"))
        assert len(door.submitted) == KEYED_TRIES_MAX
