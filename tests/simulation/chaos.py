"""Faults of processes: engines and workers that die, stop and come back; stores that are away or go back; clocks that jump."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.agenda import SECOND
from tests.simulation.engine import Engine
from tests.simulation.servers import Server
from tests.simulation.worker import SimWorker

if TYPE_CHECKING:
    from tests.simulation.world import World

HOUR = 3_600 * SECOND


class Chaos:
    """Chooses who suffers, until faults stop."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        self.over = False

    def begin(self) -> None:
        weather = self.world.scenario.weather
        if weather.engine_mean:
            self._engine_soon(first=True)
        if weather.worker_mean:
            self._worker_soon(first=True)

    def end(self) -> None:
        """Faults stop: whoever is stopped goes on, whoever is dead may come back."""
        self.over = True
        self.world.weather.clear_up()
        self.world.wall.jump = 0
        for tenant in self.world.tenants:
            for worker in tenant.workers:
                worker.wake()
                if worker.stream is not None and worker.stream.deaf:
                    worker.cut()
                if not worker.alive and self.rng.random() < 0.7:
                    worker.boot()

    def _mean(self, mean: int) -> int:
        return int(self.rng.expovariate(1 / mean))

    def _engine_soon(self, *, first: bool = False) -> None:
        if self.over:
            return
        if not first:
            self._hurt_engine()
        self.world.agenda.after(self._mean(self.world.scenario.weather.engine_mean), self._engine_soon)

    def _worker_soon(self, *, first: bool = False) -> None:
        if self.over:
            return
        if not first:
            workers = [worker for tenant in self.world.tenants for worker in tenant.workers]
            self._hurt_worker(self.rng.choice(workers))
        self.world.agenda.after(self._mean(self.world.scenario.weather.worker_mean), self._worker_soon)

    # The engine and its store

    def _hurt_engine(self) -> None:
        weather, rng = self.world.scenario.weather, self.rng
        faults = [self._kill_engine, self._kill_engine, self._hand_over, self._freeze_engine, self._reload]
        if self.world.lease is not None:
            faults.append(self._kill_standby)
        if weather.rewinds:
            faults.append(self._rewind)
        if weather.outages:
            faults.append(self._outage)
        if weather.clock_jumps:
            faults += [self._jump, self._jump]
        rng.choice(faults)()

    def _kill_engine(self) -> None:
        engine = self.world.engine
        if engine is not None:
            self.world.count("engine killed")
            self.world.kill(engine)

    def _kill_standby(self) -> None:
        """A server that owns nothing dies; nobody notices."""
        idle = [server for server in self.world.servers if server.alive and not server.serving]
        if idle:
            self.world.count("standby killed")
            self.world.kill(self.rng.choice(idle))

    def _hand_over(self) -> None:
        """The owner ends as planned; without leases another takes over while it still believes that it owns the store."""
        engine = self.world.engine
        if isinstance(engine, Server):
            self.world.count("owner handed over")
            engine.later(0, engine.hand_over)  # a frozen process hears of it when it is thawed
        elif engine is not None:
            self.world.count("engine replaced")
            self.world.replace_engine()

    def _freeze_engine(self) -> None:
        """SIGSTOP the owner, let another take over, SIGCONT (T-ZOMBIE-OWNER)."""
        engine = self.world.engine
        if engine is not None:
            self.world.count("engine frozen")
            engine.freeze()
            self.world.replace_engine()
            self.world.agenda.after(self.world.spread((15 if isinstance(engine, Server) else 5) * SECOND), engine.thaw)

    def _reload(self) -> None:
        """The memory is dropped and rebuilt inside the process (T-LOST-RELOAD)."""
        engine = self.world.engine
        if engine is not None and engine.serving and not engine.busy:
            self.world.count("engine reloaded")
            for seat in engine.seats.values():
                engine.rebuild(seat)
                engine.wake(seat)

    def _rewind(self) -> None:
        """The store comes back older than what it had acknowledged (T-REWIND)."""
        self.world.count("store rewound")
        self.world.rewind(self.rng.randint(1, 6))

    def _outage(self) -> None:
        self.world.count("store away")
        self.world.weather.outage_until = self.world.agenda.now + self._mean(4 * SECOND)

    def _jump(self) -> None:
        """The wall clock is wrong for a while; only a process that starts anew would believe it."""
        self.world.count("clock jumped")
        self.world.wall.jump = self.rng.choice((-HOUR, HOUR, -24 * HOUR))
        self.world.agenda.after(self._mean(2 * SECOND), partial(setattr, self.world.wall, "jump", 0))

    # Workers

    def _hurt_worker(self, worker: SimWorker) -> None:
        if not worker.alive:
            worker.boot()
            return
        self.rng.choice((self._kill, self._leave, self._stall, self._cut, self._cut, self._deafen))(worker)

    def _kill(self, worker: SimWorker) -> None:
        worker.die()
        if self.rng.random() < 0.6:  # a supervisor restarts it, under the same name (T-WORKER-SAME-NAME)
            self.world.agenda.after(self.world.spread(3 * SECOND), worker.boot)

    def _leave(self, worker: SimWorker) -> None:
        self.world.count("worker left")
        worker.leave()
        self.world.agenda.after(self.world.spread(20 * SECOND), worker.boot)

    def _stall(self, worker: SimWorker) -> None:
        self.world.count("worker stalled")
        worker.stall()
        self.world.agenda.after(self.rng.choice((2, 15, 45)) * SECOND, worker.wake)

    def _cut(self, worker: SimWorker) -> None:
        self.world.count("stream cut")
        worker.cut()

    def _deafen(self, worker: SimWorker) -> None:
        self.world.count("stream deaf")
        worker.deafen()


def start_engine(world: World) -> Engine:
    """A new engine process."""
    engine = Engine(world) if world.lease is None else Server(world, world.lease)
    engine.start()
    return engine
