"""Paused workflows in the core: what waits, what goes on, what is given up (workflows, section 15; assignment WK-33)."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.explain import Outlook, Reason
from limpet.core.ids import Instant
from limpet.core.inputs import WorkflowDeleted
from limpet.core.pause_inputs import WorkflowPaused, WorkflowUnpaused
from limpet.core.pause_rows import PausedStart
from limpet.core.rows import EventType, RunStatus, TaskStatus
from limpet.core.settings import Settings
from limpet.core.timetable_inputs import CronCreated, SchedulesCreated
from limpet.core.timetable_rows import CronRow
from limpet.testing.builders import limit, make_task, us
from limpet.testing.scenario import Scenario


def world(*tasks: Any, slots: int = 10, settings: Settings | None = None, **values: Any) -> Scenario:
    """A workflow W, another one V, and a worker."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", *(tasks or ("a",)), **values)
    s.workflow("V", "v")
    s.worker("w1", slots=slots)
    return s


def pause(s: Scenario, ttl: float = 600, *, name: str = "W", **values: Any) -> None:
    s.do(WorkflowPaused(s.machine.state.workflows[name].id, us(ttl), **values))


def unpause(s: Scenario, name: str = "W") -> None:
    s.do(WorkflowUnpaused(s.machine.state.workflows[name].id))


def status(s: Scenario, run: str) -> RunStatus:
    return RunStatus(s.run(run).status)


def test_A97_W15_2_what_waits_longer_than_the_ttl_is_cancelled_and_says_so() -> None:
    s = world()
    pause(s, 1)
    run = s.trigger("W")
    s.advance(0.999999)
    assert status(s, run) is RunStatus.QUEUED
    s.advance(0.000001)
    assert status(s, run) is RunStatus.CANCELLED
    (moment,) = s.moments(EventType.CANCELLED, "a")[:1]
    assert moment.message == "Cancelled: paused workflow queue item TTL expired."
    assert not s.log.starts


def test_A98_W15_3_unpausing_lets_what_waited_run_and_loses_none() -> None:
    s = world()
    pause(s)
    runs = [s.trigger("W") for _ in range(3)]
    s.advance(3)
    assert {status(s, run) for run in runs} == {RunStatus.QUEUED}
    unpause(s)
    s.run_to_end()
    assert {status(s, run) for run in runs} == {RunStatus.COMPLETED}


def test_AC67_W15_4_DROP_starts_nothing_by_the_clock_and_QUEUE_makes_runs_that_wait() -> None:
    for start, made in ((PausedStart.DROP, 0), (PausedStart.QUEUE, 4)):
        s = world()
        s.ask(CronCreated("W", "n", "* * * * * *"), CronRow)
        pause(s, crons=start, schedules=start)
        s.ask(SchedulesCreated("W", (Instant(s.now + us(1)),)), tuple)
        s.advance(3.5)
        assert len(s.tables.runs) == made
        assert {RunStatus(run.status) for run in s.tables.runs.values()} <= {RunStatus.QUEUED}
        assert not s.tables.schedules, "it was due, and is gone"
        unpause(s)
        s.advance(1)
        assert len(s.tables.runs) == made + 1, "the cron goes on"


def test_WK33_what_waited_before_the_pause_is_parked_with_the_rest_and_other_workflows_go_on() -> None:
    s = world(slots=1)
    first = s.trigger("W")
    second = s.trigger("W")
    other = s.trigger("V")
    pause(s)
    s.complete("a", first)
    assert (status(s, first), status(s, second), status(s, other)) == (RunStatus.COMPLETED, RunStatus.QUEUED, RunStatus.RUNNING)
    s.complete("v", other)
    assert status(s, second) is RunStatus.QUEUED
    unpause(s)
    assert status(s, second) is RunStatus.RUNNING


def test_W15_1_later_tasks_and_retries_of_a_run_that_had_started_go_on() -> None:
    s = world(make_task("a", retries=2), make_task("b", "a"))
    run = s.trigger("W")
    pause(s)
    s.fail("a")
    s.complete("a")
    assert s.task("b").status == TaskStatus.ASSIGNED
    s.complete("b")
    assert status(s, run) is RunStatus.COMPLETED


def test_TO4_a_pause_stops_the_schedule_clock_and_its_end_starts_it_anew() -> None:
    s = world(make_task("a", schedule_timeout=5), slots=1)
    busy, waiting = s.trigger("W"), s.trigger("W")
    s.advance(4)
    pause(s)
    s.advance(40)
    assert status(s, waiting) is RunStatus.QUEUED
    unpause(s)
    s.advance(4.9)
    assert status(s, waiting) is RunStatus.QUEUED
    s.restart()
    s.advance(0.2)
    assert status(s, waiting) is RunStatus.FAILED
    assert status(s, busy) is not RunStatus.QUEUED


def test_a_pause_and_its_end_write_one_row_however_much_waits() -> None:
    s = world(slots=1)
    for _ in range(50):
        s.trigger("W")
    for act in (pause, unpause):
        act(s)
        changes = s.log.decisions[-1][1].changes
        assert len(changes.pauses) == 1
        assert not changes.tasks_changed
        assert not changes.runs_changed


