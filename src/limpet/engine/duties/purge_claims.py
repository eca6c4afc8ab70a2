"""Delete rows of idempotency keys that have expired (W16.9). Whether a key is free, the owner's step says by itself (F9.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from limpet.engine.clock import Clock
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.metrics import Metrics
from limpet.engine.settings import EngineSettings
from limpet.store.api import Store


class PurgeClaims(PeriodicDuty):
    """A round goes on until nothing is left that has expired."""

    name: ClassVar[str] = "purge_claims"

    def __init__(
        self, store: Store, is_owner: Callable[[], bool], clock: Clock, metrics: Metrics, settings: EngineSettings
    ) -> None:
        super().__init__(clock, metrics, settings.purge_claims_every_us)
        self._store, self._is_owner, self._settings = store, is_owner, settings

    async def round(self) -> None:
        before = self._clock.now()
        while self._is_owner():
            gone = await self._store.purge_claims(before, self._settings.prune_batch_max)
            self._metrics.purged_claims.inc(gone)
            if gone < self._settings.prune_batch_max:
                return
            await asyncio.sleep(0)  # commits and callers in between
