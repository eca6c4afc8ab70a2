"""Reads of pushed events and filters: what a step needs, pages for people, and what retention may take."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, FilterRow, PushedEventRow
from limpet.core.ids import TenantNo
from limpet.store.api import (
    COUNT_MAX,
    EVENT_NAMES_MAX,
    EVENT_RUNS_MAX,
    LIST_ROWS_MAX,
    SCAN_MAX,
    EventQuery,
    EventRecord,
    FilterQuery,
    FilterRecord,
)
from limpet.store.event_records import assembled, fitting, span_of
from limpet.store.key_range import key_range
from limpet.store.matching import page_of
from limpet.store.sqlite.connection import json_list
from limpet.store.sqlite.statements import statement, with_source
from limpet.store.tables import is_storable


class Stale(NamedTuple):
    """A row that retention may take: how it is deleted, and its key."""

    statement: str
    key: int


def known(connection: sqlite3.Connection, tenant_no: TenantNo, ids: Collection[str]) -> dict[str, PushedEventRow]:
    """Some events by id, without their payloads."""
    if not ids:
        return {}
    rows = connection.execute(statement("events_known"), {"tenant_no": tenant_no, "ids": _texts(ids)})
    return {row[1]: PushedEventRow._make(row) for row in rows}


def of_runs(connection: sqlite3.Connection, run_keys: Collection[int]) -> list[EventRunRow]:
    """What started some runs."""
    if not run_keys:
        return []
    return list(map(EventRunRow._make, connection.execute(statement("event_runs_by_key"), {"keys": json_list(list(run_keys))})))


def page(connection: sqlite3.Connection, tenant_no: TenantNo, query: EventQuery) -> tuple[list[EventRecord], int]:
    """A page of events."""
    offset, limit = max(0, query.offset), max(0, min(query.limit, LIST_ROWS_MAX))
    where = {
        "tenant_no": tenant_no,
        **span_of(query),
        "ids": _texts(query.ids),
        "names": _texts(query.names),
        "scopes": _texts(query.scopes),
        "needs_run": query.workflow_ids is not None or query.run_statuses is not None,
        "workflow_ids": _texts(query.workflow_ids),
        "statuses": None if query.run_statuses is None else json_list([int(one) for one in query.run_statuses]),
        "scan": SCAN_MAX if query.metadata else max(COUNT_MAX, offset + limit),
    }
    candidates = connection.execute(with_source("events_page", f"events_from_{'age' if query.ids is None else 'ids'}"), where)
    keys, total = page_of(candidates, query.metadata, offset=offset, limit=limit, count_max=COUNT_MAX)
    return _records(connection, keys), total


def names(connection: sqlite3.Connection, tenant_no: TenantNo) -> list[str]:
    """Each once."""
    rows = connection.execute(statement("event_names"), {"tenant_no": tenant_no, "limit": EVENT_NAMES_MAX})
    return [name for (name,) in rows]


def filters(connection: sqlite3.Connection, tenant_no: TenantNo, query: FilterQuery) -> list[FilterRecord]:
    """Newest first."""
    where = {
        **key_range(tenant_no),
        "ids": _texts(query.ids),
        "workflow_ids": _texts(query.workflow_ids),
        "scopes": _texts(query.scopes),
        "limit": max(0, min(query.limit, LIST_ROWS_MAX)),
        "offset": max(0, query.offset),
    }
    return [FilterRecord(FilterRow._make(row[:-1]), row[-1]) for row in connection.execute(statement("filters_page"), where)]


def failures(connection: sqlite3.Connection, tenant_no: TenantNo, limit: int) -> list[ExpressionFailureRow]:
    """Newest first."""
    where = {**key_range(tenant_no), "limit": max(0, min(limit, LIST_ROWS_MAX))}
    return list(map(ExpressionFailureRow._make, connection.execute(statement("expression_failures_page"), where)))


def payloads(connection: sqlite3.Connection, keys: Collection[int]) -> dict[int, bytes]:
    """By key."""
    return dict(connection.execute(statement("payloads_of_events"), {"keys": json_list(list(keys))}))


def held(connection: sqlite3.Connection, before: int) -> list[int]:
    """Keys of old events that tasks of unfinished runs have waited for."""
    return [key for (key,) in connection.execute(statement("held_events"), {"before": before})]


def stale(connection: sqlite3.Connection, kind: str, before: int, limit: int, held: Sequence[int]) -> list[Stale]:
    """Rows of a table that may go. `held`: keys of events that may not."""
    where = {"before": before, "limit": limit, "held": json_list(held)}
    rows = connection.execute(statement(f"{kind}s_to_prune"), where)
    return [Stale(f"delete_{kind}", key) for (key,) in rows]


def _records(connection: sqlite3.Connection, keys: Sequence[int]) -> list[EventRecord]:
    """Records in the order of the keys."""
    where = {"keys": json_list(list(keys)), "limit": EVENT_RUNS_MAX}
    rows = {row[0]: PushedEventRow._make(row) for row in connection.execute(statement("events_by_key"), where)}
    found = payloads(connection, fitting(keys, rows))
    started = connection.execute(statement("runs_of_events"), where)
    return assembled(keys, rows, found, started, connection.execute(statement("run_counts_of_events"), where))


def _texts(texts: Collection[str] | None) -> str | None:
    """What cannot be stored is not there; JSON would cut a text at a NUL character."""
    return None if texts is None else json_list([one for one in texts if is_storable(one)])
