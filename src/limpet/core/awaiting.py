"""Tasks whose conditions are armed, and what happens to them: a sleep is over, an event came (W5.7 to W5.14)."""

from __future__ import annotations

from collections.abc import Mapping

from limpet.core import runs, waiting
from limpet.core.condition_rows import Seen
from limpet.core.errors import NotJudged
from limpet.core.event_rows import PushedEventRow
from limpet.core.state import State
from limpet.core.waiting import Ruling
from limpet.core.waits import Wait

Answers = Mapping[str, bool]
"""By expression, what it gives for the payload of an event; an error counts as no (W5.3)."""


def sleep_over(state: State, wait: Wait) -> None:
    """A sleep of the wait may have ended."""
    if wait.is_armed:
        _carry_out(state, wait, waiting.look(state, wait))


def check_answers(state: State, event_key: str, answers: Answers) -> None:
    """Raises NotJudged when an expression that is held against such events was not evaluated."""
    if any(expression not in answers for expression in state.waits.expressions(event_key)):
        raise NotJudged(f"event {event_key}")


def hear(state: State, event: PushedEventRow, answers: Answers) -> None:
    """An event is stored: every armed condition that it satisfies is satisfied in this step. Answers are checked before."""
    seen = Seen(True, event_key=event.key, payload_bytes=event.payload_bytes)
    for wait in state.waits.for_event(event.name):
        places = _satisfied(wait, event, answers)
        if places and wait.is_armed:  # an earlier one of the list may have ended this one's run
            _carry_out(state, wait, waiting.hear(state, wait, places, seen))


def _satisfied(wait: Wait, event: PushedEventRow, answers: Answers) -> list[int]:
    """Positions of the conditions that the event satisfies. The first event counts, later ones change nothing."""
    return [
        place
        for place, one in enumerate(wait.rules.conditions)
        if one.awaits(event.name, event.scope) and place not in wait.seen and (not one.expression or answers[one.expression])
    ]


def _carry_out(state: State, wait: Wait, ruling: Ruling | None) -> None:
    if ruling is not None:
        task = wait.run.tasks[wait.step]
        runs.follow(state, wait.run, runs.carry_out(state, task, ruling))
