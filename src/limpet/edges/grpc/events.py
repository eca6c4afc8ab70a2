"""Events that are pushed; log lines and stream chunks, which do not pass the commit writer (R10)."""

from __future__ import annotations

from collections.abc import Callable

from limpet.contracts import events_pb2 as wire
from limpet.core.errors import InvalidArgument, NotFound, NotSupported
from limpet.edges import json_text
from limpet.edges.chunk_order import Chunk
from limpet.edges.events import push
from limpet.edges.grpc.binding import Handler
from limpet.edges.grpc.gate import Call
from limpet.edges.grpc.lookups import TaskRuns
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.grpc.translate.events import event_answer, new_event, new_events
from limpet.edges.grpc.translate.instants import instant
from limpet.edges.streams import StreamRegistry
from limpet.engine.door import Door
from limpet.store.api import LogLine

LOG_CHARACTERS_MAX = 10_000  # X15
LEVELS = frozenset({"DEBUG", "INFO", "WARN", "ERROR"})
LEVEL_DEFAULT = "INFO"


class Events:
    """Calls of the service `EventsService`. `clock`: microseconds, for lines and chunks without a time of their own."""

    def __init__(self, door: Door, streams: StreamRegistry, settings: GrpcSettings, clock: Callable[[], int]) -> None:
        self._door, self._streams, self._clock, self._limits = door, streams, clock, settings.limits
        self._task_runs = TaskRuns(door.reader)

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {
            "/EventsService/Push": self.push,
            "/EventsService/BulkPush": self.bulk_push,
            "/EventsService/ReplaySingleEvent": self.replay_single_event,
            "/EventsService/PutLog": self.put_log,
            "/EventsService/PutStreamEvent": self.put_stream_event,
        }

    async def push(self, call: Call, request: wire.PushEventRequest) -> wire.Event:
        """One event; it is stored, and its runs exist, when this returns (F5.6)."""
        event = new_event(request, self._limits)
        rows = await push(self._door, call.tenant, [event], self._limits, call.request_id)
        return event_answer(call.tenant, event, rows[0])

    async def bulk_push(self, call: Call, request: wire.BulkPushEventRequest) -> wire.Events:
        """All or none, in order (F5.2)."""
        events = new_events(request.events, self._limits)
        rows = await push(self._door, call.tenant, events, self._limits, call.request_id)
        answers = [event_answer(call.tenant, event, row) for event, row in zip(events, rows, strict=True)]
        return wire.Events(events=answers)

    async def replay_single_event(self, call: Call, request: wire.ReplayEventRequest) -> wire.Event:
        """Refused (F5.4)."""
        raise NotSupported("events cannot be replayed; push the event again, or replay the runs it started")

    async def put_log(self, call: Call, request: wire.PutLogRequest) -> wire.PutLogResponse:
        """A line for the logs' own writer; when its queue is full the line is dropped and counted there."""
        message = request.message.decode(errors="replace").replace("\0", "\ufffd")
        if not 0 < len(message) <= LOG_CHARACTERS_MAX:
            raise InvalidArgument(f"a log line must have 1 to {LOG_CHARACTERS_MAX} characters, got {len(message)}")
        metadata = json_text.check_object(request.metadata, "log metadata", self._limits.metadata_bytes_max)
        await self._run_of(call, request.task_run_external_id)
        self._door.log(
            LogLine(
                tenant_no=call.tenant_no,
                task_run_id=request.task_run_external_id,
                retry_count=request.task_retry_count,
                at=(instant(request.created_at) if request.HasField("created_at") else None) or self._clock(),
                level=request.level.upper() if request.level.upper() in LEVELS else LEVEL_DEFAULT,
                message=message,
                metadata=metadata.decode(),
            )
        )
        return wire.PutLogResponse()

    async def put_stream_event(self, call: Call, request: wire.PutStreamEventRequest) -> wire.PutStreamEventResponse:
        """A chunk for whoever follows the run now."""
        try:
            request.message.decode()
        except UnicodeDecodeError:
            raise InvalidArgument("a stream chunk must be UTF-8 text: followers receive it as text") from None
        run_id = await self._run_of(call, request.task_run_external_id)
        index = request.event_index if request.HasField("event_index") else None
        self._streams.put_chunk(call.tenant, Chunk(run_id, request.task_run_external_id, request.message, index, self._clock()))
        return wire.PutStreamEventResponse()

    async def _run_of(self, call: Call, task_run_id: str) -> str:
        run_id = await self._task_runs.run_of(call.tenant_no, task_run_id)
        if run_id is None:
            raise NotFound("task run", task_run_id)
        return run_id
