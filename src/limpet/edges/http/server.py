"""The HTTP server: uvicorn in the engine's own loop, without signal handlers, patient only for so long.

Laws:
1. Who connects must send the head of a call within HEAD_TIMEOUT_S, for the first call and for each later one.
2. Signals belong to whoever composes the engine; `stop` is the only way to end this server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from limpet.edges.access import Access
from limpet.edges.http.app import build_app
from limpet.edges.http.options import HttpOptions
from limpet.engine.door import Door

CONNECTIONS_MAX = 1_000  # open ones; each may hold a body of 4 MiB only after it was let in
HEAD_TIMEOUT_S = 10.0  # from connecting, or from the first byte, to the end of the head: no slow trickle
KEEP_ALIVE_S = 30  # idle time between calls; pools of official clients reconnect without a word
HEAD_BYTES_MAX = 32 * 1024  # request line and headers; a token has 0.5 KiB
BACKLOG = 512  # connections that wait to be accepted; a burst of clients after a restart
STOP_GRACE_S = 5  # answers on their way may end; streams of pages are cut off
DATE_EVERY_S = 1.0  # the Date header has whole seconds


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections which do not get to the point."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.close()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Bytes came; unless they ended the head of a call, the time for it goes on."""
        super().data_received(data)
        if self._is_busy():
            self._forget_head()
        elif self._head_timer is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """The call was answered; the next head has its own time, from its first byte."""
        super().on_response_complete()
        self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and its timer with it."""
        self._forget_head()
        super().connection_lost(exc)

    def _is_busy(self) -> bool:
        # The annotation of uvicorn says that there is always a cycle; before the first call there is none.
        cycle = cast("object | None", self.cycle)
        return cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._is_busy():
            self.transport.close()


class QuietServer(uvicorn.Server):
    """uvicorn's server without its hands on the process: no signals, no waking ten times a second."""

    listening: asyncio.Event

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Keep the Date header fresh until `end`."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), DATE_EVERY_S)

    def end(self) -> None:
        """Stop listening, let answers finish."""
        self.should_exit = True
        self._ended.set()


class HttpServer:
    """The HTTP edge of one engine."""

    def __init__(self, door: Door, access: Access, options: HttpOptions | None = None) -> None:
        self._options = options or HttpOptions()
        self._app = build_app(door, access, self._options)
        self._server: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def app(self) -> ASGIApp:
        """What is served, for tests that want no socket."""
        return self._app

    async def start(self, host: str, port: int) -> int:
        """Listen; port 0 takes any free one. Returns the port. Raises OSError when the address is taken."""
        return await self.serve(bind(host, port))

    async def serve(self, listener: socket.socket) -> int:
        """Listen on a bound socket, which is this server's from now on. Returns its port."""
        assert self._serving is None, "the HTTP server was started twice"
        self._server = QuietServer(configuration(self._app, self._options))
        self._serving = asyncio.create_task(self._server.serve([listener]), name="http-server")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._serving  # it ended before it listened: raise why
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Answer what is under way for up to STOP_GRACE_S, close everything. Harmless when called twice."""
        server, serving = self._server, self._serving
        if server is None or serving is None:
            return
        self._server = self._serving = None
        server.end()
        await serving


def configuration(app: ASGIApp, options: HttpOptions) -> uvicorn.Config:
    """How uvicorn is to behave; it keeps its hands off logging, and believes no proxy's headers."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_GRACE_S,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )
    config.load()
    config.ssl = options.tls
    return config


def bind(host: str, port: int) -> socket.socket:
    """A listening address, IPv4 or IPv6, usable again right after a restart."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
