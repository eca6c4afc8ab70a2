"""Two servers over one store in memory, with leases that end by a clock of the store's own (R12 to R16)."""

from __future__ import annotations

from limpet.core.ids import SECOND_US
from limpet.engine.clock import ManualClock
from limpet.store.api import ONLY_GROUP, Batch, Fences, Holder, OwnedElsewhere
from limpet.store.memory import MemoryStore
from limpet.store.memory.content import Content

LEASE_US = 6 * SECOND_US


class Database:
    """What two servers share: the content, the clock that decides, and the one lease."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.content = Content()
        self.holder: Holder | None = None
        self.expires_at = 0

    @property
    def is_leased(self) -> bool:
        return self.holder is not None and self.clock.now() < self.expires_at


class LeasedStore(MemoryStore):
    """One server's store over the database."""

    lease_us: int | None = LEASE_US

    def __init__(self, database: Database, name: str) -> None:
        super().__init__(database.content)
        self.database, self.me = database, Holder(name, f"{name}:7077")
        self.renewals = 0

    async def claim(self) -> Fences:
        if self.database.is_leased and self.database.holder != self.me:
            raise OwnedElsewhere(self.database.holder)
        fences = await super().claim()
        self._prolong()
        return fences

    async def commit(self, batch: Batch) -> None:
        await super().commit(batch)
        self._prolong()

    async def renew(self, fences: Fences) -> None:
        self.renewals += 1
        await super().renew(fences)
        self._prolong()

    async def release(self, fences: Fences) -> None:
        if fences and fences[ONLY_GROUP].epoch == self.content.fence.epoch:
            self.database.holder = None

    async def holder(self) -> Holder | None:
        return self.database.holder if self.database.is_leased else None

    def _prolong(self) -> None:
        self.database.holder, self.database.expires_at = self.me, self.database.clock.now() + LEASE_US
