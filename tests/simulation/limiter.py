"""The person of a simulated tenant who sets, pauses and deletes rate limits."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from limpet.core.ids import Instant
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitInput, RateLimitPaused, RateLimitPut
from limpet.core.rate_windows import RateWindow
from tests.simulation.agenda import SECOND
from tests.simulation.meters import COMPUTED, NAMED, WINDOWS
from tests.simulation.network import Call

if TYPE_CHECKING:
    from tests.simulation.tenant import Tenant


class Limiter:
    """Calls now and then. When the callers fall silent, all limits are set for good."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.world, self.no = tenant, tenant.world, tenant.no
        self.rng = Random(tenant.world.seed * 37 + tenant.no)

    def begin(self) -> None:
        for name in NAMED:
            if self.rng.random() < 0.8:
                self._call(RateLimitPut(name, self.rng.choice((1, 2, 5)), self.rng.choice(WINDOWS)))
        self.act()

    def act(self) -> None:
        if self.tenant.triggering:
            self._call(self._choose())
            self.world.agenda.after(int(self.rng.expovariate(1 / (3 * SECOND))), self.act)
            return
        for name in (*NAMED, *COMPUTED):
            self._call(RateLimitPut(name, 5, RateWindow.SECOND))
        self.world.agenda.after(SECOND, self.act)

    def _choose(self) -> RateLimitInput:
        name, luck = self.rng.choice((*NAMED, *COMPUTED)), self.rng.random()
        if luck < 0.6:
            return RateLimitPut(name, self.rng.choice((0, 1, 2, 3, 5)), self.rng.choice(WINDOWS))
        if luck < 0.8:
            until = self.world.wall.honest() + self.rng.randint(-SECOND, 3 * SECOND)
            return RateLimitPaused(name, Instant(until))
        return RateLimitDeleted(name)

    def _call(self, item: RateLimitInput) -> None:
        Call(self.world, self.no, item, _nothing)


def _nothing(reply: object) -> None:
    """Whoever asked does not care."""
