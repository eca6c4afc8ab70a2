"""Everything that was declared about a workflow, apart from its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from limpet.sdk.options import ConcurrencyExpression, DefaultFilter, Idempotency, StickyStrategy, TaskDefaults
from limpet.sdk.priority import Priority


class WorkflowConfig(BaseModel):
    """Everything that was declared about a workflow, apart from its tasks."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    name: str
    description: str | None = None
    version: str | None = None
    on_events: list[str] = Field(default_factory=list)
    on_crons: list[str] = Field(default_factory=list)
    cron_input: Any = None
    sticky: StickyStrategy | None = None
    concurrency: int | ConcurrencyExpression | Sequence[ConcurrencyExpression] | None = None
    input_validator: TypeAdapter[Any]
    default_priority: int | Priority | None = None
    idempotency: Idempotency | None = None
    task_defaults: TaskDefaults = Field(default_factory=TaskDefaults)
    default_filters: list[DefaultFilter] = Field(default_factory=list)
    default_additional_metadata: dict[str, Any] = Field(default_factory=dict)
