"""Concurrency limits of a registration (F2.1 to F2.3)."""

from __future__ import annotations

from collections.abc import Iterable

from limpet.contracts.admin_pb2 import Concurrency, ConcurrencyLimitStrategy
from limpet.core.definitions import ConcurrencyLimit, LimitStrategy
from limpet.core.errors import InvalidArgument

RUNS_DEFAULT = 1  # what a limit without a number means (F2.1)


def concurrency_limits(limits: Iterable[Concurrency], where: str) -> tuple[ConcurrencyLimit, ...]:
    """The limits in their order. Raises InvalidArgument for a strategy that there is none of here."""
    return tuple(_limit(limit, where) for limit in limits)


def _limit(limit: Concurrency, where: str) -> ConcurrencyLimit:
    wire = limit.limit_strategy if limit.HasField("limit_strategy") else ConcurrencyLimitStrategy.CANCEL_IN_PROGRESS
    if int(wire) not in [int(one) for one in LimitStrategy]:
        known = ", ".join(one.name for one in LimitStrategy)
        name = ConcurrencyLimitStrategy.Name(wire)
        raise InvalidArgument(f"{where}: the concurrency strategy {name} is not supported; use one of {known}")
    is_declared = limit.HasField("max_runs") and not limit.max_runs_expression
    max_runs = limit.max_runs if is_declared else RUNS_DEFAULT
    strategy = LimitStrategy(wire)
    return ConcurrencyLimit(limit.expression, max_runs, strategy, limit.max_runs_expression, limit.name, limit.is_tenant_scoped)
