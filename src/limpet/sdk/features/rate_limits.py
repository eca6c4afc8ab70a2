"""`limpet.rate_limits`: set, pause and see rate limits."""

from __future__ import annotations

from datetime import UTC, datetime

from limpet.contracts import workflows_pb2
from limpet.sdk._transport import PAUSE_RATE_LIMIT, PUT_RATE_LIMIT
from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.scheduled import in_utc
from limpet.sdk.options import RateLimitDuration
from limpet.sdk.rest.rate_limits import RateLimitList, RateLimitOrderByDirection, RateLimitOrderByField


class RateLimitsClient:
    """Set, pause and see rate limits. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest, self._transport = calls.rest, calls.transport
        self._path = f"/api/v1/tenants/{calls.config.tenant_id}/rate-limits"

    def put(self, key: str, limit: int, duration: RateLimitDuration = RateLimitDuration.SECOND) -> None:
        """Set a limit: so many units in each window. One that exists is changed at once; its units left never grow by that."""
        self._transport.call(PUT_RATE_LIMIT, _put_request(key, limit, duration))

    async def aio_put(self, key: str, limit: int, duration: RateLimitDuration = RateLimitDuration.SECOND) -> None:
        """As `put`."""
        await self._transport.acall(PUT_RATE_LIMIT, _put_request(key, limit, duration))

    def pause(self, key: str, until: datetime) -> datetime:
        """Give no unit until then; an instant that has passed ends a pause. Returns until when the limit is paused.

        Of two pauses the later end counts. Raises for a key that nobody has set.
        """
        return read_pause(self._transport.call(PAUSE_RATE_LIMIT, pause_request(key, until)))

    async def aio_pause(self, key: str, until: datetime) -> datetime:
        """As `pause`."""
        return read_pause(await self._transport.acall(PAUSE_RATE_LIMIT, pause_request(key, until)))

    def list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        search: str | None = None,
        order_by_field: RateLimitOrderByField | None = None,
        order_by_direction: RateLimitOrderByDirection | None = None,
    ) -> RateLimitList:
        """Limits whose keys contain `search`, as they stand now."""
        query = _list_query(offset, limit, search, order_by_field, order_by_direction)
        return RateLimitList.model_validate(self._rest.request(HTTPMethod.GET, self._path, query=query))

    async def aio_list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        search: str | None = None,
        order_by_field: RateLimitOrderByField | None = None,
        order_by_direction: RateLimitOrderByDirection | None = None,
    ) -> RateLimitList:
        """As `list`."""
        query = _list_query(offset, limit, search, order_by_field, order_by_direction)
        return RateLimitList.model_validate(await self._rest.arequest(HTTPMethod.GET, self._path, query=query))

    def delete(self, key: str) -> None:
        """Forget a limit. Tasks that name its key wait until somebody sets it again; those that compute it do so themselves."""
        self._rest.request(HTTPMethod.DELETE, self._path, query={"key": key})

    async def aio_delete(self, key: str) -> None:
        """As `delete`."""
        await self._rest.arequest(HTTPMethod.DELETE, self._path, query={"key": key})


def pause_request(key: str, until: datetime) -> workflows_pb2.PauseRateLimitRequest:
    """The message of a pause; an instant without a zone counts as UTC, with a warning."""
    return workflows_pb2.PauseRateLimitRequest(key=key, paused_until=in_utc(until))


def read_pause(response: workflows_pb2.PauseRateLimitResponse) -> datetime:
    """Until when it is paused, in UTC."""
    return response.paused_until.ToDatetime(tzinfo=UTC)


def _put_request(key: str, limit: int, duration: RateLimitDuration) -> workflows_pb2.PutRateLimitRequest:
    return workflows_pb2.PutRateLimitRequest(key=key, limit=limit, duration=RateLimitDuration(duration).value)


def _list_query(
    offset: int | None,
    limit: int | None,
    search: str | None,
    order_by_field: RateLimitOrderByField | None,
    order_by_direction: RateLimitOrderByDirection | None,
) -> dict[str, str | int | None]:
    return {
        "offset": offset,
        "limit": limit,
        "search": search,
        "orderByField": order_by_field,
        "orderByDirection": order_by_direction,
    }
