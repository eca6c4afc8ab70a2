"""Prolong the lease while no commit does it (R14); a loop that is wedged must lose it (R15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from limpet.engine.clock import Clock
from limpet.engine.committing import Committer
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.leases import Lease
from limpet.engine.metrics import Metrics
from limpet.engine.settings import EngineSettings
from limpet.store.api import FenceMismatch, Store, TransientStoreError


class RenewLease(PeriodicDuty):
    """One statement for all groups, on a connection that no commit waits for.

    loop_stands_still_us: since when the loop has not come round; 0 while it waits for work
    lost:                 called with the error when another server has taken over
    """

    name: ClassVar[str] = "renew_lease"

    def __init__(
        self, store: Store, lease: Lease, committer: Committer, loop_stands_still_us: Callable[[], int],
        lost: Callable[[FenceMismatch], None], clock: Clock, metrics: Metrics, settings: EngineSettings,
    ) -> None:  # fmt: skip
        super().__init__(clock, metrics, settings.lease_look_every_us)
        self._store, self._lease, self._committer = store, lease, committer
        self._loop_stands_still_us, self._lost = loop_stands_still_us, lost
        self._idle_us = settings.lease_renew_after_us

    async def round(self) -> None:
        fences = dict(self._committer.fences)
        if not fences or not self._lease.is_due(self._idle_us) or self._is_wedged():
            return
        sent_at = self._clock.now()
        try:
            await self._store.renew(fences)
        except FenceMismatch as error:
            self._lost(error)
        except TransientStoreError:  # the next round tries again, and trust ends by itself
            self._metrics.store_retries.labels("renew the lease", "transient").inc()
        else:
            self._metrics.lease_margin_seconds.observe(self._seconds_left())
            self._lease.prolong(sent_at)

    def _is_wedged(self) -> bool:
        lease_us = self._lease.lease_us
        return lease_us is not None and self._loop_stands_still_us() > lease_us // 2

    def _seconds_left(self) -> float:
        return max(0, self._lease.margin_us or 0) / 1_000_000
