"""Rate limits in the core (flow control section 4): units, windows, several limits, declared ones, what waits and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from limpet.core.definitions import Feature, StickyStrategy
from limpet.core.errors import InvalidArgument, LimitReached, NotFound, NotSupported, WorkflowChanged
from limpet.core.explain import Outlook, Reason
from limpet.core.ids import Instant
from limpet.core.inputs import RunKeys, RunsTriggered, TimePassed, Trigger, WorkflowPut
from limpet.core.rate_definitions import LIMIT_MAX, RateUse
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPut
from limpet.core.rate_windows import RateWindow, window_end
from limpet.core.records import UnusableKey
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.core.timetable_inputs import SchedulesCreated
from limpet.testing.builders import computes, limit, make_task, make_workflow, takes, us
from limpet.testing.scenario import START, Scenario

SECOND, MINUTE, DAY, MONTH, YEAR = (
    RateWindow.SECOND, RateWindow.MINUTE, RateWindow.DAY, RateWindow.MONTH, RateWindow.YEAR,
)  # fmt: skip
API = "api"


def single(*uses: RateUse, worker: bool = True, checks_reload: bool = True, **options: object) -> Scenario:
    """A workflow W of one task a that takes these units."""
    s = Scenario(checks_reload=checks_reload)
    s.workflow("W", make_task("a", rates=uses, **options))  # type: ignore[arg-type]
    if worker:
        s.worker("w1")
    return s


def starts(s: Scenario) -> list[float]:
    """When starts were sent, in seconds from the beginning."""
    return [(start.at - START) / 1_000_000 for start in s.log.starts]


def statuses(s: Scenario, *runs: str) -> list[str]:
    return [s.run_status(run) for run in runs]


# Definition


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (RateUse(), "needs a key"),
        (RateUse(key_expression="  ", limit_expression="1"), "needs a key"),
        (RateUse(key_expression="input.user"), "needs a limit"),
        (takes(API, -1), "units"),
        (takes(API, LIMIT_MAX + 1), "units"),
        (takes("a\0b"), "NUL"),
        (takes("k" * 256), "rate_limit_name_bytes_max"),
    ],
)
def test_B46_F4_6_a_use_without_key_limit_or_sensible_units_is_refused(use: RateUse, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        single(use)


def test_more_uses_than_allowed_are_refused_by_name() -> None:
    with pytest.raises(LimitReached, match="task_rate_limits_max"):
        single(*[takes(f"k{n}") for n in range(11)])


def test_a_definition_of_a_release_without_rate_limits_asks_to_be_registered_again() -> None:
    s = Scenario()
    s.do(WorkflowPut(replace(make_workflow("W", "a"), undelivered=((Feature.RATE_LIMITS, "task a"),))))
    with pytest.raises(NotSupported, match="register it again"):
        s.trigger("W")


@pytest.mark.parametrize(("name", "size"), [("", 1), ("a\0", 1), ("k" * 256, 1), (API, -1), (API, LIMIT_MAX + 1)])
def test_F4_1_a_limit_without_a_usable_key_or_number_is_refused(name: str, size: int) -> None:
    with pytest.raises(InvalidArgument, match="rate limit"):
        Scenario().rate_limit(name, size)


# Units and windows


def test_B35_F4_12_no_window_gives_more_than_the_limit() -> None:
    s = single(takes(API))
    s.rate_limit(API, 2, SECOND)
    s.advance(0.9)
    s.trigger_bulk(*[Trigger("W")] * 6)
    s.advance(3)
    assert starts(s) == [0.9, 0.9, 1.9, 1.9, 2.9, 2.9]


def test_F4_16_after_a_pause_of_a_window_a_burst_of_exactly_the_limit_starts() -> None:
    s = single(takes(API))
    s.rate_limit(API, 3, SECOND)
    s.trigger("W")
    s.advance(1.5)
    s.trigger_bulk(*[Trigger("W")] * 5)
    assert starts(s) == [0.0, 1.5, 1.5, 1.5]
    assert s.units(API) == (0, 3)


def test_F4_12_unused_units_do_not_carry_over() -> None:
    s = single(takes(API))
    s.rate_limit(API, 2, SECOND)
    s.advance(10)
    s.trigger_bulk(*[Trigger("W")] * 4)
    assert len(s.log.starts) == 2


def test_B36_F4_3_units_count() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Six", make_task("six", rates=[takes(API, 6)]))
    s.workflow("Five", make_task("five", rates=[takes(API, 5)]))
    s.workflow("Four", make_task("four", rates=[takes(API, 4)]))
    s.worker("w1")
    s.rate_limit(API, 10)
    s.trigger("Six")
    second = s.trigger("Five")
    third = s.trigger("Four")
    assert statuses(s, second, third) == ["QUEUED", "RUNNING"]
    assert s.units(API) == (0, 10)
    s.advance(60)
    assert s.run_status(second) == "RUNNING"
    assert s.units(API) == (5, 10)


def test_B37_F4_11_a_task_short_of_one_limit_takes_nothing_of_the_other() -> None:
    s = single(takes("many", 2), takes("one"))
    s.rate_limit("many", 10)
    s.rate_limit("one", 1)
    s.trigger("W")
    s.trigger("W")
    assert s.units("many") == (8, 10)
    assert s.units("one") == (0, 1)
    s.advance(60)
    assert s.units("many") == (8, 10)
    assert s.units("one") == (0, 1)
    assert len(s.log.starts) == 2


def test_two_uses_of_one_limit_add_up() -> None:
    s = single(takes(API, 2), takes(API, 3))
    s.rate_limit(API, 9)
    runs = [s.trigger("W") for _ in range(2)]
    assert statuses(s, *runs) == ["RUNNING", "QUEUED"]
    assert s.units(API) == (4, 9)


def test_no_units_are_taken_of_nothing() -> None:
    s = single(takes(API, 0))
    s.rate_limit(API, 0)
    assert s.run_status(s.trigger("W")) == "RUNNING"


def test_B47_F4_10_every_attempt_takes_units_and_none_come_back() -> None:
    s = single(takes(API), retries=1)
    s.rate_limit(API, 1)
    run = s.trigger("W")
    s.fail("a")
    assert (s.run_status(run), s.units(API)) == ("QUEUED", (0, 1))
    s.advance(59.9)
    assert s.run_status(run) == "QUEUED"
    s.advance(0.1)
    assert s.run_status(run) == "RUNNING"
    s.cancel(run)
    assert s.units(API) == (0, 1)


def test_B109_F10_1_a_worker_shortage_takes_no_units() -> None:
    s = single(takes(API), worker=False)
    s.rate_limit(API, 5)
    s.trigger("W")
    assert s.units(API) == (5, 5)
    s.worker("w1", slots=1)
    s.trigger("W")
    assert s.units(API) == (4, 5)


def test_F10_1_a_task_without_units_takes_no_slot() -> None:
    s = single(takes(API))
    s.workflow("V", "b")
    s.worker("w2", slots=1, actions=["a", "b"])
    s.unsubscribe("w1")
    s.rate_limit(API, 0)
    s.trigger("W")
    assert s.run_status(s.trigger("V")) == "RUNNING"


def test_F10_3_a_cancelled_task_frees_its_place_and_gets_no_units_back() -> None:
    s = single(takes(API))
    s.rate_limit(API, 1)
    first, second, third = (s.trigger("W") for _ in range(3))
    s.cancel(second)
    s.cancel(first)
    assert s.units(API) == (0, 1)
    s.advance(60)
    assert statuses(s, first, second, third) == ["CANCELLED", "CANCELLED", "RUNNING"]


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        (SECOND, "2026-01-31T10:00:00.5", "2026-01-31T10:00:01.5"),
        (MINUTE, "2026-01-31T10:00:00", "2026-01-31T10:01:00"),
        (RateWindow.HOUR, "2026-01-31T10:00:00", "2026-01-31T11:00:00"),
        (DAY, "2026-03-28T10:00:00", "2026-03-29T10:00:00"),
        (RateWindow.WEEK, "2026-01-31T10:00:00", "2026-02-07T10:00:00"),
        (MONTH, "2026-01-15T10:00:00.25", "2026-02-15T10:00:00.25"),
        (MONTH, "2026-01-31T10:00:00", "2026-02-28T10:00:00"),
        (MONTH, "2027-12-31T10:00:00", "2028-01-31T10:00:00"),
        (MONTH, "2028-01-31T10:00:00", "2028-02-29T10:00:00"),
        (YEAR, "2028-02-29T10:00:00", "2029-02-28T10:00:00"),
        (YEAR, "2026-05-01T00:00:00", "2027-05-01T00:00:00"),
    ],
)
def test_F4_13_months_and_years_are_those_of_the_calendar_in_utc(window: RateWindow, start: str, end: str) -> None:
    def instant(text: str) -> Instant:
        return Instant(round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000))

    assert window_end(window, instant(start)) == instant(end)


def test_F4_13_a_limit_per_month_gives_its_units_in_the_next_month() -> None:
    s = single(takes(API), checks_reload=False, schedule_timeout=40 * 86_400)
    s.rate_limit(API, 1, MONTH)
    s.unsubscribe("w1")
    begun = s.now
    s.worker("w2", confirms=False)
    s.trigger("W")
    s.cancel(s.trigger("W"))
    assert s.machine.state.rates.buckets[API].level.refill_at == window_end(MONTH, begun)


# Setting, pausing, deleting


def test_B38_F4_4_a_key_that_nobody_has_set_waits_until_the_schedule_timeout() -> None:
    s = single(takes(API), schedule_timeout=3)
    run = s.trigger("W")
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NEVER, Reason.RATE_LIMIT_UNKNOWN)
    assert "nobody has set the rate limit 'api'" in answer.text
    assert "limpet rate-limits put 'api'" in answer.unblock[0]
    s.advance(3)
    assert s.run_status(run) == "FAILED"
    assert "SCHEDULING_TIMED_OUT" in s.events("a")
    assert "nobody has set the rate limit 'api'" in s.error("a")


def test_B39_PR20_a_key_set_later_lets_it_go() -> None:
    s = single(takes(API), schedule_timeout=3)
    run = s.trigger("W")
    s.advance(1)
    s.rate_limit(API, 1)
    assert s.run_status(run) == "RUNNING"


def test_B40_F4_15_RL2_more_units_than_the_limit_are_never_there() -> None:
    s = single(takes(API, 5), schedule_timeout=3)
    s.rate_limit(API, 3, SECOND)
    run = s.trigger("W")
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NEVER, Reason.RATE_LIMIT_TOO_SMALL)
    assert "has 3 units in all, 5 are needed" in answer.text
    s.advance(3)
    assert s.run_status(run) == "FAILED"
    assert "SCHEDULING_TIMED_OUT" in s.events("a", run)
    again = s.trigger("W")
    s.advance(1)
    s.rate_limit(API, 5, SECOND)
    assert s.run_status(again) == "QUEUED"  # a raised limit shows at the next refill
    assert s.explain("a", again).outlook is Outlook.NOT_NOW
    s.advance(1)
    assert s.run_status(again) == "RUNNING"


def test_F4_12_a_window_ends_also_while_somebody_wants_more_than_there_ever_is() -> None:
    s = single(takes(API))
    s.workflow("greedy", make_task("g", rates=(takes(API, 5),)))
    s.worker("w2")
    s.rate_limit(API, 3, SECOND)
    s.trigger("greedy")
    s.trigger("W")
    assert s.units(API) == (2, 3)
    s.advance(2)
    s.trigger("W")
    assert s.units(API) == (2, 3), "the second one takes from the full limit, and its window begins"


def test_B41_F4_2_a_lowered_limit_holds_at_once() -> None:
    s = single(takes(API))
    s.rate_limit(API, 10)
    s.rate_limit(API, 3)
    assert s.units(API) == (3, 3)


def test_B42_F4_2_a_raised_limit_shows_at_the_next_refill() -> None:
    s = single(takes(API, 3))
    s.rate_limit(API, 3)
    s.trigger("W")
    s.rate_limit(API, 10)
    assert s.units(API) == (0, 10)
    s.advance(59.9)
    assert s.units(API) == (0, 10)
    s.advance(0.1)
    assert s.units(API) == (10, 10)


def test_F4_2_another_window_counts_from_where_the_running_one_began() -> None:
    s = single(takes(API))
    s.rate_limit(API, 1, DAY)
    runs = [s.trigger("W") for _ in range(2)]
    s.advance(30)
    s.rate_limit(API, 1, MINUTE)
    assert s.run_status(runs[1]) == "QUEUED"
    s.advance(30)
    assert s.run_status(runs[1]) == "RUNNING"
    s.trigger("W")
    s.advance(2)
    s.rate_limit(API, 1, SECOND)
    assert len(s.log.starts) == 3


def test_setting_the_same_limit_again_changes_nothing() -> None:
    s = single(takes(API))
    s.rate_limit(API, 2)
    s.trigger("W")
    s.rate_limit(API, 2)
    assert s.units(API) == (1, 2)
    assert not s.log.decisions[-1][1].changes


def test_a_paused_limit_gives_nothing_until_the_end_of_the_pause() -> None:
    s = single(takes(API))
    s.rate_limit(API, 5, SECOND)
    until = s.pause_rate_limit(API, 30)
    assert until == s.now + 30_000_000
    run = s.trigger("W")
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NOT_NOW, Reason.RATE_LIMIT_PAUSED)
    s.advance(29.9)
    assert s.run_status(run) == "QUEUED"
    s.advance(0.1)
    assert s.run_status(run) == "RUNNING"
    assert s.units(API) == (4, 5)


def test_of_two_pauses_the_later_end_counts_and_a_past_one_ends_it() -> None:
    s = single(takes(API))
    s.rate_limit(API, 1)
    late = s.pause_rate_limit(API, 30)
    assert s.pause_rate_limit(API, 10) == late
    run = s.trigger("W")
    assert s.run_status(run) == "QUEUED"
    s.restart()
    assert s.run_status(run) == "QUEUED"
    s.pause_rate_limit(API, -1)
    assert s.run_status(run) == "RUNNING"


def test_a_deleted_limit_is_unknown_and_can_be_set_again() -> None:
    s = single(takes(API))
    s.rate_limit(API, 1)
    s.trigger("W")
    s.delete_rate_limit(API)
    assert s.units(API) is None
    run = s.trigger("W")
    assert s.explain("a", run).reason is Reason.RATE_LIMIT_UNKNOWN
    s.rate_limit(API, 1)
    assert s.run_status(run) == "RUNNING"


def test_a_deleted_limit_that_waiting_tasks_set_themselves_is_new_and_full() -> None:
    s = single(computes("user", "size"))
    keys = {"user": "ada", "size": 1}
    first, second, third = (s.trigger("W", keys=keys) for _ in range(3))
    assert statuses(s, first, second, third) == ["RUNNING", "QUEUED", "QUEUED"]
    s.delete_rate_limit("ada")
    assert statuses(s, first, second, third) == ["RUNNING", "RUNNING", "QUEUED"]
    assert s.units("ada") == (0, 1)


def test_a_limit_set_and_deleted_in_one_step_leaves_no_row() -> None:
    s = Scenario()
    s.step(RateLimitPut(API, 1, SECOND), RateLimitDeleted(API))
    assert not s.tables.rate_limits


@pytest.mark.parametrize("what", ["pause", "delete"])
def test_what_nobody_has_set_cannot_be_paused_or_deleted(what: str) -> None:
    s = Scenario()
    with pytest.raises(NotFound, match="rate limit api"):
        s.pause_rate_limit(API, 1) if what == "pause" else s.delete_rate_limit(API)


# Declared by tasks


def test_B43_F4_8_a_computed_key_parts_users() -> None:
    s = single(computes("user", "size"))
    ada = [s.trigger("W", keys={"user": "ada"}) for _ in range(2)]
    bob = s.trigger("W", keys={"user": "bob"})
    assert statuses(s, *ada, bob) == ["RUNNING", "QUEUED", "RUNNING"]
    assert "REQUEUED_RATE_LIMIT" in s.events("a", ada[1])
    [moment] = s.moments(EventType.REQUEUED_RATE_LIMIT, "a", ada[1])
    assert moment.message.startswith("Rate limit 'ada' (1 per MINUTE) has 0 units left, 1 is needed; refill at 2025-06-15T")
    s.advance(60)
    assert s.run_status(ada[1]) == "RUNNING"


@pytest.mark.parametrize("place", ["user", "count", "size"])
def test_B44_F4_7_an_expression_without_a_usable_value_fails_the_task_at_birth(place: str) -> None:
    s = single(computes("user", "size", units="count"), retries=3)
    run = s.trigger("W", keys={place: UnusableKey("failed to parse step expression (user): it must give a text")})
    assert s.run_status(run) == "FAILED"
    assert "failed to parse step expression" in s.error("a")
    assert s.task("a").retry_count == 0
    assert not s.log.starts


@pytest.mark.parametrize("key", ["k" * 256, "a\0b"])
def test_F4_7_a_key_that_cannot_be_stored_fails_the_task(key: str) -> None:
    s = single(computes("user"))
    assert s.run_status(s.trigger("W", keys={"user": key})) == "FAILED"
    assert "rate_limit_name_bytes_max" in s.error("a")


def test_B45_computed_units_count() -> None:
    s = single(computes("user", "size", units="count"))
    runs = [s.trigger("W", keys={"user": "ada", "count": 3, "size": 5}) for _ in range(2)]
    assert statuses(s, *runs) == ["RUNNING", "QUEUED"]
    third = s.trigger("W", keys={"user": "ada", "count": 2, "size": 5})
    assert s.run_status(third) == "RUNNING"


def test_a_static_key_may_have_computed_units() -> None:
    s = single(computes(API, units="count", static=True))
    s.rate_limit(API, 5)
    runs = [s.trigger("W", keys={"count": 3}) for _ in range(2)]
    assert statuses(s, *runs) == ["RUNNING", "QUEUED"]


def test_F4_8_one_key_is_one_limit_whoever_names_it() -> None:
    s = single(computes("user", "size"))
    s.workflow("V", make_task("b", action="a", rates=[takes("ada")]))
    s.trigger("W", keys={"user": "ada", "size": 2})
    runs = [s.trigger("V") for _ in range(2)]
    assert statuses(s, *runs) == ["RUNNING", "QUEUED"]


def test_F4_9_of_two_definitions_in_one_step_the_smaller_limit_and_the_longer_window_hold() -> None:
    s = Scenario()
    s.workflow("W", make_task("a", rates=[computes("user", "size", window=SECOND)]))
    s.workflow("V", make_task("b", rates=[computes("user", "size", window=MINUTE)]))
    one = Trigger("W", keys=s.keys_of("W", {"user": "ada", "size": 2}))
    other = Trigger("V", keys=s.keys_of("V", {"user": "ada", "size": 9}))
    s.step(RunsTriggered((one,)), RunsTriggered((other,)))
    [row] = s.tables.rate_limits.values()
    assert (row.limit_value, row.window_unit) == (2, MINUTE)
    s.step(RunsTriggered((other,)))
    [row] = s.tables.rate_limits.values()
    assert (row.limit_value, row.value, row.window_unit) == (9, 2, MINUTE)


def test_a_key_of_the_runs_id_is_of_the_run_itself() -> None:
    s = single(computes("id", "size"))
    keys = s.keys_of("W", {"id": "r-stand-in"})
    assert keys is not None
    s.trigger_bulk(Trigger("W", keys=replace(keys, stand_in="stand-in")))
    [run] = s.tables.runs.values()
    assert [row.name for row in s.tables.rate_limits.values()] == [f"r-{run.id}"]
    assert run.status == 1


def test_values_of_another_version_are_refused() -> None:
    s = single(computes("user"))
    with pytest.raises(WorkflowChanged):
        s.ask(RunsTriggered((Trigger("W", keys=RunKeys("another", ())),)), tuple)
    with pytest.raises(WorkflowChanged):
        s.ask(RunsTriggered((Trigger("W"),)), tuple)


def test_a_replay_uses_the_stored_values_and_takes_units_again() -> None:
    s = single(computes("user", "size", units="count"))
    s.machine.state.rates._idle_max = 0
    run = s.trigger("W", keys={"user": "ada", "count": 2, "size": 3})
    s.complete("a")
    s.step(TimePassed())
    assert "ada" not in s.machine.state.rates.buckets
    s.replay(run)
    assert s.run_status(run) == "QUEUED"
    s.advance(60)
    assert s.run_status(run) == "RUNNING"
    assert s.units("ada") == (1, 3)


def test_F6_13_F7_3_runs_of_the_clock_take_the_units_that_are_computed_for_them() -> None:
    s = Scenario(checks_reload=True)
    s.clock_keys = {"user": "ada", "limit": 5, "n": 2}
    s.workflow("W", make_task("a", rates=[computes("user", units="n")]), crons=["* * * * * *"])
    s.worker("w1")
    s.ask(SchedulesCreated("W", (Instant(s.now + us(1.2)),)), tuple)
    s.advance(1.5)
    assert len(s.log.starts) == 2
    assert s.units("ada") == (1, 5)
    s.advance(1)
    assert s.explain("a").reason is Reason.RATE_LIMITED


def test_F2_8_F4_7_a_run_of_the_clock_whose_units_cannot_be_computed_fails_at_birth() -> None:
    s = Scenario(checks_reload=True)
    s.clock_keys = {"user": UnusableKey("no such user")}
    s.workflow("W", make_task("a", rates=[computes("user")]))
    s.ask(SchedulesCreated("W", (Instant(s.now + 1),)), tuple)
    s.advance(1)
    assert s.error("a") == "no such user"


def test_a_workflow_with_static_rate_limits_is_started_by_the_clock() -> None:
    s = Scenario(checks_reload=True)
    s.rate_limit(API, 1)
    s.workflow("W", make_task("a", rates=[takes(API)]), crons=["* * * * * *"])
    s.worker("w1")
    s.advance(2.5)
    assert len(s.log.starts) == 1
    assert s.explain("a").reason is Reason.RATE_LIMITED


# Who waits for whom


def test_B48_F10_2_AC35_PR13_a_task_without_units_holds_up_nobody_else() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Limited", make_task("high", action="a", rates=[takes(API)]), priority=3)
    s.workflow("Free", make_task("low", action="a"))
    s.worker("w1", slots=1)
    s.rate_limit(API, 1, SECOND)
    s.trigger("Limited")
    s.complete("high")
    high = s.trigger("Limited")
    low = s.trigger("Free")
    assert statuses(s, high, low) == ["QUEUED", "RUNNING"]
    assert "REQUEUED_RATE_LIMIT" in s.events("high", high)
    s.complete("low")
    s.advance(1)
    assert s.run_status(high) == "RUNNING"


def test_B48_SL06_who_waits_for_units_keeps_no_slots_from_others() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Heavy", make_task("big", action="a", rates=[takes(API)], slots={"default": 2}), priority=3)
    s.workflow("Free", make_task("low", action="a"))
    s.worker("w1", slots=2)
    s.rate_limit(API, 5)
    light = s.trigger("Free")
    heavy = s.trigger("Heavy")
    free = s.trigger("Free")
    assert statuses(s, heavy, free) == ["QUEUED", "QUEUED"], "the free slot is kept for the heavy task"
    s.pause_rate_limit(API, 30)
    s.complete("low", light)
    assert statuses(s, heavy, free) == ["QUEUED", "RUNNING"]


def test_AC88_PR19_a_task_comes_back_to_its_old_place() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a"))
    s.workflow("Limited", make_task("l", action="a", rates=[takes(API)]))
    s.worker("w1", slots=1)
    s.rate_limit(API, 1, SECOND)
    s.trigger("Limited")
    s.complete("l")
    s.rate_limit(API, 1, SECOND)
    s.advance(0.5)
    first = s.trigger("Limited")
    second = s.trigger("W")
    third = s.trigger("W")
    assert statuses(s, first, second, third) == ["QUEUED", "RUNNING", "QUEUED"]
    s.advance(1)
    s.complete("a", second)
    assert statuses(s, first, third) == ["RUNNING", "QUEUED"]


def test_those_who_wait_are_served_before_those_who_come_at_the_refill() -> None:
    s = single(takes(API))
    s.rate_limit(API, 1, SECOND)
    s.trigger("W")
    waiting = s.trigger("W")
    s.now = Instant(s.now + 1_000_000)
    newcomer = s.trigger("W")
    assert statuses(s, waiting, newcomer) == ["RUNNING", "QUEUED"]


def test_after_a_refill_the_first_in_order_is_served_first_though_it_needs_more() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Six", make_task("six", action="a", rates=[takes(API, 6)]))
    s.workflow("Five", make_task("five", action="a", rates=[takes(API, 5)]))
    s.worker("w1")
    s.rate_limit(API, 10)
    s.trigger("Five")
    six = s.trigger("Six")
    five = s.trigger("Five")
    assert statuses(s, six, five) == ["QUEUED", "RUNNING"]
    more = [s.trigger("Five") for _ in range(2)]
    s.advance(60)
    assert statuses(s, six, *more) == ["RUNNING", "QUEUED", "QUEUED"]


def test_a_task_waits_before_its_concurrency_limit_first_and_takes_no_units_there() -> None:
    s = single(takes(API), concurrency=[limit("k")])
    s.rate_limit(API, 5)
    s.trigger("W")
    second = s.trigger("W")
    assert s.units(API) == (4, 5)
    assert s.explain("a", second).reason is Reason.CONCURRENCY_FULL
    s.complete("a", s.log.starts[0].run)
    assert s.units(API) == (3, 5)


def test_explain_tells_units_left_when_they_are_back_and_the_place_in_line() -> None:
    s = single(takes(API, 2))
    s.rate_limit(API, 3)
    s.trigger("W")
    runs = [s.trigger("W") for _ in range(3)]
    answer = s.explain("a", runs[2])
    assert (answer.outlook, answer.reason, answer.position) == (Outlook.NOT_NOW, Reason.RATE_LIMITED, 3)
    assert (
        "rate limit 'api' (3 per MINUTE) has 1 unit left, 2 are needed; refill at 2025-06-15T15:07:40Z; position 3" in answer.text
    )
    assert answer.unblock[0] == "Wait for the refill."


def test_explain_says_never_when_no_worker_could_take_it_after_the_refill_either() -> None:
    s = single(takes(API), worker=False)
    s.rate_limit(API, 0)
    s.trigger("W")
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NEVER, Reason.NO_WORKER_FOR_ACTION)


def test_TO4_waiting_for_units_does_not_start_the_schedule_clock_anew() -> None:
    s = single(takes(API), schedule_timeout=90, execution_timeout=300)
    s.rate_limit(API, 1)
    runs = [s.trigger("W") for _ in range(3)]
    s.advance(60)
    assert statuses(s, *runs) == ["RUNNING", "RUNNING", "QUEUED"]
    s.advance(30)
    assert s.run_status(runs[2]) == "FAILED"
    assert "refill at" in s.error("a", runs[2])


def test_OB9_a_task_that_goes_on_waiting_for_units_says_so_again_after_five_minutes() -> None:
    s = single(takes(API), schedule_timeout=3_600)
    s.rate_limit(API, 1, DAY)
    s.trigger("W")
    run = s.trigger("W")
    s.advance(250)
    assert len(s.moments(EventType.REQUEUED_RATE_LIMIT, "a", run)) == 1
    s.advance(60)
    assert len(s.moments(EventType.REQUEUED_RATE_LIMIT, "a", run)) == 2


def test_a_task_whose_limit_fills_while_workers_are_busy_says_that_then() -> None:
    s = single(takes(API), worker=False)
    s.worker("w1", slots=1)
    s.rate_limit(API, 1, SECOND)
    s.trigger("W")
    run = s.trigger("W")
    s.advance(40)
    kinds = [moment.type for moment in s.timeline("a", run)]
    assert EventType.REQUEUED_RATE_LIMIT in kinds
    assert EventType.REQUEUED_NO_WORKER in kinds


def test_a_sticky_run_pins_and_takes_units_together() -> None:
    s = Scenario(checks_reload=True)
    tasks = [make_task(name, rates=[takes(API)]) for name in "ab"]
    s.workflow("W", *tasks, sticky=StickyStrategy.HARD)
    for name in ("w1", "w2"):
        s.worker(name, slots=1)
    s.rate_limit(API, 1, SECOND)
    s.trigger("W")
    s.complete("a")
    assert s.status("b") == "QUEUED"
    s.advance(1)
    assert s.ran_on("b") == s.ran_on("a")


# Restarts and memory


@pytest.mark.parametrize("down_for", [0.0, 20.0, 40.0])
def test_RL1_a_restart_in_the_middle_of_a_window_gives_no_unit_twice(down_for: float) -> None:
    s = single(takes(API), schedule_timeout=3_600, execution_timeout=3_600)
    s.rate_limit(API, 2)
    runs = [s.trigger("W") for _ in range(4)]
    s.advance(30)
    s.restart(down_for=down_for)
    assert len(s.log.starts) == (2 if down_for < 30 else 4)
    s.advance(60)
    assert [run for run in runs if s.run_status(run) == "RUNNING"] == runs


def test_RL1_the_row_of_the_limit_is_in_the_commit_of_the_assignment() -> None:
    s = single(takes(API))
    s.rate_limit(API, 2)
    s.trigger("W")
    decision = next(decision for _, decision in s.log.decisions if decision.changes.tasks_opened)
    assert [(row.name, row.value) for row in decision.changes.rate_limits] == [(API, 1)]
    assert decision.deliveries


def test_a_limit_that_memory_has_forgotten_is_read_again() -> None:
    s = single(takes(API))
    s.machine.state.rates._idle_max = 0
    s.rate_limit(API, 2)
    s.step(TimePassed())
    assert API not in s.machine.state.rates.buckets
    s.trigger("W")
    assert s.units(API) == (1, 2)


def test_S2_memory_keeps_a_bounded_number_of_limits_that_nobody_uses() -> None:
    s = Scenario(Settings(rate_limits_idle_max=5))
    s.workflow("W", make_task("a", rates=[computes("user")]))
    s.worker("w1")
    for n in range(40):
        s.trigger("W", keys={"user": f"u{n}"})
        s.complete("a")
    s.step(TimePassed())
    assert len(s.machine.state.rates.buckets) <= 5
    assert len(s.tables.rate_limits) == 40


def test_an_explanation_between_load_and_the_first_step_says_that_the_limit_is_being_read() -> None:
    s = single(takes(API))
    s.rate_limit(API, 0)
    s.trigger("W")
    s.machine = s._load()
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NOT_NOW, Reason.RATE_LIMITED)
    assert "being read" in answer.text
    assert s.machine.wake_at == s.now


def looked_at(s: Scenario, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What assignment looks at from here on."""
    seen: list[object] = []
    rates = s.machine.state.rates
    short = rates.short
    monkeypatch.setattr(rates, "short", lambda *given: seen.append(given) or short(*given))
    return seen


