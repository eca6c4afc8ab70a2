"""Servers that stand by: the lease of a store, and an engine process that waits for it (R12 to R16)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from limpet.engine.leases import Lease
from limpet.engine.settings import EngineSettings
from tests.simulation.agenda import SECOND, Agenda
from tests.simulation.engine import Engine, Seat
from tests.simulation.store import Fate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limpet.core.decision import Delivery
    from limpet.store.api import Batch
    from tests.simulation.world import World

LEASE = 6 * SECOND
SETTINGS = EngineSettings()


class LeaseRow:
    """Who owns the store, until when; only the store's own clock decides (R14)."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.holder: Engine | None = None
        self.expires_at = 0

    def may_claim(self, engine: Engine) -> bool:
        """Nobody holds it, or its holder let it run out."""
        return self.holder in (None, engine) or self._agenda.now >= self.expires_at

    def take(self, engine: Engine) -> None:
        """A claim, commit or renewal of the holder."""
        self.holder, self.expires_at = engine, self._agenda.now + LEASE

    def release(self, engine: Engine) -> None:
        if self.holder is engine:
            self.holder = None


class Server(Engine):
    """One of several engine processes; the one with the lease serves, the others stand by."""

    def __init__(self, world: World, row: LeaseRow) -> None:
        super().__init__(world)
        self.row = row
        self.lease = Lease(LEASE, self.clock, SETTINGS)  # type: ignore[arg-type]  # it is asked for the time only
        self._held: list[tuple[Seat, Sequence[Delivery]]] = []
        self._turn_waits = False

    def start(self) -> None:
        self.later(self.world.spread(SETTINGS.standby_look_every_us), self.try_to_claim)

    def try_to_claim(self) -> None:
        """Take over, or look again later."""
        if self.store_is_away or not self.row.may_claim(self):
            self.later(SETTINGS.standby_look_every_us, self.try_to_claim)
            return
        sent_at = self.clock.now()
        self.row.take(self)
        self.take_over()
        self.lease.prolong(sent_at)  # type: ignore[arg-type]
        self.later(SETTINGS.lease_look_every_us, self._look_at_lease)

    @property
    def store_is_away(self) -> bool:
        return self.agenda.now < self.world.weather.outage_until

    def hand_over(self) -> None:
        """A planned end: finish nothing new, give the lease up, close the streams (R49)."""
        self.row.release(self)
        self.step_down()

    # The lease

    def _look_at_lease(self) -> None:
        if self.lease.is_due(SETTINGS.lease_renew_after_us):
            sent_at = self.clock.now()
            delay, fate = self.world.weather.commit()
            self.later(delay, partial(self._renew, sent_at, fate))
        self.later(SETTINGS.lease_look_every_us, self._look_at_lease)

    def _renew(self, sent_at: int, fate: Fate) -> None:
        if fate in (Fate.TRANSIENT, Fate.LOST_DROPPED):
            return
        if self.row.holder is not self or self.store.epoch != self.owned.epoch:
            self.step_down()
            return
        self.row.take(self)
        if fate is Fate.OK:
            self._prolong(sent_at)

    def _prolong(self, sent_at: int) -> None:
        self.lease.prolong(sent_at)  # type: ignore[arg-type]
        held, self._held = self._held, []
        for seat, deliveries in held:
            self.deliver(seat, deliveries)
        if self._turn_waits:
            self._turn_waits = False
            self.later(0, self._turn)

    def _apply(self, batch: Batch) -> None:
        """A commit renews the lease where it is applied (R12)."""
        super()._apply(batch)
        self.row.take(self)

    def _note_commit(self, sent_at: int) -> None:
        self._prolong(sent_at)

    # What needs trust

    def _turn(self) -> None:
        """Nothing is decided from memory that may be stale: an answer without a change would leave without a fence (O3)."""
        if self.lease.is_trusted:
            super()._turn()
        else:
            self._turn_waits = True

    def deliver(self, seat: Seat, deliveries: Sequence[Delivery]) -> None:
        """Nothing leaves while the lease is not trusted (R14)."""
        if not deliveries:
            return
        if self._held or not self.lease.is_trusted:
            self._held.append((seat, deliveries))
            return
        if self.store.epoch != self.owned.epoch and self.rewinds == self.world.rewinds:
            self.store.violations.append(f"O2: epoch {self.owned.epoch} delivers although epoch {self.store.epoch} has begun")
        super().deliver(seat, deliveries)
