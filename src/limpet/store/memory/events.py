"""Pushed events and filters of a content in memory: what a step needs, pages for people, and retention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from limpet.core.condition_rows import decode_seen
from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, PushedEventRow
from limpet.core.ids import TENANT_KEY_SHIFT, TenantNo
from limpet.core.rows import RunStatus
from limpet.store.api import (
    COUNT_MAX,
    EVENT_NAMES_MAX,
    EVENT_RUNS_MAX,
    LIST_ROWS_MAX,
    PAGE_PAYLOAD_BYTES_MAX,
    EventQuery,
    EventRecord,
    FilterQuery,
    FilterRecord,
    StartedRun,
)
from limpet.store.matching import page_of, within_budget
from limpet.store.memory.content import Content


def known(content: Content, tenant_no: TenantNo, ids: Collection[str]) -> dict[str, PushedEventRow]:
    """Some events by id, without their payloads."""
    keys = (content.key_of("event", tenant_no, "id", one) for one in ids)
    rows = (content.pushed_events[key]._replace(payload=b"") for key in keys if key is not None)
    return {row.id: row for row in rows}


def page(content: Content, tenant_no: TenantNo, query: EventQuery) -> tuple[list[EventRecord], int]:
    """A page of events."""
    rows = [row for row in content.of(tenant_no, content.pushed_events) if _matches(content, row, query)]
    rows.sort(key=lambda row: (row.created_at, row.key), reverse=True)
    offset, limit = max(0, query.offset), max(0, min(query.limit, LIST_ROWS_MAX))
    candidates = ((row.key, row.metadata) for row in rows)
    keys, total = page_of(candidates, query.metadata, offset=offset, limit=limit, count_max=COUNT_MAX)
    found = [content.pushed_events[key] for key in keys]
    fitting = set(within_budget([(row.key, row.payload_bytes) for row in found], PAGE_PAYLOAD_BYTES_MAX)[0])
    left = EVENT_RUNS_MAX
    records = []
    for row in found:
        started = _started(content, row.key)
        runs = [StartedRun(one.run_id, one.filter_id) for one in started[:left]]
        left -= len(runs)
        payload = row.payload if row.key in fitting else None
        records.append(EventRecord(row._replace(payload=b""), payload, runs, _statuses(content, started)))
    return records, total


def names(content: Content, tenant_no: TenantNo) -> list[str]:
    """Each once."""
    rows = (row for row in content.of(tenant_no, content.pushed_events) if row.created_at >= content.gone_before)
    return sorted({row.name for row in rows})[:EVENT_NAMES_MAX]


def filters(content: Content, tenant_no: TenantNo, query: FilterQuery) -> list[FilterRecord]:
    """Newest first."""
    records = []
    for row in reversed(content.of(tenant_no, content.filters)):
        workflow = content.workflows[row.workflow_key]
        wanted = ((query.ids, row.id), (query.workflow_ids, workflow.id), (query.scopes, row.scope))
        if workflow.deleted_at is None and all(some is None or one in some for some, one in wanted):
            records.append(FilterRecord(row, workflow.id))
    start = max(0, query.offset)
    return records[start : start + max(0, min(query.limit, LIST_ROWS_MAX))]


def failures(content: Content, tenant_no: TenantNo, limit: int) -> list[ExpressionFailureRow]:
    """Newest first."""
    return content.of(tenant_no, content.expression_failures)[::-1][: max(0, min(limit, LIST_ROWS_MAX))]


def prune(content: Content, before: int, limit: int) -> int:
    """Rows that went."""
    old = {row.key for row in content.pushed_events.values() if row.created_at < before}
    started = [row.key for row in content.event_runs.values() if row.event_key in old and row.key not in content.runs]
    for key in (gone := started[:limit]):
        del content.event_runs[key]
    held = {row.event_key for row in content.event_runs.values()} | set(_seen_by_waits(content))
    events = [key for key in sorted(old) if key not in held][: limit - len(gone)]
    for key in events:
        row = content.pushed_events.pop(key)
        del content.names["event", row.tenant_no, "id", row.id]
    failed = [row.key for row in content.expression_failures.values() if row.at < before][: limit - len(gone) - len(events)]
    for key in failed:
        del content.expression_failures[key]
    for key in (*events, *failed):
        tenant_no = key >> TENANT_KEY_SHIFT
        content.key_floors[tenant_no] = max(content.key_floors.get(tenant_no, 0), key)
    return len(gone) + len(events) + len(failed)


def _seen_by_waits(content: Content) -> Iterator[int]:
    """Events that conditions of unfinished runs have seen."""
    for run_key, waits in content.waits.items():
        if not RunStatus(content.runs[run_key].status).is_terminal:
            yield from (seen.event_key for row in waits for seen in decode_seen(row.seen).values() if seen.event_key is not None)


def _matches(content: Content, row: PushedEventRow, query: EventQuery) -> bool:
    wanted = ((query.ids, row.id), (query.names, row.name), (query.scopes, row.scope))
    return (
        row.created_at >= content.gone_before
        and (query.since is None or row.created_at >= query.since)
        and (query.until is None or row.created_at < query.until)
        and all(some is None or one in some for some, one in wanted)
        and _has_run(content, row, query)
    )


def _has_run(content: Content, row: PushedEventRow, query: EventQuery) -> bool:
    if query.workflow_ids is None and query.run_statuses is None:
        return True
    runs = (content.runs.get(one.key) for one in _started(content, row.key))
    return any(
        run is not None
        and not content.is_gone(run)
        and (query.run_statuses is None or run.status in query.run_statuses)
        and (query.workflow_ids is None or content.workflows[run.workflow_key].id in query.workflow_ids)
        for run in runs
    )


def _started(content: Content, event_key: int) -> list[EventRunRow]:
    return sorted(row for row in content.event_runs.values() if row.event_key == event_key)


def _statuses(content: Content, started: Sequence[EventRunRow]) -> Mapping[int, int]:
    runs = (content.runs.get(one.key) for one in started)
    return dict(Counter(run.status for run in runs if run is not None and not content.is_gone(run)))
