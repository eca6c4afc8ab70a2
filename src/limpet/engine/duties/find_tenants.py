"""Serve the tenants that were made beside the running engine, by `limpet tenants create` for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from limpet.core.ids import TenantNo
from limpet.engine.clock import Clock
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.metrics import Metrics
from limpet.engine.seats import Seats
from limpet.engine.settings import EngineSettings
from limpet.store.api import Store, TransientStoreError


class FindTenants(PeriodicDuty):
    """Gives every tenant of the store a seat; the loop loads it when it first looks at it.

    is_owner: whether the seats are this engine's to fill
    found:    called with the number of each new tenant
    """

    name: ClassVar[str] = "find_tenants"

    def __init__(
        self, store: Store, seats: Seats, is_owner: Callable[[], bool], found: Callable[[TenantNo], None],
        clock: Clock, metrics: Metrics, settings: EngineSettings,
    ) -> None:  # fmt: skip
        super().__init__(clock, metrics, settings.find_tenants_every_us)
        self._store, self._seats, self._is_owner, self._found = store, seats, is_owner, found

    async def round(self) -> None:
        try:
            tenants = await self._store.tenants()
        except TransientStoreError:  # the next round tries again
            return
        for tenant in tenants:
            if self._is_owner() and self._seats.of(tenant.id) is None:
                self._seats.add(tenant)
                self._found(tenant.no)
