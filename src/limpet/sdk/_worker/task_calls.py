"""What contexts of a real worker ask of the engine."""

from __future__ import annotations

from datetime import datetime

from limpet.contracts import dispatcher_pb2, events_pb2
from limpet.sdk._transport import NO_RETRIES, PAUSE_RATE_LIMIT, PUT_STREAM, REFRESH_TIMEOUT, RELEASE_SLOT
from limpet.sdk._worker.logs import LogLine, LogSender
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.rate_limits import pause_request, read_pause
from limpet.sdk.features.runs import RunsClient

CALL_TIMEOUT_S = 30.0  # a task that asks must not hang on an engine that is away


class EngineTaskCalls:
    """Answers a context's requests by way of the engine."""

    def __init__(self, calls: EngineCalls, runs: RunsClient, logs: LogSender) -> None:
        self._transport = calls.transport
        self._runs = runs
        self._logs = logs

    def put_log(self, task_run_id: str, retry_count: int, line: str, level: str, created_at: datetime) -> None:
        """Queue a log line; never waits."""
        self._logs.put(LogLine(task_run_id, retry_count, line, level, created_at))

    def put_stream(self, task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> None:
        """Send one stream chunk."""
        self._transport.call(PUT_STREAM, _chunk(task_run_id, chunk, index, created_at))

    async def aio_put_stream(self, task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> None:
        """Send one stream chunk."""
        await self._transport.acall(PUT_STREAM, _chunk(task_run_id, chunk, index, created_at))

    def refresh_timeout(self, task_run_id: str, increment: str) -> None:
        """Move the execution deadline. Not repeated: a second one would move it twice."""
        self._transport.call(REFRESH_TIMEOUT, _refresh(task_run_id, increment), timeout_s=CALL_TIMEOUT_S, retries=NO_RETRIES)

    async def aio_refresh_timeout(self, task_run_id: str, increment: str) -> None:
        """Move the execution deadline. Not repeated: a second one would move it twice."""
        await self._transport.acall(
            REFRESH_TIMEOUT, _refresh(task_run_id, increment), timeout_s=CALL_TIMEOUT_S, retries=NO_RETRIES
        )

    def release_slot(self, task_run_id: str) -> None:
        """Give the task's slots back."""
        request = dispatcher_pb2.ReleaseSlotRequest(task_run_external_id=task_run_id)
        self._transport.call(RELEASE_SLOT, request, timeout_s=CALL_TIMEOUT_S)

    async def aio_release_slot(self, task_run_id: str) -> None:
        """Give the task's slots back."""
        request = dispatcher_pb2.ReleaseSlotRequest(task_run_external_id=task_run_id)
        await self._transport.acall(RELEASE_SLOT, request, timeout_s=CALL_TIMEOUT_S)

    def pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """Let a rate limit give no units until then."""
        return read_pause(self._transport.call(PAUSE_RATE_LIMIT, pause_request(key, until), timeout_s=CALL_TIMEOUT_S))

    async def aio_pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """Let a rate limit give no units until then."""
        return read_pause(await self._transport.acall(PAUSE_RATE_LIMIT, pause_request(key, until), timeout_s=CALL_TIMEOUT_S))

    def cancel(self, task_run_id: str) -> None:
        """Cancel a task run."""
        self._runs.cancel(task_run_id)

    async def aio_cancel(self, task_run_id: str) -> None:
        """Cancel a task run."""
        await self._runs.aio_cancel(task_run_id)


def _chunk(task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> events_pb2.PutStreamEventRequest:
    return events_pb2.PutStreamEventRequest(
        task_run_external_id=task_run_id, created_at=created_at, message=chunk, event_index=index
    )


def _refresh(task_run_id: str, increment: str) -> dispatcher_pb2.RefreshTimeoutRequest:
    return dispatcher_pb2.RefreshTimeoutRequest(task_run_external_id=task_run_id, increment_timeout_by=increment)
