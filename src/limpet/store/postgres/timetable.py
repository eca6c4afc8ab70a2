"""Reads of crons and scheduled runs: what a step needs, and pages for people."""

from __future__ import annotations

from collections.abc import Collection
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
from limpet.store.matching import TIMETABLE_TEXTS, metadata_matches, page_of, timetable_order, within_budget
from limpet.store.postgres.lane import Link
from limpet.store.tables import is_storable

ROWS_AT_ONCE = 1_000  # of a search by metadata


async def look_up(link: Link, tenant_no: TenantNo, needs: TimetableNeeds) -> TimetableFound:
    """What a step needs of the timetable; nothing is read when it needs nothing."""
    found = TimetableFound(read_until=needs.due_until)
    if not needs:
        return found
    crons, later_crons = await _due(link, "due_crons", tenant_no, needs)
    schedules, later_schedules = await _due(link, "due_schedules", tenant_no, needs)
    found.next_at = earliest(later_crons, later_schedules)
    rows = await _named(link, "crons_named", tenant_no, crons, needs.cron_ids)
    for workflow_key, name in needs.cron_names:
        if is_storable(name):
            rows += await link.rows("crons_by_name", tenant_no=tenant_no, workflow_key=workflow_key, name=name)
    found.crons = {row.id: row for row in map(CronRow._make, rows)}
    named = await _named(link, "schedules_named", tenant_no, schedules, needs.schedule_ids)
    found.schedules = {row.id: row for row in map(ScheduleRow._make, named)}
    return found


async def crons(link: Link, tenant_no: TenantNo, query: TimetableQuery) -> tuple[list[CronRecord], int]:
    """A page of crons."""
    keys, total = await _page(link, "crons_page", tenant_no, query)
    rows = {row[0]: CronRow._make(row) for row in await _named(link, "crons_named", tenant_no, keys, ())}
    return await _records(link, CronRecord, [rows[key] for key in keys]), total


async def schedules(link: Link, tenant_no: TenantNo, query: TimetableQuery) -> tuple[list[ScheduleRecord], int]:
    """A page of scheduled runs."""
    keys, total = await _page(link, "schedules_page", tenant_no, query)
    rows = {row[0]: ScheduleRow._make(row) for row in await _named(link, "schedules_named", tenant_no, keys, ())}
    return await _records(link, ScheduleRecord, [rows[key] for key in keys]), total


async def _due(link: Link, name: str, tenant_no: TenantNo, needs: TimetableNeeds) -> tuple[list[int], int | None]:
    """Keys of what is due and fits into one step, and when the first of the others is due."""
    if needs.due_until is None:
        return [], None
    rows = await link.rows(name, tenant_no=tenant_no, limit=needs.due_max + 1)
    return fitting_due([(row[0], row[1], row[2]) for row in rows], needs)


async def _named(link: Link, name: str, tenant_no: TenantNo, keys: Collection[int], ids: Collection[str]) -> list[Any]:
    if not keys and not ids:
        return []
    return await link.rows(name, tenant_no=tenant_no, keys=list(keys), ids=list(ids))


async def _page(link: Link, name: str, tenant_no: TenantNo, query: TimetableQuery) -> tuple[list[int], int]:
    offset, limit = max(0, query.offset), max(0, min(query.limit, LIST_ROWS_MAX))
    where: dict[str, Any] = {field: getattr(query, field) for field in TIMETABLE_TEXTS}
    if any(text is not None and not is_storable(text) for text in where.values()):
        return [], 0
    where |= {"tenant_no": tenant_no, "scan": SCAN_MAX if query.metadata else max(COUNT_MAX, offset + limit)}
    statement = link.sql.with_source(name, timetable_order(query))
    matching: list[tuple[int, bytes]] = []
    cursor = link.connection.cursor(statement.text, *statement.arguments(where), prefetch=ROWS_AT_ONCE)
    async for key, metadata, _ in cursor:
        if not query.metadata or metadata_matches(metadata, query.metadata, every=True):
            matching.append((key, b""))
    return page_of(matching, (), offset=offset, limit=limit, count_max=COUNT_MAX)


async def _records(link: Link, kind: Any, rows: Collection[Any]) -> list[Any]:
    """With their workflows, and their inputs while these fit on the page."""
    fitting = set(within_budget([(row.key, row.input_bytes) for row in rows], PAGE_PAYLOAD_BYTES_MAX)[0])
    found = await link.rows("homes_of_planned", keys=list({row.workflow_key for row in rows}))
    homes = {row[0]: (WorkflowRow(*tuple(row)[:-1]), row[-1]) for row in found}
    return [kind(row._replace(input=b""), *homes[row.workflow_key], row.input if row.key in fitting else None) for row in rows]
