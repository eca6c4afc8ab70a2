"""Planted bugs in conditions; each is one small change, as in `mutants`. `surgery`: its `Surgery`."""

from __future__ import annotations

from typing import Any

from limpet.core import awaiting, loading, waiting
from limpet.core.condition_rows import Seen
from limpet.core.conditions import Action, Condition, Kind, Rules
from limpet.core.waits import Wait, Waits


def wait_conditions_ignored(surgery: Any) -> None:
    def begin(state: Any, task: Any) -> Any:
        ruling = real(state, task)
        if ruling is None:
            waiting.give_up(state, task)
            return waiting.Ruling(waiting._CAUSES[Action.QUEUE], "")
        return ruling

    real: Any = surgery.put(waiting, "begin", begin)


def groups_are_alternatives(surgery: Any) -> None:
    def holds(self: Rules, action: Action, met: Any) -> bool:
        return any(any(place in met for place in group) for group in self.groups(action))

    surgery.put(Rules, "holds", holds)


def conditions_not_loaded(surgery: Any) -> None:
    surgery.put(loading, "_load_waits", lambda state, rows: None)


def sleeps_not_watched_after_load(surgery: Any) -> None:
    def load_waits(state: Any, rows: Any) -> None:
        by_key = {run.key: run for run in state.runs.values()}
        for row in rows:
            state.waits.restore(row, by_key[row.run_key])

    surgery.put(loading, "_load_waits", load_waits)


def events_not_listened_for_after_load(surgery: Any) -> None:
    def restore(self: Waits, row: Any, run: Any) -> Wait:
        wait: Wait = real(self, row, run)
        for key in wait.rules.event_keys if wait.is_armed else ():
            self._by_event[key].pop(wait.name)
            if not self._by_event[key]:
                del self._by_event[key]
        return wait

    real = surgery.put(Waits, "restore", restore)


def outputs_of_a_replayed_parent_count_on(surgery: Any) -> None:
    def begin_anew(self: Waits, run: Any, steps: Any) -> None:
        kept = {step: dict(wait.seen) for step in steps if (wait := self.of(run, step)) is not None}
        real(self, run, steps)
        for step, seen in kept.items():
            wait = self.of(run, step)
            assert wait is not None
            wait.seen = seen

    real = surgery.put(Waits, "begin_anew", begin_anew)


def expressions_of_events_ignored(surgery: Any) -> None:
    def heard(rules: Rules, event: Any, answers: Any, seen: Seen) -> Any:
        return real(rules, event, dict.fromkeys(answers, True), seen)

    real: Any = surgery.put(awaiting, "_heard", heard)


def scopes_of_events_ignored(surgery: Any) -> None:
    surgery.put(Condition, "awaits", lambda self, key, scope: self.kind is Kind.EVENT and self.subject == key)


def events_without_a_scope_satisfy_all(surgery: Any) -> None:
    def awaits(self: Condition, key: str, scope: str | None) -> bool:
        return self.kind is Kind.EVENT and self.subject == key and (not scope or self.scope in ("", scope))

    surgery.put(Condition, "awaits", awaits)


def one_waiter_hears_an_event(surgery: Any) -> None:
    real: Any = surgery.put(Waits, "for_event", lambda self, key: real(self, key)[:1])


def a_false_output_counts(surgery: Any) -> None:
    surgery.put(waiting, "_seen", lambda answer: Seen(True))


def a_cancelled_task_waits_on(surgery: Any) -> None:
    surgery.put(waiting, "give_up", lambda state, task: None)


def what_can_never_hold_is_waited_for(surgery: Any) -> None:
    surgery.put(Rules, "can_hold", lambda self, action, met: True)


def who_waits_for_its_turn_is_not_loaded(surgery: Any) -> None:
    surgery.put(Waits, "restore_ripe", lambda self, waits, now: None)


def events_are_stored_with_those_whose_turn_came(surgery: Any) -> None:
    def note(self: Waits, wait: Wait, places: dict[int, Seen]) -> None:
        real(self, wait, places)
        if any(seen.event_key is not None for seen in places.values()):
            self._changed.pop(wait.name)

    real: Any = surgery.put(Waits, "note", note)


def nobody_goes_on_after_the_step_of_the_event(surgery: Any) -> None:
    def carry_on(state: Any) -> None:
        real(state)
        if not state.heard_left:
            state.waits.ripe.clear()

    real: Any = surgery.put(awaiting, "carry_on", carry_on)


def who_waits_for_its_turn_hears_more(surgery: Any) -> None:
    def ripen(self: Waits, wait: Wait, decided: Any) -> None:
        self.ripe[wait.name] = wait, decided

    surgery.put(Waits, "ripen", ripen)


def nobody_looks_back(surgery: Any) -> None:
    def arm(self: Waits, run: Any, step: int, now: Any) -> Wait:
        wait: Wait = real(self, run, step, now)
        self.looking.pop(wait.name, None)
        return wait

    real: Any = surgery.put(Waits, "arm", arm)


def who_looks_back_is_not_loaded(surgery: Any) -> None:
    def restore(self: Waits, row: Any, run: Any) -> Wait:
        wait: Wait = real(self, row, run)
        self.looking.pop(wait.name, None)
        return wait

    real: Any = surgery.put(Waits, "restore", restore)


def the_past_is_always_empty(surgery: Any) -> None:
    surgery.put(waiting, "_past", lambda event, armed_at: Seen(False, at=armed_at))


CONDITION_MUTANTS = (
    nobody_looks_back,
    who_looks_back_is_not_loaded,
    the_past_is_always_empty,
    who_waits_for_its_turn_is_not_loaded,
    events_are_stored_with_those_whose_turn_came,
    nobody_goes_on_after_the_step_of_the_event,
    who_waits_for_its_turn_hears_more,
    wait_conditions_ignored,
    groups_are_alternatives,
    conditions_not_loaded,
    sleeps_not_watched_after_load,
    events_not_listened_for_after_load,
    outputs_of_a_replayed_parent_count_on,
    expressions_of_events_ignored,
    scopes_of_events_ignored,
    events_without_a_scope_satisfy_all,
    one_waiter_hears_an_event,
    a_false_output_counts,
    a_cancelled_task_waits_on,
    what_can_never_hold_is_waited_for,
)
