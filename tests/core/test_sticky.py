"""Sticky assignment (assignment section 1): who sets the pin, who follows it, and what ends a task that cannot."""

from __future__ import annotations

import pytest

from limpet.core.decision import StartTask
from limpet.core.definitions import StickyStrategy
from limpet.core.rows import EventType, PinState
from limpet.core.settings import HardStickyPolicy, Settings
from limpet.testing.builders import demand, make_task
from limpet.testing.scenario import Scenario

SOFT, HARD = StickyStrategy.SOFT, StickyStrategy.HARD
NOBODY = "00000000-0000-7000-8000-000000000000"


def fan_in(sticky: StickyStrategy | None, *, slots: int = 100) -> Scenario:
    """The DAG step1a, step1b -> step2 and two workers that can do all of it."""
    s = Scenario(checks_reload=True)
    s.workflow("W", "step1a", "step1b", make_task("step2", "step1a", "step1b"), sticky=sticky)
    s.worker("w1", slots=slots)
    s.worker("w2", slots=slots)
    return s


def chain(sticky: StickyStrategy, *, settings: Settings | None = None, **b_options: float) -> Scenario:
    """The DAG a -> b and, to hold a worker's only slot, a workflow `Other` of one task."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", **b_options), sticky=sticky)  # type: ignore[arg-type]
    s.workflow("Other", "other", priority=3)
    return s


def block_with_other(s: Scenario, worker: str) -> None:
    """`Other` waits for the worker's slot, and goes before everything else."""
    s.trigger("Other", labels=[demand("name", worker)])


def ran_a_and_waits(sticky: StickyStrategy, settings: Settings | None = None, **b_options: float) -> tuple[Scenario, str]:
    """a has run on w1; b is ready, w1 is busy with `Other`; w2 is there and, for a SOFT run, busy as well."""
    s = chain(sticky, settings=settings, **b_options)
    s.worker("w1", slots=1, labels={"name": "w1"})
    run = s.trigger("W")
    block_with_other(s, "w1")
    s.worker("w2", slots=1, labels={"name": "w2"})
    if sticky is SOFT:
        block_with_other(s, "w2")
    s.complete("a")
    assert s.ran_on("a", run) == "w1"
    assert s.status("b", run) == "QUEUED"
    return s, run


@pytest.mark.parametrize("sticky", [pytest.param(SOFT, id="AC01_soft"), pytest.param(HARD, id="AC02_hard")])
def test_AC01_AC02_all_tasks_of_a_run_share_a_worker_and_the_runs_use_both(sticky: StickyStrategy) -> None:
    s = fan_in(sticky)
    runs = [s.trigger("W") for _ in range(20)]
    s.run_to_end()
    assert [s.run_status(run) for run in runs] == ["COMPLETED"] * 20
    assert [len(s.workers_of_run(run)) for run in runs] == [1] * 20
    assert set().union(*(s.workers_of_run(run) for run in runs)) == {"w1", "w2"}


def test_AC03_soft_roots_spread_when_the_worker_is_full_and_the_child_goes_to_the_first_tasks_worker() -> None:
    s = fan_in(SOFT, slots=1)
    s.trigger("W")
    assert {s.ran_on("step1a"), s.ran_on("step1b")} == {"w1", "w2"}
    s.complete_all()
    assert s.ran_on("step2") == s.ran_on("step1a")


def test_AC04_hard_roots_run_one_after_the_other_and_the_other_worker_stays_idle() -> None:
    s = fan_in(HARD, slots=1)
    run = s.trigger("W")
    assert s.status("step1b") == "QUEUED"
    s.run_to_end()
    assert s.run_status(run) == "COMPLETED"
    assert len(s.workers_of_run(run)) == 1


def test_AC05_soft_falls_back_when_its_worker_is_killed() -> None:
    s, run = ran_a_and_waits(SOFT)
    s.kill("w1")
    s.advance(31)
    assert s.run(run).pin_state == PinState.UNSET
    s.complete(next(start.message.task_run_id for start in s.log.starts if start.worker == "w2"))
    assert s.ran_on("b", run) == "w2"
    s.complete("b", run)
    assert s.run_status(run) == "COMPLETED"


