"""Who wants which key of which concurrency limit, read from rows alone (flow control section 2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from limpet.core.definitions import ConcurrencyLimit, WorkflowDefinition
from limpet.core.rows import RunRow, TaskRow, TaskStatus
from tests.simulation.oracle import definition_of
from tests.simulation.pauses import is_overdue, is_parked
from tests.simulation.tables import Tables

S = TaskStatus
Name = tuple[int, int, str]
"""Version, number of the limit, key."""


@dataclass(slots=True)
class Crowd:
    """Everybody who wants one key of one limit. The numbers are row keys of tasks, or of runs."""

    limit: ConcurrencyLimit
    of_run: bool
    admitted: dict[int, TaskRow | RunRow] = field(default_factory=dict)
    waiting: dict[int, TaskRow | RunRow] = field(default_factory=dict)


Crowds = dict[Name, Crowd]


def own_limits(definition: WorkflowDefinition, step: int) -> list[tuple[int, ConcurrencyLimit]]:
    """The limits of a step's task with their numbers: those of a lone task's workflow are the task's (F2.4)."""
    alone = len(definition.steps) == 1
    before = 0 if alone else len(definition.concurrency) + sum(len(one.concurrency) for one in definition.steps[:step])
    own = (*definition.concurrency, *definition.steps[step].concurrency) if alone else definition.steps[step].concurrency
    return [(before + place, limit) for place, limit in enumerate(own)]


def run_limits(definition: WorkflowDefinition) -> list[tuple[int, ConcurrencyLimit]]:
    return [] if len(definition.steps) == 1 else list(enumerate(definition.concurrency))


def crowds(tables: Tables, now: int) -> Crowds:
    """All unfinished runs and their tasks, by the keys they hold or want; who is past its time wants nothing."""
    found: Crowds = {}
    for run_key in tables.open_runs:
        run = tables.runs[run_key]
        if run.limit_keys is None:
            continue
        definition, keys = definition_of(tables.versions[run.version_key].definition), msgspec.json.decode(run.limit_keys)
        queued = [row for row in tables.tasks_of(run_key) if row.status == S.QUEUED and not is_overdue(tables, row, now)]
        queued = [row for row in queued if not is_parked(tables, row)]
        ordinary = [row for row in queued if row.step != definition.on_failure_step]
        _count(found, run, run_limits(definition), keys, of_run=True, waits=bool(ordinary))
        passed = (run.stage or 0) == len(run_limits(definition))
        for row in tables.tasks_of(run_key):
            waits = row in queued and (passed or row.step == definition.on_failure_step)
            _count(found, row, own_limits(definition, row.step), keys, of_run=False, waits=waits, version=run.version_key)
    return found


def _count(
    found: Crowds, row: TaskRow | RunRow, limits: list[tuple[int, ConcurrencyLimit]], keys: list[str], *,
    of_run: bool, waits: bool, version: int = 0,
) -> None:  # fmt: skip
    stage = row.stage or 0
    for place, (number, limit) in enumerate(limits[: stage + 1]):
        if place == stage and not waits:
            continue
        name = (row.version_key if isinstance(row, RunRow) else version, number, str(keys[number]))
        crowd = found.setdefault(name, Crowd(limit, of_run))
        (crowd.admitted if place < stage else crowd.waiting)[row.key] = row


def is_held(row: TaskRow, run: RunRow, definition: WorkflowDefinition) -> bool:
    """Whether a limit of the run or of the task keeps it from its queue."""
    if run.limit_keys is None:
        return False
    held_by_run = row.step != definition.on_failure_step and (run.stage or 0) < len(run_limits(definition))
    return held_by_run or (row.stage or 0) < len(own_limits(definition, row.step))
