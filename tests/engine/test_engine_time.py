"""Clocks, the alarm, and timers of the core, all without waiting."""

from __future__ import annotations

import asyncio

import pytest
from engine_house import OTHER_TENANT, House, MakeHouse, verb

from limpet.core.ids import SECOND_US, Instant, TenantNo
from limpet.core.inputs import TimePassed
from limpet.engine.alarm import Alarm
from limpet.engine.clock import ManualClock, SystemClock
from limpet.testing.shifting_clock import ShiftingClock

T1, T2 = TenantNo(1), TenantNo(2)


async def test_R53_the_core_is_stepped_when_its_time_has_come(house: House) -> None:
    await house.say(verb("wake", "1000000"))
    steps = len(house.core().log)
    await house.clock.until_awaited(Instant(house.clock.now() + SECOND_US))
    house.clock.advance(SECOND_US - 1)
    await house.say(verb("look", "nothing else happens"))
    assert len(house.core().log) == steps + 1
    await house.clock.until_awaited(Instant(house.clock.now() + 1))
    house.clock.advance(1)
    await house.until(lambda: len(house.core().log) == steps + 2)
    assert house.core().log[-1] == [TimePassed()]


async def test_each_tenant_is_woken_at_its_own_time(house: House) -> None:
    await house.engine.create_tenant(OTHER_TENANT, "other")
    await house.say(verb("wake", "3000000"))
    await house.say(verb("wake", "1000000"), OTHER_TENANT)
    mine, theirs = len(house.core().log), len(house.core(OTHER_TENANT).log)
    await house.clock.until_awaited(Instant(house.clock.now() + SECOND_US))
    house.clock.advance(SECOND_US)
    await house.until(lambda: len(house.core(OTHER_TENANT).log) == theirs + 1)
    assert (len(house.core().log), house.core(OTHER_TENANT).log[-1]) == (mine, [TimePassed()])


async def test_what_was_due_while_nobody_looked_is_stepped_at_the_start(make_house: MakeHouse) -> None:
    house = await make_house()
    assert house.core().log[0][0] == TimePassed()


async def test_the_alarm_rings_once_until_it_is_looked_at() -> None:
    clock, rings = ManualClock(), []
    alarm = Alarm(clock, lambda: rings.append(clock.now()))
    start = clock.now()
    alarm.set(T1, Instant(start + 10))
    alarm.set(T2, Instant(start + 5))
    await clock.until_awaited(Instant(start + 5))
    clock.advance(20)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rings == [start + 20]
    assert alarm.due() == [T2, T1]
    assert alarm.due() == []


async def test_an_alarm_that_was_moved_or_taken_back_does_not_wake() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, lambda: None)
    alarm.set(T1, Instant(clock.now() + 5))
    alarm.set(T1, Instant(clock.now() + 50))
    alarm.set(T2, Instant(clock.now() + 5))
    alarm.set(T2, None)
    clock.advance(10)
    assert alarm.due() == []
    clock.advance(40)
    assert alarm.due() == [T1]
    alarm.stop()


async def test_an_earlier_alarm_wakes_earlier() -> None:
    clock, rung = ManualClock(), asyncio.Event()
    alarm = Alarm(clock, rung.set)
    alarm.set(T1, Instant(clock.now() + 50))
    await clock.until_awaited(Instant(clock.now() + 50))
    alarm.set(T2, Instant(clock.now() + 5))
    await clock.until_awaited(Instant(clock.now() + 5))
    clock.advance(5)
    await rung.wait()
    assert alarm.due() == [T2]
    await clock.until_awaited(Instant(clock.now() + 45))
    alarm.stop()


async def test_stop_finds_the_sleeper_also_after_one_was_disarmed_while_it_woke() -> None:
    """Time jumps, and the loop looks at the alarm before the sleeper has got its turn; nobody may be left sleeping."""
    clock, looks = ShiftingClock(), 5
    alarm = Alarm(clock, lambda: None)
    alarm.set(T1, Instant(clock.now() + 60 * SECOND_US))
    alarm.set(T2, Instant(clock.now() + 120 * SECOND_US))
    for _ in range(looks):
        await asyncio.sleep(0)
    clock.shift(60 * SECOND_US)
    assert alarm.due() == [T1]
    for _ in range(looks):
        await asyncio.sleep(0)
    alarm.stop()
    for _ in range(looks):
        await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "limpet-alarm"] == []


@pytest.mark.parametrize("jump_s", [3_600, -3_600, -86_400])
def test_T_CLOCK_a_jump_of_the_wall_clock_moves_nothing(jump_s: int) -> None:
    wall, monotonic = [1_750_000_000_000_000_000], [7_000_000_000]
    clock = SystemClock(wall_ns=lambda: wall[0], monotonic_ns=lambda: monotonic[0])
    assert clock.now() == 1_750_000_000_000_000
    wall[0] += jump_s * 1_000_000_000
    monotonic[0] += 2_000
    assert clock.now() == 1_750_000_000_000_002


async def test_the_system_clock_waits_and_does_not_wait_for_the_past() -> None:
    clock = SystemClock()
    await clock.wait_until(Instant(clock.now() - 1))
    at = Instant(clock.now() + 2_000)
    await clock.wait_until(at)
    assert clock.now() >= at


async def test_the_manual_clock_wakes_those_whose_instant_has_come() -> None:
    clock = ManualClock()
    early = asyncio.ensure_future(clock.wait_until(Instant(clock.now() + 5)))
    late = asyncio.ensure_future(clock.wait_until(Instant(clock.now() + 6)))
    await clock.until_awaited(Instant(clock.now() + 5))
    clock.advance(5)
    await early
    assert not late.done()
    clock.advance(1)
    await late
    with pytest.raises(AssertionError):
        clock.advance(-1)
