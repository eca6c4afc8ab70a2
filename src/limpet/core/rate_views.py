"""The rate limits that a tenant's code names, as numbers for whoever watches them.

What is told of one by one is what somebody wrote down: the keys in newest definitions. Computed keys come from data, one for each
customer perhaps, so they are told of together, and so are those beyond `rate_limits_shown_max`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest

from limpet.core.buckets import Bucket
from limpet.core.ids import Instant
from limpet.core.state import State


@dataclass(frozen=True, slots=True)
class RateLimitView:
    """A limit as it stands now, in units. `waiting`: tasks that wait because it cannot give them theirs."""

    name: str
    limit: int
    left: int
    waiting: int


@dataclass(frozen=True, slots=True)
class RatesView:
    """Limits by name, those first that most tasks wait for. `others_waiting`: tasks that wait for any other."""

    limits: tuple[RateLimitView, ...]
    others_waiting: int


def of_rates(state: State, now: Instant) -> RatesView:
    """What memory knows of them; a limit that was not used lately, and was not asked for, is absent."""
    shown = nsmallest(state.settings.rate_limits_shown_max, _named(state), key=lambda bucket: (-bucket.waiting, bucket.name))
    limits = tuple(RateLimitView(bucket.name, bucket.limit, _left(bucket, now), bucket.waiting) for bucket in shown)
    return RatesView(limits, state.rates.held.tasks - sum(one.waiting for one in limits))


def _named(state: State) -> Iterator[Bucket]:
    newest = (workflow.newest for workflow in state.workflows.values())
    names = {name for version in newest if version is not None for name in version.definition.named_rates}
    found = (state.rates.buckets.get(name) for name in names)
    return (bucket for bucket in found if bucket is not None and bucket.exists)


def _left(bucket: Bucket, now: Instant) -> int:
    """Looking changes nothing: units that are back by now are told of as if somebody had taken one."""
    _, _, refill_at = bucket.level
    is_due = refill_at is not None and refill_at <= now and not bucket.is_awaited
    return bucket.limit if is_due else bucket.value
