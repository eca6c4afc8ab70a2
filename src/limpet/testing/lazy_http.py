"""An HTTP port that costs nothing until somebody calls it: most tests never do, and FastAPI is slow to import."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.edges.http.server import HttpServer

BACKLOG = 64  # callers of one test that wait while the server is being made


class LazyHttp:
    """Listens at once, serves from the first connection on. `make` is called in a thread, at most once."""

    def __init__(self, make: Callable[[], HttpServer]) -> None:
        self._make = make
        self._listener: socket.socket | None = None
        self._serving: asyncio.Task[HttpServer] | None = None

    def listen(self) -> str:
        """Take a free port of the loopback address; returns the URL."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._called)
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def is_used(self) -> bool:
        """Whether somebody has called."""
        return self._serving is not None

    async def stop(self) -> None:
        """Close the port, and the server if there is one."""
        if self._serving is not None:
            await (await self._serving).stop()
        elif self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    def _called(self) -> None:
        assert self._listener is not None, "nobody calls a port before it is open"
        asyncio.get_running_loop().remove_reader(self._listener)
        self._serving = asyncio.create_task(self._serve(self._listener))

    async def _serve(self, listener: socket.socket) -> HttpServer:
        server = await asyncio.to_thread(self._make)
        await server.serve(listener)
        return server
