"""Tasks whose conditions are armed, and what happens to them: a sleep is over, an event came (W5.7 to W5.14)."""

from __future__ import annotations

from collections.abc import Mapping

from limpet.core import runs, waiting
from limpet.core.condition_rows import Seen
from limpet.core.conditions import BY_HAPPENING, LookBack, Rules
from limpet.core.errors import NotJudged
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import Instant
from limpet.core.state import State
from limpet.core.waits import Heard, Moment, Wait

Answers = Mapping[str, bool]
"""By expression, what it gives for the payload of an event; an error counts as no (W5.3)."""


def sleep_over(state: State, wait: Wait) -> None:
    """A sleep of the wait may have ended."""
    if wait.is_armed and wait.name not in state.waits.ripe and wait.name not in state.waits.looking:
        ruling = waiting.look(state, wait)
        if ruling is not None:
            runs.conclude(state, wait, ruling)


def looked_back(state: State, found: Mapping[LookBack, PushedEventRow | None]) -> None:
    """What the store knows of the past, for those that have asked."""
    for wait in list(state.waits.looking.values()) if found else ():
        waiting.looked_back(state, wait, found)


def check_answers(state: State, event_key: str, answers: Answers) -> None:
    """Raises NotJudged when an expression that is held against such events was not evaluated."""
    if any(expression not in answers for expression in state.waits.expressions(event_key)):
        raise NotJudged(f"event {event_key}")


def hear(state: State, event: PushedEventRow, answers: Answers) -> None:
    """An event is stored, and so is what it means to every armed condition. Answers are checked before.

    What follows for the tasks is carried out in this step for as many as a step may, and for the others in those that follow.
    """
    seen = Seen(True, event_key=event.key, payload_bytes=event.payload_bytes, at=state.now)
    heard: dict[Rules, Heard] = {}  # tasks of one kind hear the same
    for wait in state.waits.for_event(event.name):
        rules = wait.rules
        if rules not in heard:
            heard[rules] = _heard(rules, event, answers, seen)
        if heard[rules].places:
            waiting.hear(state, wait, heard[rules])
    carry_on(state)


def _heard(rules: Rules, event: PushedEventRow, answers: Answers, seen: Seen) -> Heard:
    """What the event means to such conditions."""
    places = {
        place: seen
        for place, one in enumerate(rules.conditions)
        if one.awaits(event.name, event.scope) and (not one.expression or answers[one.expression])
    }
    return Heard(places, Moment(Instant(seen.at), event.key), rules.first_to_hold(BY_HAPPENING, places))


def carry_on(state: State) -> None:
    """The tasks whose conditions events have decided, in turn, as many as are left to this step (`heard_batch_max`, R53)."""
    ripe = state.waits.ripe
    while ripe and state.heard_left:
        state.heard_left -= 1
        wait, decided = next(iter(ripe.values()))
        runs.conclude(state, wait, waiting.conclude(state, wait, decided))
