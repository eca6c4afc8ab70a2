"""Retries and timeouts (assignment sections 6 and 7): schedule and execution deadlines, back-off, budgets, replays."""

from __future__ import annotations

import pytest

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.inputs import StreamOpened, TaskFailed, TimeoutRefreshed, TimePassed
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.testing.builders import make_task
from limpet.testing.scenario import START, Scenario


def simple(settings: Settings | None = None, **options: float) -> Scenario:
    """A workflow W of one task a with these options, and a worker w1 with one slot."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", make_task("a", **options))  # type: ignore[arg-type]
    s.worker("w1", slots=1)
    return s


def test_AC69_a_scheduling_timeout_fails_the_run_with_a_text_and_runs_on_failure() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", schedule_timeout=2), make_task("b", "a"), on_failure="oops")
    run = s.trigger("W")
    s.advance(2)
    assert s.statuses(run) == {"a": "FAILED", "b": "CANCELLED", "oops": "QUEUED"}
    s.worker("w1")
    s.run_to_end()
    assert s.run_status(run) == "FAILED"
    [finished] = s.log.finished
    failed = next(result for result in finished.results if result.name == "a")
    assert failed.payload is not None
    assert failed.payload.is_error
    assert "no worker registers a" in s.error("a")
    assert "RETRYING" not in s.events("a")


def test_AC70_A46_an_execution_timeout_is_a_failure_that_is_retried_and_stops_the_old_attempt() -> None:
    s = simple(execution_timeout=2, retries=1)
    s.trigger("W")
    s.advance(1.9)
    assert s.task("a").retry_count == 0
    s.advance(0.2)
    assert s.task("a").retry_count == 1
    s.advance(2)
    assert s.status("a") == "FAILED"
    assert s.error("a") == "Task exceeded timeout of 2s"
    assert [kind for kind in s.events("a") if kind in ("TIMED_OUT", "RETRYING", "FAILED")] == [
        "TIMED_OUT",
        "RETRYING",
        "TIMED_OUT",
    ]
    assert s.cancels_for("a") == [("w1", 0), ("w1", 1)]


def test_AC71_A47_a_refreshed_timeout_moves_the_deadline_and_adds_up() -> None:
    s = simple(execution_timeout=4)
    run = s.trigger("W")
    assert s.refresh_timeout("a", seconds=5) == START + 9_000_000
    assert s.refresh_timeout("a", seconds=5) == START + 14_000_000
    s.advance(13.9)
    s.complete("a")
    assert s.run_status(run) == "COMPLETED"
    assert s.events("a").count("TIMEOUT_REFRESHED") == 2
    with pytest.raises(NotFound):
        s.do(TimeoutRefreshed(s.task("a").id, 1))


def test_TO11_a_refreshed_timeout_still_ends_and_survives_a_restart() -> None:
    s = simple(execution_timeout=4)
    s.trigger("W")
    s.refresh_timeout("a", seconds=6)
    s.restart()
    s.advance(9.9)
    assert s.status("a") == "RUNNING"
    s.advance(0.2)
    assert s.status("a") == "FAILED"
    s.trigger("W")
    with pytest.raises(InvalidArgument, match="can only grow"):
        s.refresh_timeout("a", seconds=-1)


def test_AC72_back_off_grows_to_its_cap_and_frees_the_slot() -> None:
    s = simple(retries=3, backoff=2, backoff_max=3)
    run = s.trigger("W")
    gaps = []
    for _ in range(3):
        s.fail("a", run)
        assert s.status("a", run) == "BACKING_OFF"
        assert s.free_slots("w1") == 1
        failed_at = s.now
        s.advance_until_due()
        while s.status("a", run) == "BACKING_OFF":
            s.advance_until_due()
        gaps.append((s.now - failed_at) / 1_000_000)
    assert gaps == [2, 3, 3]
    s.fail("a", run)
    assert s.run_status(run) == "FAILED"
    assert len(s.workers_of("a", run)) == 4


def test_AC73_only_retryable_failures_are_retried() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", *(make_task(name, retries=1) for name in ("never", "wrong", "good")))
    s.worker("w1")
    run = s.trigger("W")
    s.fail("never", retryable=False)
    s.fail("wrong")
    s.fail("wrong")
    s.complete("good")
    events = [kind for name in ("never", "wrong", "good") for kind in s.events(name)]
    assert (events.count("RETRYING"), events.count("FAILED")) == (1, 3)
    assert s.run_status(run) == "FAILED"


def test_AC97_a_replay_resets_both_counters_and_the_attempt_number_keeps_growing() -> None:
    s = simple(retries=1)
    run = s.trigger("W")
    for n in range(2, 5):
        s.worker(f"w{n}", ["a"], slots=1)
        s.unsubscribe(str(s.ran_on("a")))
    s.fail("a")
    s.fail("a")
    row = s.task("a")
    assert (s.run_status(run), row.internal_retries, row.app_retries, row.retry_count) == ("FAILED", 3, 1, 4)
    s.replay(run)
    row = s.task("a")
    assert (row.internal_retries, row.app_retries, row.retry_count) == (0, 0, 5)
    assert "RETRIED_BY_USER" in s.events("a")
    s.fail("a")
    assert s.run_status(run) == "RUNNING", "the whole budget is there again"
    s.fail("a")
    assert s.run_status(run) == "FAILED"


@pytest.mark.parametrize("late_us", [-1, 0, 1])
@pytest.mark.parametrize("round_", range(3))
def test_AC100_a_deadline_and_a_free_worker_at_the_same_moment_give_one_outcome(late_us: int, round_: int) -> None:
    s = Scenario()
    s.workflow("W", make_task("a", schedule_timeout=2))
    w1 = s.worker("w1", listens=False)
    runs = [s.trigger("W") for _ in range(100)]
    s.now += 2_000_000 + late_us  # type: ignore[assignment]
    s.workers["w1"].session = 1
    inputs = [StreamOpened(w1, 1), TimePassed(), TimePassed()]
    s.step(*inputs[round_:], *inputs[:round_])
    for run in runs:
        events = s.events("a", run)
        assert ("ASSIGNED" in events) is (late_us < 0)
        assert ("SCHEDULING_TIMED_OUT" in events) is (late_us >= 0)
    s.advance(10)
    assert len(s.log.starts) == (100 if late_us < 0 else 0)


def test_R53_a_mass_of_due_deadlines_is_handled_in_batches_and_none_of_them_is_assigned_meanwhile() -> None:
    s = Scenario(Settings(due_batch_max=10), checks=False)
    s.workflow("W", make_task("a", schedule_timeout=2))
    s.worker("w1", listens=False)
    runs = [s.trigger("W") for _ in range(35)]
    s.now += 3_000_000  # type: ignore[assignment]
    s.reopen("w1")
    assert not s.log.starts, "past its deadline a task is never assigned (T11)"
    while {s.run_status(run) for run in runs} != {"FAILED"}:
        assert s.machine.wake_at is not None
        s.step(TimePassed())
    assert not s.log.starts


@pytest.mark.parametrize("backoff", [None, 1])
def test_TO04_the_schedule_clock_starts_anew_with_each_attempt(backoff: float | None) -> None:
    s = simple(schedule_timeout=5, retries=1, **({} if backoff is None else {"backoff": backoff}))
    s.trigger("W")
    s.advance(4)
    s.pause("w1")
    s.fail("a")
    s.advance(5.9 if backoff else 4.9)
    assert s.status("a") == "QUEUED"
    s.advance(0.2)
    assert s.status("a") == "FAILED"


def test_TO04_a_dag_tasks_schedule_clock_starts_when_its_parents_are_done() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", schedule_timeout=5))
    s.worker("w1", ["a"])
    s.trigger("W")
    s.advance(50)
    s.complete("a")
    s.advance(4.9)
    assert s.status("b") == "QUEUED"
    s.advance(0.2)
    assert s.status("b") == "FAILED"


def test_TO08_the_execution_clock_starts_at_the_assignment_not_at_the_receipt() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", execution_timeout=4))
    s.worker("w1", confirms=False)
    s.trigger("W")
    s.advance(3)
    s.started("a")
    s.advance(1.1)
    assert s.status("a") == "FAILED"


def test_section10_19_after_a_timeout_the_retry_prefers_another_worker() -> None:
    s = simple(execution_timeout=2, retries=3)
    s.trigger("W")
    s.advance(2)
    assert s.workers_of("a") == ["w1", "w1"], "no other is there"
    s.worker("w2", slots=1)
    s.advance(2)
    assert s.workers_of("a")[2] == "w2"


def test_RT03_without_a_factor_the_retry_is_immediate_and_a_worker_may_name_its_own_delay() -> None:
    s = simple(retries=2)
    s.trigger("W")
    s.fail("a")
    assert s.status("a") == "RUNNING"
    s.do(TaskFailed(s.task("a").id, 1, "", error="later", retry_after_us=7_000_000))
    assert s.task("a").not_before == s.now + 7_000_000


def test_RT04_a_back_off_survives_a_restart() -> None:
    s = simple(retries=1, backoff=10)
    s.trigger("W")
    s.fail("a")
    s.advance(4)
    s.restart()
    s.advance(5.9)
    assert s.status("a") == "BACKING_OFF"
    s.advance(0.2)
    assert s.status("a") == "RUNNING"


def test_RT05_neither_a_cancelled_nor_an_unplaceable_task_is_retried() -> None:
    s = simple(retries=5, schedule_timeout=1)
    first, second = s.trigger("W"), s.trigger("W")
    s.advance(1)
    assert s.status("a", second) == "FAILED"
    s.cancel(first)
    assert s.status("a", first) == "CANCELLED"


def test_TO07_an_empty_error_text_becomes_a_sentence() -> None:
    s = simple()
    s.trigger("W")
    s.fail("a", error="")
    assert s.error("a")


def test_RT02_the_timeline_tells_attempts_in_order() -> None:
    s = simple(retries=1, backoff=2)
    s.trigger("W")
    s.fail("a", error="first")
    s.advance(2)
    s.complete("a")
    told = [(moment.type.name, moment.attempt) for moment in s.timeline("a")]
    first = [(kind, 0) for kind in ("QUEUED", "ASSIGNED", "SENT_TO_WORKER", "STARTED", "FAILED")]
    second = [(kind, 1) for kind in ("RETRYING", "QUEUED", "ASSIGNED", "SENT_TO_WORKER", "STARTED", "FINISHED")]
    assert told == first + second
    assert [moment.message for moment in s.moments(EventType.FAILED, "a")] == ["first"]
