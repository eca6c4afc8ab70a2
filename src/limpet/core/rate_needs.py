"""Which rate limits a step will need, as far as its inputs tell; the others are read before the next one (R52)."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core import due
from limpet.core.inputs import Input, RunsTriggered, Trigger
from limpet.core.needs import Needs
from limpet.core.rate_definitions import RateValue
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.run_keys import RunKeys
from limpet.core.state import State


def add_needs(state: State, item: Input, needs: Needs) -> None:
    """The limits that the input is about, or that the runs it starts will take units of."""
    if isinstance(item, RunsTriggered):
        for one in item.items:
            needs.rate_limits.update(state.rates.missing(_of_trigger(state, one)))
    elif isinstance(item, RateLimitPut | RateLimitPaused | RateLimitDeleted):
        needs.rate_limits.update(state.rates.missing((item.name,)))
    for keys in due.keys_in(item):
        needs.rate_limits.update(state.rates.missing(_computed(keys)))


def _of_trigger(state: State, item: Trigger) -> Iterator[str]:
    workflow = state.workflows.get(item.workflow_name)
    if workflow is not None and workflow.newest is not None:
        yield from workflow.newest.definition.named_rates
    yield from _computed(item.keys)


def _computed(keys: RunKeys | None) -> Iterator[str]:
    """A name with the stand-in of the run's id is not known yet."""
    for value in keys.rates if keys is not None else ():
        if isinstance(value, RateValue) and not (keys and keys.stand_in and keys.stand_in in value.name):
            yield value.name
