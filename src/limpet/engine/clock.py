"""Time, handed in: the real clock, and one that a test moves by hand.

Laws:
1. A clock never goes back, and a jump of the wall clock moves nothing: time is anchored once, then counted (T-CLOCK).
2. Whoever waits for an instant waits here; nobody else sleeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from limpet.core.ids import SECOND_US, Instant

WAIT_MAX_US = 3_600 * SECOND_US  # a longer wait is cut in pieces, because event loops refuse very long timers
MANUAL_START = Instant(1_750_000_000 * SECOND_US)  # any round instant; a test reads better when it is always the same
_NANOSECONDS = 1_000


class Clock(Protocol):
    """What the engine knows of time."""

    def now(self) -> Instant:
        """Never smaller than the value before."""

    async def wait_until(self, at: Instant) -> None:
        """Return once `now()` has reached the instant; at once if it has."""


class SystemClock:
    """The wall clock at the moment of creation, counted on by the monotonic clock.

    Restarting the process takes the wall clock as it then is. While a computer is suspended this clock stands
    still, so that a laptop that wakes up does not find all its workers dead.
    """

    def __init__(self, *, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._anchor_ns = wall_ns() - monotonic_ns()

    def now(self) -> Instant:
        return Instant((self._anchor_ns + self._monotonic_ns()) // _NANOSECONDS)

    async def wait_until(self, at: Instant) -> None:
        left = at - self.now()
        if left > 0:
            await asyncio.sleep(min(left, WAIT_MAX_US) / SECOND_US)
            await self.wait_until(at)


class ManualClock:
    """Time that stands still until somebody advances it. For tests: nothing sleeps, everything waits."""

    def __init__(self, start: Instant = MANUAL_START) -> None:
        self._now = start
        self._order = 0
        self._sleepers: list[tuple[Instant, int, asyncio.Future[None]]] = []
        self._observers: list[tuple[Instant, asyncio.Future[None]]] = []

    def now(self) -> Instant:
        return self._now

    async def wait_until(self, at: Instant) -> None:
        if at <= self._now:
            return
        future = asyncio.get_running_loop().create_future()
        self._order += 1
        heappush(self._sleepers, (at, self._order, future))
        self._tell_observers(at)
        await future

    def advance(self, by_us: int) -> None:
        """Move time forward and wake everybody who waited for an instant up to then."""
        assert by_us >= 0, "time does not go back"
        self._now = Instant(self._now + by_us)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def next_at(self) -> Instant:
        """The earliest instant that somebody waits for."""
        return min(at for at, _, future in self._sleepers if not future.done())

    async def until_awaited(self, by: Instant) -> None:
        """Return once somebody waits for an instant not later than `by`; then advancing to it wakes them."""
        if any(at <= by and not future.done() for at, _, future in self._sleepers):
            return
        future = asyncio.get_running_loop().create_future()
        self._observers.append((by, future))
        await future

    def _tell_observers(self, at: Instant) -> None:
        for by, future in self._observers:
            if at <= by and not future.done():
                future.set_result(None)
        self._observers = [(by, future) for by, future in self._observers if not future.done()]
