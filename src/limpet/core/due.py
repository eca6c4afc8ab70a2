"""From the timetable to runs: what a batch of inputs needs of it, and what is due in a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from limpet.core import crons, schedules
from limpet.core.clock_starts import StartsKeyed
from limpet.core.decision import KeysWanted
from limpet.core.ids import is_uuid
from limpet.core.inputs import WorkflowPut
from limpet.core.needs import Needs
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
from limpet.core.timetable_rows import CronRow, ScheduleRow


def keyed(state: State, item: StartsKeyed) -> None:
    """An edge has computed keys: what still fits starts; the rest is asked for again (decision 0025)."""
    timetable = state.timetable
    timetable.asked_until = None
    for one in item.items:
        cron, schedule = timetable.found.crons.get(one.row_id), timetable.found.schedules.get(one.row_id)
        if cron is not None:
            crons.keyed(state, cron, one)
        elif schedule is not None:
            schedules.keyed(state, schedule, one)


HANDLERS: dict[type, Callable[[State, Any], object]] = {
    CronCreated: crons.create,
    CronSwitched: crons.switch,
    CronDeleted: crons.delete,
    CronTriggered: crons.trigger,
    ScheduleMoved: schedules.move,
    ScheduleDeleted: schedules.delete,
    ScheduleTriggered: schedules.trigger,
    StartsKeyed: keyed,
}


def add_needs(state: State, item: object, all_needs: Needs) -> None:
    """What the item needs to be known (R52)."""
    needs = all_needs.timetable
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
    elif isinstance(item, SchedulesCreated):
        needs.schedule_ids.update(item.ids)
        all_needs.request_ids.update(map(schedules.start_id, item.ids))
    elif isinstance(item, StartsKeyed):
        ids = {one.row_id for one in item.items if is_uuid(one.row_id)}
        needs.cron_ids |= ids
        needs.schedule_ids |= ids
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
    if starts := state.timetable.close_asking(state.now):
        state.deliveries.append(KeysWanted(starts))


def _order(row: CronRow | ScheduleRow) -> tuple[int, int]:
    """What was due first comes first; of one instant, what was planned first."""
    return (row.next_at or 0) if isinstance(row, CronRow) else row.at, row.key
