"""Rate limits: as tasks declare them, and as they are set and paused (F4.1, F4.3, F4.5)."""

from __future__ import annotations

from collections.abc import Iterable

from limpet.contracts.admin_pb2 import CreateTaskRateLimit
from limpet.contracts.workflows_pb2 import (
    PauseRateLimitRequest,
    PauseRateLimitResponse,
    PutRateLimitRequest,
    RateLimitDuration,
)
from limpet.core.errors import InvalidArgument
from limpet.core.ids import Instant
from limpet.core.rate_definitions import UNITS_DEFAULT, RateUse
from limpet.core.rate_inputs import RateLimitPaused, RateLimitPut
from limpet.core.rate_windows import RateWindow
from limpet.core.settings import Settings
from limpet.edges.grpc.translate.instants import instant, timestamp
from limpet.edges.grpc.translate.workers import check_text

NO_LIMIT = "-1"  # what clients send for a limit that was not given


def rate_uses(limits: Iterable[CreateTaskRateLimit]) -> tuple[RateUse, ...]:
    """What a task takes. Clients repeat a computed key's expression in `key`, and send a limit with static keys too."""
    return tuple(_use(limit) for limit in limits)


def _use(limit: CreateTaskRateLimit) -> RateUse:
    is_computed = bool(limit.key_expr)
    size = limit.limit_values_expr.strip() if is_computed else ""
    return RateUse(
        key="" if is_computed else limit.key,
        units=limit.units if limit.HasField("units") else UNITS_DEFAULT,
        key_expression=limit.key_expr,
        units_expression=limit.units_expr,
        limit_expression="" if size == NO_LIMIT else size,
        window=RateWindow(limit.duration) if limit.HasField("duration") else RateWindow.MINUTE,
    )


def rate_limit_put(request: PutRateLimitRequest, limits: Settings) -> RateLimitPut:
    """A limit as it is to be from now on."""
    check_text("key", request.key, limits.rate_limit_name_bytes_max)
    if request.duration not in RateLimitDuration.values():
        known = ", ".join(RateLimitDuration.keys())
        raise InvalidArgument(f"duration {int(request.duration)} is unknown; use one of {known}")
    return RateLimitPut(request.key, request.limit, RateWindow(request.duration))


def rate_limit_paused(request: PauseRateLimitRequest, limits: Settings) -> RateLimitPaused:
    """A pause of a limit."""
    check_text("key", request.key, limits.rate_limit_name_bytes_max)
    until = instant(request.paused_until)
    if until is None:
        raise InvalidArgument(f"paused_until must lie in the years 1970 to 9999, got {request.paused_until.seconds} seconds")
    return RateLimitPaused(request.key, Instant(until))


def pause_answer(until: int) -> PauseRateLimitResponse:
    """Until when it is paused now."""
    return PauseRateLimitResponse(paused_until=timestamp(until))
