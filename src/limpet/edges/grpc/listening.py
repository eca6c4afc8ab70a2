"""The assignment stream of a worker: ListenV2.

Laws:
1. However a stream ends, the engine hears of it, also when nobody waits for the handler any more.
2. A stream is ended by us with UNAVAILABLE or, for a revoked token, UNAUTHENTICATED; never with CANCELLED,
   DEADLINE_EXCEEDED or OK, which make clients come back without any pause (R33).
"""

from __future__ import annotations

import asyncio

from limpet.contracts.dispatcher_pb2 import AssignedAction, WorkerListenRequest
from limpet.core.decision import CancelTask, StartTask
from limpet.core.errors import EngineStopping, LimpetError
from limpet.core.ids import TenantId
from limpet.core.inputs import StreamClosed, StreamOpened, TaskFailed
from limpet.edges.grpc.binding import Handler, Stream
from limpet.edges.grpc.gate import Call, Gate
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.grpc.translate.actions import cancel_action, start_action, too_large
from limpet.edges.outbox import until_ended
from limpet.edges.sessions import WorkerSession
from limpet.edges.streams import StreamRegistry
from limpet.engine.door import Door

TELL_AGAIN_FIRST_S, TELL_AGAIN_MAX_S = 0.1, 5.0  # the engine's inbox is full, or its store away [R44]


class Listening:
    """Serves assignment streams and tells the engine of their ends."""

    def __init__(self, door: Door, streams: StreamRegistry, gate: Gate, settings: GrpcSettings) -> None:
        self._door, self._streams, self._gate = door, streams, gate
        self._bytes_max = settings.limits.message_bytes_max
        self._telling: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {"/Dispatcher/ListenV2": self.listen}

    async def listen(self, call: Call, request: WorkerListenRequest, stream: Stream) -> None:
        """Send starts and cancels until the stream ends."""
        session = self._streams.sessions.open(call.tenant, request.worker_id)
        try:
            with self._gate.watched(call, session.box):
                await until_ended(session.box, self._serve(session, stream))
        finally:
            self._streams.sessions.close(session)
            session.box.end("the stream is closed")
            self._tell_closed(session)

    async def told(self) -> None:
        """Return once the engine knows of all ends so far, or refuses to hear of them."""
        while self._telling:
            await asyncio.wait(self._telling)

    async def _serve(self, session: WorkerSession, stream: Stream) -> None:
        await self._door.submit(session.tenant, StreamOpened(session.worker_id, session.number))
        await stream.opened()
        while await session.box.ready():
            message = await self._message(session, session.box.pop())
            if message is not None:
                await stream.send(message)

    async def _message(self, session: WorkerSession, item: StartTask | CancelTask) -> AssignedAction | None:
        """The wire form; None for a start that no message can carry: its task fails and says why (X26)."""
        if isinstance(item, CancelTask):
            return cancel_action(session.tenant, item)
        message = start_action(session.tenant, item, self._bytes_max)
        size = message.ByteSize()
        if size <= self._bytes_max:
            return message
        error = too_large(item, size, self._bytes_max)
        await self._door.submit(
            session.tenant, TaskFailed(item.task_run_id, item.retry_count, session.worker_id, error=error, retryable=False)
        )
        return None

    def _tell_closed(self, session: WorkerSession) -> None:
        """In a task of its own: the handler may be cancelled at this moment."""
        telling = asyncio.create_task(self._insist(session.tenant, StreamClosed(session.worker_id, session.number)))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _insist(self, tenant: TenantId, closed: StreamClosed) -> None:
        pause_s = TELL_AGAIN_FIRST_S
        while True:
            try:
                await self._door.submit(tenant, closed)
                return
            except EngineStopping:
                return  # whoever loads the tenant next starts without open streams
            except LimpetError:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, TELL_AGAIN_MAX_S)
