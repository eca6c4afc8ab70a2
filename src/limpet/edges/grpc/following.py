"""Following runs while they happen: SubscribeToWorkflowEvents.

Laws:
1. The last message says `hangup`; then the stream ends well. Any other end is UNAVAILABLE, so that clients return.
2. Chunks leave in the order of their task; at the run's end whatever still waits leaves first (W14.1, W14.2).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

import orjson

from limpet.contracts.dispatcher_pb2 import SubscribeToWorkflowEventsRequest
from limpet.core.decision import RunFinished, TaskChanged
from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.ids import is_uuid
from limpet.core.metadata_text import text_of
from limpet.core.rows import RunStatus
from limpet.edges.chunk_order import Chunk, ChunkOrder
from limpet.edges.grpc.binding import Handler, Stream
from limpet.edges.grpc.gate import Call, Gate
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.grpc.translate.happenings import chunk_event, run_ended, run_event, task_event
from limpet.edges.grpc.waiting import LOOK_AGAIN_FIRST_S, LOOK_AGAIN_MAX_S
from limpet.edges.outbox import until_ended
from limpet.edges.streams import StreamRegistry
from limpet.edges.watchers import Happening, RunWatcher
from limpet.engine.door import Door
from limpet.store.api import RunQuery, RunRecord

UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING)
KNOWN_RUNS_MAX = 10_000  # whether a run matches, remembered by a stream that follows metadata


class Following:
    """Serves streams that follow runs. `clock` is monotonic seconds, for gaps between chunks."""

    def __init__(
        self,
        door: Door,
        streams: StreamRegistry,
        gate: Gate,
        settings: GrpcSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._door, self._streams, self._gate, self._clock = door, streams, gate, clock
        self._patience_s = settings.unknown_run_patience_s

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {"/Dispatcher/SubscribeToWorkflowEvents": self.subscribe}

    async def subscribe(self, call: Call, request: SubscribeToWorkflowEventsRequest, stream: Stream) -> None:
        """Follow one run, or all runs with a metadata pair."""
        run_id, key = request.workflow_run_id, request.additional_meta_key
        if not run_id and not key:
            raise InvalidArgument("give workflow_run_id, or additional_meta_key and additional_meta_value")
        watcher = self._streams.watchers.open(call.tenant, run_id or None)
        try:
            with self._gate.watched(call, watcher.box):
                work = self._one(call, watcher, run_id, stream) if run_id else self._matching(call, watcher, request, stream)
                await until_ended(watcher.box, work)
        finally:
            watcher.box.end("the stream is closed")
            self._streams.watchers.close(watcher)

    async def _one(self, call: Call, watcher: RunWatcher, run_id: str, stream: Stream) -> None:
        run = (await self._found(call, run_id)).run
        await stream.opened()
        if RunStatus(run.status).is_terminal:
            at = run.finished_at or run.created_at
            return await stream.send(run_ended(run_id, RunStatus(run.status), at, hangup=True))
        sender = _Sender(stream, self._clock)
        while True:
            happening = await sender.next(watcher)
            if isinstance(happening, RunFinished):
                return await sender.end(happening, hangup=True)
            await sender.pass_on(happening)

    async def _matching(self, call: Call, watcher: RunWatcher, request: SubscribeToWorkflowEventsRequest, stream: Stream) -> None:
        """Until the last unfinished run with this pair has ended."""
        matches = _Matches(self._door, call, request.additional_meta_key, request.additional_meta_value)
        await stream.opened()
        senders: dict[str, _Sender] = {}
        while True:
            happening = await _next(watcher, senders, self._clock)
            run_id = happening.workflow_run_id
            if not await matches.includes(run_id):
                continue
            sender = senders.setdefault(run_id, _Sender(stream, self._clock))
            if not isinstance(happening, RunFinished):
                await sender.pass_on(happening)
                continue
            del senders[run_id]
            is_last = not await matches.are_left()
            await sender.end(happening, hangup=is_last)
            if is_last:
                return

    async def _found(self, call: Call, run_id: str) -> RunRecord:
        """The run, looked for until patience ends (R36)."""
        give_up_at, pause_s = time.monotonic() + self._patience_s, LOOK_AGAIN_FIRST_S
        while is_uuid(run_id):
            record = await self._door.reader.run(call.tenant_no, run_id)
            if record is not None:
                return record
            if time.monotonic() >= give_up_at:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_AGAIN_MAX_S)
        raise NotFound("workflow run", run_id, "it never existed in this tenant, or its retention is over")


class _Sender:
    """Sends what happens in one run, its chunks in order."""

    def __init__(self, stream: Stream, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self.order = ChunkOrder()

    async def next(self, watcher: RunWatcher) -> Happening:
        return await _next(watcher, {"": self}, self._clock)

    async def pass_on(self, happening: TaskChanged | Chunk) -> None:
        if isinstance(happening, Chunk):
            return await self._send(self.order.add(happening, self._clock()))
        self.order.attempt(happening.task_run_id, happening.retry_count)
        message = task_event(happening)
        if message is not None:
            await self._stream.send(message)

    async def send_due(self) -> None:
        await self._send(self.order.due(self._clock()))

    async def end(self, finished: RunFinished, *, hangup: bool) -> None:
        await self._send(self.order.flush())
        await self._stream.send(run_event(finished, hangup=hangup))

    async def _send(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            await self._stream.send(chunk_event(chunk))


async def _next(watcher: RunWatcher, senders: dict[str, _Sender], clock: Callable[[], float]) -> Happening:
    """The next thing that happens; meanwhile chunks leave whose gap was waited for long enough."""
    while True:
        due = min((sender.order.next_due for sender in senders.values() if sender.order.next_due is not None), default=None)
        if await watcher.box.ready(None if due is None else max(due - clock(), 0)):
            return watcher.box.pop()
        for sender in senders.values():
            await sender.send_due()


class _Matches:
    """Which runs of a tenant carry a metadata pair."""

    def __init__(self, door: Door, call: Call, key: str, value: str) -> None:
        self._reader, self._tenant_no, self._key, self._value = door.reader, call.tenant_no, key, value
        self._known: OrderedDict[str, bool] = OrderedDict()

    async def includes(self, run_id: str) -> bool:
        known = self._known.get(run_id)
        if known is None:
            record = await self._reader.run(self._tenant_no, run_id)
            known = self._known[run_id] = record is not None and self._is_match(record.run.metadata or b"{}")
            if len(self._known) > KNOWN_RUNS_MAX:
                self._known.popitem(last=False)
        return known

    async def are_left(self) -> bool:
        """Whether an unfinished run with the pair exists."""
        query = RunQuery(metadata=[(self._key, self._value)], statuses=UNFINISHED, limit=1)
        runs, _ = await self._reader.runs(self._tenant_no, query)
        return bool(runs)

    def _is_match(self, metadata: bytes) -> bool:
        values = orjson.loads(metadata)
        return self._key in values and text_of(values[self._key]) == self._value
