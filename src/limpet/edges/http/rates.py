"""How many calls a tenant may make a second (X19). Counts calls, not the items in a bulk call."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

BUCKETS_MAX = 10_000  # tenants remembered; one that is forgotten starts with a full bucket, as it would after a second


class CallRates:
    """A token bucket for each tenant: a second's worth at once, refilled evenly. `per_second` None: no limit."""

    def __init__(self, per_second: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, tenant: str) -> bool:
        """Whether this call is still within the rate; counts it when so."""
        if self.per_second is None:
            return True
        now = self._clock()
        left, seen_at = self._buckets.pop(tenant, (self.per_second, now))
        left = min(self.per_second, left + (now - seen_at) * self.per_second)
        allowed = left >= 1
        self._buckets[tenant] = (left - 1 if allowed else left, now)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return allowed
