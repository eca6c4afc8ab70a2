"""A load balancer for the soak: two ports that lead to the server whose `/ready` says yes, as a real one would (R20)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import httpx

LOOKS_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a server listens."""

    name: str
    grpc: int
    http: int


class Balancer:
    """Forwards to the ready server; ends the connections of one that is not ready any more. `switched` hears of each change.

    patience_s: how long an answer of `/ready` may take
    """

    def __init__(self, backends: list[Backend], switched: Callable[[str | None], None], patience_s: float) -> None:
        self._backends, self._switched, self._patience_s = backends, switched, patience_s
        self.ready: Backend | None = None
        self.has_owner = asyncio.Event()
        self.ports = (0, 0)
        self._pipes: set[asyncio.Task[None]] = set()
        self._parts: list[asyncio.Server] = []
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen on two free ports: gRPC, HTTP."""
        for choose in (lambda one: one.grpc, lambda one: one.http):
            self._parts.append(await asyncio.start_server(self._serve(choose), "127.0.0.1", 0))
        grpc, http = (part.sockets[0].getsockname()[1] for part in self._parts)
        self.ports = (grpc, http)
        self._watch = asyncio.create_task(self._look())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for part in self._parts:
            part.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """End every connection."""
        for pipe in list(self._pipes):
            pipe.cancel()

    async def _look(self) -> None:
        async with httpx.AsyncClient(timeout=self._patience_s) as client:
            while True:
                found = [one for one in self._backends if await self._is_ready(client, one)]
                now = self.ready if self.ready in found else (found or [None])[0]
                if now != self.ready:
                    self.ready = now
                    self.has_owner.set() if now else self.has_owner.clear()
                    self._switched(now and now.name)
                    self.cut()
                await asyncio.sleep(LOOKS_EVERY_S)

    async def _is_ready(self, client: httpx.AsyncClient, backend: Backend) -> bool:
        try:
            return (await client.get(f"http://127.0.0.1:{backend.http}/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    def _serve(self, choose: Callable[[Backend], int]) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            pipe = asyncio.create_task(self._pipe(choose, reader, writer))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

        return accept

    async def _pipe(self, choose: Callable[[Backend], int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.ExitStack() as ends, contextlib.suppress(OSError, asyncio.CancelledError):
            ends.callback(writer.transport.abort)
            if self.ready is None:
                return
            there, back = await asyncio.open_connection("127.0.0.1", choose(self.ready))
            ends.callback(back.transport.abort)
            copies = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))]
            ends.callback(lambda: [copy.cancel() for copy in copies])
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
