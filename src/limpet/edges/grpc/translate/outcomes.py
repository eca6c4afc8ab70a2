"""How tasks of a run ended, cut to what fits a message (X26), as results of a subscription and as run details.

Law: a cut never passes for the real thing. Error texts are shortened first and say so; then the largest outputs
are left out whole, and their task's error says so. The status told stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from limpet.contracts.admin_pb2 import GetRunDetailsResponse, RunStatus, TaskRunDetail
from limpet.contracts.dispatcher_pb2 import WORKFLOW_RUN_EVENT_TYPE_FINISHED, StepRunResult, WorkflowRunEvent
from limpet.core.decision import RunFinished, TaskResult
from limpet.core.rows import RunStatus as CoreRunStatus
from limpet.core.rows import TaskRow, TaskStatus
from limpet.edges.grpc.translate.instants import timestamp
from limpet.edges.grpc.translate.reports import NO_MESSAGE, shortened
from limpet.edges.trace_context import traced
from limpet.store.api import RunRecord

SKIPPED_OUTPUT = b'{"skipped": true}'  # W4.8
ENVELOPE_BYTES_MAX = 1024  # of a whole message besides its tasks and payloads
TASK_BYTES_MAX = 256  # ids and field tags of one task, its name not counted
ERROR_CUTS = (16 * 1024, 4 * 1024, 1024, 256)  # error texts are cut to the first of these that makes all fit


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """One task: `error` None when it has none, empty for a cancelled one."""

    task_run_id: str
    name: str
    status: TaskStatus
    output: bytes | None
    error: str | None


def run_event_of_finished(finished: RunFinished, bytes_max: int) -> WorkflowRunEvent:
    """The result of a run that ended just now."""
    return _run_event(finished.workflow_run_id, finished.at, [_end_of_result(result) for result in finished.results], bytes_max)


def run_event_of_record(record: RunRecord, names: Sequence[str], bytes_max: int) -> WorkflowRunEvent:
    """The result of a run that had ended before anybody asked. `names`: of the version's tasks, by step."""
    at = record.run.finished_at or record.run.created_at
    return _run_event(record.run.id, at, [_end_of_row(task, names) for task in record.tasks], bytes_max)


def run_event_of_unknown(run_id: str, at: int) -> WorkflowRunEvent:
    """An answer for one waiter only: others on the same stream wait for runs that exist."""
    error = f"workflow run {run_id} not found: it never existed in this tenant, or its retention is over"
    return WorkflowRunEvent(
        workflow_run_id=run_id,
        event_type=WORKFLOW_RUN_EVENT_TYPE_FINISHED,
        event_timestamp=timestamp(at),
        results=[StepRunResult(error=error)],
    )


def run_details(record: RunRecord, names: Sequence[str], *, has_started: bool, bytes_max: int) -> GetRunDetailsResponse:
    """How a run stands. has_started: a live attempt of it has its receipt already (W13.4)."""
    run = record.run
    metadata = traced(run.metadata, run.id)
    fixed = len(run.input or b"") + len(metadata)
    ends = fitted([_end_of_row(task, names) for task in record.tasks], bytes_max - fixed)
    return GetRunDetailsResponse(
        input=run.input or b"{}",
        status=_run_status(record, has_started),
        task_runs={end.name: _detail(end) for end in ends},
        done=CoreRunStatus(run.status).is_terminal,
        additional_metadata=metadata,
    )


def fitted(ends: list[TaskEnd], bytes_max: int) -> list[TaskEnd]:
    """The same ends, shortened only when they do not fit."""
    left = bytes_max - ENVELOPE_BYTES_MAX
    for cut in ERROR_CUTS:
        if _size(ends) <= left:
            return ends
        ends = [end if end.error is None else replace(end, error=shortened(end.error.encode(), cut)) for end in ends]
    excess = _size(ends) - left
    for end in sorted(ends, key=lambda end: len(end.output or b""), reverse=True):
        if excess <= 0:
            break
        short = _without_output(end, bytes_max)
        excess -= _size([end]) - _size([short])
        ends[ends.index(end)] = short
    return ends