def test_AC06_hard_fails_after_grace_when_its_worker_is_killed() -> None:
    s, run = ran_a_and_waits(HARD)
    s.kill("w1")
    s.advance(59.9)
    assert s.status("b", run) == "QUEUED"
    s.advance(5.1)
    assert s.status("b", run) == "FAILED"
    assert "w1" in s.error("b", run)
    assert "HARD" in s.error("b", run)
    assert "ASSIGNED" not in s.events("b", run)
    assert s.run_status(run) == "FAILED"


def test_AC06_hard_fails_after_the_same_grace_when_the_engine_is_restarted_meanwhile() -> None:
    s, run = ran_a_and_waits(HARD)
    s.kill("w1")
    s.advance(40)
    s.restart(down_for=5)
    assert s.status("b", run) == "QUEUED"
    s.advance(16)
    assert s.status("b", run) == "FAILED"
    assert s.workers_of("b", run) == []


def test_AC07_hard_fails_at_once_when_its_worker_has_unsubscribed() -> None:
    s, run = ran_a_and_waits(HARD)
    s.unsubscribe("w1")
    assert s.status("b", run) == "FAILED"
    assert "unsubscribed" in s.error("b", run)


def test_AC07_hard_fails_at_once_when_it_becomes_ready_after_its_worker_unsubscribed() -> None:
    s = chain(HARD)
    s.workflow("V", "x", "y", make_task("z", "x", "y"), sticky=HARD)
    s.worker("w1")
    s.worker("w2")
    run = s.trigger("V")
    s.complete("x")
    home = str(s.ran_on("x"))
    s.unsubscribe(home)
    assert s.status("y") == "FAILED", "it was running there and has nowhere else to go"
    assert s.status("z") == "CANCELLED"
    assert s.run_status(run) == "FAILED"


def test_AC08_hard_waits_while_its_worker_is_paused() -> None:
    s, run = ran_a_and_waits(HARD)
    s.pause("w1")
    s.complete("other")
    s.advance(3)
    assert s.status("b", run) == "QUEUED"
    assert "paused" in s.explain("b", run).text
    s.unpause("w1")
    assert s.ran_on("b", run) == "w1"


def test_AC09_hard_times_out_on_schedule_while_its_worker_stays_paused() -> None:
    s, run = ran_a_and_waits(HARD, schedule_timeout=2)
    s.pause("w1")
    s.complete("other")
    s.advance(1.9)
    assert s.status("b", run) == "QUEUED"
    s.advance(0.2)
    assert s.status("b", run) == "FAILED"
    [moment] = s.moments(EventType.SCHEDULING_TIMED_OUT, "b", run)
    assert "paused" in moment.message
    assert "paused" in s.error("b", run)


def test_AC10_hard_waits_while_its_workers_stream_is_cut() -> None:
    s, run = ran_a_and_waits(HARD)
    s.close_stream("w1")
    s.complete("other", by="w1")
    s.advance(8)
    assert s.status("b", run) == "QUEUED"
    s.reopen("w1")
    assert s.ran_on("b", run) == "w1"


def partial(sticky: StickyStrategy) -> tuple[Scenario, str]:
    """a ran on w1, which registers only a; then w2 came, which registers both."""
    s = chain(sticky)
    s.worker("w1", ["a"])
    run = s.trigger("W")
    s.worker("w2", ["a", "b"])
    s.complete("a")
    return s, run


def test_AC11_hard_fails_at_once_when_its_worker_lacks_the_action() -> None:
    s, run = partial(HARD)
    assert s.status("b", run) == "FAILED"
    assert "does not register the action b" in s.error("b", run)


def test_AC12_soft_goes_elsewhere_when_its_worker_lacks_the_action() -> None:
    s, run = partial(SOFT)
    assert s.ran_on("b", run) == "w2"


