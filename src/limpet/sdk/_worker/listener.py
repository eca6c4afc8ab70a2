"""The assignment stream, in a thread: receipts go out from here, whatever the event loop is doing."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import grpc

from limpet.contracts import dispatcher_pb2
from limpet.sdk._transport import LISTEN, SentCall, ServerStream, Transport, code_of
from limpet.sdk._worker.actions import Action, StartAttempt, read_action
from limpet.sdk._worker.protocol import StreamEnd, StreamProtocol
from limpet.sdk._worker.reports import Reports

logger = logging.getLogger(__name__)

OPENED_S = 1.0  # a stream that ends sooner was never open: one more try of an outage that is known


class Listener:
    """Keeps the stream open and hands what arrives to the event loop, in order, one wake-up for each burst."""

    def __init__(
        self,
        transport: Transport,
        reports: Reports,
        loop: asyncio.AbstractEventLoop,
        *,
        worker_id: Callable[[], str],
        on_action: Callable[[Action, SentCall | None], None],
        register_again: Callable[[], Coroutine[Any, Any, None]],
        stream_timeout_s: float | None,
    ) -> None:
        self._transport = transport
        self._reports = reports
        self._loop = loop
        self._worker_id = worker_id
        self._on_action = on_action
        self._register_again = register_again
        self._stream_timeout_s = stream_timeout_s
        self._protocol = StreamProtocol()
        self._arrived: deque[tuple[Action, SentCall | None]] = deque()
        self._wake_pending = False
        self._lock = threading.Lock()
        self._stream: ServerStream[dispatcher_pb2.AssignedAction] | None = None
        self._stopped = threading.Event()
        self._worker_unknown = False
        self._thread = threading.Thread(target=self._listen_until_stopped, name="limpet-listener", daemon=True)

    def start(self) -> None:
        """Open the stream."""
        self._thread.start()

    def stop(self) -> None:
        """Close the stream and open no other. For any thread; does not wait."""
        self._stopped.set()
        self.interrupt()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def interrupt(self) -> None:
        """End the current stream, so that a new one is opened. For any thread."""
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.cancel()

    def worker_is_unknown(self) -> None:
        """The engine does not know the worker any more: register before the next stream. For any thread."""
        self._worker_unknown = True
        self.interrupt()

    def settle(self) -> None:
        """Hand over what has arrived. Runs in the event loop."""
        with self._lock:
            self._wake_pending = False
        while self._arrived:
            self._on_action(*self._arrived.popleft())

    def _listen_until_stopped(self) -> None:
        while not self._stopped.is_set():
            opened_at = time.monotonic()
            reason = self._listen()
            if self._stopped.is_set():
                return
            lasted_s = time.monotonic() - opened_at
            step = self._protocol.on_stream_end(reason, lasted_s=lasted_s, jitter=random.random())
            self._stopped.wait(step.wait_s)
            if step.register_first and not self._stopped.is_set():
                self._register()

    def _listen(self) -> StreamEnd:
        """Read one stream to its end."""
        opened_at = time.monotonic()
        try:
            request = dispatcher_pb2.WorkerListenRequest(worker_id=self._worker_id())
            stream = self._transport.stream(LISTEN, request, timeout_s=self._stream_timeout_s)
            with self._lock:
                self._stream = stream
            if self._stopped.is_set():
                stream.cancel()
            for message in stream:
                self._protocol.on_action()
                self._receive(message)
        except grpc.RpcError as error:
            if not self._stopped.is_set():
                level = logging.INFO if time.monotonic() - opened_at > OPENED_S else logging.DEBUG
                logger.log(level, "The assignment stream ended (%s); it is opened again.", code_of(error).name)
            if code_of(error) is grpc.StatusCode.NOT_FOUND:
                self._worker_unknown = True
        return StreamEnd.WORKER_UNKNOWN if self._worker_unknown else StreamEnd.LOST

    def _receive(self, message: dispatcher_pb2.AssignedAction) -> None:
        action = read_action(message)
        if action is None:
            logger.warning("An action of a kind that this worker does not know was left out (%s).", message.action_type)
            return
        receipt = self._reports.receipt(action.attempt) if isinstance(action, StartAttempt) else None
        self._arrived.append((action, receipt))
        with self._lock:
            if self._wake_pending or self._loop.is_closed():
                return
            self._wake_pending = True
        self._loop.call_soon_threadsafe(self.settle)

    def _register(self) -> None:
        """Ask the event loop to register the worker anew, and wait for it. A failure is tried again after a wait."""
        registration = asyncio.run_coroutine_threadsafe(self._register_again(), self._loop)
        try:
            registration.result()
            self._worker_unknown = False
        except (grpc.RpcError, asyncio.CancelledError) as error:
            logger.warning("The worker could not be registered again (%s); trying later.", error)
