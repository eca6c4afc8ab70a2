"""What workers report about attempts (reliability R32: an outcome is always taken, even an unusable one)."""

from __future__ import annotations

from limpet.contracts.dispatcher_pb2 import (
    STEP_EVENT_TYPE_CANCELLED,
    STEP_EVENT_TYPE_COMPLETED,
    STEP_EVENT_TYPE_FAILED,
    STEP_EVENT_TYPE_STARTED,
    StepActionEvent,
)
from limpet.core.durations import DURATION_MAX_US
from limpet.core.errors import InvalidArgument
from limpet.core.ids import MILLISECOND_US
from limpet.core.inputs import TaskCompleted, TaskFailed, TaskGaveUp, TaskStarted
from limpet.core.settings import Settings
from limpet.edges import json_text

NO_MESSAGE = "The task failed without a message."  # clients take an empty error for none [W7.13]
JSON_NULL = b"null"  # how a client that has no empty text says "no output"
ERROR_TAIL_BYTES = 8 * 1024  # of a long error: its last lines name the place, and the very last the task run


AnyReport = TaskStarted | TaskCompleted | TaskFailed | TaskGaveUp


def report_of(event: StepActionEvent, limits: Settings) -> AnyReport | None:
    """The report; None for an event that says nothing about the attempt (acknowledged, or unknown to us)."""
    about = (event.task_run_external_id, event.retry_count if event.HasField("retry_count") else None, event.worker_id)
    match event.event_type:
        case kind if kind == STEP_EVENT_TYPE_STARTED:
            return TaskStarted(*about)
        case kind if kind == STEP_EVENT_TYPE_COMPLETED:
            return _completed(about, event.event_payload, limits)
        case kind if kind == STEP_EVENT_TYPE_FAILED:
            return _failed(about, event, limits)
        case kind if kind == STEP_EVENT_TYPE_CANCELLED:
            return TaskGaveUp(*about)
        case _:
            return None


def shortened(text: bytes, bytes_max: int) -> str:
    """An error text that can be stored: valid, without NUL, the middle of a long one replaced by a note."""
    text = text.decode(errors="replace").replace("\0", "?").encode()
    if len(text) > bytes_max:
        tail = text[-min(ERROR_TAIL_BYTES, bytes_max // 4) :]
        note = f"\n… {len(text)} bytes in all, shortened to {bytes_max} …\n".encode()
        text = text[: bytes_max - len(tail) - len(note)] + note + tail
    return text.decode(errors="ignore")  # a character that was cut in two is left out


def _completed(about: tuple[str, int | None, str], payload: bytes, limits: Settings) -> TaskCompleted | TaskFailed:
    if not payload or payload == JSON_NULL:
        return TaskCompleted(*about)
    try:
        return TaskCompleted(*about, output=json_text.check_object(payload, "the output", limits.payload_bytes_max))
    except InvalidArgument as error:
        return TaskFailed(*about, error=f"The task ended well, but its output cannot be stored: {error}.", retryable=False)


def _failed(about: tuple[str, int | None, str], event: StepActionEvent, limits: Settings) -> TaskFailed:
    return TaskFailed(
        *about,
        error=shortened(event.event_payload, limits.error_bytes_max) or NO_MESSAGE,
        retryable=not event.should_not_retry,
        retry_after_us=_retry_after_us(event),
    )


def _retry_after_us(event: StepActionEvent) -> int | None:
    """The pause that the task asks for before its next attempt."""
    if not event.HasField("retry_after_ms"):
        return None
    return min(max(event.retry_after_ms, 0) * MILLISECOND_US, DURATION_MAX_US)
