"""From the timetable to runs: what a batch of inputs needs of it, and what is due in a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from limpet.core import crons, schedules
from limpet.core.ids import is_uuid
from limpet.core.inputs import WorkflowPut
from limpet.core.records import Workflow
from limpet.core.state import State
from limpet.core.timetable_inputs import (
    CronCreated,
    CronDeleted,
    CronSwitched,
    CronTriggered,
    ScheduleDeleted,
    ScheduleMoved,
    SchedulesCreated,
    ScheduleTriggered,
)
from limpet.core.timetable_rows import CronRow, ScheduleRow, TimetableNeeds

HANDLERS: dict[type, Callable[[State, Any], object]] = {
    CronCreated: crons.create,
    CronSwitched: crons.switch,
    CronDeleted: crons.delete,
    CronTriggered: crons.trigger,
    SchedulesCreated: schedules.create,
    ScheduleMoved: schedules.move,
    ScheduleDeleted: schedules.delete,
    ScheduleTriggered: schedules.trigger,
}


def add_needs(state: State, item: object, needs: TimetableNeeds) -> None:
    """What the item needs to be known (R52)."""
    if isinstance(item, WorkflowPut):
        known = state.workflows.get(item.definition.name)
        if known is not None and known.newest is not None and known.newest.definition.crons:
            needs.cron_names.add((known.key, ""))
    elif isinstance(item, CronCreated):
        if item.workflow_name in state.workflows:
            needs.cron_names.add((state.workflows[item.workflow_name].key, item.name))
    elif isinstance(item, CronSwitched | CronDeleted | CronTriggered):
        if is_uuid(item.cron_id):
            needs.cron_ids.add(item.cron_id)
    elif isinstance(item, ScheduleMoved | ScheduleDeleted | ScheduleTriggered) and is_uuid(item.schedule_id):
        needs.schedule_ids.add(item.schedule_id)


def fire_due(state: State) -> None:
    """Everything the step knows of that is due, earliest first; the store gave no more than a batch (R46, R53)."""
    found = state.timetable.found
    if not found.crons and not found.schedules:
        return
    due: list[CronRow | ScheduleRow] = [
        *(row for row in found.crons.values() if row.next_at is not None and row.next_at <= state.now),
        *(row for row in found.schedules.values() if row.at <= state.now),
    ]
    workflows: dict[int, Workflow] = {workflow.key: workflow for workflow in state.workflows.values()}
    for row in sorted(due, key=_order):
        workflow = workflows.get(row.workflow_key)
        if isinstance(row, CronRow):
            crons.fire(state, row, workflow)
        else:
            schedules.fire(state, row, workflow)


def _order(row: CronRow | ScheduleRow) -> tuple[int, int]:
    """What was due first comes first; of one instant, what was planned first."""
    return (row.next_at or 0) if isinstance(row, CronRow) else row.at, row.key
