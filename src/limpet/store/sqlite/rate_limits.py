"""Reads of rate limits: what a step needs, and pages for people."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from limpet.core.ids import TenantNo
from limpet.core.rate_rows import RateLimitRow, as_of
from limpet.store.api import COUNT_MAX, LIST_ROWS_MAX, RateLimitQuery
from limpet.store.matching import rate_limits_order
from limpet.store.sqlite.connection import json_list
from limpet.store.sqlite.statements import statement, with_source
from limpet.store.tables import is_encodable, is_storable


def named(connection: sqlite3.Connection, tenant_no: TenantNo, names: Collection[str]) -> dict[str, RateLimitRow | None]:
    """By every name that is asked for; JSON would cut a name at a NUL character, and none has one."""
    found: dict[str, RateLimitRow | None] = dict.fromkeys(names)
    wanted = [name for name in names if is_storable(name)]
    if wanted:
        rows = connection.execute(statement("rate_limits_named"), {"tenant_no": tenant_no, "names": json_list(wanted)})
        found |= {row.name: row for row in map(RateLimitRow._make, rows)}
    return found


def page(connection: sqlite3.Connection, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[list[RateLimitRow], int]:
    """A page of rate limits, and how many match."""
    if query.search is not None and not is_encodable(query.search):
        return [], 0
    limit, offset = max(0, min(query.limit, LIST_ROWS_MAX)), max(0, query.offset)
    where = {"tenant_no": tenant_no, "search": query.search, "now": query.now, "limit": limit, "offset": offset}
    rows = connection.execute(with_source("rate_limits_page", rate_limits_order(query)), where)
    found = [as_of(row, query.now) for row in map(RateLimitRow._make, rows)]
    count = connection.execute(statement("rate_limits_count"), where | {"count_max": COUNT_MAX})
    return found, count.fetchone()[0]
