"""One commit: the fence, then all changes, in one transaction.

Rows are handed to SQLite as they are, except that None is expensive to bind (0.2 us each, and a tuple type costs 1 us a
row over a plain tuple, with CPython 3.11): most runs and tasks have none of the rare columns, so they go in by a
statement that doesn't name them. This halves the time of an insert.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from limpet.core.decision import Changes
from limpet.core.ids import TenantNo
from limpet.core.rows import RunRow, TaskRow
from limpet.store.api import ONLY_GROUP, Batch, DataError, Fence, FenceMismatch
from limpet.store.sqlite import claims
from limpet.store.sqlite.connection import writing
from limpet.store.sqlite.statements import statement

Row = tuple[Any, ...]
Picker = Callable[[Row], Row]

RUN_RARE = (
    "sticky", "desired_worker_id", "desired_labels", "pin_worker_id", "pin_task_key", "parent_run_id", "parent_task_id",
    "child_index", "child_key", "child_ref", "started_at", "finished_at", "limit_keys", "stage",
)  # fmt: skip
RUN_CHANGING = ("status", "pin_state", "pin_worker_id", "pin_task_key", "started_at", "finished_at", "stage", "key")
TASK_RARE = ("not_before", "started_at", "finished_at", "output", "error", "stage")
TASK_CHANGING = (*TaskRow._fields[TaskRow._fields.index("created_at") + 1 :], "key")


def _picker(fields: tuple[str, ...], names: Sequence[str]) -> Picker:
    return itemgetter(*(fields.index(name) for name in names))


def _without(fields: tuple[str, ...], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in fields if name not in names)


run_rare: Picker = _picker(RunRow._fields, RUN_RARE)
run_plain: Picker = _picker(RunRow._fields, _without(RunRow._fields, RUN_RARE))
run_changing: Picker = _picker(RunRow._fields, RUN_CHANGING)
task_rare: Picker = _picker(TaskRow._fields, TASK_RARE)
task_plain: Picker = _picker(TaskRow._fields, _without(TaskRow._fields, TASK_RARE))
task_changing: Picker = _picker(TaskRow._fields, TASK_CHANGING)
NO_RUN_RARE = (None,) * len(RUN_RARE)
NO_TASK_RARE = (None,) * len(TASK_RARE)


def commit(connection: sqlite3.Connection, batch: Batch) -> int:
    """Write a batch; returns the number of rows. Raises FenceMismatch, DataError or an error of SQLite."""
    with writing(connection):
        _raise_fence(connection, batch.fences[ONLY_GROUP])
        return sum(_write(connection, tenant_no, changes) for tenant_no, changes in batch.changes)


def claim(connection: sqlite3.Connection) -> Fence:
    """Raise the epoch."""
    with writing(connection):
        connection.execute(statement("claim"))
        return stored_fence(connection)


def stored_fence(connection: sqlite3.Connection) -> Fence:
    """What is written in the store."""
    return Fence(*connection.execute(statement("fence")).fetchone())


def _raise_fence(connection: sqlite3.Connection, fence: Fence) -> None:
    try:
        raised = connection.execute(statement("raise_fence"), fence).rowcount
    except sqlite3.IntegrityError:
        raise _mismatch(stored_fence(connection), fence) from None
    assert raised == 1, "the store has no fence"


def _mismatch(stored: Fence, wanted: Fence) -> FenceMismatch:
    return FenceMismatch(
        f"The store stands at commit {stored.seq} of epoch {stored.epoch}, so it does not take commit {wanted.seq} of epoch "
        f"{wanted.epoch}: somebody else has claimed it, or it went back in time."
    )


def _write(connection: sqlite3.Connection, tenant_no: TenantNo, changes: Changes) -> int:
    return (
        _many(connection, "upsert_workflow", changes.workflows)
        + _many(connection, "insert_version", changes.versions)
        + _many(connection, "upsert_worker", changes.workers)
        + _delete(connection, "delete_worker", tenant_no, changes.workers_forgotten)
        + _insert_runs(connection, changes.runs_opened)
        + _change(connection, "update_run", "run", list(map(run_changing, changes.runs_changed)))
        + _insert_tasks(connection, changes.tasks_opened)
        + _change(connection, "update_task", "task", list(map(task_changing, changes.tasks_changed)))
        + _many(connection, "insert_receipt", changes.receipts)
        + _delete(connection, "delete_receipt", tenant_no, changes.receipts_folded)
        + _many(connection, "insert_event", changes.events)
        + (_write_timetable(connection, tenant_no, changes) if changes.has_timetable else 0)
        + _delete(connection, "delete_rate_limit", tenant_no, changes.rate_limits_dropped)
        + _many(connection, "upsert_rate_limit", changes.rate_limits)
        + _many(connection, "upsert_pause", changes.pauses)
        + (claims.write(connection, changes.claims_dropped, changes.claims) if changes.has_claims else 0)
        + (_write_events(connection, tenant_no, changes) if changes.has_events else 0)
        + _delete(connection, "delete_webhook", tenant_no, changes.webhooks_dropped)
        + _many(connection, "upsert_webhook", changes.webhooks)
        + _many(connection, "upsert_wait", changes.waits)
    )


def _write_timetable(connection: sqlite3.Connection, tenant_no: TenantNo, changes: Changes) -> int:
    return (
        _delete(connection, "delete_cron", tenant_no, changes.crons_dropped)
        + _many(connection, "upsert_cron", changes.crons)
        + _delete(connection, "delete_schedule", tenant_no, changes.schedules_dropped)
        + _many(connection, "upsert_schedule", changes.schedules)
    )


def _write_events(connection: sqlite3.Connection, tenant_no: TenantNo, changes: Changes) -> int:
    return (
        _many(connection, "insert_pushed_event", changes.pushed_events)
        + _many(connection, "insert_event_run", changes.event_runs)
        + _delete(connection, "delete_filter", tenant_no, changes.filters_dropped)
        + _many(connection, "upsert_filter", changes.filters)
        + _many(connection, "insert_expression_failure", changes.expression_failures)
    )


def _insert_runs(connection: sqlite3.Connection, rows: Sequence[RunRow]) -> int:
    plain = [run_plain(row) for row in rows if run_rare(row) == NO_RUN_RARE]
    special = [row for row in rows if run_rare(row) != NO_RUN_RARE] if len(plain) < len(rows) else []
    return _many(connection, "insert_plain_run", plain) + _many(connection, "insert_run", special)


def _insert_tasks(connection: sqlite3.Connection, rows: Sequence[TaskRow]) -> int:
    plain = [task_plain(row) for row in rows if task_rare(row) == NO_TASK_RARE]
    special = [row for row in rows if task_rare(row) != NO_TASK_RARE] if len(plain) < len(rows) else []
    return _many(connection, "insert_plain_task", plain) + _many(connection, "insert_task", special)


def _many(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> int:
    if rows:
        connection.executemany(statement(name), rows)
    return len(rows)


def _change(connection: sqlite3.Connection, name: str, kind: str, rows: Sequence[Row]) -> int:
    if rows:
        found = connection.executemany(statement(name), rows).rowcount
        if found != len(rows):
            raise DataError(f"{len(rows) - found} of {len(rows)} {kind} rows to change are not in the store.")
    return len(rows)


def _delete(connection: sqlite3.Connection, name: str, tenant_no: TenantNo, keys: Sequence[int]) -> int:
    if keys:
        connection.executemany(statement(name), [(key,) for key in keys])
        connection.execute(statement("raise_key_floor"), (max(keys), tenant_no))
    return len(keys)
