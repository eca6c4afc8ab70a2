"""Receipts and outcomes on their way to the engine.

Law: an outcome is repeated for 150 s or more, which outlasts an engine's restart or change of owner (R38), and leaves as
soon as there is a connection again. What is lost then is left to the task's execution timeout.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import tenacity

from limpet.contracts import dispatcher_pb2
from limpet.sdk._transport import SEND_EVENT, Retries, SentCall, Transport
from limpet.sdk.attempt import Attempt

logger = logging.getLogger(__name__)

OUTCOME_ATTEMPTS_MAX = 20
OUTCOME_CONNECTION_S = 15.0  # a new owner of the store serves within ten seconds
OUTCOME_RETRIES = Retries(
    attempts=OUTCOME_ATTEMPTS_MAX,
    wait=tenacity.wait_exponential(multiplier=0.2, max=10) + tenacity.wait_random(0, 0.3),
    connection_s=OUTCOME_CONNECTION_S,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `error` is None for a good end."""

    output: str = ""
    error: str | None = None
    should_not_retry: bool = False
    retry_after_ms: int | None = None


class Reports:
    """Sends receipts and outcomes, and knows which are still on their way."""

    def __init__(self, transport: Transport, worker_id: Callable[[], str]) -> None:
        self._transport = transport
        self._worker_id = worker_id
        self._on_their_way: set[asyncio.Task[None]] = set()

    def receipt(self, attempt: Attempt) -> SentCall:
        """Say that the start has arrived, at once and without waiting. For any thread."""
        return self._transport.send(SEND_EVENT, self._event(attempt, dispatcher_pb2.STEP_EVENT_TYPE_STARTED, ""))

    def started(self, attempt: Attempt, receipt: SentCall | None) -> None:
        """Say that the attempt runs, unless the receipt is known to have arrived."""
        if receipt is None or not receipt.has_arrived:
            self._send(attempt, self._event(attempt, dispatcher_pb2.STEP_EVENT_TYPE_STARTED, ""))

    def outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        """Say how the attempt ended."""
        if outcome.error is None:
            event = self._event(attempt, dispatcher_pb2.STEP_EVENT_TYPE_COMPLETED, outcome.output)
        else:
            event = self._event(attempt, dispatcher_pb2.STEP_EVENT_TYPE_FAILED, outcome.error)
            event.should_not_retry = outcome.should_not_retry
            if outcome.retry_after_ms is not None:
                event.retry_after_ms = outcome.retry_after_ms
        self._send(attempt, event)

    async def flush(self) -> None:
        """Wait until nothing is on its way."""
        while self._on_their_way:
            await asyncio.wait(self._on_their_way)

    def _send(self, attempt: Attempt, event: dispatcher_pb2.StepActionEvent) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(attempt, event))
        self._on_their_way.add(task)
        task.add_done_callback(self._on_their_way.discard)

    async def _deliver(self, attempt: Attempt, event: dispatcher_pb2.StepActionEvent) -> None:
        try:
            await self._transport.acall(SEND_EVENT, event, retries=OUTCOME_RETRIES)
        except grpc.RpcError:
            kind = dispatcher_pb2.StepActionEventType.Name(event.event_type)
            logger.exception("The report %s of attempt %s could not be delivered.", kind, attempt.key)

    def _event(self, attempt: Attempt, kind: dispatcher_pb2.StepActionEventType, payload: str) -> dispatcher_pb2.StepActionEvent:
        return dispatcher_pb2.StepActionEvent(
            worker_id=self._worker_id(),
            job_id=attempt.job_id,
            job_run_id=attempt.job_run_id,
            task_id=attempt.task_id,
            task_run_external_id=attempt.key.task_run_id,
            action_id=attempt.action_id,
            event_timestamp=datetime.now(UTC),
            event_type=kind,
            event_payload=payload.encode(errors="replace"),
            retry_count=attempt.key.retry_count,
        )
