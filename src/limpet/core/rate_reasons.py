"""Why rate limits keep a task waiting, in sentences: units left, units wanted, when they are back (OB-13, RL2)."""

from __future__ import annotations

from typing import NamedTuple

from limpet.core.buckets import Bucket
from limpet.core.cron_time import rfc3339
from limpet.core.explain import Reason
from limpet.core.ids import Instant
from limpet.core.rate_demand import declarations_of, demand_of
from limpet.core.rates import Rates
from limpet.core.records import TaskRun


class Shortage(NamedTuple):
    """A limit that cannot give a task its units now.

    never: it never will, as it is set now
    """

    bucket: Bucket
    reason: Reason
    text: str
    never: bool


def shortage(rates: Rates, task: TaskRun, now: Instant) -> Shortage | None:
    """What stops the task: a limit that never gives its units if there is one, else the first that does not now (A-0.5)."""
    found = [_shortage(rates, task, name, units, now) for name, units in demand_of(task)]
    short = [one for one in found if one is not None]
    return next((one for one in short if one.never), short[0] if short else None)


def helps(short: Shortage) -> tuple[str, ...]:
    """What would let the task go on, a sentence each."""
    name = short.bucket.name
    change = f"Set another limit with limpet rate-limits put {name!r}, or let the task take fewer units."
    if short.reason is Reason.RATE_LIMIT_UNKNOWN:
        return (f"Set the limit: limpet rate-limits put {name!r} --limit N --window MINUTE.",)
    if short.reason is Reason.RATE_LIMIT_TOO_SMALL:
        return (change,)
    if short.reason is Reason.RATE_LIMIT_PAUSED:
        return ("Wait for the end of the pause, or end it by pausing until an instant that has passed.",)
    return ("Wait for the refill.", change)


def _shortage(rates: Rates, task: TaskRun, name: str, units: int, now: Instant) -> Shortage | None:
    bucket = rates.buckets[name]
    if not bucket.is_read:
        return Shortage(bucket, Reason.RATE_LIMITED, f"rate limit {name!r} is being read from the store", False)
    limit = bucket.limit if bucket.exists else _declared(task, name)
    if limit is None:
        return Shortage(bucket, Reason.RATE_LIMIT_UNKNOWN, f"nobody has set the rate limit {name!r}", True)
    if units > limit:
        text = f"rate limit {name!r} has {limit} units in all, {units} are needed"
        return Shortage(bucket, Reason.RATE_LIMIT_TOO_SMALL, text, True)
    if not bucket.exists or bucket.gives(units, now):
        return None
    if bucket.is_paused(now):
        assert bucket.paused_until is not None
        text = f"rate limit {name!r} is paused until {rfc3339(bucket.paused_until)}"
        return Shortage(bucket, Reason.RATE_LIMIT_PAUSED, text, False)
    return Shortage(bucket, Reason.RATE_LIMITED, _spent(bucket, units), False)


def _spent(bucket: Bucket, units: int) -> str:
    """`rate limit 'api' (10 per MINUTE) has 2 units left, 5 are needed; refill at 2026-…`."""
    assert bucket.level.refill_at is not None
    left = "1 unit" if bucket.value == 1 else f"{bucket.value} units"
    needed = "1 is needed" if units == 1 else f"{units} are needed"
    size = f"{bucket.limit} per {bucket.window.name}"
    return f"rate limit {bucket.name!r} ({size}) has {left} left, {needed}; refill at {rfc3339(bucket.level.refill_at)}"


def _declared(task: TaskRun, name: str) -> int | None:
    """What the task will set the limit to once it is queued."""
    return min((limit for declared, limit, _ in declarations_of(task) if declared == name), default=None)
