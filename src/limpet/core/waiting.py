"""What the conditions of a task say once its parents allow it: at once, when a sleep is over, when an event came.

Here nothing but waits changes; what a ruling means for the task is carried out by `runs` (W5.2 to W5.13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from limpet.core import condition_text
from limpet.core.condition_rows import Seen
from limpet.core.conditions import BY_PARENTS, Action, Condition, Kind, LookBack
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import Instant
from limpet.core.inputs import OutputVerdicts
from limpet.core.lifecycle import Cause
from limpet.core.records import Run, TaskRun
from limpet.core.rows import EventType
from limpet.core.state import State
from limpet.core.timers import Due
from limpet.core.waits import Decided, Heard, Moment, Wait

WHY_CHARS_MAX = 300  # of what is kept of an expression's error


class Ruling(NamedTuple):
    """What has been decided about a task, and a sentence that says why, unless it is queued."""

    cause: Cause
    text: str


_CAUSES = {Action.QUEUE: Cause.CONDITIONS_MET, Action.SKIP: Cause.SKIP_CONDITION, Action.CANCEL: Cause.CANCEL_CONDITION}


def note_output(state: State, parent: TaskRun, verdicts: OutputVerdicts | None) -> None:
    """What the parent's output means to the conditions of its children."""
    run = parent.run
    expressions = run.definition.output_expressions[parent.step]
    if not expressions:
        return
    assert verdicts is not None, f"the output of task {parent.id} was not judged"
    answers = dict(zip(expressions, verdicts.answers, strict=True))
    for step in run.definition.child_steps[parent.step]:
        for place, one in enumerate(run.definition.steps[step].conditions):
            if one.kind is Kind.PARENT and one.subject == parent.definition.name and one.expression:
                state.waits.see(run, step, place, _seen(answers[one.expression]))


def _seen(answer: bool | str) -> Seen:
    return Seen(False, answer[:WHY_CHARS_MAX]) if isinstance(answer, str) else Seen(answer)


def begin(state: State, task: TaskRun) -> Ruling | None:
    """The parents have ended and allow the task. None: time or events decide later (W5.5 to W5.10)."""
    run, rules = task.run, task.run.definition.rules[task.step]
    known = state.waits.of(run, task.step) or Wait(run, task.step)
    met = known.met(state.now)
    action = rules.first_to_hold(BY_PARENTS, met)
    if action is None and not rules.groups(Action.QUEUE):
        action = Action.QUEUE
    if action is Action.QUEUE and rules.looks_first:
        return _arm(state, task)
    if action is not None:
        return _ruling(known, action, met)
    if not rules.can_hold(Action.QUEUE, met):
        return Ruling(Cause.WAIT_UNSATISFIABLE, _why_never(known, met))
    return _arm(state, task)


def _arm(state: State, task: TaskRun) -> Ruling | None:
    """Sleeps begin, events are listened for (W5.7)."""
    wait = state.waits.arm(task.run, task.step, state.now)
    state.task_changed(task)
    return None if wait.name in state.waits.looking else _settle_down(state, task, wait)


def _settle_down(state: State, task: TaskRun, wait: Wait) -> Ruling | None:
    """Unless sleeps decide at once, it is a longer wait, and the timeline says what for."""
    ruling = look(state, wait)
    if ruling is None:
        _tell(state, task, wait)
    return ruling


def _tell(state: State, task: TaskRun, wait: Wait) -> None:
    wanted = condition_text.open_groups(wait.rules, Action.QUEUE, wait.met(state.now))
    state.event(task, EventType.CREATED, f"Waits for {wanted}.")


def looked_back(state: State, wait: Wait, found: Mapping[LookBack, PushedEventRow | None]) -> None:
    """The store has answered what the wait asks of the past. Events of the past count as of its arming, the older first."""
    armed_at = wait.armed_at or 0
    asked = wait.open_look_backs
    state.waits.note(wait, {place: _past(found[one], armed_at) for place, one in asked.items() if one in found})
    if not wait.open_look_backs:  # else more is to be asked than one step asks
        _have_looked(state, wait)


def _have_looked(state: State, wait: Wait) -> None:
    """Everything that was asked of the past is known, or a later event has made it needless."""
    del state.waits.looking[wait.name]
    decided = wait.first_decision(state.now)
    if decided is None:
        _watch(state, wait)
        _tell(state, wait.run.tasks[wait.step], wait)
    elif decided.moment.event_key:
        state.waits.ripen(wait, decided)
    else:
        state.timers.arm(decided.moment.at, Due.CONDITION, wait)  # its turn comes as that of every sleep


