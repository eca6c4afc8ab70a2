"""Many workers at once, over the raw protocol."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator

import grpc

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts.stubs import DispatcherStub

from .house import Callers

BACK_WITHIN_S = 15.0
HEARTBEAT_EVERY_S, HEARTBEAT_PATIENCE_S = 4.0, 5.0  # the official clients' [WK-1]


class Fleet:
    """Many workers that behave as the official ones do: a heartbeat every four seconds, a stream that is opened again."""

    def __init__(self, callers: Callers, action: str, size: int) -> None:
        self.callers, self.action, self.size = callers, action, size
        self.listening: set[str] = set()
        self.changed = asyncio.Event()
        self.started: asyncio.Queue[wire.AssignedAction] = asyncio.Queue()
        self.late: list[str] = []  # workers whose heartbeat was not answered in time
        self.endings = 0  # of streams
        self._tasks: list[asyncio.Task[None]] = []
        self._channels: list[grpc.aio.Channel] = []

    async def join(self) -> None:
        """Register and listen, each over a channel of its own."""
        register = wire.WorkerRegisterRequest(worker_name="one-of-many", actions=[self.action])
        answers = await asyncio.gather(*(self.callers.call("/Dispatcher/Register", register) for _ in range(self.size)))
        for answer in answers:
            channel = self.callers.dial()
            self._channels.append(channel)
            self._tasks.append(asyncio.create_task(self._listen(answer.worker_id, channel)))
            self._tasks.append(asyncio.create_task(self._beat(answer.worker_id, channel)))

    async def leave(self) -> None:
        """Raises what has stopped one of them before."""
        for one in self._tasks:
            one.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []

    async def all_back(self) -> None:
        """Return once everybody listens."""
        await self.until(lambda listening: len(listening) == self.size)

    async def until(self, holds: Callable[[set[str]], bool]) -> None:
        """Return once that holds of the workers that listen."""
        async with asyncio.timeout(BACK_WITHIN_S):
            while not holds(self.listening):
                self.changed.clear()
                await self.changed.wait()

    async def _listen(self, worker_id: str, channel: grpc.aio.Channel) -> None:
        pauses, listen = self._pauses(worker_id), DispatcherStub(channel).ListenV2
        while True:
            stream = listen(wire.WorkerListenRequest(worker_id=worker_id), metadata=self.callers.credentials())
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stream.initial_metadata()
                self._note(self.listening.add, worker_id)
                while (message := await stream.read()) is not grpc.aio.EOF:
                    self.started.put_nowait(message)
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE, f"R33: a stream ended with {await stream.code()}"
            self.endings += 1
            self._note(self.listening.discard, worker_id)
            await asyncio.sleep(next(pauses))

    def _note(self, change: Callable[[str], None], worker_id: str) -> None:
        change(worker_id)
        self.changed.set()

    @staticmethod
    def _pauses(worker_id: str) -> Iterator[float]:
        """As measured with the official client [R33]."""
        jitter, pause = random.Random(worker_id), 0.2
        while True:
            yield pause + jitter.random() / 10
            pause = min(2 * pause, 5.0)

    async def _beat(self, worker_id: str, channel: grpc.aio.Channel) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            if worker_id not in self.listening:
                continue
            beat = self.callers.open("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=worker_id), channel=channel)
            done, _ = await asyncio.wait([asyncio.ensure_future(beat.code())], timeout=HEARTBEAT_PATIENCE_S)
            if not done:
                self.late.append(worker_id)
