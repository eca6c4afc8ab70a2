"""Scheduled runs of the core: made, moved, deleted, and started once (flow control, section 7)."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.definitions import Feature, WorkflowDefinition
from limpet.core.errors import InvalidArgument, LimitReached, NotFound, NotSupported
from limpet.core.ids import Instant
from limpet.core.inputs import TimePassed, WorkflowDeleted, WorkflowPut
from limpet.core.rows import RunRow
from limpet.core.settings import Settings
from limpet.core.timetable_inputs import ScheduleDeleted, ScheduleMoved, SchedulesCreated, ScheduleTriggered
from limpet.core.timetable_rows import ScheduleRow
from limpet.testing.builders import make_task
from limpet.testing.scenario import Scenario

UNKNOWN = "00000000-0000-4000-8000-000000000000"
OTHER = "00000000-0000-4000-8000-000000000001"


def world(settings: Settings | None = None, *, slots: int = 10_000, checks: bool = True) -> Scenario:
    s = Scenario(settings, checks=checks, checks_reload=checks)
    s.workflow("W", "a")
    s.worker("w1", slots=slots)
    return s


def plan(s: Scenario, *seconds: float, **values: Any) -> list[ScheduleRow]:
    """Scheduled runs that many seconds from now."""
    instants = tuple(Instant(s.now + round(each * 1e6)) for each in seconds)
    return list(s.ask(SchedulesCreated("W", instants, **values), tuple))


def runs(s: Scenario) -> list[RunRow]:
    return list(s.tables.runs.values())


def test_B79_a_run_starts_at_its_time_with_what_was_given() -> None:
    s = world()
    plan(s, 2, input=b'{"x":1}', metadata=b'{"m":"n"}', priority=3)
    s.advance(1.9)
    assert not runs(s)
    s.advance(0.1)
    (run,) = runs(s)
    assert (run.input, run.metadata, run.priority) == (b'{"x":1}', b'{"m":"n"}', 3)
    assert not s.tables.schedules
    s.advance(5)
    assert len(runs(s)) == 1


@pytest.mark.parametrize("gone_s", [0, 1, 3], ids=["at once", "half of it started", "all of it started"])
def test_I5_what_a_call_has_made_is_not_made_again_by_its_repetition(gone_s: float) -> None:
    """Whoever lost the answer asks again, maybe after a restart, and when the runs have started already."""
    s = world()
    item = SchedulesCreated("W", (Instant(s.now + 1_000_000), Instant(s.now + 2_000_000)), ids=(UNKNOWN, OTHER))
    first = s.ask(item, tuple)
    assert [row.id for row in first] == [UNKNOWN, OTHER]
    s.advance(gone_s)
    s.restart()
    assert [row.id for row in s.ask(item, tuple)] == [UNKNOWN, OTHER]
    s.advance(5)
    assert (len(runs(s)), len(s.tables.schedules)) == (2, 0)


def test_I5_the_same_call_twice_in_one_step_makes_one() -> None:
    s = world()
    item = SchedulesCreated("W", (s.now,), ids=(UNKNOWN,))
    s.step(item, item)
    assert len(runs(s)) == 1
    later = SchedulesCreated("W", (Instant(s.now + 1_000_000),), ids=(OTHER,))
    s.do(later)
    s.step(ScheduleTriggered(OTHER), later)
    s.advance(5)
    assert len(runs(s)) == 2


def test_F7_1_several_instants_of_one_call_have_an_id_each_in_order() -> None:
    s = world()
    rows = plan(s, 5, 1, 3)
    assert [row.at - s.now for row in rows] == [5_000_000, 1_000_000, 3_000_000]
    assert len({row.id for row in rows}) == 3
    s.advance(4)
    assert [row.id for row in s.tables.schedules.values()] == [rows[0].id]


def test_B80_a_past_instant_runs_at_once_in_the_commit_that_makes_it() -> None:
    s = world()
    rows = plan(s, -3600, 0)
    assert len(rows) == 2
    assert len(runs(s)) == 2
    assert not s.tables.schedules


def test_B81_a_moved_one_runs_at_its_new_time_alone() -> None:
    s = world()
    (row,) = plan(s, 60)
    s.do(ScheduleMoved(row.id, Instant(s.now + 2_000_000)))
    s.advance(2)
    assert len(runs(s)) == 1
    s.advance(60)
    assert len(runs(s)) == 1


def test_B81_one_that_is_moved_away_does_not_run_at_its_old_time() -> None:
    s = world()
    (row,) = plan(s, 2)
    s.do(ScheduleMoved(row.id, Instant(s.now + 60_000_000)))
    s.advance(50)
    assert not runs(s)
    s.advance(10)
    assert len(runs(s)) == 1


def test_B82_what_has_started_its_run_is_gone() -> None:
    s = world()
    (row,) = plan(s, 1)
    s.advance(1)
    for item in (ScheduleMoved(row.id, s.now), ScheduleDeleted(row.id), ScheduleTriggered(row.id), ScheduleDeleted(UNKNOWN)):
        with pytest.raises(NotFound, match="scheduled run"):
            s.do(item)
    assert len(runs(s)) == 1


def test_B83_trigger_now_starts_it_once_and_early() -> None:
    s = world()
    (row,) = plan(s, 3600, input=b'{"x":1}')
    run_id = s.ask(ScheduleTriggered(row.id), str)
    assert s.run(run_id).input == b'{"x":1}'
    s.advance(3601)
    assert len(runs(s)) == 1


def test_B84_a_deleted_one_never_runs() -> None:
    s = world()
    (row,) = plan(s, 2)
    s.do(ScheduleDeleted(row.id))
    s.advance(4)
    assert not runs(s)


def test_what_one_batch_says_counts_in_order() -> None:
    s = world()
    one, two = plan(s, 60, 60)
    replies = s.step(
        ScheduleDeleted(one.id), ScheduleTriggered(one.id), ScheduleTriggered(two.id), ScheduleMoved(two.id, s.now)
    ).replies
    assert [type(reply) for reply in replies] == [type(None), NotFound, str, NotFound]
    assert len(runs(s)) == 1


def test_B88_F7_3_a_late_one_runs_once_after_the_start() -> None:
    s = world()
    plan(s, 2, 5, 600)
    s.restart(down_for=3600)
    assert len(runs(s)) == 3
    s.restart(down_for=60)
    assert len(runs(s)) == 3


def test_I3_R53_very_many_late_ones_come_in_bounded_steps_and_once_each() -> None:
    s = world(Settings(due_batch_max=10), checks=False)
    plan(s, *range(1, 101))
    before = len(s.log.decisions)
    s.restart(down_for=3600)
    opened = [len(decision.changes.runs_opened) for _, decision in s.log.decisions[before:]]
    assert max(opened) == 10
    assert sum(opened) == 100
    assert not s.tables.schedules


def test_R53_memory_holds_one_instant_however_much_is_planned() -> None:
    s = world(checks=False)
    for start in range(0, 5_000, 1_000):
        plan(s, *(100_000 + start + each for each in range(1_000)))
    s.step(TimePassed())
    timetable = s.machine.state.timetable
    assert timetable.due_at == s.now + 100_000_000_000
    assert not timetable.found.schedules
    assert len(s.tables.schedules) == 5_000


def test_AC26_B30_runs_of_one_instant_start_by_priority() -> None:
    s = world(slots=1)
    for priority in (1, 3, 2, 3, 1, 2):
        plan(s, 10, priority=priority)
    s.advance(10)
    assert [s.tables.runs[s.task(each).run_key].priority for each in s.run_in_order()] == [3, 3, 2, 2, 1, 1]


def test_AC30_PR7_without_a_priority_the_newest_default_counts_when_it_is_due() -> None:
    s = world()
    plan(s, 1, 3)
    s.advance(1)
    s.workflow("W", "a", priority=3)
    s.advance(2)
    assert [run.priority for run in runs(s)] == [1, 3]


@pytest.mark.parametrize("priority", [0, 4])
def test_AC29_PR3_a_priority_beyond_the_range_makes_nothing(priority: int) -> None:
    s = world()
    with pytest.raises(InvalidArgument, match=f"priority must be between 1 and 3, got {priority}"):
        plan(s, 1, 2, priority=priority)
    assert not s.tables.schedules


def test_F7_7_a_child_is_linked_to_its_parent_when_it_starts() -> None:
    s = world()
    plan(s, 1, parent_run_id="run", parent_task_id="task")
    s.advance(1)
    assert [(run.parent_run_id, run.parent_task_id) for run in runs(s)] == [("run", "task")]


def test_F7_6_it_runs_as_the_newest_version() -> None:
    s = world()
    plan(s, 1)
    s.workflow("W", "a", priority=2)
    s.advance(1)
    assert [s.tables.versions[run.version_key].number for run in runs(s)] == [2]


def test_W3_8_one_of_a_deleted_workflow_starts_nothing_and_says_so() -> None:
    s = world()
    (row, other) = plan(s, 1, 60)
    s.do(WorkflowDeleted(next(iter(s.tables.workflows.values())).id))
    with pytest.raises(NotFound, match="its workflow is deleted"):
        s.do(ScheduleTriggered(other.id))
    s.advance(1)
    assert not runs(s)
    notices = [notice for _, decision in s.log.decisions for notice in decision.notices]
    assert notices == [f"Scheduled run {row.id} was due and did not start: its workflow is deleted."]


def test_bounds_and_unknown_names_are_refused() -> None:
    s = world(Settings(bulk_items_max=2))
    with pytest.raises(LimitReached, match="bulk_items_max"):
        plan(s, 1, 2, 3)
    with pytest.raises(InvalidArgument, match="no instant"):
        plan(s)
    with pytest.raises(InvalidArgument, match="workflow names not found: Missing"):
        s.do(SchedulesCreated("Missing", (s.now,)))


def test_a_workflow_whose_runs_are_refused_is_not_scheduled() -> None:
    s = world()
    (row,) = plan(s, 1)
    s.do(WorkflowPut(WorkflowDefinition("W", (make_task("a"),), undelivered=((Feature.DURABLE, "task a"),))))
    with pytest.raises(NotSupported, match="durable"):
        plan(s, 1)
    s.advance(1)
    assert not runs(s)
    assert any(f"Scheduled run {row.id} was due and did not start" in n for _, d in s.log.decisions for n in d.notices)
