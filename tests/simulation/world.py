"""One seed's world: store, engine, tenants, weather, checkers; and the story from its beginning to its quiet end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from random import Random

from limpet.core.ids import TenantNo
from limpet.core.inputs import WorkerSeen
from tests.simulation.agenda import MS, SECOND, Agenda, WallClock
from tests.simulation.chaos import Chaos, start_engine
from tests.simulation.engine import Engine
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.network import Conditions
from tests.simulation.scenario import choose_scenario
from tests.simulation.servers import LeaseRow
from tests.simulation.store import ModelStore
from tests.simulation.tenant import Tenant

QUIET_WITHIN = 600 * SECOND  # timeouts, back-offs and retries of every task of a seed are far below
RESTART_AFTER = 2 * SECOND


class World:
    """Everything that exists in one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.scenario = choose_scenario(self.rng)
        self.agenda = Agenda()
        self.wall = WallClock(self.agenda, self.scenario.rate_permille)
        self.weather = Conditions(self.agenda, self.rng, self.scenario.weather)
        numbers = [TenantNo(number + 1) for number in range(self.scenario.tenants)]
        self.store = ModelStore(numbers)
        self.ledgers = {number: Ledger(self, number) for number in numbers}
        self.engine: Engine | None = None  # the one that calls go to
        self.servers: list[Engine] = []  # all that live
        self.lease = LeaseRow(self.agenda) if self.scenario.servers > 1 else None
        self.tenants = [Tenant(self, number) for number in numbers]
        self.chaos = Chaos(self)
        self.rewinds = 0
        self.outputs = blake2b(digest_size=16)

    # The story

    def run(self) -> None:
        """Faults, then calm, then quiet. Raises `Violation`."""
        for _ in range(self.scenario.servers):
            self.engine = self._start()
        for tenant in self.tenants:
            tenant.begin()
        self.chaos.begin()
        self.agenda.run(self.scenario.faults_until)
        self.chaos.end()
        for tenant in self.tenants:
            tenant.triggering = False
        self.agenda.run(self.scenario.ends_at)
        self._run_until_quiet()
        for tenant in self.tenants:
            self.ledgers[tenant.no].at_the_end(tenant)

    def _run_until_quiet(self) -> None:
        """L3: with finite timeouts every run ends."""
        limit = self.agenda.now + QUIET_WITHIN
        while any(self.store.tables[tenant.no].open_runs for tenant in self.tenants):
            if self.agenda.now >= limit:
                left = [len(self.store.tables[tenant.no].open_runs) for tenant in self.tenants]
                raise Violation(f"L3: {QUIET_WITHIN // SECOND} s after the last fault runs are still open: {left}")
            self.agenda.run(self.agenda.now + SECOND)
        self.agenda.run(self.agenda.now + 8 * SECOND)  # waiters subscribe again within three seconds

    # Small things

    def spread(self, within: int) -> int:
        """Some span up to that one."""
        return self.rng.randrange(within + 1)

    def count(self, what: str) -> None:
        """A fault has happened."""
        self.weather.happened[what] += 1

    def digest(self) -> str:
        """Of all decisions, all rows, and chance itself (D5)."""
        twin = self.outputs.copy()
        twin.update(repr([table.tasks for table in self.store.tables.values()]).encode())
        twin.update(str(self.rng.getrandbits(64)).encode())
        return twin.hexdigest()

    def heartbeat(self, tenant_no: TenantNo, worker_id: str, answer: Callable[[bool], None]) -> None:
        """Answered by the edge, from what it knows of streams; the core hears of it behind the answer (R10, WK-16)."""
        if self.weather.happens("lost"):
            self.agenda.after(5 * SECOND, partial(answer, False))
            return
        self.agenda.after(self.weather.latency(), partial(self._beat, tenant_no, worker_id, answer))

    def _beat(self, tenant_no: TenantNo, worker_id: str, answer: Callable[[bool], None]) -> None:
        engine = self.engine
        if engine is None or not engine.serving or not engine.seats[tenant_no].streams.get(worker_id):
            answer(False)
            return
        engine.put(tenant_no, WorkerSeen(worker_id))
        answer(True)

    # Engines come and go

    def engine_gone(self, engine: Engine) -> None:
        """The process has ended; if it was the newest, or one of several, another one is started after a while."""
        self.servers = [server for server in self.servers if server is not engine]
        if engine is self.engine:
            self.engine = None
        elif self.lease is None:
            return
        self.agenda.after(self.spread(RESTART_AFTER), self._start_engine)

    def kill(self, engine: Engine) -> None:
        """`kill -9`."""
        engine.kill()
        self.engine_gone(engine)

    def _start(self) -> Engine:
        engine = start_engine(self)
        self.servers.append(engine)
        return engine

    def _start_engine(self) -> None:
        if self.lease is None and self.engine is not None:
            return
        if self.wall.jump:  # a start takes the wall clock as it is, so the operator sets it first
            self.agenda.after(500 * MS, self._start_engine)
            return
        started = self._start()
        self.engine = self.engine or (started if self.lease is None else None)

    def replace_engine(self) -> None:
        """A second process starts beside the first, which will notice at its next commit."""
        if not self.wall.jump and self.lease is None:
            start_engine(self)

    def serves(self, engine: Engine) -> None:
        """Calls go to the process that serves last."""
        self.engine = engine

    def rewind(self, count: int) -> None:
        """The store goes back. What was said about the lost commits is forgiven (P1), mixed state is not."""
        if self.store.rewind(count):
            if self.lease is not None:
                self.lease.expires_at = self.agenda.now  # a copy of yesterday says that the lease ended yesterday
            self.rewinds += 1
            for ledger in self.ledgers.values():
                ledger.rewound()


def simulate(seed: int) -> World:
    """Run one seed. Raises `Violation`, or the core's own assertion."""
    world = World(seed)
    world.run()
    return world
