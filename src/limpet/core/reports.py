"""What workers say about attempts. The proof that a report fits is the pair (task run, retry_count) (R24).

A report that fits no live attempt changes nothing, is counted, and is answered like any other (R32).
"""

from __future__ import annotations

from limpet.core import attempts, fleet, runs, waiting
from limpet.core.errors import InvalidArgument, NotFound, NotJudged
from limpet.core.ids import Instant
from limpet.core.inputs import (
    Report,
    SlotReleased,
    StartUndeliverable,
    TaskCompleted,
    TaskFailed,
    TaskGaveUp,
    TaskStarted,
    TimeoutRefreshed,
)
from limpet.core.lifecycle import Cause
from limpet.core.records import TaskRun, Worker
from limpet.core.rows import EventType, TaskStatus
from limpet.core.state import State


def _fitting(state: State, report: Report) -> TaskRun | None:
    """The task whose live attempt the report speaks of; None: stale, and counted."""
    speaker = state.workers_by_id.get(report.worker_ref)
    if speaker is not None:
        fleet.seen(state, speaker)
    task = state.tasks.get(report.task_run_id)
    if task is None:
        state.count_stale("unknown or ended task")
    elif report.retry_count is not None and report.retry_count != task.retry_count:
        state.count_stale("superseded attempt")
        _stop_superseded(state, task, speaker, report)
    elif not task.status.is_live:
        state.count_stale("attempt already ended")
    elif speaker is not None and speaker is not task.worker:
        state.count_stale("another worker's attempt")
    else:
        if speaker is None and task.worker is not None:
            fleet.seen(state, task.worker)
        return task
    return None


def _stop_superseded(state: State, task: TaskRun, speaker: Worker | None, report: Report) -> None:
    """A connected worker has just started an attempt that is no longer the live one: tell it to stop (R24, CN-3)."""
    if not isinstance(report, TaskStarted) or speaker is None or report.retry_count is None:
        return
    if speaker.sessions and report.retry_count < task.retry_count:
        attempts.send_cancel(state, speaker, task, report.retry_count)


def started(state: State, report: TaskStarted) -> None:
    task = _fitting(state, report)
    if task is not None:
        attempts.confirm(state, task)


def completed(state: State, report: TaskCompleted) -> None:
    task = _fitting(state, report)
    if task is None:
        return
    limit = state.settings.payload_bytes_max
    if len(report.output) > limit:
        _fail(
            state,
            task,
            f"The output has {len(report.output)} bytes; at most {limit} (payload_bytes_max) are kept.",
            retryable=False,
        )
        return
    if not _is_judged(task, report):
        raise NotJudged(f"the output of task {task.id}")
    waiting.note_output(state, task, report.verdicts)
    attempts.end(state, task, Cause.SUCCEEDED, output=report.output)
    runs.follow(state, task.run, [task])


def _is_judged(task: TaskRun, report: TaskCompleted) -> bool:
    """Whether every expression that looks at the output has been evaluated."""
    expressions = task.run.definition.output_expressions[task.step]
    verdicts = report.verdicts
    if not expressions:
        return True
    return verdicts is not None and verdicts.version_id == task.run.version.id and len(verdicts.answers) == len(expressions)


def failed(state: State, report: TaskFailed) -> None:
    task = _fitting(state, report)
    if task is not None:
        _fail(state, task, report.error, retryable=report.retryable, retry_after_us=report.retry_after_us)


def _fail(state: State, task: TaskRun, error: str, *, retryable: bool, retry_after_us: int | None = None) -> None:
    text = error or "The task failed without an error text."  # never empty: clients read empty as success (TO-7)
    if attempts.fail(state, task, text, retryable=retryable, retry_after_us=retry_after_us):
        runs.follow(state, task.run, [task])
    else:
        after_requeue(state, task)


def after_requeue(state: State, task: TaskRun) -> None:
    """The task waits again: the run's status follows, and a HARD task may have nowhere left to go."""
    if task.status is TaskStatus.QUEUED and runs.fail_if_unplaceable(state, task):
        runs.follow(state, task.run, [task])
    else:
        runs.update_status(state, task.run)


def gave_up(state: State, report: TaskGaveUp) -> None:
    """The worker speaks of a cancellation: like a cancel request for that attempt (CN-7)."""
    task = _fitting(state, report)
    if task is not None:
        runs.cancel_tasks(state, task.run, [task])


def slot_released(state: State, item: SlotReleased) -> None:
    """Units are free at once, the task runs on; a second call changes nothing (SL-10)."""
    task = _live(state, item.task_run_id)
    if not task.slots_released:
        attempts.release_slots(state, task)
        state.task_changed(task)
        state.event(task, EventType.SLOT_RELEASED, worker=task.worker)


def timeout_refreshed(state: State, item: TimeoutRefreshed) -> Instant:
    """The deadline moves; additive, repeatable (TO-11)."""
    task = _live(state, item.task_run_id)
    if item.by_us <= 0:
        raise InvalidArgument(f"the timeout of task {task.id} can only grow; give a duration above zero")
    assert task.execution_deadline is not None
    task.execution_deadline = Instant(task.execution_deadline + item.by_us)
    state.task_changed(task)
    state.event(task, EventType.TIMEOUT_REFRESHED, f"Timeout extended by {item.by_us / 1_000_000:g}s.", worker=task.worker)
    return task.execution_deadline


def _live(state: State, task_run_id: str) -> TaskRun:
    task = state.tasks.get(task_run_id)
    if task is None or not task.status.is_live:
        raise NotFound("running task", task_run_id, "it is not running; it may have ended")
    if task.worker is not None:
        fleet.seen(state, task.worker)
    return task


def undeliverable(state: State, item: StartUndeliverable) -> None:
    task = state.tasks.get(item.task_run_id)
    if task is not None and task.retry_count == item.retry_count and task.status is TaskStatus.ASSIGNED:
        fleet.undeliverable(state, task)
