"""The registration message of one task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from limpet.contracts import admin_pb2, conditions_pb2
from limpet.sdk.conditions import Condition, Conditions, ParentCondition, SleepCondition, UserEventCondition, or_groups
from limpet.sdk.labels import DesiredWorkerLabel
from limpet.sdk.options import ConcurrencyExpression, RateLimit
from limpet.sdk.triggers import wire_labels

UNLIMITED_TEXT = "-1"  # what official clients send for a rate limit without a limit of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDeclaration:
    """A task's options, all resolved; durations as wire texts."""

    name: str
    service_name: str
    parents: tuple[str, ...]
    schedule_timeout: str
    execution_timeout: str
    retries: int
    backoff_factor: float | None
    backoff_max_seconds: int | None
    rate_limits: tuple[RateLimit, ...]
    labels: Mapping[str, DesiredWorkerLabel]
    concurrency: tuple[ConcurrencyExpression, ...]
    wait_for: Conditions
    skip_if: Conditions
    cancel_if: Conditions
    slot_requests: Mapping[str, int]


def task_proto(task: TaskDeclaration) -> admin_pb2.CreateTaskOpts:
    """The message."""
    return admin_pb2.CreateTaskOpts(
        readable_id=task.name,
        action=f"{task.service_name}:{task.name}",
        timeout=task.execution_timeout,
        inputs="{}",
        parents=task.parents,
        retries=task.retries,
        rate_limits=[_rate_limit(limit) for limit in task.rate_limits],
        worker_labels=wire_labels(task.labels),
        backoff_factor=task.backoff_factor,
        backoff_max_seconds=task.backoff_max_seconds,
        concurrency=[concurrency_proto(limit) for limit in task.concurrency],
        conditions=_conditions(task),
        schedule_timeout=task.schedule_timeout,
        slot_requests=task.slot_requests,
    )


def concurrency_proto(limit: ConcurrencyExpression) -> admin_pb2.Concurrency:
    """The message of one concurrency limit. Raises ValueError for a strategy without a wire value."""
    strategies = admin_pb2.ConcurrencyLimitStrategy
    if limit.limit_strategy.value not in strategies.keys():  # noqa: SIM118  (a protobuf enum, no mapping)
        raise ValueError(f"The strategy {limit.limit_strategy.value} cannot be sent to the engine. Choose another one.")
    wire = admin_pb2.Concurrency(expression=limit.expression, limit_strategy=limit.limit_strategy.value, name=limit.name)
    if isinstance(limit.max_runs, int):
        wire.max_runs = limit.max_runs
    else:
        wire.max_runs_expression = limit.max_runs
    if limit.is_tenant_scoped:
        wire.is_tenant_scoped = True
    return wire


def _rate_limit(limit: RateLimit) -> admin_pb2.CreateTaskRateLimit:
    wire = admin_pb2.CreateTaskRateLimit(
        key=limit.static_key or limit.dynamic_key,
        key_expr=limit.dynamic_key,
        limit_values_expr=UNLIMITED_TEXT if limit.limit is None else str(limit.limit),
        duration=limit.duration.value,
    )
    if isinstance(limit.units, int):
        wire.units = limit.units
    else:
        wire.units_expr = limit.units
    return wire


def _conditions(task: TaskDeclaration) -> conditions_pb2.TaskConditions:
    wire = conditions_pb2.TaskConditions()
    for action, conditions in (("QUEUE", task.wait_for), ("CANCEL", task.cancel_if), ("SKIP", task.skip_if)):
        for group_id, members in or_groups(conditions, action=action):
            for member in members:
                _add_condition(wire, member, action, group_id)
    return wire


def _add_condition(wire: conditions_pb2.TaskConditions, condition: Condition, action: str, group_id: str) -> None:
    base = conditions_pb2.BaseMatchCondition(
        readable_data_key=condition.readable_data_key,
        action=action,
        or_group_id=group_id,
        expression=condition.expression,
    )
    if isinstance(condition, SleepCondition):
        wire.sleep_conditions.add(base=base, sleep_for=condition.duration_text)
    elif isinstance(condition, UserEventCondition):
        wire.user_event_conditions.add(
            base=base,
            user_event_key=condition.event_key,
            event_scope=condition.scope,
            consider_events_since=condition.consider_events_since,
        )
    elif isinstance(condition, ParentCondition):
        wire.parent_override_conditions.add(base=base, parent_readable_id=condition.parent.name)
