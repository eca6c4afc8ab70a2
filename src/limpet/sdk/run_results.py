"""Waiting for runs to end: one stream of results, shared by every waiter of a client.

Law: a waiter never sees a broken stream. Open ids are asked for again on the next one; the engine answers each id
once, also when its run had ended before (R36).
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import grpc

from limpet.contracts import admin_pb2, dispatcher_pb2
from limpet.sdk._transport import GET_RUN_DETAILS, NO_RETRIES, SUBSCRIBE_RUNS, ServerStream, Transport, code_of

logger: logging.Logger = logging.getLogger(__name__)

RECONNECT_WAIT_FIRST_S = 0.1
RECONNECT_WAIT_MAX_S = 3.0  # what official clients wait; ours starts lower and adds jitter [R33]

# The engine gives these only when they are the truth [R35]; waiting on would be waiting for ever.
_HOPELESS_CODES = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, as the result stream tells it.

    outputs:          parsed outputs by task name; tasks without output are left out
    errors:           error texts of failed tasks
    may_be_cancelled: no task failed, and one ended without output as cancelled ones do, or there are no tasks at all
    """

    workflow_run_id: str
    outputs: dict[str, Any]
    errors: tuple[str, ...]
    may_be_cancelled: bool


class RunResults:
    """Results of runs, as they end. Safe for any thread; opens its stream when there is something to wait for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._waiters: dict[str, list[Future[RunResult]]] = {}
        self._requests: queue.SimpleQueue[str | None] | None = None
        self._thread: threading.Thread | None = None

    def wait(self, workflow_run_id: str) -> RunResult:
        """Block this thread until the run has ended. Raises NOT_FOUND's RpcError for an unknown run."""
        return self._add_waiter(workflow_run_id).result()

    async def aio_wait(self, workflow_run_id: str) -> RunResult:
        """Await the end of the run. Raises NOT_FOUND's RpcError for an unknown run."""
        return await asyncio.wrap_future(self._add_waiter(workflow_run_id))

    def _add_waiter(self, workflow_run_id: str) -> Future[RunResult]:
        waiter: Future[RunResult] = Future()
        with self._lock:
            self._waiters.setdefault(workflow_run_id, []).append(waiter)
            if self._requests is not None:
                self._requests.put(workflow_run_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="limpet-run-results", daemon=True)
                self._thread.start()
        return waiter

    def _listen(self) -> None:
        """Keep a stream open as long as somebody waits, and while it is idle: the next waiter finds it ready."""
        failures = 0
        while self._somebody_waits():
            try:
                for event in self._open():
                    failures = 0
                    self._settle(event)
            except grpc.RpcError as error:
                logger.debug("The stream of run results ended (%s).", error)
                if code_of(error) in _HOPELESS_CODES:
                    return self._refuse_all(error)
                if code_of(error) is grpc.StatusCode.NOT_FOUND:
                    self._refuse_unknown()
            except Exception as error:
                return self._refuse_all(error)
            failures += 1
            time.sleep(_reconnect_wait_s(failures))

    def _open(self) -> ServerStream[dispatcher_pb2.WorkflowRunEvent]:
        with self._lock:
            requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
            for workflow_run_id in self._waiters:
                requests.put(workflow_run_id)
            if self._requests is not None:
                self._requests.put(None)
            self._requests = requests
        return self._transport.duplex(SUBSCRIBE_RUNS, _requests(requests))

    def _somebody_waits(self) -> bool:
        """False also ends this thread's claim to be the listener."""
        with self._lock:
            if not self._waiters:
                self._end_locked()
                return False
            return True

    def _end_locked(self) -> None:
        if self._requests is not None:
            self._requests.put(None)
        self._requests = None
        self._thread = None

    def _settle(self, event: dispatcher_pb2.WorkflowRunEvent) -> None:
        with self._lock:
            waiters = self._waiters.pop(event.workflow_run_id, [])
        result = read_result(event)
        for waiter in waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(result)

    def _refuse_unknown(self) -> None:
        """The engine does not know one of the ids: find out which, and let the others wait on."""
        with self._lock:
            open_ids = list(self._waiters)
        for workflow_run_id in open_ids:
            try:
                request = admin_pb2.GetRunDetailsRequest(external_id=workflow_run_id)
                self._transport.call(GET_RUN_DETAILS, request, retries=NO_RETRIES)
            except grpc.RpcError as error:
                if code_of(error) is grpc.StatusCode.NOT_FOUND:
                    self._refuse(workflow_run_id, error)

    def _refuse(self, workflow_run_id: str, error: BaseException) -> None:
        with self._lock:
            waiters = self._waiters.pop(workflow_run_id, [])
        for waiter in waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_exception(error)

    def _refuse_all(self, error: Exception) -> None:
        with self._lock:
            open_ids = list(self._waiters)
            self._end_locked()
        for workflow_run_id in open_ids:
            self._refuse(workflow_run_id, error)


def read_result(event: dispatcher_pb2.WorkflowRunEvent) -> RunResult:
    """The result in a message. An error that is present and empty belongs to a cancelled task (W8.8)."""
    outputs = {result.task_name: json.loads(result.output) for result in event.results if result.output}
    errors = tuple(result.error for result in event.results if result.error)
    cancelled = any(result.HasField("error") and not result.error for result in event.results)
    return RunResult(event.workflow_run_id, outputs, errors, not errors and (cancelled or not event.results))


def _requests(ids: queue.SimpleQueue[str | None]) -> Iterator[dispatcher_pb2.SubscribeToWorkflowRunsRequest]:
    while (workflow_run_id := ids.get()) is not None:
        yield dispatcher_pb2.SubscribeToWorkflowRunsRequest(workflow_run_id=workflow_run_id)


def _reconnect_wait_s(failures: int) -> float:
    spread = random.random() * RECONNECT_WAIT_FIRST_S
    return float(min(RECONNECT_WAIT_FIRST_S * 2**failures, RECONNECT_WAIT_MAX_S) + spread)
