"""A TCP proxy before a server, for faults between it and its clients. Each fault is counted, so that a test can prove it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum, auto

CHUNK_BYTES = 65_536


class Fault(Enum):
    """What happens to a connection at its next bytes."""

    NONE = auto()
    CUT_REQUESTS = auto()  # the request never arrives, and the connection ends
    SWALLOW_ANSWERS = auto()  # the request arrives, its answer does not, and the connection ends
    DEAF = auto()  # nothing passes in either direction, and the connection stays open


class Proxy:
    """`start`, then `url`; `fault` says what is broken now; `happened` counts connections it has met."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.fault = Fault.NONE
        self.happened = 0
        self.port = 0
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Let nobody in, and cut who is."""
        assert self._listener is not None, "the proxy was not started"
        self._listener.close()
        self.cut()
        await self._listener.wait_closed()

    def through(self, url: str) -> str:
        """The URL of a database, by way of this proxy."""
        return url.replace(f":{self._server_port}/", f":{self.port}/")

    def cut(self) -> None:
        """End every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, server_writer}
        self._writers |= both
        ways = (
            asyncio.create_task(self._pass(reader, server_writer, Fault.CUT_REQUESTS)),
            asyncio.create_task(self._pass(server_reader, writer, Fault.SWALLOW_ANSWERS)),
        )
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        for one in both:
            one.transport.abort()
        self._writers -= both

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends_at: Fault) -> None:
        """Bytes of one direction, until a fault of this direction or the end."""
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self.fault is Fault.DEAF:
                    self.happened += 1
                    await asyncio.Event().wait()
                if self.fault is ends_at:
                    self.happened += 1
                    return
                writer.write(data)
                await writer.drain()
