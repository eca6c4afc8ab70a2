"""The object that every task function gets: who am I, what came before, and what may I ask of the engine.

Law: nothing here fails a task because the engine could not be told something that the task does not depend on
(logs, stream chunks, a longer timeout): that is logged instead.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from typing_extensions import deprecated

from limpet.sdk.attempt import Attempt
from limpet.sdk.durations import Duration, duration_text
from limpet.sdk.exceptions import TaskRunError
from limpet.sdk.serde import JSONSerializableMapping, load_output
from limpet.sdk.task_reference import TaskReference

logger: logging.Logger = logging.getLogger(__name__)

R = TypeVar("R")


class TaskCalls(Protocol):
    """What a context asks of the engine. Each call has an async twin; both may raise."""

    def put_log(self, task_run_id: str, retry_count: int, line: str, level: str, created_at: datetime) -> None:
        """Queue a log line; never waits."""

    def put_stream(self, task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> None:
        """Send one stream chunk."""

    async def aio_put_stream(self, task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> None:
        """Send one stream chunk."""

    def refresh_timeout(self, task_run_id: str, increment: str) -> None:
        """Move the execution deadline by a wire duration."""

    async def aio_refresh_timeout(self, task_run_id: str, increment: str) -> None:
        """Move the execution deadline by a wire duration."""

    def release_slot(self, task_run_id: str) -> None:
        """Give the task's slots back."""

    async def aio_release_slot(self, task_run_id: str) -> None:
        """Give the task's slots back."""

    def pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """Let a rate limit give no units until then; until when it is paused."""

    async def aio_pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """Let a rate limit give no units until then; until when it is paused."""

    def cancel(self, task_run_id: str) -> None:
        """Cancel a task run."""

    async def aio_cancel(self, task_run_id: str) -> None:
        """Cancel a task run."""


class WorkerHandle(Protocol):
    """The worker that runs the task, as its tasks see it."""

    @property
    def worker_id(self) -> str:
        """The id that the engine gave; a new one after the engine forgot the worker."""

    @property
    def action_ids(self) -> frozenset[str]:
        """What the worker registered."""

    @property
    def labels(self) -> dict[str, str | int]:
        """The labels known to this process."""

    def upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Merge labels, here and at the engine."""

    async def aio_upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Merge labels, here and at the engine."""


class WorkerContext:
    """The worker that runs the task: its id and its labels. Newer code reads `ctx.worker_id`, `ctx.worker_labels`."""

    def __init__(self, worker: WorkerHandle) -> None:
        self._worker = worker

    def id(self) -> str:
        """The worker's id."""
        return self._worker.worker_id

    def labels(self) -> dict[str, str | int]:
        """The worker's labels, as known to this process."""
        return self._worker.labels

    def upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Change labels of the running worker."""
        self._worker.upsert_labels(labels)

    async def async_upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Change labels of the running worker."""
        await self._worker.aio_upsert_labels(labels)


