"""An engine process: the store, the engine on it, the streams, both edges, in one hand.

Laws:
1. It starts from the store outwards: nobody is let in before what was acknowledged earlier is in memory again.
2. It gives its store up first, so that a standby need not wait for the rest (R49). Then it stops from the edges inwards,
   and stopping what was never started is harmless.
3. Nothing is decided here; whoever wants to know what an engine consists of reads this file and is done.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from limpet.cli import defaults
from limpet.cli.plan import Plan, address
from limpet.cli.ready import Ready
from limpet.cli.reserved_port import ReservedPort
from limpet.core.ids import SECOND_US
from limpet.edges import condition_answers
from limpet.edges.access import Access
from limpet.edges.grpc.server import GrpcServer
from limpet.edges.grpc.settings import GrpcSettings, Tls
from limpet.edges.http.options import CALLS_PER_SECOND, HttpOptions
from limpet.edges.http.server import HttpServer
from limpet.edges.rest.facts import RestFacts
from limpet.edges.signing import load_key_ring
from limpet.edges.streams import StreamRegistry
from limpet.edges.tokens import Addresses, OpenAccess, TokenAccess, dev_token
from limpet.edges.traces import TraceShelf
from limpet.edges.vault import Vault, new_vault, vault_at
from limpet.engine.clock import Clock, SystemClock
from limpet.engine.engine import Engine
from limpet.engine.settings import DAY_US
from limpet.store.api import Store
from limpet.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Coroutine

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # listening there says nothing about where one is
STOP_GRACE_S = 3.0  # for calls under way, and a second more than the streams need to end one by one


class EngineProcess:
    """Everything that one engine process holds. `start`, then `failed` until it ends, then `stop`."""

    store: Store
    streams: StreamRegistry
    traces: TraceShelf
    clock: Clock
    engine: Engine

    def __init__(self, plan: Plan) -> None:
        plan.check()
        self._port = None if plan.grpc_port else ReservedPort(plan.host)
        self.plan: Plan = plan if self._port is None else replace(plan, grpc_port=self._port.number)
        self.store = open_store(self.plan)
        self.streams = StreamRegistry()
        self.traces = TraceShelf()
        self.clock = SystemClock()  # the one that all rooms look at: a jump of the wall clock moves nothing (T-CLOCK)
        self.engine = Engine(self.store, self.streams, self.clock, plan.settings, judge=condition_answers.holds)
        self._ends = AsyncExitStack()
        self._ends.callback(self._free_port)

    async def start(self) -> Ready:
        """Open the store, take it over, then listen. Raises what the store or the addresses have against it."""
        self._ends.push_async_callback(self.engine.stop)
        await self.engine.start()
        self._run_beside(self.streams.clock_keys.run(self.engine))
        access = await self._access()
        grpc_port = await self._start_grpc(access)
        http_port = await self._start_http(access)
        return self._ready(grpc_port, http_port)

    async def failed(self) -> None:
        """Raises what ended the engine; then the process must not go on."""
        await self.engine.run()

    async def stop(self) -> None:
        """Let nobody in, finish what is under way, end the streams, close the store. Harmless when called twice."""
        await self.engine.hand_over()
        await self._ends.aclose()

    async def _access(self) -> Access:
        if self.plan.is_dev:
            return OpenAccess(defaults.TENANT_ID)
        assert self.plan.key_file is not None, "a plan without development mode has a key file"
        access = TokenAccess(load_key_ring(self.plan.key_file), self.store, clock=self._seconds)
        await access.refresh()
        self._run_beside(access.run())
        return access

    async def _start_grpc(self, access: Access) -> int:
        server = GrpcServer(self.engine, self.streams, access, self._grpc_settings(), clock=self.clock.now, traces=self.traces)
        self._ends.push_async_callback(server.stop, STOP_GRACE_S)
        try:
            return await server.start(self.plan.host, self.plan.grpc_port)
        except RuntimeError as error:  # what the gRPC library says of an address that is taken
            raise OSError(errno.EADDRINUSE, str(error)) from error
        finally:
            self._free_port()

    def _free_port(self) -> None:
        if self._port is not None:
            self._port.free()

    async def _start_http(self, access: Access) -> int:
        server = HttpServer(self.engine, access, self._http_options())
        self._ends.push_async_callback(server.stop)
        return await server.start(self.plan.host, self.plan.http_port)

    def _http_options(self) -> HttpOptions:
        return HttpOptions(
            dev_mode=self.plan.is_dev,
            tls=self.plan.tls.context() if self.plan.tls else None,
            registry=self.engine.metrics.registry,
            calls_per_second=None if self.plan.is_dev else CALLS_PER_SECOND,
            rest=RestFacts(
                tenants=self.store.tenants,
                clock=self._seconds,
                settings=self.plan.settings.core,
                server_url=self.plan.server_url,
                environment="development" if self.plan.is_dev else "production",
                retention_days=self.plan.settings.retention_us // DAY_US,
                traces=self.traces,
                vault=self._vault(),
            ),
        )

    def _vault(self) -> Vault:
        place = self.plan.master_key_file
        return new_vault() if place is None else vault_at(place)

    def _grpc_settings(self) -> GrpcSettings:
        tls = self.plan.tls
        return GrpcSettings(
            tls=Tls(tls.certificate, tls.key, tls.client_ca) if tls else None,
            calls_per_second=None if self.plan.is_dev else CALLS_PER_SECOND,
            limits=self.plan.settings.core,
        )

    def _seconds(self) -> float:
        """Since 1970."""
        return self.clock.now() / SECOND_US

    def _run_beside(self, duty: Coroutine[None, None, None]) -> None:
        """Keep a duty running until the process stops."""
        task = asyncio.create_task(duty)
        self._ends.push_async_callback(ended(task))

    def _ready(self, grpc_port: int, http_port: int) -> Ready:
        scheme = "https" if self.plan.tls else "http"
        grpc = self.plan.grpc_address or address(self.plan.host, grpc_port)
        http = self.plan.server_url or f"{scheme}://{address(self.plan.host, http_port)}"
        token = dev_token(defaults.TENANT_ID, Addresses(http, grpc)) if self.plan.is_dev else None
        store = str(self.plan.store) if self.plan.store else "memory, forgotten at the end"
        return Ready(grpc, http, token, store, is_encrypted=self.plan.tls is not None)


def open_store(plan: Plan) -> Store:
    """The store that the plan names; opened by the engine."""
    if plan.store is None:
        return MemoryStore()
    if isinstance(plan.store, Path):
        from limpet.store.sqlite import SqliteStore  # only processes with a file need it

        return SqliteStore(plan.store)
    from limpet.store.postgres import PostgresStore  # only processes with a database need it, and asyncpg

    return PostgresStore(plan.store.url, server_id=server_name(), address=own_address(plan.host, plan.grpc_port))


def server_name() -> str:
    """What operators call this server: the machine's name, and a few letters that tell its processes apart."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


def own_address(host: str, port: int) -> str:
    """Where this very server is reached, as another server tells callers: never the balancer in front of both."""
    everywhere = host.strip("[]") in EVERYWHERE
    return address(socket.gethostname() if everywhere else host, port)


def ended(task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    """How to end a task that runs for ever."""

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return end
