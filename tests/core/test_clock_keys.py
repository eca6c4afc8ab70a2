"""Runs that the clock starts, of workflows with expressions: their keys come from an edge, on request (decision 0025)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from limpet.core.clock_starts import KEYS_WAIT_US, STARTS_AT_ONCE_MAX, StartKeyed, StartsKeyed
from limpet.core.decision import KeysWanted
from limpet.core.errors import InvalidArgument
from limpet.core.ids import SECOND_US, Instant, WorkflowRunId
from limpet.core.inputs import KeyTaken, TimePassed
from limpet.core.limits_view import StartAsked
from limpet.core.pause_inputs import WorkflowPaused
from limpet.core.pause_rows import PausedStart
from limpet.core.records import UnusableKey
from limpet.core.rows import RunStatus
from limpet.core.timetable_inputs import (
    CronCreated,
    CronDeleted,
    CronSwitched,
    CronTriggered,
    ScheduleMoved,
    SchedulesCreated,
    ScheduleTriggered,
)
from limpet.core.timetable_rows import CronRow, ScheduleRow
from limpet.testing.builders import limit, once, us
from limpet.testing.scenario import Scenario, keys_for

KEY = "input.id"
EACH_SECOND = "* * * * * *"


def world(**values: Any) -> Scenario:
    """A workflow W with a concurrency limit, unless told otherwise, and a worker with room."""
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", **(values or {"concurrency": [limit("input.user")]}))
    s.worker("w1")
    return s


def cron(s: Scenario, expression: str = EACH_SECOND) -> CronRow:
    return s.ask(CronCreated("W", "n", expression), CronRow)


def plan(s: Scenario, *seconds: float, **values: Any) -> Sequence[ScheduleRow]:
    return s.ask(SchedulesCreated("W", tuple(Instant(s.now + us(one)) for one in seconds), **values), tuple)


def asked(s: Scenario) -> list[StartAsked]:
    """All that an edge was asked for, in order."""
    wanted = [one for _, decision in s.log.decisions for one in decision.deliveries if isinstance(one, KeysWanted)]
    return [start for one in wanted for start in one.starts]


def slots(s: Scenario) -> list[str]:
    return [json.loads(run.metadata or b"")["hatchet__cron_scheduled_at"] for run in s.tables.runs.values()]


def statuses(s: Scenario) -> list[RunStatus]:
    return [RunStatus(run.status) for run in s.tables.runs.values()]


def test_a_cron_of_a_workflow_with_limits_starts_its_runs_with_keys() -> None:
    s = world()
    s.clock_keys["input.user"] = "ada"
    cron(s)
    s.advance(3)
    assert statuses(s) == [RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.QUEUED], "one at a time for ada"
    assert len(set(slots(s))) == 3
    assert {run.limit_keys for run in s.tables.runs.values()} == {b'["ada"]'}


def test_what_is_evaluated_is_what_the_run_gets() -> None:
    s = world()
    plan(s, 1, input=b'{"user":"ada"}', metadata=b'{"m":"n"}')
    made = cron(s)
    s.advance(1)
    of_cron, of_plan = sorted(asked(s), key=lambda start: start.row_id != made.id)
    assert (of_plan.input, of_plan.metadata, of_plan.slot) == (b'{"user":"ada"}', b'{"m":"n"}', None)
    assert of_cron.metadata in {run.metadata for run in s.tables.runs.values()}
    assert of_cron.limits.expressions == ("input.user",)


def test_a_declared_cron_of_a_workflow_with_keys_runs_and_registering_it_warns_of_nothing() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", crons=[EACH_SECOND], concurrency=[limit("input.user")], idempotency=once(KEY, 1))
    assert not s.log.decisions[-1][1].notices
    s.worker("w1")
    s.advance(2)
    assert len(slots(s)) == 2


def test_I3_a_slot_runs_once_although_two_answers_come() -> None:
    s = world()
    s.keyless = True
    cron(s)
    s.advance(1)
    (start,) = asked(s)
    s.step(StartsKeyed((s.keyed(start),)), StartsKeyed((s.keyed(start),)))
    s.step(StartsKeyed((s.keyed(start),)))
    assert len(s.tables.runs) == 1


def test_nobody_answers_so_it_is_asked_again_and_nothing_is_lost() -> None:
    s = world()
    s.keyless = True
    plan(s, 1)
    s.advance(1)
    assert len(asked(s)) == 1
    s.advance(KEYS_WAIT_US / SECOND_US - 0.001)
    assert len(asked(s)) == 1
    s.keyless = False
    s.advance(0.001)
    assert len(asked(s)) == 2
    assert len(s.tables.runs) == 1
    assert not s.tables.schedules


def test_a_restart_between_question_and_answer_asks_again() -> None:
    s = world()
    s.keyless = True
    made = cron(s)
    s.advance(1)
    (lost,) = asked(s)
    s.keyless = False
    s.restart()
    assert len(s.tables.runs) == 1
    s.step(StartsKeyed((s.keyed(lost),)))
    assert len(s.tables.runs) == 1, "the old answer is too late"
    assert s.tables.crons[made.key].next_at is not None


@pytest.mark.parametrize("act", ["deleted", "switched off", "moved", "registered anew"])
def test_an_answer_that_does_not_fit_any_more_starts_nothing(act: str) -> None:
    s = world()
    s.keyless = True
    made, (planned,) = cron(s), plan(s, 1)
    s.advance(1)
    answers = StartsKeyed(tuple(map(s.keyed, asked(s))))
    s.keyless = act != "registered anew"
    if act == "deleted":
        s.do(CronDeleted(made.id))
        s.do(ScheduleMoved(planned.id, Instant(s.now + us(60))))
    elif act == "switched off":
        s.do(CronSwitched(made.id, False))
        s.do(ScheduleMoved(planned.id, Instant(s.now + us(60))))
    elif act == "moved":
        s.do(ScheduleMoved(planned.id, Instant(s.now + us(60))))
        answers = StartsKeyed(tuple(one for one in answers.items if one.slot is None))
    else:
        s.workflow("W", "a", concurrency=[limit("input.other")])
    s.step(answers)
    if act == "registered anew":
        assert {run.limit_keys for run in s.tables.runs.values()} == {b'["input.other"]'}, "asked again, for the new version"
    else:
        assert not s.tables.runs


def test_R53_many_are_asked_for_in_batches_and_those_that_need_no_keys_do_not_wait() -> None:
    s = world()
    s.workflow("Plain", "b")
    s.worker("w2")
    s.keyless = True
    plan(s, *([1.0] * (2 * STARTS_AT_ONCE_MAX + 5)))
    s.ask(SchedulesCreated("Plain", (Instant(s.now + us(1)),)), tuple)
    s.advance(1)
    assert len(asked(s)) == STARTS_AT_ONCE_MAX
    assert len(s.tables.runs) == 1
    s.keyless = False
    s.step(StartsKeyed(tuple(map(s.keyed, asked(s)))))
    assert len(s.tables.runs) == 2 * STARTS_AT_ONCE_MAX + 6
    assert not s.tables.schedules


def test_W16_7_a_collision_from_the_clock_is_silent() -> None:
    s = world(idempotency=once(KEY, 600))
    s.clock_keys[KEY] = "same"
    cron(s)
    plan(s, 1.5, 2.5)
    s.advance(4)
    assert len(s.tables.runs) == 1
    assert not s.tables.schedules
    assert not any(decision.notices for _, decision in s.log.decisions)
    assert len(asked(s)) == 6


def test_W16_8_an_unusable_idempotency_key_starts_nothing_and_the_log_says_so() -> None:
    s = world(idempotency=once(KEY, 600))
    s.clock_keys[KEY] = UnusableKey("no such key: id")
    cron(s)
    plan(s, 1)
    s.advance(1)
    assert not s.tables.runs
    assert not s.tables.schedules
    notices = [notice for _, decision in s.log.decisions for notice in decision.notices]
    assert len(notices) == 2
    assert all("no such key: id" in notice for notice in notices)


def test_F2_8_an_unusable_concurrency_key_makes_a_run_that_fails_with_its_sentence() -> None:
    s = world()
    s.clock_keys["input.user"] = UnusableKey("no such key: user")
    plan(s, 1)
    s.advance(1)
    assert statuses(s) == [RunStatus.FAILED]
    assert s.task("a").error == "no such key: user"


@pytest.mark.parametrize("what", ["cron", "schedule"])
def test_F6_14_F7_4_a_start_wanted_now_tells_what_it_needs_and_takes_it(what: str) -> None:
    s = world(idempotency=once(KEY, 600))
    s.keyless = True
    item: Any = CronTriggered(cron(s).id) if what == "cron" else ScheduleTriggered(plan(s, 60)[0].id)
    question = s.ask(item, StartAsked)
    assert not s.tables.runs
    keys = keys_for(question.limits, {})
    run_id = s.ask(type(item)(question.row_id, keys), str)
    assert [run.id for run in s.tables.runs.values()] == [WorkflowRunId(run_id)]
    if what == "cron":
        assert s.ask(CronTriggered(question.row_id, keys), KeyTaken) == KeyTaken(run_id)
    else:
        assert not s.tables.schedules
    s.workflow("W", "a", concurrency=[limit("input.new")])
    if what == "cron":
        assert s.ask(CronTriggered(question.row_id, keys), StartAsked).limits.expressions == ("input.new",)


def test_W16_8_a_start_wanted_now_with_an_unusable_key_is_refused_and_the_plan_stays() -> None:
    s = world(idempotency=once(KEY, 600))
    (planned,) = plan(s, 60)
    question = s.ask(ScheduleTriggered(planned.id), StartAsked)
    keys = keys_for(question.limits, {KEY: UnusableKey("no id")})
    with pytest.raises(InvalidArgument, match="no id"):
        s.do(ScheduleTriggered(planned.id, keys))
    assert s.tables.schedules


def test_a_pause_that_came_before_the_answer_decides() -> None:
    s = world()
    s.keyless = True
    cron(s)
    plan(s, 1)
    s.advance(1)
    answers = StartsKeyed(tuple(map(s.keyed, asked(s))))
    s.do(WorkflowPaused(s.machine.state.workflows["W"].id, us(60), PausedStart.DROP, PausedStart.DROP))
    s.step(answers)
    assert not s.tables.runs
    assert not s.tables.schedules


def test_an_answer_about_rows_that_never_existed_changes_nothing() -> None:
    s = world()
    limits = s.machine.limits_of("W")
    assert limits is not None
    s.step(StartsKeyed((StartKeyed("nonsense", 1, None, keys_for(limits, {})),)), TimePassed())
    assert not s.log.decisions[-1][1].changes