class Context:
    """What a task knows about its run, and what it may ask of the engine."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        calls: TaskCalls,
        worker: WorkerHandle,
        task_name: str,
        workflow_name: str,
        max_attempts: int,
        lifespan: Any = None,
    ) -> None:
        self._attempt = attempt
        self._calls = calls
        self._worker = worker
        self._task_name = task_name
        self._workflow_name = workflow_name
        self._max_attempts = max_attempts
        self._lifespan = lifespan
        self._cancelled = threading.Event()
        self._stream_index = 0
        self._stream_lock = threading.Lock()

    # Who am I

    @property
    def workflow_run_id(self) -> str:
        """The id of the run."""
        return self._attempt.workflow_run_id

    @property
    def task_run_id(self) -> str:
        """The id of this task run."""
        return self._attempt.key.task_run_id

    @property
    @deprecated("step_run_id is the older name of task_run_id")
    def step_run_id(self) -> str:
        """The older name of `task_run_id`."""
        return self.task_run_id

    @property
    def workflow_id(self) -> str | None:
        """The id of the workflow."""
        return self._attempt.workflow_id

    @property
    def workflow_version_id(self) -> str | None:
        """The id of the workflow's version."""
        return self._attempt.workflow_version_id

    @property
    def workflow_name(self) -> str:
        """The name of the workflow, with its namespace."""
        return self._workflow_name

    @property
    def task_name(self) -> str:
        """The name of the task."""
        return self._task_name

    @property
    def retry_count(self) -> int:
        """How often the task was started before this attempt."""
        return self._attempt.key.retry_count

    @property
    def attempt_number(self) -> int:
        """The number of this attempt, counted from 1."""
        return self.retry_count + 1

    @property
    def max_attempts(self) -> int:
        """How many attempts the definition allows."""
        return self._max_attempts

    @property
    def priority(self) -> int | None:
        """The priority of the run."""
        return self._attempt.priority

    @property
    def additional_metadata(self) -> JSONSerializableMapping:
        """The metadata of the run."""
        return self._attempt.additional_metadata

    @property
    def parent_workflow_run_id(self) -> str | None:
        """The id of the run that spawned this one; None for a run without a parent."""
        return self._attempt.parent_workflow_run_id

    @property
    def child_index(self) -> int | None:
        """The place among the children of the parent; None for a run without a parent."""
        return self._attempt.child_index

    @property
    def child_key(self) -> str | None:
        """The key that the parent gave this child."""
        return self._attempt.child_key

    @property
    def lifespan(self) -> Any:
        """What the worker's lifespan function yielded."""
        return self._lifespan

    # What started the run

    @property
    def triggering_event_id(self) -> str | None:
        """The id of the event that started the run."""
        return self._attempt.triggering_event_id

    @property
    def triggering_event_key(self) -> str | None:
        """The key of the event that started the run."""
        return self._attempt.triggering_event_key

    @property
    def was_triggered_by_event(self) -> bool:
        """Whether an event started the run."""
        return self._attempt.triggering_event_id is not None

    @property
    def trigger_data(self) -> JSONSerializableMapping:
        """Data of the satisfied conditions, by key."""
        return self._attempt.payload.triggers

    @property
    def filter_payload(self) -> JSONSerializableMapping:
        """The payload of the event filter that matched."""
        return self._attempt.payload.filter_payload

    @property
    def raw_input(self) -> JSONSerializableMapping:
        """The input of the run, before validation."""
        return self._attempt.payload.input

    @property
    @deprecated("use the `input` argument of the task function, which is validated")
    def input(self) -> JSONSerializableMapping:
        """The raw input."""
        return self._attempt.payload.input

    @property
    @deprecated("use the `input` argument of the task function, which is validated")
    def workflow_input(self) -> JSONSerializableMapping:
        """The raw input."""
        return self._attempt.payload.input

    # The worker

    @property
    def worker(self) -> WorkerContext:
        """The worker that runs this task."""
        return WorkerContext(self._worker)

    @property
    def worker_id(self) -> str:
        """The id of the worker that runs this task."""
        return self._worker.worker_id

    @property
    def worker_labels(self) -> dict[str, str | int]:
        """The worker's labels, as known to this process."""
        return self._worker.labels

    @property
    def worker_action_ids(self) -> frozenset[str]:
        """The actions that this worker registered, its children's tasks perhaps among them (ST-38)."""
        return self._worker.action_ids

    def upsert_worker_labels(self, labels: Mapping[str, str | int]) -> None:
        """Change labels of the running worker. Keys that are not named keep their value."""
        self._worker.upsert_labels(labels)

    async def aio_upsert_worker_labels(self, labels: Mapping[str, str | int]) -> None:
        """Change labels of the running worker. Keys that are not named keep their value."""
        await self._worker.aio_upsert_labels(labels)

    # What came before

    def was_skipped(self, task: TaskReference[Any]) -> bool:
        """Whether a parent task was skipped."""
        return bool(self._attempt.payload.parents.get(task.name, {}).get("skipped"))

    def task_output(self, task: TaskReference[R]) -> R:
        """The validated output of a parent task. Raises ValueError when it was skipped or is no parent."""
        if self.was_skipped(task):
            raise ValueError(f"Task {task.name!r} was skipped and has no output. Ask was_skipped() first.")
        if task.name not in self._attempt.payload.parents:
            raise ValueError(f"There is no output of {task.name!r}. Name it as a parent of {self._task_name!r}.")
        return load_output(self._attempt.payload.parents[task.name], task.output_validator)

    @deprecated("use task_output")
    def aio_task_output(self, task: TaskReference[R]) -> R:
        """The older spelling of `task_output` for async tasks; despite its name not awaited, as in the official client."""
        return self.task_output(task)

    @property
    def task_run_errors(self) -> dict[str, str]:
        """Error texts by task name; filled for on-failure tasks."""
        return self._attempt.payload.step_run_errors

    def get_task_run_error(self, task: TaskReference[Any]) -> TaskRunError | None:
        """The failure of a task of this run, or None when it did not fail."""
        text = self._attempt.payload.step_run_errors.get(task.name)
        return TaskRunError.deserialize(text) if text else None

    @deprecated("use get_task_run_error")
    def fetch_task_run_error(self, task: TaskReference[Any]) -> str | None:
        """The raw error text of a task of this run."""
        return self._attempt.payload.step_run_errors.get(task.name)

    # Cancellation

    @property
    def is_cancelled(self) -> bool:
        """Whether cancellation was requested. Sync tasks ask now and then; async ones get a CancelledError."""
        return self._cancelled.is_set()

    @property
    def exit_flag(self) -> bool:
        """The older name of `is_cancelled`."""
        return self.is_cancelled

    @deprecated("use is_cancelled")
    def done(self) -> bool:
        """The older name of `is_cancelled`."""
        return self.is_cancelled

    def mark_cancelled(self) -> None:
        """Set the cancel flag. The worker does so when the engine asks for it."""
        self._cancelled.set()

    def cancel(self) -> None:
        """Cancel this task run: set the flag and tell the engine."""
        self.mark_cancelled()
        self._calls.cancel(self.task_run_id)

    async def aio_cancel(self) -> None:
        """Cancel this task run: set the flag and tell the engine."""
        self.mark_cancelled()
        await self._calls.aio_cancel(self.task_run_id)

    # Asking the engine

    def refresh_timeout(self, increment_by: Duration) -> None:
        """Prolong the execution timeout. A failure is only logged."""
        increment = duration_text(increment_by, what="increment_by")
        try:
            self._calls.refresh_timeout(self.task_run_id, increment)
        except Exception:
            logger.exception("The timeout of task run %s could not be prolonged.", self.task_run_id)

    async def aio_refresh_timeout(self, increment_by: Duration) -> None:
        """Prolong the execution timeout. A failure is only logged."""
        increment = duration_text(increment_by, what="increment_by")
        try:
            await self._calls.aio_refresh_timeout(self.task_run_id, increment)
        except Exception:
            logger.exception("The timeout of task run %s could not be prolonged.", self.task_run_id)

    def pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """Let a rate limit give no units until then, for instance after an answer 429. Returns until when it is paused.

        Of two pauses the later end counts. Raises for a key that nobody has set.
        """
        return self._calls.pause_rate_limit(key, until)

    async def aio_pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """As `pause_rate_limit`."""
        return await self._calls.aio_pause_rate_limit(key, until)

    def release_slot(self) -> None:
        """Give the worker's slot back while the task keeps running. A failure is only logged."""
        try:
            self._calls.release_slot(self.task_run_id)
        except Exception:
            logger.exception("The slot of task run %s could not be released.", self.task_run_id)

    async def aio_release_slot(self) -> None:
        """Give the worker's slot back while the task keeps running. A failure is only logged."""
        try:
            await self._calls.aio_release_slot(self.task_run_id)
        except Exception:
            logger.exception("The slot of task run %s could not be released.", self.task_run_id)

    def put_stream(self, data: str | bytes) -> None:
        """Emit one chunk to whoever subscribes to the run. A failure is only logged."""
        chunk, index = self._next_chunk(data)
        try:
            self._calls.put_stream(self.task_run_id, chunk, index, datetime.now(UTC))
        except Exception:
            logger.exception("A stream chunk of task run %s could not be sent.", self.task_run_id)

    async def aio_put_stream(self, data: str | bytes) -> None:
        """Emit one chunk to whoever subscribes to the run. A failure is only logged."""
        chunk, index = self._next_chunk(data)
        try:
            await self._calls.aio_put_stream(self.task_run_id, chunk, index, datetime.now(UTC))
        except Exception:
            logger.exception("A stream chunk of task run %s could not be sent.", self.task_run_id)

    def log(self, line: str | JSONSerializableMapping, raise_on_error: bool = False) -> None:
        """Store a log line for this task. Never waits and never raises; `raise_on_error` has no effect."""
        text = line if isinstance(line, str) else json.dumps(line, default=str)
        self._calls.put_log(self.task_run_id, self.retry_count, text, "INFO", datetime.now(UTC))

    async def aio_log(self, line: str | JSONSerializableMapping, raise_on_error: bool = False) -> None:
        """Store a log line for this task. Never waits and never raises; `raise_on_error` has no effect."""
        self.log(line, raise_on_error)

    def _next_chunk(self, data: str | bytes) -> tuple[bytes, int]:
        with self._stream_lock:
            index = self._stream_index
            self._stream_index += 1
        return (data.encode() if isinstance(data, str) else data), index
