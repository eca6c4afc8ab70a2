"""One event that very many tasks wait for: heard by all in the step that stores it, carried out over the steps that follow (R53).

The property at the end holds a core that does one task a step, and dies between steps, against one that does all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from limpet.core.conditions import Condition
from limpet.core.event_inputs import EventsPushed
from limpet.core.explain import Outlook, Reason
from limpet.core.ids import SECOND_US, Instant
from limpet.core.inputs import CancelRequested, Input, TimePassed
from limpet.core.rows import EventType, TaskStatus
from limpet.core.settings import Settings
from limpet.testing.builders import Group, event, make_task, sleep, us
from limpet.testing.scenario import Scenario


class Paced(Scenario):
    """Steps come one by one, as the loop of an engine takes them with other tenants' turns in between."""

    def step(self, *inputs: Input) -> object:  # type: ignore[override]
        return self._decide(inputs)

    def crash(self) -> None:
        """The engine dies and is rebuilt; nothing has been stepped yet."""
        self.machine = self._load()

    def settle(self) -> int:
        """Steps until nothing is left to be done now; how many."""
        count = 0
        while self.machine.wake_at is not None and self.machine.wake_at <= self.now:
            self.step(TimePassed())
            count += 1
        return count


def many(
    count: int,
    *,
    wait_for: Sequence[Group],
    skip_if: Sequence[Group] = (),
    cancel_if: Sequence[Group] = (),
    at_once: int = 2,
) -> tuple[Paced, list[str]]:
    """So many runs of one task that waits; `at_once`: how many tasks a step lets go on."""
    s = Paced(Settings(heard_batch_max=at_once), checks_reload=True)
    s.workflow("W", make_task("a", wait_for=wait_for, skip_if=skip_if, cancel_if=cancel_if))
    return s, [s.trigger("W") for _ in range(count)]


def push(s: Paced, name: str, *, scope: str | None = None) -> None:
    s.step(EventsPushed((s.pushed(name, scope=scope),)))


def statuses(s: Paced, runs: list[str]) -> list[str]:
    return [s.statuses(run)["a"] for run in runs]


def test_R53_an_event_lets_so_many_tasks_go_on_in_a_step_and_the_others_follow_at_once() -> None:
    s, runs = many(7, wait_for=[event("e")], at_once=3)
    push(s, "e")
    assert statuses(s, runs) == ["QUEUED"] * 3 + ["PENDING"] * 4
    assert s.machine.wake_at == s.now
    assert s.settle() == 2
    assert statuses(s, runs) == ["QUEUED"] * 7
    assert s.machine.wake_at is None or s.machine.wake_at > s.now


def test_R53_the_bound_is_of_the_step_not_of_the_event() -> None:
    s, runs = many(6, wait_for=[[event("e"), event("f")]], at_once=4)
    s.step(EventsPushed((s.pushed("f"), s.pushed("e"))), EventsPushed((s.pushed("e"),)))
    assert statuses(s, runs).count("QUEUED") == 4


def test_kill_9_between_the_steps_everybody_has_heard_the_event() -> None:
    s, runs = many(5, wait_for=[event("e")])
    push(s, "e")
    for _ in runs:
        s.crash()
        s.step(TimePassed())
    assert statuses(s, runs) == ["QUEUED"] * 5
    assert {wait.decided_at for wait in s.tables.waits.values()} == {s.now}


def test_W5_8_what_comes_before_its_turn_changes_nothing_for_a_task_that_an_event_has_decided() -> None:
    """Neither a later event nor a sleep that ends meanwhile, also when the engine dies in between."""
    s, runs = many(4, wait_for=[event("e")], skip_if=[event("f")], cancel_if=[sleep(5)], at_once=1)
    push(s, "e")
    pushed_at = s.now
    push(s, "f")
    s.crash()
    s.now = Instant(s.now + us(60))
    s.settle()
    assert statuses(s, runs) == ["QUEUED"] * 4
    assert {wait.decided_at for wait in s.tables.waits.values()} == {pushed_at}


def test_W5_8_a_sleep_that_ended_before_the_event_has_decided_first() -> None:
    s, runs = many(3, wait_for=[event("e")], skip_if=[sleep(5)], at_once=1)
    began_at = s.now
    s.now = Instant(s.now + us(8))
    push(s, "e")
    s.crash()
    s.settle()
    assert statuses(s, runs) == ["SKIPPED"] * 3
    assert {wait.decided_at for wait in s.tables.waits.values()} == {began_at + 5 * SECOND_US}


