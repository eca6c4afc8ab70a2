"""Becoming the owner of the store, at once or when the server that owns it dies (R16, R20)."""

from __future__ import annotations

import logging

from limpet.core.errors import NotOwner
from limpet.core.ids import Instant
from limpet.engine.clock import Clock
from limpet.engine.recovery import Recovery
from limpet.engine.settings import EngineSettings
from limpet.store.api import Holder, OwnedElsewhere

_log = logging.getLogger(__name__)


class Ownership:
    """Claims the store and loads it; stands by while another server's lease runs."""

    def __init__(self, recovery: Recovery, clock: Clock, settings: EngineSettings) -> None:
        self._recovery, self._clock, self._settings = recovery, clock, settings
        self._holder: Holder | None = None
        self.is_standing_by: bool = False

    async def acquire(self) -> None:
        """Return once this server owns the store and everything is in memory. Raises what the store has against it."""
        while not await self.try_once():
            await self._clock.wait_until(Instant(self._clock.now() + self._settings.standby_look_every_us))

    async def try_once(self) -> bool:
        """Claim and load; False: another server owns the store, and this one stands by for it."""
        try:
            await self._recovery.take_over()
        except OwnedElsewhere as refusal:
            self._stand_by(refusal.holder)
            return False
        self.is_standing_by = False
        return True

    def refusal(self) -> NotOwner:
        """What callers are told meanwhile."""
        return NotOwner(str(self._holder) if self._holder else None)

    def _stand_by(self, holder: Holder | None) -> None:
        if not self.is_standing_by or holder != self._holder:
            _log.info(
                "This server stands by: %s owns the store.", holder or "another one",
                extra={"event": "engine.stands_by", "owner": holder and holder.server_id},
            )  # fmt: skip
        self.is_standing_by, self._holder = True, holder
