"""Signs of life, from a thread with a channel of its own: a blocked event loop or a full channel stops none (R27)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import grpc

from limpet.contracts import dispatcher_pb2
from limpet.sdk._transport import HEARTBEAT, NO_RETRIES, Transport, code_of
from limpet.sdk.config import ClientConfig

logger = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 4.0  # [WK-1]; the engine gives a silent worker up after 30 s
HEARTBEAT_TIMEOUT_S = 5.0  # [WK-1]


class Heartbeat:
    """Sends a heartbeat every four seconds until stopped."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        worker_id: Callable[[], str],
        on_unknown_worker: Callable[[], None],
        on_lost_stream: Callable[[], None],
        interval_s: float = HEARTBEAT_INTERVAL_S,
    ) -> None:
        self._transport = Transport(config)
        self._worker_id = worker_id
        self._on_unknown_worker = on_unknown_worker
        self._on_lost_stream = on_lost_stream
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_stopped, name="limpet-heartbeat", daemon=True)
        self.last_succeeded = False
        self._is_unheard = False  # an outage is said once, and its end

    def start(self) -> None:
        """Send the first one now."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more. Does not wait for the thread."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for the thread and close its channel."""
        self._thread.join()
        self._transport.close()

    def _beat_until_stopped(self) -> None:
        while not self._stopped.is_set():
            self._beat()
            self._stopped.wait(self._interval_s)

    def _beat(self) -> None:
        request = dispatcher_pb2.HeartbeatRequest(worker_id=self._worker_id(), heartbeat_at=datetime.now(UTC))
        try:
            self._transport.call(HEARTBEAT, request, timeout_s=HEARTBEAT_TIMEOUT_S, retries=NO_RETRIES)
            self._on_success()
        except grpc.RpcError as error:
            self._on_error(code_of(error))

    def _on_success(self) -> None:
        self.last_succeeded = True
        if self._is_unheard:
            logger.info("The engine hears this worker again.")
        self._is_unheard = False

    def _on_error(self, code: grpc.StatusCode) -> None:
        self.last_succeeded = False
        if not self._is_unheard:
            logger.warning("The engine does not hear this worker's heartbeats (%s); they go on.", code.name)
        self._is_unheard = True
        if code is grpc.StatusCode.NOT_FOUND:
            self._on_unknown_worker()
        elif code is grpc.StatusCode.FAILED_PRECONDITION:
            self._on_lost_stream()