def crowd(count: int, users: int, slots: int) -> Scenario:
    """Many tasks that wait: for one key, or for as many keys as users."""
    s = Scenario(checks=False)
    s.workflow("W", make_task("a", rates=[computes("user", "size"), takes("all")]))
    s.workflow("Free", make_task("free", action="a"))
    s.rate_limit("all", 1_000_000)
    s.worker("w1", slots=slots)
    items = [Trigger("W", keys=s.keys_of("W", {"user": f"u{n % users}", "size": 1})) for n in range(count)]
    s.trigger_bulk(*items) if count <= 1_000 else [s.trigger_bulk(*items[n : n + 1_000]) for n in range(0, count, 1_000)]
    return s


@pytest.mark.parametrize("users", [1, 3_000])
def test_PR16_tasks_that_wait_for_units_are_not_looked_at_again(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 tasks of one exhausted key, or two tasks of each of 3,000 keys: a step without units for them costs nothing."""
    s = crowd(6_000, users, 10_000)
    seen = looked_at(s, monkeypatch)
    for _ in range(20):
        s.trigger("Free")
        s.complete("free")
    assert len(seen) == 0


def test_PR16_keys_with_units_that_wait_for_a_worker_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    s = crowd(3_000, 3_000, 1)
    seen = looked_at(s, monkeypatch)
    s.complete_all()
    assert len(seen) <= 3


def test_PR16_a_shared_limit_in_front_of_many_keys_costs_as_many_looks_as_it_has_units(monkeypatch: pytest.MonkeyPatch) -> None:
    s = crowd(3_000, 3_000, 10_000)
    s.complete_all()
    s.rate_limit("all", 0, SECOND)
    for n in range(0, 3_000, 1_000):
        s.trigger_bulk(*[Trigger("W", keys=s.keys_of("W", {"user": f"v{m}", "size": 1})) for m in range(n, n + 1_000)])
    s.rate_limit("all", 10, SECOND)
    seen = looked_at(s, monkeypatch)
    s.advance(1.5)
    first = len(seen)
    s.advance(1)
    assert len(s.log.starts) == 3_000 + 20
    assert len(seen) - first <= 12


# Numbers for whoever watches


def waiting(s: Scenario) -> dict[str, int]:
    """Tasks that wait for units, by limit; all others under an empty name."""
    view = s.machine.rates(s.now)
    return {**{one.name: one.waiting for one in view.limits}, "": view.others_waiting}


def test_keys_that_code_names_are_told_one_by_one_and_computed_ones_together() -> None:
    s = crowd(100, 30, 1_000)  # one unit each
    assert waiting(s) == {"all": 0, "": 70}
    s.rate_limit("all", 0, DAY)
    s.trigger("W", keys={"user": "new", "size": 1})
    assert waiting(s) == {"all": 1, "": 70}
    s.cancel(*list(s.machine.state.runs))
    assert waiting(s) == {"all": 0, "": 0}


def test_a_view_tells_of_units_that_are_back_without_taking_them() -> None:
    s = single(takes(API, 3))
    s.rate_limit(API, 10, MINUTE)
    s.trigger("W")
    before = s.machine.rates(s.now).limits
    assert [(one.name, one.limit, one.left, one.waiting) for one in before] == [(API, 10, 7, 0)]
    assert s.machine.rates(Instant(s.now + 60_000_000)).limits[0].left == 10
    assert s.machine.rates(s.now).limits == before


def test_at_most_so_many_limits_are_told_by_name_those_first_that_most_wait_for() -> None:
    s = Scenario(Settings(rate_limits_shown_max=2))
    for number in range(4):
        s.workflow(f"W{number}", make_task("a", action=f"a{number}", rates=[takes(f"api{number}")]))
        s.rate_limit(f"api{number}", 0)
        for _ in range(number):
            s.trigger(f"W{number}")
    assert waiting(s) == {"api3": 3, "api2": 2, "": 1}
