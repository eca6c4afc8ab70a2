"""Priority and order (assignment section 2): levels, precedence, fairness between queues, ageing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from limpet.core.errors import InvalidArgument
from limpet.core.inputs import RunsTriggered, TaskCompleted, Trigger, WorkflowPut
from limpet.core.rows import TaskStatus
from limpet.core.settings import RetryPriority, Settings
from limpet.testing.builders import demand, make_task, make_workflow
from limpet.testing.scenario import Scenario


def single(settings: Settings | None = None, *, slots: int = 1) -> Scenario:
    """One worker with one slot, and a workflow W of one task a that may be retried once."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", make_task("a", retries=1))
    s.worker("w1", slots=slots)
    return s


def priorities(s: Scenario, task_ids: Sequence[str]) -> list[int]:
    return [s.tables.runs[s.task(task_id).run_key].priority for task_id in task_ids]


@pytest.mark.parametrize("seed", range(3))
def test_AC25_B29_starts_are_by_priority_then_age_and_one_at_a_time(seed: int) -> None:
    chance = random.Random(seed)
    s = single()
    dummies = s.trigger_bulk(*(Trigger("W", priority=3) for _ in range(40)))
    runs = s.trigger_bulk(*(Trigger("W", priority=chance.choice([1, 2, 3, None])) for _ in range(30)))
    live_at_once = 0
    order = []
    while live := [t for t in s.machine.state.tasks.values() if t.status.is_live]:
        live_at_once = max(live_at_once, len(live))
        order.append(live[0].id)
        s.complete(live[0].id)
    assert live_at_once == 1
    assert sorted(order) == sorted([*dummies, *runs])
    for earlier, later in pairwise(order):
        first, second = s.task(earlier), s.task(later)
        assert (-first.level, first.key) < (-second.level, second.key)


def test_AC27_priority_holds_across_actions() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("High", "h", priority=3)
    s.workflow("Low", "l")
    s.workflow("Busy", "busy")
    s.worker("w1", slots=1)
    s.trigger("Busy")
    for _ in range(5):
        s.trigger("Low")
        s.trigger("High")
    s.complete("busy")
    order = s.run_in_order()
    assert priorities(s, order) == [3] * 5 + [1] * 5


def test_PR11_equal_priority_goes_by_age_across_actions() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("A", "a")
    s.workflow("B", "b")
    s.worker("w1", slots=1)
    runs = [s.trigger("A" if n % 3 else "B") for n in range(9)]
    assert s.run_in_order() == runs


def test_AC28_B32_B33_a_triggers_priority_beats_the_workflows() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", priority=3)
    s.worker("w1")
    s.trigger("W", priority=1)
    s.trigger("W")
    assert [start.message.priority for start in s.log.starts] == [1, 3]


@pytest.mark.parametrize("priority", [0, 4, -1])
@pytest.mark.parametrize("bulk", [False, True])
def test_AC29_B31_a_priority_outside_the_range_is_refused_and_creates_nothing(priority: int, bulk: bool) -> None:
    s = single()
    items = (Trigger("W"), Trigger("W", priority=priority)) if bulk else (Trigger("W", priority=priority),)
    with pytest.raises(InvalidArgument, match=f"priority must be between 1 and 3, got {priority}"):
        s.ask(RunsTriggered(items), tuple)
    assert not s.tables.runs


@pytest.mark.parametrize("priority", [0, 4])
def test_PR03_a_workflow_default_outside_the_range_is_refused(priority: int) -> None:
    s = single()
    with pytest.raises(InvalidArgument, match="between 1 and 3"):
        s.do(WorkflowPut(make_workflow("V", "a", priority=priority)))


def test_AC31_B34_children_do_not_inherit_priority() -> None:
    s = single(slots=10)
    parent = s.trigger("W", priority=3)
    child = s.trigger("W", parent=parent, child_index=0)
    assert [start.message.priority for start in s.log.starts if start.run == child] == [1]


@pytest.mark.parametrize("where", list(RetryPriority))
def test_AC32_a_retry_keeps_its_declared_place_unless_told_otherwise(where: RetryPriority) -> None:
    s = single(Settings(retry_priority=where))
    low = s.trigger("W")
    highs = [s.trigger("W", priority=3) for _ in range(5)]
    later = [s.trigger("W") for _ in range(5)]
    s.fail("a", low)
    order = s.run_in_order()
    assert order == ([low, *highs, *later] if where is RetryPriority.UPSTREAM else [*highs, low, *later])
    attempts = [start.message for start in s.log.starts if start.run == low]
    assert [message.priority for message in attempts] == [1, 1]


def test_AC32b_what_lost_its_worker_goes_ahead_of_first_attempts() -> None:
    s = single()
    low = s.trigger("W")
    s.kill("w1")
    highs = [s.trigger("W", priority=3) for _ in range(5)]
    s.advance(31)
    s.worker("w2", slots=1)
    assert s.ran_on("a", low) == "w2"
    assert s.run_in_order() == [low, *highs]


def test_AC34_a_fresh_low_task_never_overtakes_a_queued_high_one() -> None:
    s = single()
    s.trigger("W")
    for _ in range(200):
        high = s.trigger("W", priority=3)
        live = next(task for task in s.machine.state.tasks.values() if task.status.is_live)
        s.step(TaskCompleted(live.id, live.retry_count, ""), RunsTriggered((Trigger("W"),)))
        assert s.status("a", high) == "RUNNING"
        s.complete("a", high)  # a low one takes the slot until the next round


def test_AC85_priority_never_interrupts_a_running_task() -> None:
    s = single()
    low = s.trigger("W")
    high = s.trigger("W", priority=3)
    assert (s.status("a", low), s.status("a", high)) == ("RUNNING", "QUEUED")
    assert not s.log.cancels


@pytest.mark.parametrize(("age_s", "starts"), [(1, True), (0, False)])
def test_AC86_ageing_lets_a_low_task_through_an_endless_stream(age_s: int, starts: bool) -> None:
    s = single(Settings(priority_age_us=age_s * 1_000_000))
    s.trigger("W", priority=2)
    low = s.trigger("W", priority=1)
    for _ in range(12):
        s.trigger("W", priority=2)
        s.advance(0.25)
        s.complete(next(task.id for task in s.machine.state.tasks.values() if task.status is TaskStatus.RUNNING))
    assert bool(s.workers_of("a", low)) is starts


def test_PR13_a_high_task_that_cannot_be_placed_blocks_nobody() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Picky", make_task("p", action="a", labels=[demand("gpu", "yes")]), priority=3)
    s.workflow("W", "a")
    s.worker("w1", slots=1)
    s.trigger("Picky")
    run = s.trigger("W")
    assert s.ran_on("a", run) == "w1"


def test_PR21_among_what_lost_its_place_declared_priority_decides() -> None:
    s = single(slots=3)
    runs = [s.trigger("W", priority=priority) for priority in (1, 3, 2)]
    s.kill("w1")
    s.advance(31)
    s.worker("w2", slots=1)
    assert s.run_in_order() == [runs[1], runs[2], runs[0]]


def test_section10_9_depth_first_prefers_the_run_that_started_first() -> None:
    s = Scenario(Settings(depth_first=True), checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1", slots=1)
    runs = []
    for _ in range(3):
        runs.append(s.trigger("W"))
        s.advance(1)
    order = s.run_in_order()
    assert [s.tables.runs[s.task(task).run_key].id for task in order] == [run for run in runs for _ in "ab"]