def test_AC12_an_unset_pin_prefers_workers_that_can_finish_the_run() -> None:
    s = chain(HARD)
    s.worker("w1", ["a"])
    s.worker("w2", ["a", "b"])
    runs = [s.trigger("W") for _ in range(10)]
    s.run_to_end()
    assert [s.run_status(run) for run in runs] == ["COMPLETED"] * 10
    assert [s.workers_of_run(run) for run in runs] == [{"w2"}] * 10


def test_AC13_a_tentative_hard_pin_moves_when_its_worker_dies() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.worker("w2")
    s.kill("w1")
    s.advance(31)
    assert s.workers_of("a", run) == ["w1", "w2"]
    s.run_to_end()
    assert s.ran_on("b", run) == "w2"
    assert s.run_status(run) == "COMPLETED"


@pytest.mark.parametrize("sticky", [SOFT, HARD])
def test_AC14_retries_stay_on_the_worker(sticky: StickyStrategy) -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=2), sticky=sticky)
    s.worker("w1")
    s.worker("w2")
    for _ in range(10):
        run = s.trigger("W")
        s.fail("a", run)
        s.fail("a", run)
        s.complete("a", run)
        assert len(s.workers_of("a", run)) == 3
        assert len(set(s.workers_of("a", run))) == 1


def test_AC15_the_pin_survives_an_early_release_of_the_slot() -> None:
    s = chain(HARD)
    s.worker("w1")
    s.worker("w2")
    for _ in range(10):
        run = s.trigger("W")
        s.release_slot("a", run)
        s.complete("a", run)
        assert s.ran_on("b", run) == s.ran_on("a", run)


def test_AC16_a_replay_of_the_run_forgets_the_pin() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.run_to_end()
    s.unsubscribe("w1")
    s.worker("w2")
    assert len(s.replay(run)) == 2
    s.run_to_end()
    assert s.run_status(run) == "COMPLETED"
    assert [s.ran_on("a"), s.ran_on("b")] == ["w2", "w2"]


def test_ST30_a_replay_below_the_task_that_set_the_pin_keeps_it() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.run_to_end()
    s.worker("w2")
    s.replay(s.task("b", run).id)
    assert s.ran_on("b", run) == "w1"
    assert s.run(run).pin_state == PinState.BOUND


def test_ST30_a_replay_clears_a_pin_to_a_worker_that_is_lost() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.run_to_end()
    s.kill("w1")
    s.advance(31)
    s.worker("w2")
    s.replay(s.task("b", run).id)
    assert s.ran_on("b", run) == "w2"


@pytest.mark.parametrize("sticky", [pytest.param(SOFT, id="AC17_soft"), pytest.param(HARD, id="AC18_hard")])
def test_AC17_AC18_a_sticky_childs_tasks_all_run_on_the_parents_worker(sticky: StickyStrategy) -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Parent", "parent")
    s.workflow("Child", "c1", "c2", make_task("c3", "c1", "c2"), sticky=sticky)
    s.worker("w1")
    s.worker("w2")
    for _ in range(20):
        parent = s.trigger("Parent")
        home = str(s.ran_on("parent", parent))
        child = s.trigger("Child", parent=parent, child_index=0, desired_worker=home)
        s.run_to_end()
        assert s.workers_of_run(child) == {home}
        assert s.run_status(child) == "COMPLETED"


def test_AC19_a_child_without_strategy_ignores_the_desired_worker() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Child", "c")
    s.worker("w1", slots=1)
    s.worker("w2", slots=1)
    runs = [s.trigger("Child", desired_worker="w1") for _ in range(2)]
    assert {s.ran_on("c", run) for run in runs} == {"w1", "w2"}


def test_AC22_hard_fails_at_once_when_the_desired_worker_never_existed() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W", desired_worker=NOBODY)
    assert s.statuses(run) == {"a": "FAILED", "b": "CANCELLED"}
    assert "does not exist" in s.error("a")


