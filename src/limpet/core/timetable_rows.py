"""What is planned, for good: one tuple type per table, as in `core.rows`, and how rows in memory answer a step's needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

DUE_BYTES_MAX = 16 * 1024 * 1024  # inputs of the rows one step gets because they are due; the first comes in any case


class Planned(Protocol):
    """What both kinds of rows have."""

    @property
    def key(self) -> int: ...

    @property
    def input_bytes(self) -> int: ...


T = TypeVar("T", bound=Planned)


class CronMethod(IntEnum):
    """Who made a cron: a definition, or a call."""

    DECLARED = 0
    API = 1


class CronRow(NamedTuple):
    """A cron of a workflow. (workflow_key, name, expression) is unique; a declared one has the name "".

    next_at: when it is due next; None: it is switched off, or never due again
    """

    key: int
    id: str
    tenant_no: int
    workflow_key: int
    name: str
    expression: str
    input: bytes
    input_bytes: int
    metadata: bytes
    priority: int | None
    enabled: int
    method: int
    next_at: int | None
    created_at: int


class ScheduleRow(NamedTuple):
    """A run that is to start at an instant. It is deleted by the commit that starts the run."""

    key: int
    id: str
    tenant_no: int
    workflow_key: int
    at: int
    input: bytes
    input_bytes: int
    metadata: bytes
    priority: int | None
    parent_run_id: str | None
    parent_task_id: str | None
    created_at: int


@dataclass(slots=True)
class TimetableNeeds:
    """Look-ups for one batch of inputs.

    cron_names: (workflow key, name) of crons, all expressions
    due_until:  everything due up to then, earliest first, at most `due_max` of each table
    """

    cron_ids: set[str] = field(default_factory=set)
    schedule_ids: set[str] = field(default_factory=set)
    cron_names: set[tuple[int, str]] = field(default_factory=set)
    due_until: int | None = None
    due_max: int = 0

    def __bool__(self) -> bool:
        return bool(self.cron_ids or self.schedule_ids or self.cron_names or self.due_until is not None)


@dataclass(slots=True)
class TimetableFound:
    """What the store knew, by id, inputs included.

    read_until: `due_until`, if everything due was asked for
    next_at:    then the earliest instant of what is due later or was left out; None: nothing is
    """

    crons: dict[str, CronRow] = field(default_factory=dict)
    schedules: dict[str, ScheduleRow] = field(default_factory=dict)
    read_until: int | None = None
    next_at: int | None = None


def first_due(crons: Iterable[CronRow], schedules: Iterable[ScheduleRow]) -> int | None:
    """When the first of all is due."""
    return earliest(*map(cron_at, crons), *map(schedule_at, schedules))


def answer(needs: TimetableNeeds, crons: Iterable[CronRow], schedules: Iterable[ScheduleRow]) -> TimetableFound:
    """The needs of a step out of all rows of its tenant; for stores that hold them in memory."""
    crons, schedules = list(crons), list(schedules)
    found = TimetableFound(read_until=needs.due_until)
    due_crons, later_crons = due(crons, cron_at, needs)
    due_schedules, later_schedules = due(schedules, schedule_at, needs)
    for row in crons:
        if row.id in needs.cron_ids or (row.workflow_key, row.name) in needs.cron_names:
            found.crons[row.id] = row
    found.crons.update({row.id: row for row in due_crons})
    found.schedules.update({row.id: row for row in schedules if row.id in needs.schedule_ids})
    found.schedules.update({row.id: row for row in due_schedules})
    if needs.due_until is not None:
        found.next_at = earliest(later_crons, later_schedules)
    return found


def cron_at(row: CronRow) -> int | None:
    """When it is due."""
    return row.next_at


def schedule_at(row: ScheduleRow) -> int | None:
    """When it is due."""
    return row.at


def due(rows: Iterable[T], at_of: Callable[[T], int | None], needs: TimetableNeeds) -> tuple[list[T], int | None]:
    """Those that are due and fit into one step, and when the first of the others is due."""
    if needs.due_until is None:
        return [], None
    by_key = {row.key: row for row in rows}
    timed = sorted((at, row.key, row.input_bytes) for row in by_key.values() if (at := at_of(row)) is not None)
    keys, next_at = fitting_due(timed, needs)
    return [by_key[key] for key in keys], next_at


def fitting_count(sizes: Sequence[int]) -> int:
    """How many rows of these sizes, from the first on, one step gets."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if count and total > DUE_BYTES_MAX:
            return count
    return len(sizes)


def earliest(*instants: int | None) -> int | None:
    """The first of those that are known."""
    return min((at for at in instants if at is not None), default=None)


def fitting_due(rows: Sequence[tuple[int, int, int]], needs: TimetableNeeds) -> tuple[list[int], int | None]:
    """Of (instant, key, bytes) in order, one more than wanted: the keys for one step, and when the next one is due."""
    assert needs.due_until is not None
    ready = [row for row in rows if row[0] <= needs.due_until][: needs.due_max]
    count = fitting_count([size for _, _, size in ready])
    return [key for _, key, _ in ready[:count]], rows[count][0] if count < len(rows) else None
