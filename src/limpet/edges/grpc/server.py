"""The gRPC edge as a whole: the wire contract of the official clients on one port."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import grpc
import grpc.aio

from limpet.core.ids import MILLISECOND_US
from limpet.edges.access import Access
from limpet.edges.grpc.admin import Admin
from limpet.edges.grpc.binding import generic_handlers
from limpet.edges.grpc.dispatcher import Dispatcher
from limpet.edges.grpc.events import Events
from limpet.edges.grpc.following import Following
from limpet.edges.grpc.gate import Gate
from limpet.edges.grpc.listening import Listening
from limpet.edges.grpc.lookups import StepNames
from limpet.edges.grpc.settings import GrpcSettings, Tls, server_options
from limpet.edges.grpc.traces import Traces
from limpet.edges.grpc.waiting import Waiting
from limpet.edges.grpc.workflows import Workflows
from limpet.edges.streams import StreamRegistry
from limpet.edges.traces import TraceShelf
from limpet.engine.door import Door

TELL_AT_STOP_S = 1.0  # for telling the engine that the last streams are closed


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // MILLISECOND_US


class GrpcServer:
    """Serves the wire contract over a door.

    clock:  microseconds, for what comes without a time of its own
    traces: where spans go
    """

    def __init__(
        self,
        door: Door,
        streams: StreamRegistry,
        access: Access,
        settings: GrpcSettings | None = None,
        *,
        clock: Callable[[], int] = wall_clock,
        traces: TraceShelf | None = None,
    ) -> None:
        self._settings = settings or GrpcSettings()
        self._streams = streams
        self._gate = Gate(door, access, self._settings)
        self._listening = Listening(door, streams, self._gate, self._settings)
        names = StepNames()
        services = (
            Dispatcher(door, streams, self._settings),
            self._listening,
            Waiting(door, streams, self._gate, names, self._settings, clock),
            Following(door, streams, self._gate, self._settings),
            Workflows(door, self._settings),
            Events(door, streams, self._settings, clock),
            Admin(door, names, self._settings),
            Traces(traces or TraceShelf()),
        )
        self._handlers = {path: handler for service in services for path, handler in service.handlers().items()}
        self._server: grpc.aio.Server | None = None
        self._checking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, chosen by the system when 0 was asked for. Raises RuntimeError when it is taken."""
        server = grpc.aio.server(options=server_options(self._settings))
        server.add_generic_rpc_handlers(tuple(generic_handlers(self._gate, self._handlers)))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        tls = self._settings.tls
        bound = server.add_insecure_port(address) if tls is None else server.add_secure_port(address, _credentials(tls))
        await server.start()
        self._server = server
        self._checking = asyncio.create_task(self._gate.run(self._streams.check_pace))
        return bound

    async def stop(self, grace: float) -> None:
        """Let nobody in, end the streams with UNAVAILABLE (R33), let calls finish for `grace` seconds, close the port."""
        if self._server is None or self._checking is None:
            return
        self._gate.is_closed = True
        self._checking.cancel()
        self._streams.end_all("the engine is stopping: connect again")
        with contextlib.suppress(TimeoutError):  # who does not read its stream's end loses the connection instead
            async with asyncio.timeout(grace):
                await self._gate.emptied()
        await self._server.stop(grace)
        await asyncio.gather(self._checking, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # the engine is as good as gone: it starts without open streams anyway
            async with asyncio.timeout(max(grace, TELL_AT_STOP_S)):
                await self._listening.told()
        self._server = None


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """Certificates from their files; with a CA, clients must show one too (X13)."""
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=None if tls.client_ca is None else tls.client_ca.read_bytes(),
        require_client_auth=tls.client_ca is not None,
    )
