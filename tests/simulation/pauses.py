"""Paused workflows in a simulated tenant, read from rows alone: who is held, until when, and the laws that one step shows."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from limpet.core.pause_inputs import PauseInput, WorkflowPaused, WorkflowUnpaused
from limpet.core.pause_rows import PausedStart, PauseRow
from limpet.core.rows import RunRow, TaskRow, TaskStatus
from limpet.core.timetable_inputs import ScheduleMoved
from tests.simulation.agenda import SECOND
from tests.simulation.oracle import definition_of
from tests.simulation.timetable import born

if TYPE_CHECKING:
    from tests.simulation.mirror import Step
    from tests.simulation.tables import Tables


def choose(rng: Random, workflow_id: str, *, pause: bool) -> PauseInput:
    """What a person does with a workflow."""
    if not pause:
        return WorkflowUnpaused(workflow_id)
    return WorkflowPaused(
        workflow_id, rng.choice((1, 4, 60)) * SECOND, rng.choice(list(PausedStart)), rng.choice(list(PausedStart))
    )


def pause_of(tables: Tables, run: RunRow) -> PauseRow | None:
    return tables.pauses.get(run.workflow_key)


def is_parked(tables: Tables, task: TaskRow) -> bool:
    """Whether a pause keeps the waiting task from its queue: its run has not started (WK-33)."""
    run = tables.runs[task.run_key]
    pause = pause_of(tables, run)
    return pause is not None and pause.paused_at is not None and run.started_at is None


def due_by(tables: Tables, task: TaskRow) -> int | None:
    """When the waiting task must have been placed; a pause stops its clock, and its end starts it anew (TO-4)."""
    run = tables.runs[task.run_key]
    pause = pause_of(tables, run)
    if pause is None or task.schedule_deadline is None:
        return task.schedule_deadline
    if is_parked(tables, task):
        return None
    return _time_up(tables, task)


def _time_up(tables: Tables, task: TaskRow) -> int | None:
    """The same, for a task whose clock runs."""
    run = tables.runs[task.run_key]
    pause = pause_of(tables, run)
    if pause is None or task.schedule_deadline is None:
        return task.schedule_deadline
    timeout = definition_of(tables.versions[run.version_key].definition).steps[task.step].schedule_timeout_us
    return max(task.schedule_deadline, (pause.resumed_at or 0) + timeout)


def is_overdue(tables: Tables, task: TaskRow, now: int) -> bool:
    at = due_by(tables, task)
    return at is not None and at <= now


def dropped(step: Step) -> Iterator[str]:
    """Ids of scheduled runs that came due in a pause that drops them (F7.12)."""
    moved = {item.schedule_id: item.at for item in step.items if isinstance(item, ScheduleMoved)}
    for row in (*step.schedules_dropped, *born(step)):
        pause, at = step.mirror.tables.pauses.get(row.workflow_key), moved.get(row.id, row.at)
        if pause is not None and pause.paused_at is not None and pause.schedules == PausedStart.DROP and at <= step.now:
            yield row.id


def laws(step: Step) -> Iterator[str]:
    """WK-33: nothing of a run that had not started is placed while its workflow is paused. W15.2: nor waits beyond the TTL.

    TO-4: no schedule timeout runs through a pause.
    """
    tables = step.mirror.tables
    for old, run in step.runs:
        pause = pause_of(tables, run)
        is_paused = pause is not None and pause.paused_at is not None
        if is_paused and run.started_at is not None and (old is None or old.started_at is None):
            yield f"WK-33: run {run.id} starts, and its workflow is paused"
    for before, task in step.tasks:
        if before is not None and before.status == TaskStatus.QUEUED and (task.error or "").startswith("Scheduling timed out"):
            pause, at = pause_of(tables, tables.runs[task.run_key]), _time_up(tables, before)
            latest = pause.paused_at if pause is not None and is_parked(tables, task) else step.now
            if at is None or latest is None or at > latest:
                yield f"TO-4: task {task.id} timed out at {step.now}, and its time was up at {at}, or stood still since {latest}"
    if step.is_paced:
        return
    for key in step.mirror.waiting:
        row = tables.tasks[key]
        pause = pause_of(tables, tables.runs[row.run_key])
        if pause is not None and is_parked(tables, row) and row.queued_at + pause.queue_ttl_us < step.now:
            yield f"W15.2: task {row.id} still waits, {step.now - row.queued_at} us after it was queued"
