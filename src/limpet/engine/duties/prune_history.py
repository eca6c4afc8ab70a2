"""Delete finished runs and events after their retention, in small batches, off the commit path (R50, F9.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from limpet.engine.clock import Clock
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.metrics import Metrics
from limpet.engine.settings import EngineSettings
from limpet.store.api import Store


class PruneHistory(PeriodicDuty):
    """A round goes on until nothing is left that ended before the retention."""

    name: ClassVar[str] = "prune_history"

    def __init__(
        self, store: Store, is_owner: Callable[[], bool], clock: Clock, metrics: Metrics, settings: EngineSettings
    ) -> None:
        super().__init__(clock, metrics, settings.prune_every_us)
        self._store, self._is_owner, self._settings = store, is_owner, settings

    async def round(self) -> None:
        before = self._clock.now() - self._settings.retention_us
        while self._is_owner():
            gone = await self._store.prune(before, self._settings.prune_batch_max)
            self._metrics.pruned_runs.inc(gone)
            gone += await self._store.prune_events(before, self._settings.prune_batch_max)
            if gone < self._settings.prune_batch_max:
                return
            await asyncio.sleep(0)  # commits and callers in between
