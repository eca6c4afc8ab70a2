"""Scheduled runs: made, moved, deleted, and started once (specification: flow control, section 7)."""

from __future__ import annotations

from dataclasses import replace

from limpet.core import pauses, triggers
from limpet.core.errors import InvalidArgument, LimitReached, NotFound
from limpet.core.ids import WorkflowRunId
from limpet.core.inputs import KeyTaken, Trigger
from limpet.core.records import Workflow
from limpet.core.state import State
from limpet.core.timetable_inputs import ScheduleDeleted, ScheduleMoved, SchedulesCreated, ScheduleTriggered
from limpet.core.timetable_rows import ScheduleRow


def create(state: State, item: SchedulesCreated) -> tuple[ScheduleRow, ...]:
    """All instants or none."""
    if not item.instants:
        raise InvalidArgument(f"no instant to run workflow {item.workflow_name} at; give one or more")
    if len(item.instants) > state.settings.bulk_items_max:
        most = state.settings.bulk_items_max
        raise LimitReached(f"at most {most} runs are scheduled at once (bulk_items_max), got {len(item.instants)}")
    workflow = triggers.checked_workflow(state, Trigger(item.workflow_name, item.input, item.metadata, item.priority))
    return tuple(_create_one(state, workflow, item, at) for at in item.instants)


def _create_one(state: State, workflow: Workflow, item: SchedulesCreated, at: int) -> ScheduleRow:
    key = state.key()
    row = ScheduleRow(
        key, state.id_for(key), state.tenant_no, workflow.key, at, item.input, len(item.input), item.metadata,
        item.priority, item.parent_run_id, item.parent_task_id, state.now,
    )  # fmt: skip
    state.timetable.put_schedule(row, is_new=True)
    return row


def move(state: State, item: ScheduleMoved) -> None:
    """F7.8."""
    state.timetable.put_schedule(_known(state, item.schedule_id)._replace(at=item.at))


def delete(state: State, item: ScheduleDeleted) -> None:
    """F7.9."""
    state.timetable.drop_schedule(_known(state, item.schedule_id))


def trigger(state: State, item: ScheduleTriggered) -> WorkflowRunId | KeyTaken:
    """Its run, early (F7.4)."""
    row = _known(state, item.schedule_id)
    workflow = triggers.workflow_by_key(state, row.workflow_key)
    if workflow is None:
        raise NotFound("scheduled run", row.id, "its workflow is deleted")
    triggers.check_startable(workflow)
    return _start(state, row, workflow)


def fire(state: State, row: ScheduleRow, workflow: Workflow | None) -> None:
    """It is due, maybe late: its run starts, once, and it is gone (F7.3). Without its workflow it is only gone (W3.8)."""
    why = "its workflow is deleted" if workflow is None else _obstacle(workflow)
    if workflow is None or why is not None:
        state.timetable.drop_schedule(row)
        state.notices.append(f"Scheduled run {row.id} was due and did not start: {why}.")
        return
    _start(state, row, workflow)


def _obstacle(workflow: Workflow) -> str | None:
    """Why nothing starts; None: something does."""
    if pauses.drops_schedules(workflow):
        return f"workflow {workflow.name} is paused, and drops what comes due meanwhile"
    refusal = triggers.refusal_of(workflow)
    return None if refusal is None else str(refusal)


def _start(state: State, row: ScheduleRow, workflow: Workflow) -> WorkflowRunId | KeyTaken:
    state.timetable.drop_schedule(row)
    keys = triggers.unusable_keys(
        workflow, f"it was scheduled, and workflow {workflow.name} has concurrency limits by now; {_NO_KEYS}"
    )
    item = Trigger(workflow.name, row.input, row.metadata, row.priority, keys=keys)
    return triggers.start(state, replace(item, parent_run_id=row.parent_run_id, parent_task_id=row.parent_task_id))


_NO_KEYS = "their keys are not computed for runs that the clock starts; start it by a call"


def _known(state: State, schedule_id: str) -> ScheduleRow:
    row = state.timetable.found.schedules.get(schedule_id)
    if row is None:
        raise NotFound("scheduled run", schedule_id, "it never existed, was deleted, or has started its run")
    return row
