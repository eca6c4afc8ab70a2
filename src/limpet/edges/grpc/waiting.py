"""Waiting for results: SubscribeToWorkflowRuns.

Laws:
1. Registered first, looked up second (R36); what one of the two has answered, the other does not answer again.
2. The stream never ends cleanly while its client waits for something (R33).
3. A run that nobody knows is an answer to its own waiter, not an end for all the others on the stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from limpet.contracts.dispatcher_pb2 import SubscribeToWorkflowRunsRequest, WorkflowRunEvent
from limpet.core.decision import RunFinished
from limpet.core.ids import is_uuid
from limpet.core.rows import RunStatus
from limpet.edges.grpc.binding import Handler, Stream
from limpet.edges.grpc.gate import Call, Gate
from limpet.edges.grpc.lookups import StepNames
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.grpc.translate.outcomes import run_event_of_finished, run_event_of_record, run_event_of_unknown
from limpet.edges.outbox import until_ended
from limpet.edges.streams import StreamRegistry
from limpet.edges.waiters import Answer, ResultWaiter, RunUnknown
from limpet.engine.door import Door
from limpet.store.api import RunRecord

LOOK_AGAIN_FIRST_S, LOOK_AGAIN_MAX_S = 0.1, 2.0  # for a run that is not there yet


class Waiting:
    """Serves result streams. `clock`: microseconds, for answers that no row dates."""

    def __init__(
        self,
        door: Door,
        streams: StreamRegistry,
        gate: Gate,
        names: StepNames,
        settings: GrpcSettings,
        clock: Callable[[], int],
    ) -> None:
        self._door, self._streams, self._gate, self._names, self._clock = door, streams, gate, names, clock
        self._bytes_max = settings.limits.message_bytes_max
        self._patience_s = settings.unknown_run_patience_s

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {"/Dispatcher/SubscribeToWorkflowRuns": self.subscribe}

    async def subscribe(self, call: Call, requests: AsyncIterator[SubscribeToWorkflowRunsRequest], stream: Stream) -> None:
        """Answer each id once its run is final."""
        waiter = self._streams.waiters.open(call.tenant)
        try:
            with self._gate.watched(call, waiter.box):
                await stream.opened()
                await until_ended(waiter.box, self._serve(call, waiter, requests, stream))
        finally:
            waiter.box.end("the stream is closed")
            self._streams.waiters.close(waiter)

    async def _serve(
        self, call: Call, waiter: ResultWaiter, requests: AsyncIterator[SubscribeToWorkflowRunsRequest], stream: Stream
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self._look_up(call, waiter))
                group.create_task(self._write(waiter, stream))
                await self._read(waiter, requests)
                await waiter.all_answered()
                waiter.box.finish()
                looking.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _read(self, waiter: ResultWaiter, requests: AsyncIterator[SubscribeToWorkflowRunsRequest]) -> None:
        async for request in requests:
            await waiter.room()
            self._streams.waiters.ask(waiter, request.workflow_run_id)

    async def _look_up(self, call: Call, waiter: ResultWaiter) -> None:
        """Read the runs that are asked for, at the pace at which answers are taken."""
        unseen = _Unseen(self._patience_s)
        while True:
            run_id = await waiter.next_lookup()
            await waiter.box.room()
            record = await self._door.reader.run(call.tenant_no, run_id) if is_uuid(run_id) else None
            if record is not None:
                unseen.forget(run_id)
                if RunStatus(record.run.status).is_terminal:
                    self._streams.waiters.answer(waiter, run_id, record)
            elif not is_uuid(run_id) or unseen.is_over(run_id):
                unseen.forget(run_id)
                self._streams.waiters.answer(waiter, run_id, RunUnknown(run_id))
            else:
                asyncio.get_running_loop().call_later(unseen.pause_s(run_id), waiter.look_up_later, run_id)

    async def _write(self, waiter: ResultWaiter, stream: Stream) -> None:
        while await waiter.box.ready():
            await stream.send(self._event(waiter.box.pop()))

    def _event(self, answer: Answer) -> WorkflowRunEvent:
        match answer:
            case RunFinished():
                return run_event_of_finished(answer, self._bytes_max)
            case RunRecord():
                return run_event_of_record(answer, self._names.of(answer.version), self._bytes_max)
            case RunUnknown():
                return run_event_of_unknown(answer.workflow_run_id, self._clock())


class _Unseen:
    """Runs that were looked for and not found: since when, and how often."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[str, tuple[float, int]] = {}

    def is_over(self, run_id: str) -> bool:
        since, _ = self._since.setdefault(run_id, (time.monotonic(), 0))
        return time.monotonic() - since >= self._patience_s

    def pause_s(self, run_id: str) -> float:
        since, tries = self._since[run_id]
        self._since[run_id] = (since, tries + 1)
        return float(min(LOOK_AGAIN_FIRST_S * 2**tries, LOOK_AGAIN_MAX_S, self._patience_s))

    def forget(self, run_id: str) -> None:
        self._since.pop(run_id, None)
