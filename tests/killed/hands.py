"""The worker of a scene: it confirms what it is given, and how a task ends is the scene's business."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import grpc.aio

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts.stubs import DispatcherStub
from tests.hostile.house import report_about

if TYPE_CHECKING:
    from tests.killed.place import Place

Start = wire.AssignedAction
GIVEN_WITHIN_S = 20.0
AGAIN_S = 0.05  # pause of whoever found no engine; a life begins within seconds


class Hands:
    """Behaves as the clients do: listens again whenever its stream has ended, repeats a report until it is answered.

    given:     confirmed starts that the scene has not looked at
    cancelled: attempts that it was told to stop
    """

    def __init__(self, place: Place, worker_id: str, probe: str) -> None:
        self._place, self.id, self._probe = place, worker_id, probe
        self._stub = DispatcherStub(place.patient)
        self.given: asyncio.Queue[Start] = asyncio.Queue()
        self.cancelled: asyncio.Queue[Start] = asyncio.Queue()
        self.finished, self._finishes = 0, False
        self._one_more, self._is_listening = asyncio.Event(), asyncio.Event()
        self._sent: set[tuple[str, int]] = set()
        self._tasks = {asyncio.create_task(self._listen())}

    async def listens(self) -> None:
        """Return once the engine has the stream."""
        await self._is_listening.wait()

    async def next(self, action: str) -> Start:
        """The next start, which must be of that action."""
        async with asyncio.timeout(GIVEN_WITHIN_S):
            start = await self.given.get()
        assert start.action_id == action, f"{start.action_id} was started, not {action}"
        return start

    async def has_all(self) -> None:
        """Nothing else waits for this worker: a run that is asked for now is the next that it gets, or all before it is done."""
        run = await self._place.calls.trigger(self._probe)
        if self._finishes:
            return await self._place.ends_as(run, "COMPLETED")
        await self.done(await self.next(self._probe))

    async def done(self, start: Start, output: bytes = b"{}") -> None:
        await self._report(start, wire.STEP_EVENT_TYPE_COMPLETED, output)

    async def fails(self, start: Start) -> None:
        """Retryable."""
        await self._report(start, wire.STEP_EVENT_TYPE_FAILED, b"by plan")

    def finishes_everything(self) -> None:
        """From now on whatever it is given is done at once."""
        self._finishes = True
        self._keep(self._finish())

    async def leave(self) -> list[Exception]:
        """Listen no more, tell nobody; what had gone wrong."""
        for one in self._tasks:
            one.cancel()
        return [end for end in await asyncio.gather(*self._tasks, return_exceptions=True) if isinstance(end, Exception)]

    async def has_finished(self, count: int) -> None:
        """Return once so many are done."""
        async with asyncio.timeout(GIVEN_WITHIN_S):
            while self.finished < count:
                self._one_more.clear()
                await self._one_more.wait()

    async def _finish(self) -> None:
        while True:
            start = await self.given.get()
            await self.done(start)
            self.finished += start.action_id != self._probe
            self._one_more.set()

    async def _listen(self) -> None:
        request, metadata = wire.WorkerListenRequest(worker_id=self.id), self._place.calls.credentials()
        while True:
            stream = self._stub.ListenV2(request, metadata=metadata, wait_for_ready=True)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stream.initial_metadata()
                self._is_listening.set()
                while (message := await stream.read()) is not grpc.aio.EOF:
                    self._take(message)
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE, f"R33: a stream ended with {await stream.code()}"
            await asyncio.sleep(AGAIN_S)

    def _take(self, message: Start) -> None:
        if message.action_type == wire.CANCEL_STEP_RUN:
            return self.cancelled.put_nowait(message)
        attempt = (message.task_run_external_id, message.retry_count)
        assert attempt not in self._sent, f"R25: attempt {attempt} was sent twice"
        self._sent.add(attempt)
        self._keep(self._confirm(message))
        return None

    async def _confirm(self, start: Start) -> None:
        await self._report(start, wire.STEP_EVENT_TYPE_STARTED)
        self.given.put_nowait(start)

    async def _report(self, start: Start, kind: int, payload: bytes = b"") -> None:
        """Until somebody has answered."""
        event = report_about(start, kind, payload, worker_id=self.id)
        while True:
            try:
                await self._stub.SendStepActionEvent(event, metadata=self._place.calls.credentials(), wait_for_ready=True)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(AGAIN_S)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))
