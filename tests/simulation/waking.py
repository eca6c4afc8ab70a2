"""Who brings what tasks wait for in a simulated tenant."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from limpet.core.event_inputs import EventsPushed, PushedEvent
from tests.simulation.agenda import SECOND
from tests.simulation.condition_choice import EVENTS, OUTPUTS, SCOPES, payload
from tests.simulation.network import Call

if TYPE_CHECKING:
    from tests.simulation.tenant import Tenant


class Waker:
    """A program that pushes the events that conditions wait for. When the callers fall silent it pushes all there are, again and again, so that nobody waits."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.world, self.no = tenant, tenant.world, tenant.no
        self.rng = Random(tenant.world.seed * 37 + tenant.no)
        self.count = 0

    def act(self) -> None:
        """One act, then another one later."""
        names = [self.rng.choice(EVENTS) for _ in range(self.rng.choice((1, 1, 2)))] if self.tenant.triggering else EVENTS
        Call(self.world, self.no, EventsPushed(tuple(self._event(name) for name in names)), _nothing)
        pause = int(self.rng.expovariate(1 / SECOND)) if self.tenant.triggering else SECOND
        self.world.agenda.after(pause, self.act)

    def _event(self, name: str) -> PushedEvent:
        self.count += 1
        identity = f"00000000-0000-4000-{0x9000 + self.no:04x}-{self.count:012x}"
        return PushedEvent(identity, name, payload(self.rng.randrange(OUTPUTS)), scope=self.rng.choice(SCOPES) or None)


def _nothing(reply: object) -> None:
    """Who pushes does not care."""
