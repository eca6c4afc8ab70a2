"""Reads of rate limits: what a step needs, and pages for people."""

from __future__ import annotations

from collections.abc import Collection

from limpet.core.ids import TenantNo
from limpet.core.rate_rows import RateLimitRow, as_of
from limpet.store.api import COUNT_MAX, LIST_ROWS_MAX, RateLimitQuery
from limpet.store.matching import rate_limits_order
from limpet.store.postgres.lane import Link
from limpet.store.tables import is_storable


async def named(link: Link, tenant_no: TenantNo, names: Collection[str]) -> dict[str, RateLimitRow | None]:
    """By every name that is asked for."""
    found: dict[str, RateLimitRow | None] = dict.fromkeys(names)
    wanted = [name for name in names if is_storable(name)]
    if wanted:
        rows = await link.rows("rate_limits_named", tenant_no=tenant_no, names=wanted)
        found |= {row.name: row for row in map(RateLimitRow._make, rows)}
    return found


async def page(link: Link, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[list[RateLimitRow], int]:
    """A page of rate limits, and how many match."""
    if query.search is not None and not is_storable(query.search):
        return [], 0
    where = {"tenant_no": tenant_no, "search": query.search, "now": query.now}
    span = {"limit": max(0, min(query.limit, LIST_ROWS_MAX)), "offset": max(0, query.offset)}
    rows = await link.rows_of(link.sql.with_source("rate_limits_page", rate_limits_order(query)), where | span)
    count = await link.value("rate_limits_count", tenant_no=tenant_no, search=query.search, count_max=COUNT_MAX)
    return [as_of(RateLimitRow._make(row), query.now) for row in rows], count
