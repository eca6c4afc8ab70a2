"""Runs attempts and says how they ended. Lives in one event loop; sync functions go to the pool of threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limpet.sdk._transport import SentCall
from limpet.sdk._worker.actions import Action, CancelAttempt, StartAttempt
from limpet.sdk._worker.protocol import Start, WorkerProtocol
from limpet.sdk._worker.reports import Outcome, Reports
from limpet.sdk._worker.threads import Job, TaskThreads
from limpet.sdk.attempt import Attempt, AttemptKey
from limpet.sdk.context import Context, TaskCalls, WorkerHandle
from limpet.sdk.exceptions import NonRetryableException, RetryAfterException, TaskRunError
from limpet.sdk.run_variables import (
    ctx_action_key,
    ctx_additional_metadata,
    ctx_hatchet_context,
    ctx_step_run_id,
    ctx_task_retry_count,
    ctx_worker_id,
    ctx_workflow_run_id,
    forget_children,
)
from limpet.sdk.serde import dump_output
from limpet.sdk.task import Task
from limpet.sdk.telemetry.hooks import hook

logger = logging.getLogger(__name__)

CANCEL_GRACE_S = 1.0  # between the flag and the CancelledError [CN-4]


@dataclass(slots=True, eq=False)
class Running:
    """An attempt whose code runs."""

    attempt: Attempt
    context: Context
    execution: asyncio.Task[None] | None = None
    job: Job | None = None
    cancel_handle: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What a runner needs of its worker."""

    tasks: Mapping[str, Task[Any, Any]]
    calls: TaskCalls
    worker: WorkerHandle
    reports: Reports
    threads: TaskThreads
    on_end: Callable[[], None]
    lifespan: Any = None
    force_kill_threads: bool = False


@dataclass(slots=True)
class Runner:
    """Owns the attempts that run. All methods belong to the event loop."""

    parts: RunnerParts
    protocol: WorkerProtocol
    _running: dict[AttemptKey, Running] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_action(self, action: Action, receipt: SentCall | None) -> None:
        """Do what the engine asks for."""
        if isinstance(action, StartAttempt):
            self._start(action.attempt, receipt)
        elif isinstance(action, CancelAttempt):
            self._cancel(action.key)

    async def drained(self) -> None:
        """Wait until every attempt that is not cancelled has ended."""
        while self.protocol.running:
            self._changed.clear()
            await self._changed.wait()

    def stop_cancelled(self) -> None:
        """Give up on cancelled attempts that still run."""
        for running in list(self._running.values()):
            if running.execution is not None:
                running.execution.cancel()

    @property
    def count(self) -> int:
        """How many attempts run."""
        return len(self._running)

    def _start(self, attempt: Attempt, receipt: SentCall | None) -> None:
        step = self.protocol.on_start(attempt.key, attempt.action_id)
        if step is Start.DUPLICATE:
            logger.warning("Attempt %s was sent twice; it runs once.", attempt.key)
        elif step is Start.UNKNOWN_ACTION:
            self.parts.reports.outcome(attempt, _unknown_action(attempt))
        else:
            self._execute(attempt, receipt)

    def _execute(self, attempt: Attempt, receipt: SentCall | None) -> None:
        task = self.parts.tasks[attempt.action_id]
        context = Context(
            attempt,
            calls=self.parts.calls,
            worker=self.parts.worker,
            task_name=task.name,
            workflow_name=task.workflow_name,
            max_attempts=task.retries + 1,
            lifespan=self.parts.lifespan,
        )
        running = Running(attempt, context)
        self._running[attempt.key] = running
        name = f"task {task.name!r} (run {attempt.key})"
        running.execution = asyncio.get_running_loop().create_task(self._run(running, task, receipt), name=name)

    def _cancel(self, key: AttemptKey) -> None:
        if not self.protocol.on_cancel(key):
            return
        running = self._running[key]
        with hook.tracer.cancelling(running.context):
            running.context.mark_cancelled()
        running.cancel_handle = asyncio.get_running_loop().call_later(CANCEL_GRACE_S, self._stop, running)
        self._changed.set()

    def _stop(self, running: Running) -> None:
        """The grace is over: end async code; sync code only where that is configured."""
        if running.job is not None and self.parts.force_kill_threads:
            self.parts.threads.interrupt(running.job)
        if running.execution is not None:
            running.execution.cancel()

    async def _run(self, running: Running, task: Task[Any, Any], receipt: SentCall | None) -> None:
        attempt = running.attempt
        outcome: Outcome | None = None
        try:
            _set_variables(running.context)
            self.parts.reports.started(attempt, receipt)
            with hook.tracer.attempt(running.context, attempt.action_id):
                output = await self._call(running, task)
            outcome = Outcome(output=output)
        except BaseException as error:  # whatever user code raises is the attempt's failure, SystemExit included
            told = TaskRunError.from_exception(error, attempt.key.task_run_id)
            outcome = failure(error, told)
            if not running.context.is_cancelled:
                _say_failure(attempt.key, task.name, told)
        finally:
            self._end(running, outcome)

    async def _call(self, running: Running, task: Task[Any, Any]) -> str:
        """The attempt's output as JSON text."""

        async def in_thread(fn: Callable[[], Any]) -> Any:
            running.job = self.parts.threads.submit(fn)
            return await running.job.done

        is_async = task.is_async_function
        value = await (task.aio_call(running.context) if is_async else task.call_in_thread(running.context, in_thread))
        return dump_output(value, task.output_validator, task_name=task.name)

    def _end(self, running: Running, outcome: Outcome | None) -> None:
        key = running.attempt.key
        del self._running[key]
        if running.cancel_handle is not None:
            running.cancel_handle.cancel()
        forget_children(str(key))
        if self.protocol.on_end(key) and not running.context.is_cancelled and outcome is not None:
            self.parts.reports.outcome(running.attempt, outcome)
        self._changed.set()
        self.parts.on_end()


def failure(error: BaseException, told: TaskRunError) -> Outcome:
    """The outcome that an exception amounts to; `told` is the same in words."""
    return Outcome(
        error=told.serialize(include_metadata=True),
        should_not_retry=isinstance(error, NonRetryableException),
        retry_after_ms=error.after_ms if isinstance(error, RetryAfterException) else None,
    )


def _unknown_action(attempt: Attempt) -> Outcome:
    error = LookupError(f"This worker has no task for the action {attempt.action_id!r}. Restart it with its newest code.")
    return failure(error, TaskRunError.from_exception(error, attempt.key.task_run_id))


def _say_failure(key: AttemptKey, task_name: str, told: TaskRunError) -> None:
    """For whoever looks at the worker's own lines; the engine keeps the same text."""
    place = f"run {key.task_run_id}, attempt {key.retry_count + 1}"
    logger.warning("Task %s failed (%s).\n%s", task_name, place, told.trace.rstrip())


def _set_variables(context: Context) -> None:
    """Make the attempt known to code that is called by the task, in its event loop task and its thread."""
    ctx_hatchet_context.set(context)
    ctx_workflow_run_id.set(context.workflow_run_id)
    ctx_step_run_id.set(context.task_run_id)
    ctx_worker_id.set(context.worker_id)
    ctx_task_retry_count.set(context.retry_count)
    ctx_additional_metadata.set(dict(context.additional_metadata))
    ctx_action_key.set(str(AttemptKey(context.task_run_id, context.retry_count)))
