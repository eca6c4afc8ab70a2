"""Reads of crons and scheduled runs: what a step needs, and pages for people. Plain reads of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from limpet.core.ids import TenantNo
from limpet.core.rows import WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow, TimetableFound, TimetableNeeds, earliest, fitting_due
from limpet.store.api import (
    COUNT_MAX,
    LIST_ROWS_MAX,
    PAGE_PAYLOAD_BYTES_MAX,
    SCAN_MAX,
    CronRecord,
    ScheduleRecord,
    TimetableQuery,
)
from limpet.store.matching import TIMETABLE_TEXTS, page_of, timetable_order, within_budget
from limpet.store.sqlite.connection import json_list
from limpet.store.sqlite.statements import statement, with_source
from limpet.store.tables import is_encodable


def look_up(connection: sqlite3.Connection, tenant_no: TenantNo, needs: TimetableNeeds) -> TimetableFound:
    """What a step needs of the timetable; nothing is read when it needs nothing."""
    found = TimetableFound(read_until=needs.due_until)
    if not needs:
        return found
    crons, later_crons = _due(connection, "due_crons", tenant_no, needs)
    schedules, later_schedules = _due(connection, "due_schedules", tenant_no, needs)
    found.next_at = earliest(later_crons, later_schedules)
    rows = [CronRow._make(row) for row in _named(connection, "crons_named", tenant_no, crons, needs.cron_ids)]
    for workflow_key, name in filter(lambda pair: is_encodable(pair[1]), needs.cron_names):
        where = {"tenant_no": tenant_no, "workflow_key": workflow_key, "name": name}
        rows += map(CronRow._make, connection.execute(statement("crons_by_name"), where))
    found.crons = {row.id: row for row in rows}
    named = _named(connection, "schedules_named", tenant_no, schedules, needs.schedule_ids)
    found.schedules = {row.id: row for row in map(ScheduleRow._make, named)}
    return found


def crons(connection: sqlite3.Connection, tenant_no: TenantNo, query: TimetableQuery) -> tuple[list[CronRecord], int]:
    """A page of crons."""
    keys, total = _page(connection, "crons_page", tenant_no, query)
    rows = {row[0]: CronRow._make(row) for row in _named(connection, "crons_named", tenant_no, keys, ())}
    fitting, homes = _background(connection, [rows[key] for key in keys])
    return [_record(CronRecord, rows[key], homes, fitting) for key in keys], total


def schedules(connection: sqlite3.Connection, tenant_no: TenantNo, query: TimetableQuery) -> tuple[list[ScheduleRecord], int]:
    """A page of scheduled runs."""
    keys, total = _page(connection, "schedules_page", tenant_no, query)
    rows = {row[0]: ScheduleRow._make(row) for row in _named(connection, "schedules_named", tenant_no, keys, ())}
    fitting, homes = _background(connection, [rows[key] for key in keys])
    return [_record(ScheduleRecord, rows[key], homes, fitting) for key in keys], total


def _due(connection: sqlite3.Connection, name: str, tenant_no: TenantNo, needs: TimetableNeeds) -> tuple[list[int], int | None]:
    """Keys of what is due and fits into one step, and when the first of the others is due."""
    if needs.due_until is None:
        return [], None
    where = {"tenant_no": tenant_no, "limit": needs.due_max + 1}
    return fitting_due(connection.execute(statement(name), where).fetchall(), needs)


def _named(
    connection: sqlite3.Connection, name: str, tenant_no: TenantNo, keys: Collection[int], ids: Collection[str]
) -> Iterable[tuple[Any, ...]]:
    if not keys and not ids:
        return ()
    where = {"tenant_no": tenant_no, "keys": json_list(list(keys)), "ids": json_list(list(ids))}
    return connection.execute(statement(name), where)


def _page(connection: sqlite3.Connection, name: str, tenant_no: TenantNo, query: TimetableQuery) -> tuple[list[int], int]:
    offset, limit = max(0, query.offset), max(0, min(query.limit, LIST_ROWS_MAX))
    where = {field: getattr(query, field) for field in TIMETABLE_TEXTS}
    if any(text is not None and not is_encodable(text) for text in where.values()):
        return [], 0
    where |= {"tenant_no": tenant_no, "scan": SCAN_MAX if query.metadata else max(COUNT_MAX, offset + limit)}
    rows = connection.execute(with_source(name, timetable_order(query)), where)
    candidates = ((key, metadata) for key, metadata, _ in rows)
    return page_of(candidates, query.metadata, offset=offset, limit=limit, count_max=COUNT_MAX)


def _background(connection: sqlite3.Connection, rows: Collection[Any]) -> tuple[set[int], dict[int, tuple[WorkflowRow, str]]]:
    """Keys of the rows whose inputs fit on the page, and the workflows of all."""
    fitting = set(within_budget([(row.key, row.input_bytes) for row in rows], PAGE_PAYLOAD_BYTES_MAX)[0])
    where = {"keys": json_list(list({row.workflow_key for row in rows}))}
    found = connection.execute(statement("homes_of_planned"), where)
    return fitting, {row[0]: (WorkflowRow._make(row[:-1]), row[-1]) for row in found}


def _record(kind: Any, row: Any, homes: dict[int, tuple[WorkflowRow, str]], fitting: set[int]) -> Any:
    workflow, version_id = homes[row.workflow_key]
    return kind(row._replace(input=b""), workflow, version_id, row.input if row.key in fitting else None)
