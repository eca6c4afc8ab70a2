"""What all duties share: rounds without end, a failing round counts and the next one follows, tests can wait for one."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import ClassVar

from limpet.core.ids import Instant
from limpet.engine.clock import Clock
from limpet.engine.metrics import Metrics

_log = logging.getLogger(__name__)


class Duty(ABC):
    """Waits until something is to be done, does a round of it, and so on until it is cancelled."""

    name: ClassVar[str]

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock, self._metrics = clock, metrics
        self._observers: list[asyncio.Future[None]] = []

    @abstractmethod
    async def until_due(self) -> None:
        """Return when the next round should begin."""

    @abstractmethod
    async def round(self) -> None:
        """Do what there is to do now."""

    async def run(self) -> None:
        """Rounds for ever. This is an outermost edge: whatever a round raises is counted and logged here."""
        while True:
            await self.until_due()
            try:
                await self.round()
            except Exception:
                self._metrics.internal_errors.labels(self.name).inc()
                _log.exception("A round of %s failed; the next one follows.", self.name, extra={"event": "duty.failed"})
            self._tell_observers()

    async def done_round(self) -> None:
        """Return when the next round has ended, however it ended."""
        future = asyncio.get_running_loop().create_future()
        self._observers.append(future)
        await future

    def _tell_observers(self) -> None:
        for observer in self._observers:
            if not observer.done():
                observer.set_result(None)
        self._observers.clear()


class PeriodicDuty(Duty):
    """A duty with a pause of fixed length between two rounds."""

    def __init__(self, clock: Clock, metrics: Metrics, every_us: int) -> None:
        super().__init__(clock, metrics)
        self._every_us = every_us

    async def until_due(self) -> None:
        await self._clock.wait_until(Instant(self._clock.now() + self._every_us))
