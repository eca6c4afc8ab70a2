"""Events and stream chunks of a run, as they happen."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from enum import StrEnum
from typing import Any, TypeVar

import grpc
from pydantic import BaseModel
from typing_extensions import deprecated

from limpet.contracts import dispatcher_pb2
from limpet.sdk._transport import SUBSCRIBE_EVENTS, Transport, code_of, messages

T = TypeVar("T")

RESUBSCRIBES_MAX = 5  # in a row, without an event between them; then the engine is given up
_RESUBSCRIBE_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class StepRunEventType(StrEnum):
    """What happened to a task run."""

    STEP_RUN_EVENT_TYPE_STARTED = "STEP_RUN_EVENT_TYPE_STARTED"
    STEP_RUN_EVENT_TYPE_COMPLETED = "STEP_RUN_EVENT_TYPE_COMPLETED"
    STEP_RUN_EVENT_TYPE_FAILED = "STEP_RUN_EVENT_TYPE_FAILED"
    STEP_RUN_EVENT_TYPE_CANCELLED = "STEP_RUN_EVENT_TYPE_CANCELLED"
    STEP_RUN_EVENT_TYPE_TIMED_OUT = "STEP_RUN_EVENT_TYPE_TIMED_OUT"
    STEP_RUN_EVENT_TYPE_STREAM = "STEP_RUN_EVENT_TYPE_STREAM"


class WorkflowRunEventType(StrEnum):
    """What happened to a whole run."""

    WORKFLOW_RUN_EVENT_TYPE_STARTED = "WORKFLOW_RUN_EVENT_TYPE_STARTED"
    WORKFLOW_RUN_EVENT_TYPE_COMPLETED = "WORKFLOW_RUN_EVENT_TYPE_COMPLETED"
    WORKFLOW_RUN_EVENT_TYPE_FAILED = "WORKFLOW_RUN_EVENT_TYPE_FAILED"
    WORKFLOW_RUN_EVENT_TYPE_CANCELLED = "WORKFLOW_RUN_EVENT_TYPE_CANCELLED"
    WORKFLOW_RUN_EVENT_TYPE_TIMED_OUT = "WORKFLOW_RUN_EVENT_TYPE_TIMED_OUT"


class StepRunEvent(BaseModel):
    """One event of a task run. The payload of a STREAM event is the chunk."""

    type: StepRunEventType
    payload: str


_TYPES = {
    dispatcher_pb2.RESOURCE_EVENT_TYPE_STARTED: StepRunEventType.STEP_RUN_EVENT_TYPE_STARTED,
    dispatcher_pb2.RESOURCE_EVENT_TYPE_COMPLETED: StepRunEventType.STEP_RUN_EVENT_TYPE_COMPLETED,
    dispatcher_pb2.RESOURCE_EVENT_TYPE_FAILED: StepRunEventType.STEP_RUN_EVENT_TYPE_FAILED,
    dispatcher_pb2.RESOURCE_EVENT_TYPE_CANCELLED: StepRunEventType.STEP_RUN_EVENT_TYPE_CANCELLED,
    dispatcher_pb2.RESOURCE_EVENT_TYPE_TIMED_OUT: StepRunEventType.STEP_RUN_EVENT_TYPE_TIMED_OUT,
    dispatcher_pb2.RESOURCE_EVENT_TYPE_STREAM: StepRunEventType.STEP_RUN_EVENT_TYPE_STREAM,
}


class RunEventListener:
    """The events of one run, or of all runs with a metadata pair. `async for event in listener`, or plain `for`."""

    def __init__(
        self,
        transport: Transport,
        workflow_run_id: str | None = None,
        additional_meta_kv: tuple[str, str] | None = None,
    ) -> None:
        self._transport = transport
        self._request = dispatcher_pb2.SubscribeToWorkflowEventsRequest(workflow_run_id=workflow_run_id)
        if additional_meta_kv is not None:
            self._request.additional_meta_key, self._request.additional_meta_value = additional_meta_kv
        self._stopped = threading.Event()

    def __aiter__(self) -> AsyncIterator[StepRunEvent]:
        return self._events()

    def __iter__(self) -> Generator[StepRunEvent, None, None]:
        return self.async_to_sync_thread(self._events())

    @deprecated("leave the loop instead")
    def abort(self) -> None:
        """End the iteration after the next event."""
        self._stopped.set()

    def async_to_sync_thread(self, async_iter: AsyncIterator[T]) -> Generator[T, None, None]:
        """Iterate an async iterator from a thread: it runs in a loop and a thread of its own."""
        items: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def drain() -> None:
            try:
                async for item in async_iter:
                    items.put((item, None))
                items.put(None)
            except Exception as error:
                items.put((None, error))

        threading.Thread(target=lambda: asyncio.run(drain()), name="limpet-events", daemon=True).start()
        while (entry := items.get()) is not None:
            item, error = entry
            if error is not None:
                raise error
            yield item

    async def retry_subscribe(self) -> AsyncGenerator[dispatcher_pb2.WorkflowEvent, None]:
        """Raw messages: `async for message in await listener.retry_subscribe()`."""
        return self._messages()

    async def _messages(self) -> AsyncGenerator[dispatcher_pb2.WorkflowEvent, None]:
        """Over as many streams as it takes until the engine hangs up."""
        failures = 0
        while not self._stopped.is_set():
            try:
                async with messages(self._transport.stream(SUBSCRIBE_EVENTS, self._request)) as stream:
                    async for message in stream:
                        failures = 0
                        yield message
                return
            except grpc.RpcError as error:
                failures += 1
                if code_of(error) not in _RESUBSCRIBE_CODES or failures > RESUBSCRIBES_MAX:
                    raise
            await asyncio.sleep(_wait_s(failures))

    async def _events(self) -> AsyncIterator[StepRunEvent]:
        async for message in self._messages():
            if message.event_type in _TYPES and message.resource_type == dispatcher_pb2.RESOURCE_TYPE_STEP_RUN:
                payload = message.event_payload.decode(errors="replace")
                yield StepRunEvent(type=_TYPES[message.event_type], payload=payload)
            if message.hangup or self._stopped.is_set():
                return


class RunEventListenerClient:
    """Makes listeners: `limpet.listener`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def stream(self, workflow_run_id: str) -> RunEventListener:
        """The events of a run."""
        return RunEventListener(self._transport, workflow_run_id=workflow_run_id)

    @deprecated("use stream")
    def stream_by_run_id(self, workflow_run_id: str) -> RunEventListener:
        """The older name of `stream`."""
        return self.stream(workflow_run_id)

    def stream_by_additional_metadata(self, key: str, value: str) -> RunEventListener:
        """The events of all runs whose metadata holds the pair."""
        return RunEventListener(self._transport, additional_meta_kv=(key, value))

    @deprecated("iterate over stream() instead")
    async def on(self, workflow_run_id: str, handler: Callable[[StepRunEvent], Any] | None = None) -> None:
        """Call a handler for each event of a run, until the run has ended."""
        async for event in self.stream(workflow_run_id):
            if handler is not None:
                handler(event)


def _wait_s(failures: int) -> float:
    return min(0.1 * float(2**failures), 3.0) * random.uniform(0.5, 1.0)
