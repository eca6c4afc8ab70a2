"""The one wake-up timer: the earliest instant at which time alone changes something for some tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from limpet.core.ids import Instant, TenantNo
from limpet.engine.clock import Clock


class Alarm:
    """Instants by tenant; `ring` is called when the earliest has come. A thousand idle tenants cost nothing."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._at: dict[TenantNo, Instant] = {}
        self._heap: list[tuple[Instant, TenantNo]] = []  # an entry that `_at` does not know is out of date
        self._armed_at: Instant | None = None
        self._sleeper: asyncio.Task[None] | None = None

    def set(self, tenant_no: TenantNo, at: Instant | None) -> None:
        """Wake that tenant at the instant and at no other; None: never."""
        if self._at.get(tenant_no) == at:
            return
        if at is None:
            del self._at[tenant_no]
            return
        self._at[tenant_no] = at
        heappush(self._heap, (at, tenant_no))
        self._arm()

    def due(self) -> list[TenantNo]:
        """Tenants whose instant has come, earliest first; each is told once."""
        now, due = self._clock.now(), []
        while self._heap and self._heap[0][0] <= now:
            at, tenant_no = heappop(self._heap)
            if self._at.get(tenant_no) == at:
                del self._at[tenant_no]
                due.append(tenant_no)
        if self._armed_at is not None and self._armed_at <= now:
            self._disarm()
        self._arm()
        return due

    def stop(self) -> None:
        """Wake nobody any more."""
        self._at.clear()
        self._heap.clear()
        self._disarm()

    def _arm(self) -> None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        at = self._heap[0][0] if self._heap else None
        if at is None or (self._armed_at is not None and self._armed_at <= at):
            return  # a sleeper that wakes too early only looks again
        self._disarm()
        self._armed_at = at
        self._sleeper = asyncio.get_running_loop().create_task(self._sleep(at), name="limpet-alarm")

    def _disarm(self) -> None:
        if self._sleeper is not None:
            self._sleeper.cancel()
        self._sleeper = self._armed_at = None

    async def _sleep(self, at: Instant) -> None:
        """Ring once; `due` arms the next, so that a busy loop is not rung at again and again.

        A sleeper that was disarmed at the very moment of waking may still ring, which costs one look. It changes nothing
        else: whoever sleeps by then is another one, and must still be found by `stop`.
        """
        await self._clock.wait_until(at)
        self._ring()
