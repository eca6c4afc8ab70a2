"""Look for violated invariants in the memory of every tenant (reliability section 4)."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from limpet.engine.clock import Clock
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.metrics import Metrics
from limpet.engine.recovery import Recovery
from limpet.engine.seats import Seats
from limpet.engine.settings import EngineSettings


class SelfCheck(PeriodicDuty):
    """Between two steps memory is whole, so a check needs no turn of the loop; it only must not await inside."""

    name: ClassVar[str] = "self_check"

    def __init__(self, seats: Seats, recovery: Recovery, clock: Clock, metrics: Metrics, settings: EngineSettings) -> None:
        super().__init__(clock, metrics, settings.self_check_every_us)
        self._seats, self._recovery = seats, recovery

    async def round(self) -> None:
        for seat in self._seats:
            if seat.core is not None:
                self._recovery.report_violations(seat, seat.core)
            await asyncio.sleep(0)  # a tenant at a time, so that the loop turns in between
