"""What people see (assignment section 9): timelines, statuses, the reason why a task waits."""

from __future__ import annotations

from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.testing.builders import demand, make_task
from limpet.testing.scenario import Scenario


def notices(s: Scenario, task: str = "a") -> list[str]:
    return [moment.message for moment in s.moments(EventType.REQUEUED_NO_WORKER, task)]


def test_AC76_a_task_nobody_can_serve_reads_queued_and_says_why_once() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    run = s.trigger("W")
    s.advance(10)
    assert (s.status("a"), s.run_status(run)) == ("QUEUED", "QUEUED")
    assert notices(s) == ["No worker registers a."]


def test_AC77_the_happy_path_in_order_with_the_worker_on_it() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1")
    s.trigger("W")
    s.complete("a")
    told = [(moment.type.name, moment.worker) for moment in s.timeline("a")]
    assert told == [("QUEUED", None), *((kind, "w1") for kind in ("ASSIGNED", "SENT_TO_WORKER", "STARTED", "FINISHED"))]


def test_AC80_a_dag_with_a_failed_task_reads_running_until_the_last_has_ended() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", "b")
    s.worker("w1")
    run = s.trigger("W")
    s.fail("a")
    assert s.run_status(run) == "RUNNING"
    assert not s.log.finished
    s.complete("b")
    assert s.run_status(run) == "FAILED"
    assert [finished.workflow_run_id for finished in s.log.finished] == [run]


def test_OB09_a_reason_is_repeated_after_five_minutes() -> None:
    s = Scenario()
    s.workflow("W", make_task("a", schedule_timeout=1000))
    s.trigger("W")
    s.advance(299)
    assert len(notices(s)) == 1
    s.advance(10)
    assert len(notices(s)) == 2


def test_OB09_a_task_that_only_waits_its_turn_says_so_after_a_while() -> None:
    s = Scenario()
    s.workflow("W", "a")
    s.worker("w1", slots=1)
    first, second = s.trigger("W"), s.trigger("W")
    s.advance(4)
    assert s.moments(EventType.REQUEUED_NO_WORKER, "a", second) == []
    s.advance(2)
    [moment] = s.moments(EventType.REQUEUED_NO_WORKER, "a", second)
    assert moment.message == "No free slots (need 1 on one worker; best free 0, capacity max 1)."
    assert s.moments(EventType.REQUEUED_NO_WORKER, "a", first) == []


def test_OB13_another_reason_is_told_but_not_more_often_than_every_thirty_seconds() -> None:
    s = Scenario()
    s.workflow("W", make_task("a", labels=[demand("gpu", "yes")]))
    s.trigger("W")
    s.worker("w1")
    s.advance(29)
    assert notices(s) == ["No worker registers a."]
    s.advance(10)
    assert notices(s)[1:] == ['Required label gpu = "yes" matched by none of 1 worker.']


def test_OB11_a_dead_workers_attempt_is_told_before_the_next() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1")
    s.trigger("W")
    s.worker("w2")
    s.kill("w1")
    s.advance(31)
    told = [(moment.type.name, moment.attempt, moment.worker) for moment in s.timeline("a")]
    assert told.index(("STARTED", 0, "w1")) < told.index(("REASSIGNED", 0, "w1")) < told.index(("ASSIGNED", 1, "w2"))


def test_W13_4_a_run_reads_running_in_the_gap_between_two_tasks() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", action="elsewhere"))
    s.worker("w1", ["a"])
    run = s.trigger("W")
    s.complete("a")
    assert s.status("b") == "QUEUED"
    assert s.run_status(run) == "RUNNING"


def test_OB05_a_one_task_run_reads_like_its_task() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=1, backoff=5))
    run = s.trigger("W")
    assert s.task("a").id == run
    assert s.run_status(run) == "QUEUED"
    s.worker("w1")
    assert s.run_status(run) == "RUNNING"
    s.fail("a")
    assert s.run_status(run) == "QUEUED"


def test_the_core_says_when_time_alone_matters_next() -> None:
    s = Scenario(Settings(waiting_notice_after_us=5_000_000))
    assert s.machine.wake_at is None
    s.workflow("W", make_task("a", schedule_timeout=3))
    s.trigger("W")
    assert s.machine.wake_at == s.now + 3_000_000


def test_a_worker_is_shown_as_it_stands() -> None:
    s = Scenario()
    s.workflow("W", "a")
    w1 = s.worker("w1", slots={"default": 3, "gpu": 1}, labels={"zone": "a"})
    run = s.trigger("W")
    [view] = s.machine.workers()
    assert (view.worker_id, view.name, view.actions, view.labels) == (w1, "w1", ("a",), (("zone", "a"),))
    assert [(slot.slot_type, slot.total, slot.free) for slot in view.slots] == [("default", 3, 2), ("gpu", 1, 1)]
    assert (view.stream_open, view.paused, view.task_run_ids) == (True, False, (run,))
    assert s.machine.started_at([run, "unknown"]) == {run: s.now}
    assert s.machine.signs_of_life() == {w1: s.now}
    assert s.machine.worker("unknown") is None
