"""Let workers and callers go once the lease has run out (R33); a renewal that hangs must not keep this waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from limpet.engine.clock import Clock
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.leases import Lease
from limpet.engine.metrics import Metrics
from limpet.engine.settings import EngineSettings


class WatchLease(PeriodicDuty):
    """Looks whether the lease of an owner has run out.

    is_owner: whether this server believes to own the store
    over:     called in every round in which it has, because nobody can tell then who owns the store
    """

    name: ClassVar[str] = "watch_lease"

    def __init__(
        self, lease: Lease, is_owner: Callable[[], bool], over: Callable[[], None], clock: Clock, metrics: Metrics,
        settings: EngineSettings,
    ) -> None:  # fmt: skip
        super().__init__(clock, metrics, settings.lease_look_every_us)
        self._lease, self._is_owner, self._over = lease, is_owner, over

    async def round(self) -> None:
        if self._is_owner() and self._lease.is_over:
            self._over()