def test_R53_D4_sleeps_take_their_own_turns_also_where_an_event_was_heard_before() -> None:
    s = Paced(Settings(due_batch_max=1), checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e"), sleep(1)]))
    runs = [s.trigger("W") for _ in range(3)]
    push(s, "e")
    s.now = Instant(s.now + us(1))
    s.step(TimePassed())
    assert statuses(s, runs) == ["QUEUED", "PENDING", "PENDING"]
    s.crash()
    s.settle()
    assert statuses(s, runs) == ["QUEUED"] * 3


def test_W5_7_a_task_that_begins_to_wait_between_the_steps_does_not_hear_the_event() -> None:
    s, runs = many(4, wait_for=[event("e")], at_once=1)
    push(s, "e")
    late = s.trigger("W")
    s.crash()
    s.settle()
    assert statuses(s, [*runs, late]) == ["QUEUED"] * 4 + ["PENDING"]


def test_CN_1_a_cancel_finds_a_task_as_the_event_has_left_it_before_its_turn_came() -> None:
    s, runs = many(3, wait_for=[sleep(60)], skip_if=[event("e")], at_once=1)
    push(s, "e")
    s.step(CancelRequested((runs[2],)))
    s.settle()
    assert statuses(s, runs) == ["SKIPPED"] * 3, "it was skipped before anybody wanted to cancel it"
    s, runs = many(3, wait_for=[event("e")], at_once=1)
    push(s, "e")
    s.step(CancelRequested((runs[2],)))
    s.settle()
    assert statuses(s, runs) == ["QUEUED", "QUEUED", "CANCELLED"]


def test_W5_16_the_turn_of_a_task_comes_with_what_the_event_brought() -> None:
    s, runs = many(3, wait_for=[event("e", key="data"), event("g", key="more")], at_once=1)
    push(s, "g")
    push(s, "e")
    s.crash()
    s.settle()
    s.worker("w1", slots=3)
    s.settle()
    keys = [row.key for row in s.tables.pushed_events.values()]
    started = [delivery for _, decision in s.log.decisions for delivery in decision.deliveries if hasattr(delivery, "triggers")]
    assert [sorted((ref.name, ref.key) for ref in one.triggers) for one in started] == [
        [("data", keys[1]), ("more", keys[0])]
    ] * len(runs)  # fmt: skip


def test_OB_14_explain_says_that_the_event_has_come() -> None:
    s, runs = many(2, wait_for=[event("e")], at_once=1)
    push(s, "e")
    answer = s.explain("a", runs[1])
    assert (answer.reason, answer.outlook) == (Reason.CONDITION_UNMET, Outlook.SOON)
    assert answer.text == (
        "Its wait_for holds: event e. An event decided that for many tasks at once, and its turn comes within moments."
    )


def test_W5_15_the_timeline_says_which_event_skipped_a_task_whose_turn_came_later() -> None:
    s, runs = many(2, wait_for=[sleep(60)], skip_if=[event("e")], at_once=1)
    push(s, "e")
    s.settle()
    told = [moment.message for moment in s.timeline("a", runs[1]) if moment.type is EventType.SKIPPED]
    assert told == ["Its skip_if holds: event e."]


# One task a step and a crash between any two, against everything at once

NAMES, SCOPES = ("e", "f"), ("", "eu")
conditions = st.one_of(
    st.builds(lambda name, scope: event(name, scope=scope), st.sampled_from(NAMES), st.sampled_from(SCOPES)),
    st.builds(sleep, st.sampled_from([0, 1, 2, 3])),
)
groups = st.lists(st.lists(conditions, min_size=1, max_size=2), max_size=2)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from(NAMES), st.sampled_from([None, "eu", "us"])),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 1, 2])),
        st.tuples(st.just("cancel"), st.integers(0, 7)),
        st.tuples(st.just("trigger")),
    ),
    max_size=8,
)


def live(s: Paced, script: list[tuple[object, ...]], after_each: Callable[[Paced], None]) -> list[tuple[str, int | None]]:
    """What became of the tasks, and when that was decided."""
    runs = [s.trigger("W") for _ in range(4)]
    for kind, *values in script:
        if kind == "push":
            name, scope = values
            assert isinstance(name, str)
            s.step(EventsPushed((s.pushed(name, scope=scope),)))  # type: ignore[arg-type]
        elif kind == "pass":
            s.now = Instant(s.now + us(values[0]))  # type: ignore[arg-type]
            s.step(TimePassed())
        elif kind == "cancel":
            s.step(CancelRequested((runs[values[0] % len(runs)],)))  # type: ignore[operator]
        else:
            runs.append(s.trigger("W"))
        after_each(s)
    s.settle()
    rows = {task.id: task for task in s.tables.tasks.values()}
    decided = {wait.run_key: wait.decided_at for wait in s.tables.waits.values()}
    return [(TaskStatus(rows[run].status).name, decided.get(rows[run].run_key)) for run in runs]


@settings(max_examples=150)
@given(groups, groups, groups, happenings)
def test_R53_D4_one_task_a_step_and_a_crash_after_each_end_as_all_at_once(
    wait_for: list[list[Condition]],
    skip_if: list[list[Condition]],
    cancel_if: list[list[Condition]],
    script: list[tuple[object, ...]],
) -> None:
    named = iter(range(100))

    def keyed(given: list[list[Condition]]) -> list[Group]:
        return [[replace(one, data_key=f"k{next(named)}") for one in group] for group in given]

    task = make_task("a", wait_for=keyed(wait_for), skip_if=keyed(skip_if), cancel_if=keyed(cancel_if))

    def made(at_once: int) -> Paced:
        s = Paced(Settings(heard_batch_max=at_once), checks_reload=True)
        s.workflow("W", task)
        return s

    assert live(made(1), script, Paced.crash) == live(made(500), script, lambda s: None)
