"""REST models of rate limits."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from limpet.sdk.rest.common import PaginationResponse, RestModel


class RateLimitOrderByField(StrEnum):
    """Values of `RateLimitOrderByField`."""

    KEY = "key"
    VALUE = "value"
    LIMITVALUE = "limitValue"


class RateLimitOrderByDirection(StrEnum):
    """Values of `RateLimitOrderByDirection`."""

    ASC = "asc"
    DESC = "desc"


class RateLimit(RestModel):
    """REST model `RateLimit`. `value`: the units that are left; `window`: for instance `1 MINUTE`."""

    key: str
    tenant_id: str
    limit_value: int
    value: int
    window: str
    last_refill: datetime
    paused_until: datetime | None = None


class RateLimitList(RestModel):
    """REST model `RateLimitList`."""

    pagination: PaginationResponse | None = None
    rows: list[RateLimit] | None = None
