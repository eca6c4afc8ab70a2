"""Reads of pushed events and filters: what a step needs, and pages for people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from limpet.core.event_rows import ExpressionFailureRow, FilterRow, PushedEventRow
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
from limpet.store.matching import metadata_matches, page_of
from limpet.store.postgres.lane import Link
from limpet.store.tables import is_storable

ROWS_AT_ONCE = 1_000  # of a search by metadata


async def known(link: Link, tenant_no: TenantNo, ids: Collection[str]) -> dict[str, PushedEventRow]:
    """Some events by id, without their payloads."""
    if not ids:
        return {}
    rows = await link.rows("events_known", tenant_no=tenant_no, ids=_texts(ids))
    return {row[1]: PushedEventRow(*row) for row in rows}


async def page(link: Link, tenant_no: TenantNo, query: EventQuery) -> tuple[list[EventRecord], int]:
    """A page of events."""
    offset, limit = max(0, query.offset), max(0, min(query.limit, LIST_ROWS_MAX))
    where: dict[str, Any] = {
        "tenant_no": tenant_no,
        **span_of(query),
        "ids": _texts(query.ids),
        "names": _texts(query.names),
        "scopes": _texts(query.scopes),
        "needs_run": query.workflow_ids is not None or query.run_statuses is not None,
        "workflow_ids": _texts(query.workflow_ids),
        "statuses": None if query.run_statuses is None else [int(one) for one in query.run_statuses],
        "scan": SCAN_MAX if query.metadata else max(COUNT_MAX, offset + limit),
    }
    found = link.sql.with_source("events_page", f"events_from_{'age' if query.ids is None else 'ids'}")
    matching: list[tuple[int, bytes]] = []
    async for key, metadata in link.connection.cursor(found.text, *found.arguments(where), prefetch=ROWS_AT_ONCE):
        if not query.metadata or metadata_matches(metadata, query.metadata, every=True):
            matching.append((key, b""))
    keys, total = page_of(matching, (), offset=offset, limit=limit, count_max=COUNT_MAX)
    return await _records(link, keys), total


async def names(link: Link, tenant_no: TenantNo) -> list[str]:
    """Each once."""
    return [name for (name,) in await link.rows("event_names", tenant_no=tenant_no, limit=EVENT_NAMES_MAX)]


async def filters(link: Link, tenant_no: TenantNo, query: FilterQuery) -> list[FilterRecord]:
    """Newest first."""
    rows = await link.rows(
        "filters_page",
        **key_range(tenant_no),
        ids=_texts(query.ids),
        workflow_ids=_texts(query.workflow_ids),
        scopes=_texts(query.scopes),
        limit=max(0, min(query.limit, LIST_ROWS_MAX)),
        offset=max(0, query.offset),
    )
    return [FilterRecord(FilterRow(*tuple(row)[:-1]), row[-1]) for row in rows]


async def failures(link: Link, tenant_no: TenantNo, limit: int) -> list[ExpressionFailureRow]:
    """Newest first."""
    rows = await link.rows("expression_failures_page", **key_range(tenant_no), limit=max(0, min(limit, LIST_ROWS_MAX)))
    return [ExpressionFailureRow(*row) for row in rows]


async def payloads(link: Link, keys: Collection[int]) -> dict[int, bytes]:
    """By key."""
    return dict(await link.rows("payloads_of_events", keys=list(keys)))


async def _records(link: Link, keys: Sequence[int]) -> list[EventRecord]:
    """Records in the order of the keys."""
    rows = {row[0]: PushedEventRow(*row) for row in await link.rows("events_by_key", keys=keys)}
    found = await payloads(link, fitting(keys, rows))
    started = await link.rows("runs_of_events", keys=keys, limit=EVENT_RUNS_MAX)
    return assembled(keys, rows, found, started, await link.rows("run_counts_of_events", keys=keys))


def _texts(texts: Collection[str] | None) -> list[str] | None:
    """What cannot be stored is not there."""
    return None if texts is None else [one for one in texts if is_storable(one)]