def test_AC22_with_policy_wait_the_task_waits_for_its_schedule_timeout() -> None:
    s = chain(HARD, settings=Settings(hard_sticky_policy=HardStickyPolicy.WAIT))
    s.worker("w1")
    run = s.trigger("W", desired_worker=NOBODY)
    s.advance(299)
    assert s.status("a") == "QUEUED"
    s.advance(2)
    assert s.statuses(run) == {"a": "FAILED", "b": "CANCELLED"}
    assert "SCHEDULING_TIMED_OUT" in s.events("a")


def test_AC23_required_labels_hold_also_for_sticky_runs() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", labels=[demand("gpu", "yes")]), sticky=HARD)
    s.worker("w1")
    s.worker("w2", labels={"gpu": "yes"})
    for _ in range(10):
        assert s.ran_on("a", s.trigger("W")) == "w2"


def test_ST32_a_hard_pin_that_fails_a_required_label_waits_with_that_reason() -> None:
    s = chain(HARD)
    s.workflow("L", "l1", make_task("l2", "l1", labels=[demand("gpu", "yes")]), sticky=HARD)
    s.worker("w1")
    run = s.trigger("L")
    s.worker("w2", labels={"gpu": "yes"})
    s.complete("l1")
    assert s.status("l2", run) == "QUEUED"
    assert 'gpu = "yes"' in s.explain("l2", run).text
    s.label("w1", gpu="yes")
    assert s.ran_on("l2", run) == "w1"


def test_AC24_blocked_hard_items_do_not_hold_up_their_queue() -> None:
    s = Scenario(checks=False)
    s.workflow("Pinned", make_task("p", action="x"), sticky=HARD)
    s.workflow("Free", make_task("f", action="x"))
    s.worker("w1", slots=1)
    for _ in range(501):
        s.trigger("Pinned", desired_worker="w1")
    s.worker("w2", slots=1)
    run = s.trigger("Free")
    assert s.ran_on("f", run) == "w2"


def test_ST14_a_desired_worker_without_strategy_is_noted_on_the_timeline() -> None:
    s = Scenario()
    s.workflow("W", "a")
    s.worker("w1")
    s.trigger("W", desired_worker=NOBODY)
    [moment] = s.moments(EventType.QUEUED, "a")
    assert "no sticky strategy" in moment.message


def test_AC81_the_on_failure_task_follows_the_pin() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"), sticky=SOFT, on_failure="oops")
    s.worker("w1")
    run = s.trigger("W")
    s.worker("w2")
    s.complete("a")
    s.fail("b")
    assert s.ran_on("oops", run) == "w1"


def test_AC82_without_strategy_a_full_desired_worker_delays_nothing() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1", slots=0)
    s.worker("w2", slots=1)
    s.trigger("W", desired_worker="w1")
    assert s.ran_on("a") == "w2"
    [moment] = s.moments(EventType.QUEUED, "a")
    assert "ignored" in moment.message


def test_AC83_a_waiting_hard_item_gets_its_workers_slot_before_later_items() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Pinned", make_task("p", action="x"), sticky=HARD)
    s.workflow("Free", make_task("f", action="x"))
    s.worker("w1", slots=1)
    holder = s.trigger("Free")
    pinned = s.trigger("Pinned", desired_worker="w1")
    free = s.trigger("Free")
    s.worker("w2", slots=0)
    s.complete("f", holder)
    assert s.ran_on("p", pinned) == "w1"
    assert s.status("f", free) == "QUEUED"


def test_ST08_the_other_roots_see_the_pin_in_the_same_scheduling_pass() -> None:
    s = fan_in(HARD)
    s.close_stream("w1")
    s.close_stream("w2")
    run = s.trigger("W")
    s.reopen("w1")
    s.reopen("w2")
    assert len(s.workers_of_run(run)) == 1
    assert s.run(run).pin_state == PinState.TENTATIVE


