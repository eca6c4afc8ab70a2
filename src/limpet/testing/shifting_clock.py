"""Real time plus a shift: what a test advances by hours still beats in real time in between."""

from __future__ import annotations

import asyncio

from limpet.core.ids import SECOND_US, Instant
from limpet.engine.clock import SystemClock


class ShiftingClock:
    """A `Clock`. Waits end when real time and shifts together have brought their instant. One event loop only."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._shift_us = 0
        self._shifted = asyncio.Event()

    def now(self) -> Instant:
        return Instant(self._real.now() + self._shift_us)

    def shift(self, by_us: int) -> None:
        """Jump forward. Call it in the engine's event loop."""
        assert by_us >= 0, "time does not go back"
        self._shift_us += by_us
        self._shifted.set()
        self._shifted = asyncio.Event()

    async def wait_until(self, at: Instant) -> None:
        while (left := at - self.now()) > 0:
            try:
                await asyncio.wait_for(self._shifted.wait(), min(left / SECOND_US, 3_600))
            except TimeoutError:
                continue
