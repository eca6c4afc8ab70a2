"""What a step will need for the runs that its inputs start: rate limits, and who holds their idempotency keys (R52).

Of rate limits as far as the inputs tell; the others are read before the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from limpet.core import claims
from limpet.core.clock_starts import StartsKeyed
from limpet.core.event_inputs import EventsPushed
from limpet.core.inputs import Input, RunsTriggered
from limpet.core.needs import Needs
from limpet.core.rate_definitions import RateValue
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.run_keys import RunKeys
from limpet.core.state import State
from limpet.core.timetable_inputs import CronTriggered, ScheduleTriggered

_KEYS_IN: Mapping[type, Callable[[Any], Iterable[RunKeys | None]]] = MappingProxyType(
    {
        RunsTriggered: lambda item: (one.keys for one in item.items),
        EventsPushed: lambda item: (start.keys for event in item.events for start in event.starts),
        StartsKeyed: lambda item: (one.keys for one in item.items),
        CronTriggered: lambda item: (item.keys,),
        ScheduleTriggered: lambda item: (item.keys,),
    }
)


def keys_in(item: Input) -> list[RunKeys]:
    """What the runs that the item may start have brought; nothing for almost every input."""
    found = _KEYS_IN.get(type(item))
    return [] if found is None else [keys for keys in found(item) if keys is not None]


def add_needs(state: State, item: Input, needs: Needs) -> None:
    """The limits that the input is about, or that the runs it starts will take units of, and the keys these want."""
    if isinstance(item, RunsTriggered):
        needs.rate_limits.update(state.rates.missing(_named(state, item)))
    elif isinstance(item, RateLimitPut | RateLimitPaused | RateLimitDeleted):
        needs.rate_limits.update(state.rates.missing((item.name,)))
    if brought := keys_in(item):
        needs.claims.update(claims.names_of(brought))
        needs.rate_limits.update(state.rates.missing(name for keys in brought for name in _computed(keys)))


def _named(state: State, item: RunsTriggered) -> Iterator[str]:
    """By the definitions."""
    for name in {one.workflow_name for one in item.items}:
        workflow = state.workflows.get(name)
        if workflow is not None and workflow.newest is not None:
            yield from workflow.newest.definition.named_rates


def _computed(keys: RunKeys) -> Iterator[str]:
    """A name with the stand-in of the run's id is not known yet."""
    for value in keys.rates:
        if isinstance(value, RateValue) and not (keys.stand_in and keys.stand_in in value.name):
            yield value.name
