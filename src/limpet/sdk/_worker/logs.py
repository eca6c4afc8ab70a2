"""Log lines on their way to the engine: from `ctx.log`, and from the configured logger inside tasks (W14.5).

Law: logging never blocks and never fails a task. A full queue drops lines and says so once.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc

from limpet.contracts import events_pb2
from limpet.sdk._transport import PUT_LOG, Transport
from limpet.sdk.run_variables import ctx_hatchet_context

logger = logging.getLogger(__name__)

LINE_CHARS_MAX = 10_000  # the engine refuses longer ones [W14.5]
FLUSH_TIMEOUT_S = 5.0  # a leaving worker does not wait longer for its last lines

# What this package and its libraries say about their own work is no line of the task's.
_OWN_LOGGERS = ("limpet", "grpc", "asyncio", "httpx", "httpcore")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a task run."""

    task_run_id: str
    retry_count: int
    text: str
    level: str
    created_at: datetime


class LogSender:
    """A bounded queue of lines and the thread that sends them one by one."""

    def __init__(self, transport: Transport, queue_size: int) -> None:
        self._transport = transport
        self._lines: queue.Queue[LogLine | None] = queue.Queue(maxsize=queue_size)
        self._thread = threading.Thread(target=self._send_until_closed, name="limpet-logs", daemon=True)
        self._dropping = False

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, line: LogLine) -> None:
        """Queue a line. Empty ones are left out, long ones are cut, and a full queue drops it."""
        if not line.text:
            return
        try:
            self._lines.put_nowait(line)
            self._dropping = False
        except queue.Full:
            if not self._dropping:
                logger.warning("Log lines come faster than they can be sent; some of them are dropped.")
            self._dropping = True

    def close(self) -> None:
        """Send what is queued, for at most five seconds, then end."""
        try:
            self._lines.put(None, timeout=FLUSH_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(FLUSH_TIMEOUT_S)

    def _send_until_closed(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._transport.call(PUT_LOG, _request(line))
            except grpc.RpcError as error:
                logger.debug("A log line of task run %s could not be stored (%s).", line.task_run_id, error)


class TaskLogHandler(logging.Handler):
    """Forwards records that are made inside a task."""

    def __init__(self, sender: LogSender) -> None:
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's text as a line of the running task."""
        self._leave_to_last_resort(record)
        context = ctx_hatchet_context.get()
        if context is None or record.name.split(".")[0] in _OWN_LOGGERS:
            return
        try:
            created_at = datetime.fromtimestamp(record.created, UTC)
            text = self.format(record)
            self._sender.put(LogLine(context.task_run_id, context.retry_count, text, _level(record.levelno), created_at))
        except Exception:
            self.handleError(record)

    def _leave_to_last_resort(self, record: logging.LogRecord) -> None:
        """Python prints warnings of a program that has no handlers. This one handler must not end that."""
        last_resort = logging.lastResort
        if last_resort is None or record.levelno < last_resort.level:
            return
        if all(handler is self for handler in _handlers(record.name)):
            last_resort.handle(record)


def _handlers(name: str) -> Iterator[logging.Handler]:
    """Whoever gets the records of a logger."""
    found: logging.Logger | None = logging.getLogger(name)
    while found is not None:
        yield from found.handlers
        found = found.parent if found.propagate else None


def _level(number: int) -> str:
    """One of the four levels that the engine knows."""
    if number >= logging.ERROR:
        return "ERROR"
    if number >= logging.WARNING:
        return "WARN"
    return "INFO" if number >= logging.INFO else "DEBUG"


def _request(line: LogLine) -> events_pb2.PutLogRequest:
    return events_pb2.PutLogRequest(
        task_run_external_id=line.task_run_id,
        created_at=line.created_at,
        message=line.text[:LINE_CHARS_MAX].encode(errors="replace"),
        level=line.level,
        task_retry_count=line.retry_count,
    )