def _run_event(run_id: str, at: int, ends: list[TaskEnd], bytes_max: int) -> WorkflowRunEvent:
    return WorkflowRunEvent(
        workflow_run_id=run_id,
        event_type=WORKFLOW_RUN_EVENT_TYPE_FINISHED,
        event_timestamp=timestamp(at),
        results=[_result(end) for end in fitted(ends, bytes_max)],
    )


def _result(end: TaskEnd) -> StepRunResult:
    return StepRunResult(
        task_run_external_id=end.task_run_id, task_name=end.name, job_run_id=end.task_run_id, error=end.error, output=end.output
    )


def _end_of_result(result: TaskResult) -> TaskEnd:
    data = None if result.payload is None else result.payload.data
    is_error = result.payload is not None and result.payload.is_error
    text = data.decode(errors="replace") if data is not None and is_error else ""
    return _end(result.task_run_id, result.name, result.status, None if is_error else data, text)


def _end_of_row(task: TaskRow, names: Sequence[str]) -> TaskEnd:
    return _end(task.id, names[task.step], TaskStatus(task.status), task.output, task.error or "")


def _end(task_run_id: str, name: str, status: TaskStatus, output: bytes | None, error: str) -> TaskEnd:
    """Only completed tasks have outputs, only failed ones error texts (W13.5)."""
    match status:
        case TaskStatus.COMPLETED:
            return TaskEnd(task_run_id, name, status, output or None, None)
        case TaskStatus.SKIPPED:
            return TaskEnd(task_run_id, name, status, SKIPPED_OUTPUT, None)
        case TaskStatus.FAILED:
            return TaskEnd(task_run_id, name, status, None, error or NO_MESSAGE)
        case TaskStatus.CANCELLED:
            return TaskEnd(task_run_id, name, status, None, "")  # W8.8
        case _:
            return TaskEnd(task_run_id, name, status, None, None)


def _detail(end: TaskEnd) -> TaskRunDetail:
    return TaskRunDetail(
        external_id=end.task_run_id,
        readable_id=end.name,
        status=task_status(end.status),
        output=end.output,
        error=end.error or None,
    )


def _size(ends: Iterable[TaskEnd]) -> int:
    return sum(TASK_BYTES_MAX + 2 * len(end.name) + len(end.output or b"") + len((end.error or "").encode()) for end in ends)


def _without_output(end: TaskEnd, bytes_max: int) -> TaskEnd:
    note = (
        f"The output of task {end.name} ({len(end.output or b'')} bytes) was left out, because with it the answer would "
        f"exceed {bytes_max} bytes; read it with GET /api/v1/stable/tasks/{end.task_run_id}."
    )
    return replace(end, output=None, error=note)


def task_status(status: TaskStatus) -> RunStatus:
    """A task's status as clients know it."""
    match status:
        case TaskStatus.ASSIGNED | TaskStatus.RUNNING:
            return RunStatus.RUNNING
        case TaskStatus.COMPLETED | TaskStatus.SKIPPED:
            return RunStatus.COMPLETED
        case TaskStatus.FAILED:
            return RunStatus.FAILED
        case TaskStatus.CANCELLED:
            return RunStatus.CANCELLED
        case _:
            return RunStatus.QUEUED


_RUN_STATUS: dict[CoreRunStatus, RunStatus] = {
    CoreRunStatus.QUEUED: RunStatus.QUEUED,
    CoreRunStatus.RUNNING: RunStatus.RUNNING,
    CoreRunStatus.COMPLETED: RunStatus.COMPLETED,
    CoreRunStatus.FAILED: RunStatus.FAILED,
    CoreRunStatus.CANCELLED: RunStatus.CANCELLED,
}


def _run_status(record: RunRecord, has_started: bool) -> RunStatus:
    """A run of one task stands as its task does (OB-5); a graph is RUNNING from its first start to its end (W13.4)."""
    stored = CoreRunStatus(record.run.status)
    if stored.is_terminal:
        return _RUN_STATUS[stored]
    if len(record.tasks) == 1 and record.tasks[0].id == record.run.id:
        return task_status(TaskStatus(record.tasks[0].status))
    began = has_started or stored is CoreRunStatus.RUNNING or record.run.started_at is not None
    moved = any(task.status not in (TaskStatus.PENDING, TaskStatus.QUEUED) for task in record.tasks)
    return RunStatus.RUNNING if began or moved else RunStatus.QUEUED
