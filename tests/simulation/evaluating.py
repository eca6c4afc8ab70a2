"""The edge's part in events: what a core says may start, filtered by chance (R3, R52)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from limpet.core.event_inputs import EventsPushed, EventStart, PushedEvent
from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.machine import Machine
from limpet.core.subscriptions import Candidate
from tests.simulation.condition_choice import answers_of
from tests.simulation.keys import with_keys


def evaluated(core: Machine, item: EventsPushed, rng: Random) -> EventsPushed:
    """The edge's part: what this core says may start now, filtered by chance (R3, R52).

    A push that is no repetition gets ids of its own each time it arrives, as an edge makes them.
    """
    return replace(item, events=tuple(_evaluated(core, one, rng, item.is_repeatable) for one in item.events))


def _evaluated(core: Machine, event: PushedEvent, rng: Random, is_repeatable: bool) -> PushedEvent:
    candidates = core.candidates(event.name, event.scope)
    passed = [one for one in candidates if one.filter_id is None or rng.random() < 0.7]
    identity = event.id if is_repeatable else f"{event.id[:24]}{rng.getrandbits(48) | 1 << 47:012x}"
    starts = tuple(_start(core, one, rng) for one in passed)
    return replace(
        event, id=identity, considered=tuple(one.stamp for one in candidates), starts=starts, answers=answers_of(core, event)
    )


def _start(core: Machine, candidate: Candidate, rng: Random) -> EventStart:
    (keyed,) = with_keys(core, RunsTriggered((Trigger(candidate.workflow_name),)), rng).items
    return EventStart(candidate.stamp, b"{}", keyed.keys)
