"""Conditions that ask for events of the past: found by the store, counted as of the arming, decided before anything else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from limpet.core.conditions import LookBack
from limpet.core.event_inputs import EventsPushed
from limpet.core.ids import Instant
from limpet.core.inputs import CancelRequested, Input, RunsTriggered, TimePassed, Trigger
from limpet.core.rows import EventType, TaskStatus
from limpet.core.settings import Settings
from limpet.testing.builders import Group, event, make_task, output_of, sleep, us
from limpet.testing.scenario import START, Scenario

BIG = "output.n > 5.0"


def after(*, wait_for: Iterable[Group] = (), skip_if: Iterable[Group] = (), cancel_if: Iterable[Group] = ()) -> Scenario:
    """A workflow W of a and its child b with these conditions; nothing has run yet."""
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", wait_for=wait_for, skip_if=skip_if, cancel_if=cancel_if))
    s.worker("w1")
    return s


def ran(s: Scenario) -> str:
    """What became of b once a has ended."""
    run = s.trigger("W")
    s.complete("a")
    return s.statuses(run)["b"]


def test_W11_12_W11_13_an_event_of_the_past_with_that_key_and_scope_satisfies_the_condition() -> None:
    for scope, status in (("eu", "RUNNING"), ("us", "PENDING"), (None, "PENDING")):
        s = after(wait_for=[event("e", scope="eu", since=START)])
        s.push("e", scope=scope)
        s.push("f", scope="eu")
        s.advance(60)
        assert ran(s) == status


def test_W11_13_only_events_from_that_instant_on_count() -> None:
    for ago, status in ((60, "RUNNING"), (59, "PENDING")):
        s = after(wait_for=[event("e", since=START + us(60 - ago))])
        s.push("e")
        s.advance(60)
        assert ran(s) == status


def test_W11_13_of_several_events_the_newest_that_satisfies_is_handed_over() -> None:
    s = after(wait_for=[event("e", "input.n > 1.0", key="data", since=START)])
    for n in (1, 2, 3, 0):
        s.push("e", b'{"n":%d}' % n, answers={"input.n > 1.0": n > 1})
    assert ran(s) == "RUNNING"
    [ref] = next(start.message for start in reversed(s.log.starts) if start.task == "b").triggers
    assert s.tables.pushed_events[ref.key].payload == b'{"n":3}'


def test_W5_7_without_an_event_in_the_past_the_task_waits_for_the_next_one() -> None:
    s = after(wait_for=[event("e", since=START), sleep(5)])
    run = s.trigger("W")
    s.complete("a")
    assert s.statuses(run)["b"] == "PENDING"
    assert [one.message for one in s.timeline("b") if one.type is EventType.CREATED] == [
        "Waits for past or coming event e; a sleep of 5s."
    ]
    s.restart()
    s.push("e")
    s.advance(5)
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_10_an_event_of_the_past_skips_a_task_that_would_wait_for_nothing() -> None:
    for pushed, status in ((True, "SKIPPED"), (False, "RUNNING")):
        s = after(skip_if=[event("stop", since=START)])
        if pushed:
            s.push("stop")
        assert ran(s) == status


def test_W5_8_an_event_of_the_past_comes_before_what_the_outputs_of_parents_let_run() -> None:
    s = after(wait_for=[output_of("a", BIG)], cancel_if=[event("stop", since=START)])
    s.push("stop")
    s.trigger("W")
    s.complete("a", answers={BIG: True})
    assert TaskStatus(s.task("b").status) is TaskStatus.CANCELLED


@pytest.mark.parametrize("other", [event("e", since=START), sleep(0)], ids=["event", "sleep"])
def test_W5_8_all_of_the_past_comes_before_what_the_outputs_of_parents_let_run(other: Group) -> None:
    for names, status in ((("e", "stop"), TaskStatus.CANCELLED), (("e",), TaskStatus.ASSIGNED)):
        s = after(wait_for=[output_of("a", BIG)], cancel_if=[other, event("stop", since=START)])
        for name in names:
            s.push(name)
        s.trigger("W")
        s.complete("a", answers={BIG: True})
        assert TaskStatus(s.task("b").status) is status


def test_W5_8_of_events_of_the_past_the_older_decides() -> None:
    for names, status in ((("go", "stop"), "RUNNING"), (("stop", "go"), "SKIPPED")):
        s = after(wait_for=[event("go", since=START)], skip_if=[event("stop", since=START)])
        for name in names:
            s.push(name)
        assert ran(s) == status


def test_W11_13_an_event_of_the_past_satisfies_nobody_who_does_not_look_back() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e")]), make_task("b", wait_for=[event("e", since=START)]))
    s.worker("w1")
    s.push("e")
    run = s.trigger("W")
    assert s.statuses(run) == {"a": "PENDING", "b": "RUNNING"}


def test_W5_8_R53_a_sleep_of_nothing_waits_for_its_turn_although_the_parents_would_let_the_task_run() -> None:
    s = Scenario(Settings(due_batch_max=1), checks_reload=True)
    skipped = make_task("b", "a", wait_for=[output_of("a", BIG)], skip_if=[sleep(0)], cancel_if=[event("stop", since=START)])
    s.workflow("P", make_task("p", wait_for=[sleep(1)]))
    s.workflow("W", "a", skipped)
    s.worker("w1")
    s.push("stop")
    run = s.trigger("W")
    waiting = [s.trigger("P") for _ in range(5)]
    s.now = Instant(s.now + us(2))  # their sleeps are over before that of b, and one has its turn in a step
    s.complete("a", answers={BIG: True})
    assert s.statuses(run)["b"] == "SKIPPED"
    assert {s.run_status(one) for one in waiting} == {"RUNNING"}


class Stepwise(Scenario):
    """Steps come one by one."""

    def step(self, *inputs: Input) -> object:  # type: ignore[override]
        return self._decide(inputs)


def looking(**limits: int) -> Stepwise:
    """A task has just begun to wait, and the store has not been asked yet; the event came before."""
    s = Stepwise(Settings(**limits), checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e", since=START)], cancel_if=[sleep(5)]))
    s.step(EventsPushed((s.pushed("e"),)))
    s.step(RunsTriggered((Trigger("W"),)))
    assert [TaskStatus(task.status) for task in s.tables.tasks.values()] == [TaskStatus.PENDING]
    return s


def status(s: Scenario) -> list[str]:
    return [task.status.name for task in s.machine.state.tasks.values()]


def test_R52_the_next_step_asks_at_once() -> None:
    s = looking()
    assert s.machine.wake_at == s.now
    assert s.machine.needs([]).look_backs == [LookBack("e", "", START, "")]
    s.step(TimePassed())
    assert status(s) == ["QUEUED"]
    assert not s.machine.needs([]).look_backs


def test_kill_9_who_has_not_been_answered_asks_again() -> None:
    s = looking()
    s.machine = s._load()
    s.now = Instant(s.now + us(60))  # the sleep that cancels has ended meanwhile; the event was there before
    s.step(TimePassed())
    assert status(s) == ["QUEUED"]


def test_CN_1_a_task_that_looks_back_is_cancelled() -> None:
    s = looking()
    [run] = s.tables.runs.values()
    s.machine.step([CancelRequested((run.id,))], s.now)  # without what was asked
    assert not s.machine.state.waits.looking


def test_W11_14_a_live_event_before_the_answer_counts_too() -> None:
    s = Stepwise(checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e", since=START), event("f", since=START)]))
    s.step(EventsPushed((s.pushed("e"),)))
    s.step(RunsTriggered((Trigger("W"),)))
    s.step(EventsPushed((s.pushed("f"),)))
    assert status(s) == ["QUEUED"]


def test_W11_14_an_event_that_comes_with_the_arming_leaves_nothing_to_be_asked() -> None:
    s = Stepwise(checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e", since=START)]))
    s.step(RunsTriggered((Trigger("W"),)), EventsPushed((s.pushed("e"),)))
    assert not s.machine.needs([]).look_backs
    s.step(TimePassed())
    assert status(s) == ["QUEUED"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_R53_so_many_questions_are_asked_in_a_step_and_all_are_answered(most: int) -> None:
    s = Scenario(Settings(look_backs_max=most), checks_reload=True)
    names = ("e", "f", "g")
    s.workflow("W", *(make_task(f"t{name}", wait_for=[event(name, since=START)]) for name in names))
    for name in names:
        s.push(name)
    s.worker("w1")
    run = s.trigger("W")
    assert s.statuses(run) == {f"t{name}": "RUNNING" for name in names}


def test_R53_a_task_with_more_questions_than_a_step_asks_is_answered_too() -> None:
    s = Scenario(Settings(look_backs_max=1), checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e", since=START), event("f", since=START)]))
    s.push("e")
    s.push("f")
    s.worker("w1")
    assert s.statuses(s.trigger("W")) == {"a": "RUNNING"}