def _past(event: PushedEventRow | None, armed_at: int) -> Seen:
    if event is None:
        return Seen(False, at=armed_at)
    return Seen(True, event_key=event.key, payload_bytes=event.payload_bytes, at=armed_at)


def look(state: State, wait: Wait) -> Ruling | None:
    """The sleeps that are over by now count, in the order in which they ended; the next one is watched (W5.8)."""
    decided = _slept(state, wait)
    if decided is not None:
        return conclude(state, wait, decided)
    _watch(state, wait)
    return None


def _watch(state: State, wait: Wait) -> None:
    """The next sleep that ends."""
    to_come = next((at for at in wait.sleeps_end() if at > state.now), None)
    if to_come is not None:
        state.timers.arm(to_come, Due.CONDITION, wait)


def hear(state: State, wait: Wait, heard: Heard) -> None:
    """An event came, unless sleeps that ended before it have decided: their timer is due. Of several events the first counts."""
    if wait.name in state.waits.looking:
        state.waits.note(wait, {place: seen for place, seen in heard.places.items() if not wait.is_satisfied(place)})
        if not wait.open_look_backs:
            _have_looked(state, wait)
        return
    if wait.is_untouched(state.now):
        state.waits.note(wait, heard.places)
        decided = None if heard.alone is None else Decided(heard.alone, heard.moment)
    elif _slept(state, wait) is None:
        state.waits.note(wait, {place: seen for place, seen in heard.places.items() if not wait.is_satisfied(place)})
        decided = wait.decided_by(heard.moment)
    else:
        return
    if decided is not None:
        state.waits.ripen(wait, decided)


def _slept(state: State, wait: Wait) -> Decided | None:
    """What the sleeps that are over by now have decided. Events were looked at when they came."""
    if not wait.rules.sleeps:
        return None
    found = (wait.decided_by(Moment(at)) for at in wait.sleeps_end() if at <= state.now)
    return next((decided for decided in found if decided is not None), None)


def conclude(state: State, wait: Wait, decided: Decided) -> Ruling:
    """The wait is over."""
    _settle(state, wait, decided.moment.at)
    return _ruling(wait, decided.action, wait.met(*decided.moment))


def give_up(state: State, task: TaskRun) -> None:
    """The task ends otherwise: nobody waits for its conditions any more."""
    wait = state.waits.of(task.run, task.step)
    if wait is not None and wait.is_armed:
        _settle(state, wait, state.now)


def _settle(state: State, wait: Wait, at: Instant) -> None:
    state.waits.settle(wait, at)
    if wait.rules.sleeps:
        state.timers.forget_one()


def has_waited(state: State, task: TaskRun) -> bool:
    """Whether time passed between the end of its parents and the decision of its conditions."""
    wait = state.waits.of(task.run, task.step)
    return wait is not None and wait.armed_at is not None and wait.armed_at < state.now


def data_of(state: State, task: TaskRun) -> list[tuple[Condition, Seen | None]]:
    """What let the task run and is handed to it (W5.16); see `Wait.data`."""
    wait = state.waits.of(task.run, task.step) if task.definition.conditions else None
    return [] if wait is None else list(wait.data())


def is_armed(state: State, run: Run, step: int) -> bool:
    """Whether the task waits for its conditions, and for its parents no more."""
    wait = state.waits.of(run, step)
    return wait is not None and wait.is_armed


def _ruling(wait: Wait, action: Action, met: set[int]) -> Ruling:
    text = "" if action is Action.QUEUE else f"Its {condition_text.fired(wait.rules, action, met)}."
    return Ruling(_CAUSES[action], text)


def _why_never(wait: Wait, met: set[int]) -> str:
    """Which group can never hold, and what its expressions complained of."""
    rules = wait.rules
    wanted = condition_text.open_groups(rules, Action.QUEUE, met)
    errors = [f"{condition_text.described(rules.conditions[place])}: {seen.why}" for place, seen in wait.seen.items() if seen.why]
    said = f" Not evaluated, {'; '.join(errors[: condition_text.MEMBERS_MAX])}." if errors else ""
    return f"Wait condition unsatisfiable: {wanted}.{said}"
