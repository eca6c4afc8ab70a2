"""How long this engine may believe that it owns its store (R12 to R15).

A store with leases hands its ownership to another server when the lease has ended by the database's clock. The owner
cannot read that clock, so it believes less than it was given: from the moment it *sent* the claim, commit or renewal,
for the length of the lease less a margin. Past that it sends nothing to workers until one of them has succeeded.
"""

from __future__ import annotations

import asyncio

from limpet.core.ids import Instant
from limpet.engine.clock import Clock
from limpet.engine.settings import EngineSettings


class Lease:
    """The trust in the ownership; for ever with a store that has no leases."""

    def __init__(self, lease_us: int | None, clock: Clock, settings: EngineSettings) -> None:
        self.lease_us = lease_us
        self._clock, self._margin_us = clock, settings.lease_margin_us
        self._until = Instant(0)
        self._sent_at = Instant(0)
        self._prolonged = asyncio.Event()

    @property
    def is_trusted(self) -> bool:
        """Whether deliveries may leave."""
        return self.lease_us is None or self._clock.now() < self._until

    @property
    def is_over(self) -> bool:
        """Whether another server may own the store by now, as far as the clock of this one can tell."""
        return self.lease_us is not None and self._clock.now() - self._sent_at >= self.lease_us

    @property
    def margin_us(self) -> int | None:
        """How long the trust still lasts; negative: since when it is over; None: for ever."""
        return None if self.lease_us is None else self._until - self._clock.now()

    def prolong(self, sent_at: Instant) -> None:
        """A claim, commit or renewal that was sent at that instant has succeeded."""
        if self.lease_us is None or sent_at < self._sent_at:
            return
        self._sent_at = sent_at
        self._until = Instant(sent_at + self.lease_us - self._margin_us)
        self._prolonged.set()

    def is_due(self, idle_us: int) -> bool:
        """Whether nothing has prolonged it for that long."""
        return self.lease_us is not None and self._clock.now() - self._sent_at >= idle_us

    def end(self) -> None:
        """The ownership is over; the next `prolong` begins another."""
        self._until = self._sent_at = Instant(0)

    async def trusted(self) -> None:
        """Return once deliveries may leave."""
        while not self.is_trusted:
            self._prolonged.clear()
            await self._prolonged.wait()
