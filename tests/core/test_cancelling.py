"""Cancellation (assignment section 8, workflows section 12): from every state, at once, told to the worker once."""

from __future__ import annotations

import pytest

from limpet.testing.builders import make_task
from limpet.testing.scenario import Scenario


def simple(**options: float) -> Scenario:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", **options))  # type: ignore[arg-type]
    s.worker("w1", slots=1)
    return s


def test_AC74_a_queued_run_is_cancelled_without_a_word_to_any_worker() -> None:
    s = simple()
    s.trigger("W")
    queued = s.trigger("W")
    assert s.cancel(queued) == (s.task("a", queued).id,)
    assert s.run_status(queued) == "CANCELLED"
    assert not s.log.cancels


def test_AC74_a_running_task_is_cancelled_at_once_and_its_slot_is_free() -> None:
    s = simple()
    running, waiting = s.trigger("W"), s.trigger("W")
    s.cancel(running)
    assert s.run_status(running) == "CANCELLED"
    assert s.cancels_for("a", running) == [("w1", 0)]
    assert s.status("a", waiting) == "RUNNING"
    assert s.log.finished[0].status.name == "CANCELLED"


def test_AC75_a_cancel_names_the_attempt_it_means() -> None:
    s = simple(execution_timeout=2, retries=1)
    s.trigger("W")
    s.advance(2)
    assert s.cancels_for("a") == [("w1", 0)]
    assert s.status("a") == "RUNNING"
    assert s.task("a").retry_count == 1


def test_CN02_a_cancel_that_found_no_stream_is_told_when_the_worker_is_back() -> None:
    s = simple()
    run = s.trigger("W")
    s.close_stream("w1")
    s.cancel(run)
    assert not s.log.cancels
    s.reopen("w1")
    assert s.cancels_for("a", run) == [("w1", 0)]
    s.reopen("w1")
    assert len(s.log.cancels) == 1, "once"


def test_CN06_cancelling_what_has_ended_has_no_effect() -> None:
    s = simple()
    run = s.trigger("W")
    s.complete("a")
    assert s.cancel(run, "unknown") == ()
    assert s.run_status(run) == "COMPLETED"


def test_CN07_a_worker_that_gives_up_an_attempt_cancels_the_task() -> None:
    s = simple(retries=3)
    run = s.trigger("W")
    s.give_up("a")
    assert s.run_status(run) == "CANCELLED"
    assert s.task("a").output == b""


def test_CN08_children_of_a_cancelled_run_go_on() -> None:
    s = simple()
    s.worker("w2", slots=1)
    parent = s.trigger("W")
    child = s.trigger("W", parent=parent, child_index=0)
    s.cancel(parent)
    assert s.run_status(child) == "RUNNING"


@pytest.mark.parametrize("state", ["QUEUED", "BACKING_OFF", "ASSIGNED", "RUNNING"])
def test_L8_a_task_can_be_cancelled_from_every_state(state: str) -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=1, backoff=5), make_task("b", "a"), on_failure="oops")
    run = s.trigger("W")
    if state != "QUEUED":
        s.worker("w1", confirms=state == "RUNNING")
    if state == "BACKING_OFF":
        s.fail("a")
    assert s.status("a") == state
    s.cancel(run)
    assert s.statuses(run) == {"a": "CANCELLED", "b": "CANCELLED", "oops": "SKIPPED"}
    assert s.run_status(run) == "CANCELLED"
    s.advance(400)
    assert s.run_status(run) == "CANCELLED"


def test_W12_1_a_single_task_of_a_run_can_be_cancelled() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", "b", make_task("c", "a"))
    s.worker("w1")
    run = s.trigger("W")
    s.cancel(s.task("a").id)
    assert s.statuses(run) == {"a": "CANCELLED", "b": "RUNNING", "c": "CANCELLED"}
    assert s.run_status(run) == "RUNNING"
    s.complete("b")
    assert s.run_status(run) == "CANCELLED"
