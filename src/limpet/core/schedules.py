"""Scheduled runs: made, moved, deleted, and started once (specification: flow control, section 7)."""

from __future__ import annotations

from dataclasses import replace

from limpet.core import pauses, triggers
from limpet.core.clock_starts import StartKeyed, asked, lacks_keys
from limpet.core.errors import InvalidArgument, LimitReached, NotFound
from limpet.core.ids import WorkflowRunId
from limpet.core.inputs import KeyTaken, Trigger
from limpet.core.limits_view import StartAsked
from limpet.core.needs import Found
from limpet.core.records import Workflow
from limpet.core.run_keys import RunKeys
from limpet.core.state import State
from limpet.core.timetable_inputs import ScheduleDeleted, ScheduleMoved, SchedulesCreated, ScheduleTriggered
from limpet.core.timetable_rows import ScheduleRow


def start_id(schedule_id: str) -> str:
    """The request id of the run that it starts: what it leaves behind (F7.4)."""
    return f"scheduled {schedule_id}"


def create(state: State, item: SchedulesCreated, found: Found) -> tuple[ScheduleRow, ...]:
    """All instants or none. What a call under the same ids has made is not made again (I5)."""
    if not item.instants:
        raise InvalidArgument(f"no instant to run workflow {item.workflow_name} at; give one or more")
    if len(item.instants) > state.settings.bulk_items_max:
        most = state.settings.bulk_items_max
        raise LimitReached(f"at most {most} runs are scheduled at once (bulk_items_max), got {len(item.instants)}")
    workflow = triggers.checked_workflow(state, Trigger(item.workflow_name, item.input, item.metadata, item.priority))
    ids = item.ids or (None,) * len(item.instants)
    assert len(ids) == len(item.instants), "an id for each instant"
    return tuple(_create_one(state, workflow, item, at, one, found) for at, one in zip(item.instants, ids, strict=True))


def _create_one(
    state: State, workflow: Workflow, item: SchedulesCreated, at: int, known_as: str | None, found: Found
) -> ScheduleRow:
    if known_as is not None and known_as in state.timetable.found.schedules:
        return state.timetable.found.schedules[known_as]
    key = state.key()
    row = ScheduleRow(
        key, known_as or state.id_for(key), state.tenant_no, workflow.key, at, item.input, len(item.input), item.metadata,
        item.priority, item.parent_run_id, item.parent_task_id, state.now,
    )  # fmt: skip
    if start_id(row.id) not in found.runs_by_request and row.id not in state.timetable.started:
        state.timetable.put_schedule(row, is_new=True)  # else it is started and gone; only the answer is wanted
    return row


def move(state: State, item: ScheduleMoved) -> None:
    """F7.8."""
    state.timetable.put_schedule(_known(state, item.schedule_id)._replace(at=item.at))


def delete(state: State, item: ScheduleDeleted) -> None:
    """F7.9."""
    state.timetable.drop_schedule(_known(state, item.schedule_id))


def trigger(state: State, item: ScheduleTriggered) -> WorkflowRunId | KeyTaken | StartAsked:
    """Its run, early (F7.4)."""
    row = _known(state, item.schedule_id)
    workflow, version = triggers.startable(state, row.workflow_key, "scheduled run", row.id)
    if lacks_keys(version, item.keys):
        return asked(version, row.id, row.input, row.metadata)
    return _start(state, row, workflow, item.keys)


def fire(state: State, row: ScheduleRow, workflow: Workflow | None) -> None:
    """It is due, maybe late: its run starts, once, and it is gone (F7.3). Without its workflow it is only gone (W3.8)."""
    why = "its workflow is deleted" if workflow is None else _obstacle(workflow)
    if workflow is None or workflow.newest is None or why is not None:
        _give_up(state, row, why)
    elif workflow.newest.definition.is_computed:
        state.timetable.want_keys(asked(workflow.newest, row.id, row.input, row.metadata, due_at=row.at), state.now)
    else:
        _start(state, row, workflow, None)


def keyed(state: State, row: ScheduleRow, item: StartKeyed) -> None:
    """The keys of its run are there, and fit: it starts, once, and is gone."""
    workflow = triggers.answered(state, row.workflow_key, item.keys)
    if workflow is None or row.at != item.due_at:
        return
    why = _obstacle(workflow)
    if why is not None:
        _give_up(state, row, why)
        return
    try:
        _start(state, row, workflow, item.keys)
    except InvalidArgument as error:  # nobody is there to be told (W16.7, W16.8)
        _give_up(state, row, str(error))


def _obstacle(workflow: Workflow) -> str | None:
    """Why nothing starts; None: something does."""
    if pauses.drops_schedules(workflow):
        return f"workflow {workflow.name} is paused, and drops what comes due meanwhile"
    refusal = triggers.refusal_of(workflow)
    return None if refusal is None else str(refusal)


def _give_up(state: State, row: ScheduleRow, why: str | None) -> None:
    state.timetable.drop_schedule(row)
    state.notices.append(f"Scheduled run {row.id} was due and did not start: {why}.")


def _start(state: State, row: ScheduleRow, workflow: Workflow, keys: RunKeys | None) -> WorkflowRunId | KeyTaken:
    item = Trigger(workflow.name, row.input, row.metadata, row.priority, keys=keys)
    started = triggers.start(
        state,
        replace(item, parent_run_id=row.parent_run_id, parent_task_id=row.parent_task_id, request_id=start_id(row.id)),
    )
    state.timetable.drop_schedule(row)
    state.timetable.started.add(row.id)
    return started


def _known(state: State, schedule_id: str) -> ScheduleRow:
    row = state.timetable.found.schedules.get(schedule_id)
    if row is None:
        raise NotFound("scheduled run", schedule_id, "it never existed, was deleted, or has started its run")
    return row
