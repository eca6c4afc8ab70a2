"""Options of workflows and tasks that are pure declarations: stickiness, concurrency, rate limits, idempotency."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, model_validator

from limpet.sdk.durations import Duration
from limpet.sdk.priority import Priority, check_priority


class StickyStrategy(StrEnum):
    """Whether the tasks of one run share a worker: preferred (SOFT) or demanded (HARD)."""

    SOFT = "SOFT"
    HARD = "HARD"


class SlotType(StrEnum):
    """Names of the built-in slot pools of a worker."""

    DEFAULT = "default"
    DURABLE = "durable"


class ConcurrencyLimitStrategy(StrEnum):
    """What happens to a run when its concurrency group is full."""

    CANCEL_IN_PROGRESS = "CANCEL_IN_PROGRESS"
    GROUP_ROUND_ROBIN = "GROUP_ROUND_ROBIN"
    CANCEL_NEWEST = "CANCEL_NEWEST"
    QUEUE_NEWEST = "QUEUE_NEWEST"
    QUEUE_OLDEST = "QUEUE_OLDEST"
    CANCEL_QUEUED_EXCEPT_NEWEST = "CANCEL_QUEUED_EXCEPT_NEWEST"
    CANCEL_QUEUED_EXCEPT_OLDEST = "CANCEL_QUEUED_EXCEPT_OLDEST"


class ConcurrencyExpression(BaseModel):
    """A concurrency limit: the CEL text of the group key, the runs allowed at once, and what happens beyond.

    max_runs: a number above zero, or a CEL text that gives one
    """

    expression: str
    max_runs: int | str
    limit_strategy: ConcurrencyLimitStrategy
    name: str | None = None
    is_tenant_scoped: bool = False

    @model_validator(mode="after")
    def _check(self) -> ConcurrencyExpression:
        if isinstance(self.max_runs, int) and self.max_runs <= 0:
            raise ValueError(f"max_runs is {self.max_runs}, but it must be above zero.")
        if isinstance(self.max_runs, str) and not self.max_runs.strip():
            raise ValueError("max_runs is an empty text; write a number or a CEL expression that gives one.")
        if self.is_tenant_scoped and not self.name:
            raise ValueError("A tenant-scoped concurrency limit needs a name, so that several workflows can share it.")
        return self


Concurrency = int | ConcurrencyExpression | Sequence[ConcurrencyExpression]


def concurrency_list(concurrency: Concurrency | None) -> list[ConcurrencyExpression]:
    """All spellings as a list. A number is short for one constant group, served in turn."""
    if concurrency is None:
        return []
    if isinstance(concurrency, int):
        strategy = ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN
        return [ConcurrencyExpression(expression="'constant'", max_runs=concurrency, limit_strategy=strategy)]
    if isinstance(concurrency, ConcurrencyExpression):
        return [concurrency]
    return list(concurrency)


class RateLimitDuration(StrEnum):
    """The length of a rate limit's window."""

    SECOND = "SECOND"
    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"


class RateLimit(BaseModel):
    """What a task takes of a rate limit: a static key, or a key that a CEL text computes from the input."""

    static_key: str | None = None
    dynamic_key: str | None = None
    units: str | int = 1
    limit: int | str | None = None
    duration: RateLimitDuration = RateLimitDuration.MINUTE

    @model_validator(mode="after")
    def _check(self) -> RateLimit:
        if (self.static_key is None) == (self.dynamic_key is None):
            raise ValueError("A RateLimit names either static_key or dynamic_key, and only one of them.")
        if self.dynamic_key is not None and not self.limit:
            raise ValueError(f"The rate limit with dynamic_key={self.dynamic_key!r} needs a limit above 0.")
        return self


class TTLBasedIdempotencyConfig(BaseModel):
    """An idempotency key that is held for a fixed time."""

    key_expression: str
    ttl: timedelta


class StatusBasedIdempotencyConfig(BaseModel):
    """An idempotency key that is held until the run ends, at the longest for `fallback_ttl`."""

    key_expression: str
    fallback_ttl: timedelta


Idempotency = TTLBasedIdempotencyConfig | StatusBasedIdempotencyConfig


class DefaultFilter(BaseModel):
    """An event filter that is declared together with a workflow."""

    expression: str
    scope: str
    payload: dict[str, Any] = Field(default_factory=dict)


class TaskDefaults(BaseModel):
    """Options of every task of a workflow that the task does not set itself (W2.11)."""

    schedule_timeout: Duration | None = None
    execution_timeout: Duration | None = None
    priority: int | Priority | None = None
    retries: int | None = None
    backoff_factor: float | None = None
    backoff_max_seconds: int | None = None

    @model_validator(mode="after")
    def _check(self) -> TaskDefaults:
        if check_priority(self.priority, what="TaskDefaults.priority") is not None:
            warnings.warn(
                "TaskDefaults.priority has no effect: a priority belongs to a run. Set default_priority on the workflow.",
                stacklevel=2,
            )
        return self
