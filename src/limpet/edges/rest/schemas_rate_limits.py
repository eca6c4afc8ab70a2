"""The shapes of answers about rate limits."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from limpet.edges.rest.schemas import Pagination, Schema


class RateLimitField(StrEnum):
    """What rate limits are ordered by."""

    KEY = "key"
    VALUE = "value"
    LIMIT_VALUE = "limitValue"


class RateLimitShown(Schema):
    """A rate limit. `value`: units left in the window that began at `lastRefill`; `refillAt` is null while all are."""

    key: str
    tenant_id: str
    limit_value: int
    value: int
    window: str
    last_refill: datetime
    paused_until: datetime | None = None
    refill_at: datetime | None = None


class RateLimitList(Schema):
    """A page of rate limits."""

    pagination: Pagination
    rows: list[RateLimitShown]
