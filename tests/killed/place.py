"""The place that is killed: one server on a file, or two on a database, behind a balancer; and who calls it over the raw protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc.aio

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire
from tests.cluster.records import Lines
from tests.hostile.house import Callers, task
from tests.killed.hands import Hands
from tests.killed.truth import truth
from tests.soak.balancer import Backend
from tests.soak.stage import Child, Stage

HOUR_S = 3_600
MODULE = "limpet.cli.main"
WITHIN_S = 20.0  # of what comes by itself
ASKS_EVERY_S = 0.05
QUICK = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]


def lasting(name: str, **more: Any) -> admin.CreateTaskOpts:
    """A task that nothing ends but what a scene wants to see: an hour is nothing to it."""
    return task(name, **({"timeout": "24h", "schedule_timeout": "24h"} | more))


class Place(Stage):
    """Killed as often as one likes. While nobody lives, an hour can go by in no time: the next life's clock is ahead.

    calls: a fresh channel for each life; patient: one for all, on which calls wait for the next life
    """

    # Our workers do not beat. A start that was on its way when the engine died goes to somebody else soon.
    settings = MappingProxyType({"worker_lost_after": "1h", "worker_assignable": "1h", "receipt_grace_after_load": "2s"})
    ready_within_s = 20.0  # nobody is frozen here: a slow answer means a busy machine

    def __init__(self, folder: Path, store: str) -> None:
        self._ahead = folder / "ahead"
        super().__init__(folder, store, 2 if "://" in store else 1, [])
        self.ahead_s = 0
        self.born_at: list[float] = []  # when each life was there for callers, by its own clock
        self.hour = (0.0, 0.0)  # that nobody lived
        self._numbers = count(1)
        self._switch = asyncio.Event()
        self._hands: list[Hands] = []
        self.workflows: dict[str, str] = {}  # ids by name
        self.broken: list[Exception] = []

    # --- lives

    async def open(self) -> None:
        """The first life."""
        await self.start({}, {}, 0)
        self.patient = grpc.aio.insecure_channel(f"127.0.0.1:{self.balancer.ports[0]}", options=QUICK)
        await self._begin()
        await self.answers(200, "/tenants/{tenant}/rate-limits")  # the token is newer than the server's copy of the table

    async def an_hour_without_anybody(self) -> None:
        """Every server is killed; an hour later all are started again."""
        for server in self.servers.values():
            server.kill()
        killed_at = self.now()
        await self._nobody_serves()
        self.ahead_s += HOUR_S
        self._ahead.write_text(str(self.ahead_s))
        self.hour = (killed_at, self.now())
        for server in self.servers.values():
            server.start()
        await self._begin()

    async def death(self) -> None:
        """The owner is killed; its standby takes over, or, where there is none, it is started again at once."""
        owner = self.owner()
        assert owner is not None, "no server is ready"
        owner.kill()
        await self._nobody_serves()
        if len(self.servers) == 1:
            owner.start()
        await self._begin()

    async def end(self) -> None:
        """The last kill; `truth` is what the store holds then, `broken` what went wrong with workers before."""
        await self.calls.__aexit__()
        for server in self.servers.values():
            server.kill()
        await self.patient.close()
        logs = {server.name: Lines(server.log).all() for server in self.servers.values()}
        await self._leave()
        self.truth = await truth(self.store, logs)

    async def close(self) -> None:
        """Whatever has happened."""
        await self._leave()
        await self.stop()

    async def _leave(self) -> None:
        for hands in self._hands:
            self.broken += await hands.leave()
        self._hands.clear()

    async def _begin(self) -> None:
        await self.until_ready()
        self.born_at.append(self.now())
        if len(self.born_at) > 1:
            await self.calls.__aexit__()
        at = (f"127.0.0.1:{self.balancer.ports[0]}", f"http://127.0.0.1:{self.balancer.ports[1]}")
        self.calls = await Callers(*at, self.token).__aenter__()

    async def _nobody_serves(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.owner() is not None:
                self._switch.clear()
                await self._switch.wait()

    # --- what scenes do

    def now(self) -> float:
        """Seconds since 1970 for those who live here."""
        return time.time() + self.ahead_s

    def number(self) -> int:
        return next(self._numbers)

    async def hands(self, *actions: str, slots: int = 1_000) -> Hands:
        """A worker for these actions, which listens, and has a workflow of its own that shows whether it was given all there is."""
        probe = f"probe-{self.number()}"
        await self.calls.workflow(probe)
        request = wire.WorkerRegisterRequest(worker_name=f"of-{probe}", actions=[*actions, probe], slots=slots)
        answer = await self.calls.call("/Dispatcher/Register", request)
        hands = Hands(self, answer.worker_id, probe)
        self._hands.append(hands)
        await hands.listens()
        return hands

    async def workflow(self, name: str, *tasks: admin.CreateTaskOpts, **more: Any) -> None:
        """Register it; without tasks, one of a single task, whose action has its name."""
        request = admin.CreateWorkflowVersionRequest(name=name, tasks=tasks or [lasting(name)], **more)
        self.workflows[name] = (await self.calls.call("/v1.AdminService/PutWorkflow", request)).workflow_id

    async def status(self, run_id: str) -> str:
        return admin.RunStatus.Name((await self.calls.details(run_id)).status)

    async def ends_as(self, run_id: str, status: str) -> None:
        """Return once the run has ended that way."""

        async def is_over() -> bool:
            return (await self.calls.details(run_id)).done

        await self.until(f"run {run_id} has ended", is_over)
        assert await self.status(run_id) == status

    async def rest(self, verb: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """What a call of the REST tree answers; it must have that status."""
        answer = await self.calls.rest(verb, path, body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def answers(self, status: int, path: str) -> None:
        """Return once asking for the path is answered that way."""

        async def does() -> bool:
            return (await self.calls.rest("GET", path)).status_code == status

        await self.until(f"{path} answers {status}", does)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Return once that holds. Raises AssertionError when it takes too long."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await holds():  # noqa: ASYNC110  # another process cannot signal this one
                    await asyncio.sleep(ASKS_EVERY_S)
        except TimeoutError:
            raise AssertionError(f"waited {WITHIN_S:g} s in vain until {what}") from None

    def _server(self, backend: Backend) -> Child:
        child = super()._server(backend)
        at = child.command.index(MODULE)
        child.command[at:at] = ["tests.soak.programs.shifted", str(self._ahead)]
        return child

    def _note_switch(self, name: str | None) -> None:
        super()._note_switch(name)
        self._switch.set()