def test_WK33_priority_and_age_are_kept() -> None:
    s = world(slots=1)
    s.trigger("V")
    low, high = s.trigger("W", priority=1), s.trigger("W", priority=3)
    pause(s)
    late = s.trigger("W", priority=3)
    unpause(s)
    order = []
    s.complete("v")
    for _ in range(3):
        order.append(s.log.starts[-1].message.workflow_run_id)
        s.complete("a", order[-1])
    assert order == [high, late, low]


@pytest.mark.parametrize("of_run", [False, True])
def test_limits_keep_whom_they_admitted_and_let_others_wait_outside(of_run: bool) -> None:
    rule = [limit("input.user")]
    tasks = (make_task("a"), make_task("b")) if of_run else (make_task("a", concurrency=rule),)
    s = world(*tasks, slots=1, concurrency=rule if of_run else ())
    s.trigger("V")
    admitted, second = s.trigger("W"), s.trigger("W")
    pause(s)
    third = s.trigger("W")
    unpause(s)
    s.complete("v")
    s.run_to_end()
    ends = {run: s.run(run).finished_at or 0 for run in (admitted, second, third)}
    assert sorted(ends, key=ends.__getitem__) == [admitted, second, third]


def test_a_restart_keeps_the_pause_and_its_ttl() -> None:
    s = world()
    pause(s, 10)
    run = s.trigger("W")
    s.advance(4)
    s.restart()
    assert status(s, run) is RunStatus.QUEUED
    s.advance(6)
    assert status(s, run) is RunStatus.CANCELLED


def test_pausing_again_sets_new_terms_and_a_second_unpause_changes_nothing() -> None:
    s = world()
    pause(s, 600)
    run = s.trigger("W")
    pause(s, 2)
    s.advance(2)
    assert status(s, run) is RunStatus.CANCELLED
    unpause(s)
    unpause(s)
    assert not s.log.decisions[-1][1].changes


def test_R53_many_are_cancelled_in_batches() -> None:
    s = world(settings=Settings(due_batch_max=10))
    pause(s, 1)
    runs = [s.trigger("W") for _ in range(35)]
    s.advance(1)
    s.advance(0.001)
    assert {status(s, run) for run in runs} == {RunStatus.CANCELLED}


def test_a_parked_run_can_be_cancelled_and_a_replayed_one_waits() -> None:
    s = world()
    run = s.trigger("W")
    s.complete("a")
    pause(s)
    waiting = s.trigger("W")
    s.cancel(waiting)
    assert status(s, waiting) is RunStatus.CANCELLED
    s.replay(run)
    assert status(s, run) is RunStatus.QUEUED
    unpause(s)
    assert status(s, run) is RunStatus.RUNNING


def test_explain_says_paused_until_when_and_what_helps() -> None:
    s = world()
    pause(s, 60)
    s.trigger("W")
    s.advance(10)
    told = s.explain("a")
    assert (told.outlook, told.reason) == (Outlook.NOT_NOW, Reason.WORKFLOW_PAUSED)
    assert told.text == "workflow W is paused, for 10 s now; if it still is in 50 s, the task is cancelled."
    assert told.unblock == ("Unpause the workflow: limpet workflows unpause W",)


def test_OB14_behind_a_pause_never_stays_never() -> None:
    s = Scenario()
    s.workflow("W", "a")
    pause(s)
    s.trigger("W")
    assert s.explain("a").outlook is Outlook.NEVER


def test_W3_8_deleting_a_paused_workflow_lets_its_runs_go_on() -> None:
    s = world(make_task("a", schedule_timeout=5))
    pause(s)
    run = s.trigger("W")
    s.advance(60)
    s.do(WorkflowDeleted(s.machine.state.workflows["W"].id))
    assert status(s, run) is RunStatus.RUNNING


def test_a_workflow_that_is_not_there_and_a_ttl_of_nothing_are_refused() -> None:
    s = world()
    with pytest.raises(NotFound):
        s.do(WorkflowPaused("nobody", us(1)))
    with pytest.raises(InvalidArgument, match="queue_ttl must be longer than zero"):
        pause(s, 0)


def test_W3_9_a_new_version_of_a_paused_workflow_is_paused() -> None:
    s = world()
    pause(s)
    s.workflow("W", make_task("a", retries=1))
    run = s.trigger("W")
    assert status(s, run) is RunStatus.QUEUED
    assert not s.log.starts


def test_TO4_a_task_whose_time_was_up_a_moment_before_the_pause_ended_gets_it_back() -> None:
    s = world(make_task("a"), make_task("b", schedule_timeout=5), slots=1)
    run = s.trigger("W")
    pause(s)
    other = s.task("b", run)
    assert other.status == TaskStatus.QUEUED
    s.machine.state.set_overdue(s.machine.state.tasks[other.id])
    unpause(s)
    s.complete("a")
    assert s.task("b", run).status == TaskStatus.ASSIGNED
