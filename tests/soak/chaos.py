"""What goes wrong in the soak, one thing every few seconds, chosen by the seed."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from tests.soak.stage import Child, Stage

Fault = Callable[[], Awaitable[None]]
FROZEN_S = 9.0  # longer than a lease
RESTARTS_AFTER_S = 1.0


class Database(Protocol):
    """The database server under the stage, where there is one."""

    async def crash(self) -> None:
        """Immediate stop, then start."""

    async def cut_connections(self) -> None:
        """End every connection of the servers."""


class Chaos:
    """Chooses faults until it is cancelled; what it broke it mends before the next one, but for what mends itself."""

    def __init__(self, stage: Stage, database: Database | None, rng: Random, mean_s: float) -> None:
        self._stage, self._database, self._rng, self._mean_s = stage, database, rng, mean_s
        self.happened: Counter[str] = Counter()
        self.owner_lost_at: list[float] = []
        self.killed_workers: list[float] = []

    async def run(self, seconds: float) -> None:
        """For that long."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * self._mean_s)
            if loop.time() >= ends_at:
                return
            await self._stage.until_ready()
            fault = self._rng.choice(self._faults())
            self.happened[fault.__name__.strip("_").replace("_", " ")] += 1
            await fault()

    def _faults(self) -> list[Fault]:
        faults: list[Fault] = [self._kill_owner, self._kill_owner, self._kill_worker, self._cut_connections_of_clients]
        if len(self._stage.servers) > 1:
            faults += [self._freeze_owner, self._end_owner, self._kill_standby]
        if self._database is not None:
            faults += [self._crash_database, self._cut_connections_of_servers]
        return faults

    async def _kill_owner(self) -> None:
        owner = self._stage.owner()
        if owner is not None:
            self._note_loss()
            owner.kill()
            await asyncio.sleep(RESTARTS_AFTER_S)
            owner.start()

    async def _freeze_owner(self) -> None:
        """SIGSTOP for longer than the lease, then SIGCONT."""
        owner = self._stage.owner()
        if owner is not None:
            self._note_loss()
            owner.signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)
            owner.signal(signal.SIGCONT)

    async def _end_owner(self) -> None:
        """A rolling restart: SIGTERM, wait, start."""
        owner = self._stage.owner()
        if owner is not None:
            owner.terminate()
            if not await owner.ended():
                self.happened["a server did not end by itself"] += 1
            owner.start()

    async def _kill_standby(self) -> None:
        for server in self._standbys():
            server.kill()
            await asyncio.sleep(RESTARTS_AFTER_S)
            server.start()

    async def _kill_worker(self) -> None:
        worker = self._rng.choice(list(self._stage.workers.values()))
        self.killed_workers.append(asyncio.get_running_loop().time())
        worker.kill()  # its supervisor starts it again

    async def _cut_connections_of_clients(self) -> None:
        self._stage.balancer.cut()

    async def _crash_database(self) -> None:
        assert self._database is not None
        await self._database.crash()

    async def _cut_connections_of_servers(self) -> None:
        assert self._database is not None
        await self._database.cut_connections()

    def _standbys(self) -> list[Child]:
        owner = self._stage.owner()
        return [server for server in self._stage.servers.values() if server is not owner and server.is_alive]

    def _note_loss(self) -> None:
        self.owner_lost_at.append(asyncio.get_running_loop().time())