def test_ST09_an_explicit_desired_worker_binds_every_task_from_the_start() -> None:
    s = fan_in(HARD)
    run = s.trigger("W", desired_worker="w2")
    assert s.run(run).pin_state == PinState.BOUND
    s.run_to_end()
    assert s.workers_of_run(run) == {"w2"}


def test_ST10_a_pin_becomes_bound_with_the_first_completed_task_of_its_worker() -> None:
    s = fan_in(HARD)
    run = s.trigger("W")
    s.fail("step1a")
    assert s.run(run).pin_state == PinState.TENTATIVE
    s.complete("step1b")
    assert s.run(run).pin_state == PinState.BOUND


def test_ST10_a_tentative_pin_is_cleared_when_the_start_could_not_be_delivered() -> None:
    s = chain(HARD)
    s.worker("w1", confirms=False)
    run = s.trigger("W")
    s.undeliverable("a")
    assert s.run(run).pin_state == PinState.UNSET
    assert s.status("a") == "BACKING_OFF"


def test_ST11_a_soft_pin_stays_where_it_is_when_single_tasks_run_elsewhere() -> None:
    s = fan_in(SOFT, slots=1)
    run = s.trigger("W")
    first = s.run(run).pin_worker_id
    s.complete("step1b")
    assert s.run(run).pin_worker_id == first
    assert first == s.workers[str(s.ran_on("step1a"))].id


def test_ST12_the_pin_survives_an_engine_restart() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.worker("w2")
    s.restart()
    s.complete("a", run)
    assert s.ran_on("b", run) == "w1"


@pytest.mark.parametrize("policy", list(HardStickyPolicy))
def test_ST25_a_lost_worker_ends_a_bound_hard_task_only_under_policy_fail(policy: HardStickyPolicy) -> None:
    s, run = ran_a_and_waits(HARD, Settings(hard_sticky_policy=policy))
    s.kill("w1")
    s.advance(120)
    assert s.status("b", run) == ("FAILED" if policy is HardStickyPolicy.FAIL else "QUEUED")


def test_ST20_a_lost_worker_that_returns_within_its_grace_gets_its_task() -> None:
    s, run = ran_a_and_waits(HARD)
    s.kill("w1")
    s.advance(50)
    s.reopen("w1")
    s.complete("other")
    assert s.ran_on("b", run) == "w1"
    s.advance(40)
    assert s.status("b", run) == "RUNNING"


def test_ST23_a_scheduling_error_is_never_retried_and_runs_the_on_failure_task() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=5), make_task("b", "a"), sticky=HARD, on_failure="oops")
    s.worker("w1")
    run = s.trigger("W", desired_worker=NOBODY)
    assert s.status("a") == "FAILED"
    assert "RETRYING" not in s.events("a")
    assert s.status("b") == "CANCELLED"
    assert s.status("oops") == "FAILED", "the pin holds for it as well"
    assert s.run_status(run) == "FAILED"


def test_ST03_a_run_keeps_the_strategy_it_was_created_with() -> None:
    s = chain(HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w2")
    s.complete("a", run)
    assert s.ran_on("b", run) == "w1"
    assert s.run(run).sticky == HARD


def test_the_start_message_of_a_sticky_child_names_its_parent() -> None:
    s = chain(SOFT)
    s.worker("w1")
    parent = s.trigger("Other")
    child = s.trigger("W", parent=parent, child_index=3, desired_worker="w1")
    message = next(start.message for start in s.log.starts if start.run == child)
    assert isinstance(message, StartTask)
    assert (message.parent_run_id, message.child_index) == (parent, 3)


def test_ST22_a_waiting_root_fails_at_once_when_the_pin_goes_to_a_worker_without_its_action() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "x", "y", sticky=HARD, on_failure="oops")
    s.worker("w1", ["x", "oops"])
    run = s.trigger("W")
    assert s.statuses(run) == {"x": "RUNNING", "y": "FAILED", "oops": "RUNNING"}
    assert "does not register the action y" in s.error("y")
