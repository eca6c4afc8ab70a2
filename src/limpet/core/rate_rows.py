"""Rate limits for good: the row of one, and what it means as time goes by."""

from __future__ import annotations

from typing import NamedTuple


class RateLimitRow(NamedTuple):
    """A rate limit of a tenant; (tenant_no, name) is unique.

    value:        units that are left in the window that began at `refilled_at`
    window_unit:  a number of RateWindow
    refill_at:    when all units are back; None: they are
    paused_until: no unit is given before; None, or past: it is not paused
    """

    key: int
    tenant_no: int
    name: str
    limit_value: int
    value: int
    window_unit: int
    refilled_at: int
    refill_at: int | None
    paused_until: int | None
    created_at: int


def as_of(row: RateLimitRow, now: int) -> RateLimitRow:
    """The row as it reads at that instant: a refill needs no write, time alone brings it."""
    if row.paused_until is not None and row.paused_until <= now:
        row = row._replace(paused_until=None)
    if row.refill_at is None or row.refill_at > now:
        return row
    return row._replace(value=row.limit_value, refilled_at=row.refill_at, refill_at=None)
