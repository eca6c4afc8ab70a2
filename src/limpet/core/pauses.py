"""Workflows are paused, go on, and give up what has waited too long (specification: workflows, section 15)."""

from __future__ import annotations

from itertools import islice

from limpet.core import attempts, parking, runs
from limpet.core.errors import InvalidArgument
from limpet.core.ids import Instant
from limpet.core.pause_inputs import WorkflowPaused, WorkflowUnpaused
from limpet.core.pause_rows import PausedStart, PauseRow
from limpet.core.records import Run, TaskRun, Workflow
from limpet.core.rows import TaskStatus
from limpet.core.state import State

EXPIRED = "Cancelled: paused workflow queue item TTL expired."  # WK-33


def pause(state: State, item: WorkflowPaused) -> None:
    """W15.1."""
    workflow = state.workflow_by_id(item.workflow_id)
    if item.queue_ttl_us <= 0:
        raise InvalidArgument(f"workflow {workflow.name}: queue_ttl must be longer than zero, got {item.queue_ttl_us / 1e6:g} s")
    before = workflow.pause
    paused_at = state.now if before is None or before.paused_at is None else before.paused_at
    resumed_at = None if before is None else before.resumed_at
    row = PauseRow(
        workflow.key, state.tenant_no, paused_at, item.queue_ttl_us, int(item.crons), int(item.schedules), resumed_at
    )  # fmt: skip
    _put(state, workflow, row)
    held = [run for run in state.runs.values() if run.version.workflow is workflow and parking.holds(run)]
    for task in sorted((task for run in held for task in _set_aside(state, run)), key=_age):
        parking.put(state, task)
    parking.watch(state, workflow)


def unpause(state: State, item: WorkflowUnpaused) -> None:
    """W15.3."""
    go_on(state, state.workflow_by_id(item.workflow_id))


def go_on(state: State, workflow: Workflow) -> None:
    """What waited lines up with its old place, and with its whole schedule timeout (WK-33)."""
    if workflow.pause is None or workflow.pause.paused_at is None:
        return
    _put(state, workflow, workflow.pause._replace(paused_at=None, resumed_at=state.now))
    for task in list(workflow.parked.values()):
        parking.leave(task)
        attempts.stand(state, task)
    for run in state.runs.values():  # of runs that had started, too: their timeouts count from now
        if run.version.workflow is workflow:
            _give_time(state, run)


def _give_time(state: State, run: Run) -> None:
    """The run's waiting tasks have their whole schedule timeout again, also one whose time was up a moment ago."""
    for task in run.tasks.values():
        if task.status is TaskStatus.QUEUED:
            state.queued_now[task.key] = task
            if state.overdue.pop(task.key, None) is not None:
                attempts.stand(state, task)


def expire(state: State, workflow: Workflow) -> None:
    """Tasks that have waited longer than the pause lets them are cancelled (W15.2), no more than a batch in a step (R53)."""
    if workflow.pause is None or not workflow.is_paused:
        return
    born_by = state.now - workflow.pause.queue_ttl_us
    first = list(islice(workflow.parked.values(), state.settings.due_batch_max))
    for task in first:
        if task.is_parked and task.queued_at <= born_by:
            runs.cancel_tasks(state, task.run, [task], why=EXPIRED)
    parking.watch(state, workflow)


def drops_crons(workflow: Workflow) -> bool:
    """Whether ticks that come now start nothing (W15.4, F6.7)."""
    return workflow.is_paused and workflow.pause is not None and workflow.pause.crons == PausedStart.DROP


def drops_schedules(workflow: Workflow) -> bool:
    """Whether scheduled runs that come due now start nothing (W15.4, F7.12)."""
    return workflow.is_paused and workflow.pause is not None and workflow.pause.schedules == PausedStart.DROP


def _put(state: State, workflow: Workflow, row: PauseRow) -> None:
    workflow.pause = row
    state.changes.pauses = [other for other in state.changes.pauses if other.key != row.key] + [row]


def _set_aside(state: State, run: Run) -> list[TaskRun]:
    """The run's waiting tasks, out of their queues and from before their gates; what is too late ends by itself."""
    if run.at_gate:
        state.gates.set_aside(run)
    waiting = [task for task in run.tasks.values() if task.status is TaskStatus.QUEUED and task.key not in state.overdue]
    found = [task for task in waiting if not task.is_parked]
    for task in found:
        if task.at_gate:
            state.gates.set_aside(task)
        if task.in_queue:
            state.leave_class(task)
        attempts.release_hold(state, task)
    return found


def _age(task: TaskRun) -> tuple[Instant, int]:
    return task.queued_at, task.key
