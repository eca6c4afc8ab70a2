"""The stage of the fault tests: two servers, each with a way of its own to one PostgreSQL, behind a balancer; workers and callers
of both clients. The lease, the patience and all bounds have their real lengths."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import psutil

from tests.cluster.records import Line, Lines, until
from tests.hostile.fleet import Fleet
from tests.hostile.house import Callers, task
from tests.postgres.proxy import Fault, Proxy
from tests.postgres.server import Server
from tests.soak.balancer import Backend
from tests.soak.stage import Child, Stage

WORKERS = MappingProxyType({"limpet-1": "limpet", "official-1": "official"})
RATES = MappingProxyType({"limpet": 5.0, "official": 2.0})  # triggers a second: little enough for two cores with all of it
SEED = 20_261_127
TAKE_OVER_S = 10.0  # L5
# After a take-over a worker of the official client is back within 5 s of pause and what its start costs; its tasks that had
# no receipt are started again 15 s after the load at the latest.
SERVES_AGAIN_S = 30.0
QUIET_WITHIN_S = 90.0


class Cluster(Stage):
    """Two servers; `ways` lead from each to the database, and can be broken one by one."""

    settings: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path, database: Server, ways: tuple[Proxy, Proxy]) -> None:
        self.database = database
        self.ways = dict(zip(("server-0", "server-1"), ways, strict=True))
        super().__init__(folder, database.url(), 2, [])
        self.seen = Lines(self.journal)
        self.logs = {name: Lines(server.log) for name, server in self.servers.items()}
        self._switch = asyncio.Event()

    def store_of(self, backend: Backend) -> str:
        return self.ways[backend.name].through(self.store)

    def the_owner(self) -> Child:
        """The server that serves now. Raises when none does."""
        owner = self.owner()
        assert owner is not None, "no server is ready"
        return owner

    def other(self, server: Child) -> Child:
        (found,) = (one for one in self.servers.values() if one is not server)
        return found

    def address(self, server: Child) -> tuple[str, str]:
        """Of its gRPC and HTTP side, past the balancer."""
        (found,) = (one for one in self.backends if one.name == server.name)
        return f"127.0.0.1:{found.grpc}", f"http://127.0.0.1:{found.http}"

    def callers(self, server: Child | None = None) -> Callers:
        """A caller of the raw protocol, at one server or, as everybody else, at the balancer."""
        at = (f"127.0.0.1:{self.balancer.ports[0]}", f"http://127.0.0.1:{self.balancer.ports[1]}")
        return Callers(*(at if server is None else self.address(server)), self.token)

    @asynccontextmanager
    async def fleet(self, size: int) -> AsyncIterator[Fleet]:
        """That many more workers, which listen and beat and do nothing."""
        async with self.callers() as callers:
            await callers.workflow("herded", task("herded"))
            fleet = Fleet(callers, "herded", size)
            await fleet.join()
            await fleet.all_back()
            yield fleet
            await fleet.leave()

    @asynccontextmanager
    async def frozen(self, server: Child) -> AsyncIterator[None]:
        """Stop its process, as a hypervisor would; it goes on afterwards. Returns once it stands still."""
        assert server.process is not None
        process = psutil.Process(server.process.pid)
        server.signal(signal.SIGSTOP)
        try:
            await until(f"{server.name} stands still", lambda: process.status() == psutil.STATUS_STOPPED, within_s=5.0)
            yield
        finally:
            server.signal(signal.SIGCONT)

    @asynccontextmanager
    async def cut_off(self, server: Child) -> AsyncIterator[Proxy]:
        """Let nothing pass between a server and the database, with connections that stay open; mended afterwards."""
        way = self.ways[server.name]
        way.fault = Fault.DEAF
        try:
            yield way
        finally:
            way.fault = Fault.NONE
            way.cut()

    async def whole(self) -> None:
        """Start what does not run: a test that failed in the middle should not fail those after it."""
        for server in self.servers.values():
            if not server.is_alive:
                server.start()
        await self.until_ready()

    # --- signals

    async def ready(self, within_s: float) -> None:
        """Return once some server is ready."""
        await until("a server is ready", lambda: self.balancer.has_owner.is_set() or None, within_s)

    async def owned_by(self, server: Child, within_s: float = TAKE_OVER_S) -> None:
        """Return once the balancer leads to that server."""
        try:
            async with asyncio.timeout(within_s):
                while self.owner() is not server:
                    self._switch.clear()
                    await self._switch.wait()
        except TimeoutError:
            tail = server.log.read_text()[-2_000:]
            raise AssertionError(f"{server.name} did not own the store within {within_s:g} s:\n{tail}") from None

    async def logged(self, server: Child, event: str, mark: int, within_s: float = TAKE_OVER_S) -> Line:
        """The next line with that event behind a mark of the server's log."""
        log = self.logs[server.name]
        lines = await until(
            f"{server.name} logs {event}", lambda: [one for one in log.since(mark) if one.get("event") == event], within_s
        )
        return lines[0]

    def has_logged(self, server: Child, event: str, mark: int) -> bool:
        return any(one.get("event") == event for one in self.logs[server.name].since(mark))

    async def start_again(self, server: Child) -> None:
        """Start a server that has ended, and return once it stands by."""
        mark = self.logs[server.name].mark
        server.start()
        await self.logged(server, "engine.stands_by", mark, within_s=30.0)

    async def serves(self, within_s: float = SERVES_AGAIN_S) -> None:
        """Return once each client has a result of a run that it asked for after this call."""
        mark = self.seen.mark

        def served() -> bool:
            lines = self.seen.since(mark)
            asked = {(one["client"], one["number"]) for one in lines if one["kind"] == "asked"}
            ended = {one["client"] for one in lines if one["kind"] == "result" and (one["client"], one["number"]) in asked}
            return ended == set(self.clients)

        await until("both clients are served", served, within_s)

    def under_way(self) -> set[str]:
        """Tasks whose code runs now."""
        running: dict[str, str] = {}
        for line in self.seen.all():
            if line["kind"] == "start":
                running[line["task"]] = line["run"]
            elif line["kind"] in ("done", "fails"):
                running.pop(line["task"], None)
        told = {line["run"] for line in self.seen.all() if line["kind"] in ("result", "failed")}
        return {task for task, run in running.items() if run not in told}

    async def busy(self, tasks: int = 4) -> set[str]:
        """Return the tasks under way, once there are so many at the same time."""
        return await until(
            f"{tasks} tasks are under way", lambda: found if len(found := self.under_way()) >= tasks else None, within_s=60.0
        )

    async def acknowledged(self, count: int, mark: int) -> None:
        """Return once so many runs were acknowledged since."""

        def many() -> bool:
            return sum(line["kind"] == "acknowledged" for line in self.seen.since(mark)) >= count

        await until(f"{count} runs are acknowledged", many, within_s=60.0)

    def refused(self, mark: int) -> list[Line]:
        """Triggers of Limpet's client that failed since."""
        return [one for one in self.seen.since(mark) if one["kind"] == "refused" and one["client"] == "limpet"]

    def _note_switch(self, name: str | None) -> None:
        super()._note_switch(name)
        self._switch.set()
