"""Who wants which key of which concurrency limit, read from rows alone (flow control section 2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from limpet.core.definitions import ConcurrencyLimit, WorkflowDefinition
from limpet.core.rows import RunRow, TaskRow, TaskStatus
from tests.simulation.oracle import definition_of
from tests.simulation.pauses import due_by, is_overdue, is_parked
from tests.simulation.tables import Tables

S = TaskStatus
FAR = 2**62  # later than every instant of a story
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


@dataclass(slots=True)
class Share:
    """What one run and its tasks hold and want, as long as no row of theirs changes and nobody of them is late.

    until:  when the first of those that wait will be past its time
    places: name, limit, whether of the run, whether admitted, row
    """

    until: int
    places: list[tuple[Name, ConcurrencyLimit, bool, bool, TaskRow | RunRow]] = field(default_factory=list)


Shares = dict[int, Share]
"""By run. Whoever follows the rows takes out the runs that change."""


def crowds(tables: Tables, now: int, shares: Shares) -> Crowds:
    """All unfinished runs and their tasks, by the keys they hold or want; who is past its time wants nothing."""
    found: Crowds = {}
    for run_key in tables.open_runs:
        share = shares.get(run_key)
        if share is None or share.until <= now:
            share = shares[run_key] = _share(tables, tables.runs[run_key], now)
        for name, limit, of_run, admitted, row in share.places:
            crowd = found.get(name)
            if crowd is None:
                crowd = found[name] = Crowd(limit, of_run)
            (crowd.admitted if admitted else crowd.waiting)[row.key] = row
    return found


def _share(tables: Tables, run: RunRow, now: int) -> Share:
    share = Share(FAR)
    if run.limit_keys is None:
        return share
    definition, keys = definition_of(tables.versions[run.version_key].definition), msgspec.json.decode(run.limit_keys)
    rows, first = tables.tasks_of(run.key), run_limits(definition)
    waiting = [row for row in rows if row.status == S.QUEUED and not is_parked(tables, row)]
    queued = {row.key: row for row in waiting if not is_overdue(tables, row, now)}
    share.until = min((due_by(tables, row) or FAR for row in queued.values()), default=FAR)
    ordinary = [row for row in queued.values() if row.step != definition.on_failure_step]
    _count(share, run, first, keys, run.version_key, waits=bool(ordinary))
    passed = (run.stage or 0) == len(first)
    for row in rows:
        waits = row.key in queued and (passed or row.step == definition.on_failure_step)
        _count(share, row, own_limits(definition, row.step), keys, run.version_key, waits=waits)
    return share


def _count(
    share: Share, row: TaskRow | RunRow, limits: list[tuple[int, ConcurrencyLimit]], keys: list[str], version: int, *, waits: bool
) -> None:
    stage, of_run = row.stage or 0, isinstance(row, RunRow)
    for place, (number, limit) in enumerate(limits[: stage + 1]):
        if place < stage or waits:
            share.places.append(((version, number, str(keys[number])), limit, of_run, place < stage, row))


def is_held(row: TaskRow, run: RunRow, definition: WorkflowDefinition) -> bool:
    """Whether a limit of the run or of the task keeps it from its queue."""
    if run.limit_keys is None:
        return False
    held_by_run = row.step != definition.on_failure_step and (run.stage or 0) < len(run_limits(definition))
    return held_by_run or (row.stage or 0) < len(own_limits(definition, row.step))
