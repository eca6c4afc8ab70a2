"""Rate limits and concurrency limits: what was taken stays taken, whoever waits waits in the same order, whoever holds holds."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.protobuf.timestamp_pb2 import Timestamp

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import workflows_pb2 as wire
from limpet.core.ids import SECOND_US
from limpet.core.rows import EventType
from tests.killed.hands import Hands, Start
from tests.killed.place import HOUR_S, Place, lasting

Limit = admin.Concurrency
Scene = AsyncIterator[None]


async def put_limit(place: Place, name: str, limit: int, window: wire.RateLimitDuration = wire.DAY) -> None:
    await place.calls.call("/WorkflowService/PutRateLimit", wire.PutRateLimitRequest(key=name, limit=limit, duration=window))


async def units(place: Place, name: str) -> int:
    """That are left."""
    [row] = (await place.rest("GET", f"/tenants/{{tenant}}/rate-limits?search={name}"))["rows"]
    return int(row["value"])


async def pause(place: Place, name: str, seconds: float) -> None:
    """Until so long from now, or no more."""
    until = Timestamp(seconds=int(place.now() + seconds))
    await place.calls.call("/WorkflowService/PauseRateLimit", wire.PauseRateLimitRequest(key=name, paused_until=until))


async def RL1_units_that_were_taken_stay_taken_and_no_end_gives_one_back(place: Place) -> Scene:
    hands = await place.hands("metered")
    await put_limit(place, "metered", 5)
    await place.workflow("metered", lasting("metered", rate_limits=[admin.CreateTaskRateLimit(key="metered", units=1)]))
    for _ in range(3):
        await place.calls.trigger("metered")
    held = [await hands.next("metered") for _ in range(3)]
    assert await units(place, "metered") == 2
    yield
    assert await units(place, "metered") == 2
    for _ in range(4):
        await place.calls.trigger("metered")
    held += [await hands.next("metered") for _ in range(2)]
    await hands.has_all()
    yield
    for start in held:
        await hands.done(start)
    await hands.has_all()
    assert await units(place, "metered") == 0
    yield
    found = place.truth
    assert found.ended("metered") == ["COMPLETED"] * 5 + ["QUEUED"] * 2
    waited = [bool(found.happened(one, EventType.REQUEUED_RATE_LIMIT)) for one in found.tasks("metered")]
    assert waited == [False] * 5 + [True] * 2


async def RL1_F4_12_windows_are_exact_across_lives_and_those_who_wait_go_on(place: Place) -> Scene:
    hands = await place.hands("windows")
    hands.finishes_everything()
    await put_limit(place, "windows", 2, wire.SECOND)
    await place.workflow("windows", lasting("windows", rate_limits=[admin.CreateTaskRateLimit(key="windows", units=1)]))
    runs = [await place.calls.trigger("windows") for _ in range(6)]
    yield
    runs += [await place.calls.trigger("windows") for _ in range(4)]
    yield
    for run in runs:
        await place.ends_as(run, "COMPLETED")
    yield
    assert all(len(window) <= 2 for window in by_window([one.assigned_at or 0 for one in place.truth.tasks("windows")]))


def by_window(instants: list[int]) -> list[list[int]]:
    """As a limit per second counts them: a window begins with the first unit taken after the last one (decision 22)."""
    windows: list[list[int]] = []
    for at in sorted(instants):
        if not windows or at >= windows[-1][0] + SECOND_US:
            windows.append([])
        windows[-1].append(at)
    return windows


async def F4_8_a_computed_limit_knows_who_has_taken(place: Place) -> Scene:
    hands = await place.hands("by-user")
    use = admin.CreateTaskRateLimit(key="input.user", key_expr="input.user", units=1, limit_values_expr="1", duration=admin.DAY)
    await place.workflow("by-user", lasting("by-user", rate_limits=[use]))
    await place.calls.trigger("by-user", input=b'{"user": "ada"}')
    held = [await hands.next("by-user")]
    yield
    second = await place.calls.trigger("by-user", input=b'{"user": "ada"}')
    await place.calls.trigger("by-user", input=b'{"user": "bob"}')
    held.append(await hands.next("by-user"))
    assert held[1].workflow_run_id != second
    yield
    for start in held:
        await hands.done(start)
    await hands.has_all()
    yield
    assert place.truth.ended("by-user") == ["COMPLETED", "QUEUED", "COMPLETED"]


async def F4_14_a_pause_of_a_limit_lasts_as_long_as_it_was_said(place: Place) -> Scene:
    hands = await place.hands("paused-limit")
    await put_limit(place, "paused-limit", 9)
    await place.workflow(
        "paused-limit", lasting("paused-limit", rate_limits=[admin.CreateTaskRateLimit(key="paused-limit", units=1)])
    )
    await pause(place, "paused-limit", 2 * HOUR_S)
    run = await place.calls.trigger("paused-limit")
    yield
    await hands.has_all()
    yield
    await hands.has_all()
    await pause(place, "paused-limit", -1)
    await hands.done(await hands.next("paused-limit"))
    await place.ends_as(run, "COMPLETED")
    yield
    assert place.truth.ended("paused-limit") == ["COMPLETED"]


async def B24_waiters_of_a_key_go_on_in_their_order_while_its_holder_holds(place: Place) -> Scene:
    hands = await place.hands("one-at-a-time")
    await place.workflow("one-at-a-time", lasting("one-at-a-time", concurrency=[limited("'all'", 1)]))
    asked = [await place.calls.trigger("one-at-a-time", priority=priority) for priority in (1, 1, 3, 1)]
    order = [asked[0], asked[2], asked[1], asked[3]]
    held = await hands.next("one-at-a-time")
    yield
    await hands.has_all()
    second = await followed_by(hands, held)
    yield
    await hands.has_all()
    third = await followed_by(hands, second)
    fourth = await followed_by(hands, third)
    await hands.done(fourth)
    assert [one.workflow_run_id for one in (held, second, third, fourth)] == order
    yield
    assert place.truth.ended("one-at-a-time") == ["COMPLETED"] * 4


async def followed_by(hands: Hands, start: Start) -> Start:
    """Whom the end of that one lets in."""
    await hands.done(start)
    return await hands.next(start.action_id)


def limited(expression: str, count: int, strategy: admin.ConcurrencyLimitStrategy = admin.GROUP_ROUND_ROBIN) -> Limit:
    return Limit(expression=expression, max_runs=count, limit_strategy=strategy)


async def F2_14_a_run_keeps_its_place_between_its_tasks(place: Place) -> Scene:
    hands = await place.hands("whole:one", "whole:two")
    tasks = lasting("one", action="whole:one"), lasting("two", action="whole:two", parents=["one"])
    await place.workflow("whole", *tasks, concurrency_arr=[limited("'all'", 1)])
    first, second = [await place.calls.trigger("whole") for _ in range(2)]
    held = await hands.next("whole:one")
    assert held.workflow_run_id == first
    yield
    await hands.has_all()
    await hands.done(held)
    held = await hands.next("whole:two")
    assert held.workflow_run_id == first
    yield
    await hands.has_all()
    await hands.done(held)
    held = await hands.next("whole:one")
    assert held.workflow_run_id == second
    await hands.done(held)
    await hands.done(await hands.next("whole:two"))
    yield
    assert place.truth.ended("whole") == ["COMPLETED"] * 2


async def F2_13_who_waits_for_the_second_limit_keeps_his_place_in_the_first(place: Place) -> Scene:
    hands = await place.hands("chain")
    await place.workflow("chain", lasting("chain", concurrency=[limited("input.a", 2), limited("input.b", 1)]))
    asked = [await place.calls.trigger("chain", input=data) for data in (*[b'{"a": "a", "b": "b"}'] * 3, b'{"a": "a", "b": "c"}')]
    held = await hands.next("chain")  # the second waits behind it in b, the third and the fourth before a
    yield
    await hands.has_all()
    await hands.done(held)
    held = await hands.next("chain")
    assert held.workflow_run_id == asked[1]
    yield
    await hands.has_all()
    await hands.done(held)
    rest = [await hands.next("chain") for _ in range(2)]
    assert [one.workflow_run_id for one in rest] == asked[2:]
    for start in rest:
        await hands.done(start)
    yield
    assert place.truth.ended("chain") == ["COMPLETED"] * 4


async def B13_B15_the_holder_stays_and_newcomers_are_cancelled(place: Place) -> Scene:
    hands = await place.hands("first-stays")
    await place.workflow("first-stays", lasting("first-stays", concurrency=[limited("'all'", 1, admin.CANCEL_NEWEST)]))
    await place.calls.trigger("first-stays")
    held = await hands.next("first-stays")
    yield
    await place.ends_as(await place.calls.trigger("first-stays"), "CANCELLED")
    await hands.done(held)
    await place.calls.trigger("first-stays")
    held = await hands.next("first-stays")
    yield
    await place.ends_as(await place.calls.trigger("first-stays"), "CANCELLED")
    await hands.done(held)
    yield
    assert place.truth.ended("first-stays") == ["COMPLETED", "CANCELLED", "COMPLETED", "CANCELLED"]


async def B10_B12_a_newcomer_takes_the_place_of_the_holder(place: Place) -> Scene:
    hands = await place.hands("newest-stays")
    await place.workflow("newest-stays", lasting("newest-stays", concurrency=[limited("'all'", 1, admin.CANCEL_IN_PROGRESS)]))
    await place.calls.trigger("newest-stays")
    held = await hands.next("newest-stays")
    for _ in range(2):
        yield
        await place.calls.trigger("newest-stays")
        newcomer = await hands.next("newest-stays")
        assert (await hands.cancelled.get()).task_run_external_id == held.task_run_external_id
        held = newcomer
    await hands.done(held)
    yield
    assert place.truth.ended("newest-stays") == ["CANCELLED", "CANCELLED", "COMPLETED"]


SCENES = (
    RL1_units_that_were_taken_stay_taken_and_no_end_gives_one_back,
    RL1_F4_12_windows_are_exact_across_lives_and_those_who_wait_go_on,
    F4_8_a_computed_limit_knows_who_has_taken,
    F4_14_a_pause_of_a_limit_lasts_as_long_as_it_was_said,
    B24_waiters_of_a_key_go_on_in_their_order_while_its_holder_holds,
    F2_14_a_run_keeps_its_place_between_its_tasks,
    F2_13_who_waits_for_the_second_limit_keeps_his_place_in_the_first,
    B13_B15_the_holder_stays_and_newcomers_are_cancelled,
    B10_B12_a_newcomer_takes_the_place_of_the_holder,
)
