"""Rate limits: listed, set, deleted. The official clients set them over gRPC."""

# No `from __future__ import annotations` here: FastAPI reads the types of a dataclass's fields and finds no
# globals to resolve their texts in.

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from limpet.core.ids import SECOND_US, TenantId
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPut
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rate_windows import RateWindow
from limpet.edges.rest.answers import answer, moment, moment_or_none, nothing, pagination
from limpet.edges.rest.bodies import body_schema, read_body
from limpet.edges.rest.bodies_rate_limits import RateLimitBody
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.directions import LowerDirection
from limpet.edges.rest.queries import PAGE_DEFAULT, Limit, Offset
from limpet.edges.rest.schemas_rate_limits import RateLimitField, RateLimitList, RateLimitShown
from limpet.store.api import RateLimitOrder, RateLimitQuery

RATE_LIMITS = "/tenants/{tenant}/rate-limits"
ORDER_OF = {
    RateLimitField.KEY: RateLimitOrder.NAME,
    RateLimitField.VALUE: RateLimitOrder.VALUE,
    RateLimitField.LIMIT_VALUE: RateLimitOrder.LIMIT,
}

router: APIRouter = APIRouter(prefix="/v1")


@dataclass(frozen=True)
class RateLimitFilter:
    """Which rate limits a list is asked for, and in which order (F4.18)."""

    search: str | None = None
    order: Annotated[RateLimitField, Query(alias="orderByField")] = RateLimitField.KEY
    direction: Annotated[LowerDirection, Query(alias="orderByDirection")] = LowerDirection.ASC

    def query(self, now: int, limit: int, offset: int) -> RateLimitQuery:
        """For the reader."""
        is_down = self.direction is LowerDirection.DESC
        return RateLimitQuery(now, self.search or None, ORDER_OF[self.order], is_down, limit, offset)


@router.get(RATE_LIMITS, response_model=RateLimitList)
async def list_rate_limits(
    caller: Calling, tenant: str, wanted: Annotated[RateLimitFilter, Depends()], limit: Limit = PAGE_DEFAULT, offset: Offset = 0
) -> Response:
    """Rate limits as they stand now."""
    found, total = await caller.reader.rate_limits(caller.tenant_no, wanted.query(_now(caller), limit, offset))
    page = pagination(offset, limit, total)
    return await answer(lambda: RateLimitList(pagination=page, rows=[rate_limit_shown(caller.tenant, row) for row in found]))


@router.put(RATE_LIMITS, status_code=204, openapi_extra=body_schema(RateLimitBody))
async def put_rate_limit(caller: Calling, tenant: str, request: Request) -> Response:
    """A new limit, or another one for its key (F4.1, F4.2)."""
    body = await read_body(request, RateLimitBody)
    await caller.submit(RateLimitPut(body.key, body.limit_value, RateWindow[body.window]))
    return nothing()


@router.delete(RATE_LIMITS, status_code=204)
async def delete_rate_limit(caller: Calling, tenant: str, key: str) -> Response:
    """By its key (F4.18)."""
    await caller.submit(RateLimitDeleted(key))
    return nothing()


def _now(caller: Caller) -> int:
    return round(caller.facts.clock() * SECOND_US)


def rate_limit_shown(tenant: TenantId, row: RateLimitRow) -> RateLimitShown:
    """As it stands."""
    return RateLimitShown(
        key=row.name,
        tenant_id=tenant,
        limit_value=row.limit_value,
        value=row.value,
        window=f"1 {RateWindow(row.window_unit).name}",
        last_refill=moment(row.refilled_at),
        paused_until=moment_or_none(row.paused_until),
        refill_at=moment_or_none(row.refill_at),
    )
