"""What can go wrong, seen from user code.

    NonRetryableException, RetryAfterException      raised by a task to say how its failure is to be treated
    TaskRunError                                    one failed task, decoded from the text that the engine keeps
    FailedTaskRunExceptionGroup                     a run that was waited for and failed
    DedupeViolationError                            a trigger was refused because it exists already
    IdempotencyCollisionError,
    BulkTriggerIdempotencyCollisionError            a trigger was refused because a run holds its idempotency key
    InvalidDependencyError, LifespanSetupError,
    IllegalTaskOutputError                          a definition or a task's result cannot be used
    EngineNotFoundError                             no engine answers where one should be

The text form of an error (W7.14): the first line is `type: message`, newlines of the message escaped by a backslash;
then the traceback; then, optionally, a blank line and a JSON object that carries the task run id.
"""

from __future__ import annotations

import json
import os
import traceback
from datetime import timedelta
from types import TracebackType

ERROR_METADATA_KEY = "__hatchet_error_metadata__"
UNKNOWN_ERROR_TYPE = "HatchetError"  # what official clients call a text in no known form
DEDUPE_TEXT = "DUPLICATE_WORKFLOW_RUN"

OWN_FOLDER = os.path.dirname(__file__) + os.sep  # frames of files below it are no code of the user's
_COLON_SPACE, _ESCAPED_COLON_SPACE = ": ", ":::"


class InvalidDependencyError(Exception):
    """A `Depends` function has a wrong signature, or dependencies form a cycle."""


class NonRetryableException(Exception):
    """Raise it in a task to fail the task at once, whatever retries remain."""


class RetryAfterException(Exception):
    """Raise it in a task to retry after a delay of your choice. Uses up one retry."""

    def __init__(self, message: str = "", *, after: timedelta) -> None:
        if after <= timedelta(0):
            raise ValueError(f"after is {after!r}, but it must be longer than zero.")
        super().__init__(message)
        self.after = after

    @property
    def after_ms(self) -> int:
        """The delay in milliseconds."""
        return max(1, round(self.after / timedelta(milliseconds=1)))


class DedupeViolationError(Exception):
    """The trigger was refused: a run with the same dedupe value exists."""


class IdempotencyCollisionError(Exception):
    """The trigger was refused: the run `existing_run_external_id` holds its idempotency key."""

    def __init__(self, existing_run_external_id: str) -> None:
        super().__init__(f"Run {existing_run_external_id} holds the idempotency key of this one, so this one was not started.")
        self.existing_run_external_id = existing_run_external_id


class BulkTriggerIdempotencyCollisionError(Exception):
    """Some items of a bulk were refused because other runs hold their idempotency keys; all others were started."""

    def __init__(self, successful_workflow_run_external_ids: list[str], collisions: list[IdempotencyCollisionError]) -> None:
        started, refused = len(successful_workflow_run_external_ids), len(collisions)
        super().__init__(f"Other runs hold the idempotency keys of {refused} items; {started} others were started.")
        self.successful_workflow_run_external_ids = successful_workflow_run_external_ids
        self.collisions = collisions


class IllegalTaskOutputError(Exception):
    """A task returned something that cannot be stored as its output."""


class LifespanSetupError(Exception):
    """The worker's lifespan function failed before the worker could start."""


class LoopAlreadyRunningError(Exception):
    """Kept for code that catches it: a worker that is started inside a running loop serves in a thread instead."""


class EngineNotFoundError(Exception):
    """No engine answers: where the configuration says, or at the usual place on this machine."""


class TaskRunError(Exception):
    """The failure of one task run: type and message of its exception, its traceback, and which run it was."""

    def __init__(self, exc: str, exc_type: str, trace: str, task_run_external_id: str | None) -> None:
        super().__init__(exc)
        self.exc = exc
        self.exc_type = exc_type
        self.trace = trace
        self.task_run_external_id = task_run_external_id

    def __str__(self) -> str:
        return self.serialize(include_metadata=False)

    def __repr__(self) -> str:
        return str(self)

    def serialize(self, include_metadata: bool) -> str:
        """The text form, never empty. With `include_metadata` it ends with the task run id."""
        if not self.exc_type and not self.exc:
            return ""
        escaped_type = self.exc_type.replace(_COLON_SPACE, _ESCAPED_COLON_SPACE)
        message = self.exc.replace("\n", "\\\n")
        text = f"{escaped_type}: {message}\n{self.trace}"
        if not include_metadata:
            return text
        metadata = {ERROR_METADATA_KEY: {"task_run_external_id": self.task_run_external_id}}
        return f"{text}\n\n{json.dumps(metadata)}"

    @classmethod
    def deserialize(cls, serialized: str) -> TaskRunError:
        """Read the text form. A text in no known form becomes the message of a `HatchetError`."""
        text, task_run_id = _split_metadata(serialized)
        head, trace = _split_first_line(text)
        exc_type, separator, message = head.partition(_COLON_SPACE)
        if not separator or not trace:
            return cls(text, UNKNOWN_ERROR_TYPE, "", task_run_id)
        return cls(message, exc_type.replace(_ESCAPED_COLON_SPACE, _COLON_SPACE), trace, task_run_id)

    @classmethod
    def from_exception(cls, exc: BaseException, task_run_external_id: str | None) -> TaskRunError:
        """The failure that an exception amounts to. Its traceback begins where the code of the task does."""
        trace = "".join(traceback.format_exception(type(exc), exc, _without_own_frames(exc.__traceback__)))
        return cls(str(exc), type(exc).__name__, trace, task_run_external_id)


class FailedTaskRunExceptionGroup(ValueError):
    """A run that was waited for has failed. `exceptions` holds one `TaskRunError` for each failed task."""

    def __init__(self, message: str, exceptions: list[TaskRunError]) -> None:
        super().__init__(message)
        self.message = message
        self.exceptions = exceptions

    def __str__(self) -> str:
        parts = [f"\n\n--- Exception {number} ---\n{error}" for number, error in enumerate(self.exceptions, start=1)]
        return self.message + "".join(parts)


def run_failure(workflow_run_id: str, texts: list[str]) -> Exception:
    """The exception for a failed run, made from the error texts of its tasks."""
    if texts and DEDUPE_TEXT in texts[0]:
        return DedupeViolationError(texts[0])
    errors = [TaskRunError.deserialize(text) for text in texts]
    return FailedTaskRunExceptionGroup(f"Workflow run {workflow_run_id} failed.", errors)


def _without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package that called the task; the last frame stays in any case."""
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(OWN_FOLDER):
        trace = trace.tb_next
    return trace


def _split_metadata(text: str) -> tuple[str, str | None]:
    """Cut off the last line when it is the metadata object; returns the rest and the task run id."""
    body, separator, last = text.rpartition("\n\n")
    if not separator or ERROR_METADATA_KEY not in last:
        return text, None
    try:
        task_run_id = json.loads(last)[ERROR_METADATA_KEY].get("task_run_external_id")
    except (ValueError, KeyError, TypeError, AttributeError):
        return text, None
    return body, task_run_id


def _split_first_line(text: str) -> tuple[str, str]:
    """The first line with its escaped newlines restored, and what follows it."""
    lines = text.split("\n")
    head = [lines[0]]
    rest = 1
    while head[-1].endswith("\\") and rest < len(lines):
        head[-1] = head[-1][:-1]
        head.append(lines[rest])
        rest += 1
    return "\n".join(head), "\n".join(lines[rest:])
