"""The registration message of a workflow."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from limpet.contracts import admin_pb2
from limpet.sdk.options import (
    Concurrency,
    DefaultFilter,
    Idempotency,
    StickyStrategy,
    TTLBasedIdempotencyConfig,
    concurrency_list,
)
from limpet.sdk.serde import EmptyModel, dump_input
from limpet.sdk.task import StepType, Task
from limpet.sdk.task_proto import concurrency_proto
from limpet.sdk.workflow_config import WorkflowConfig

logger: logging.Logger = logging.getLogger(__name__)


def workflow_proto(
    name: str, service_name: str, config: WorkflowConfig, tasks: Sequence[Task[Any, Any]], input_type: Any
) -> admin_pb2.CreateWorkflowVersionRequest:
    """The message. Raises ValueError when two tasks share a name."""
    _check_names(name, tasks)
    by_kind = {kind: [task for task in tasks if task.type is kind] for kind in StepType}
    wire = admin_pb2.CreateWorkflowVersionRequest(
        name=name,
        description=config.description,
        version=config.version,
        event_triggers=config.on_events,
        cron_triggers=config.on_crons,
        tasks=[task.to_proto(service_name) for task in by_kind[StepType.DEFAULT]],
        cron_input=None if config.cron_input is None else dump_input(config.cron_input, config.input_validator),
        sticky=None if config.sticky is None else StickyStrategy(config.sticky).value,
        default_priority=None if config.default_priority is None else int(config.default_priority),
        default_filters=[_filter(item) for item in config.default_filters],
        input_json_schema=_schema(name, config.input_validator, input_type),
        idempotency=_idempotency(config.idempotency),
    )
    for task in by_kind[StepType.ON_FAILURE]:
        wire.on_failure_task.CopyFrom(task.to_proto(service_name))
    for task in by_kind[StepType.ON_SUCCESS]:
        wire.tasks.append(_after_leaves(task.to_proto(service_name), by_kind[StepType.DEFAULT]))
    _add_concurrency(wire, config.concurrency)
    return wire


def _check_names(workflow_name: str, tasks: Sequence[Task[Any, Any]]) -> None:
    names = [task.name for task in tasks]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"Workflow {workflow_name!r} has two tasks named {min(twice)!r}. Give one of them another name.")


def _after_leaves(wire: admin_pb2.CreateTaskOpts, tasks: Sequence[Task[Any, Any]]) -> admin_pb2.CreateTaskOpts:
    """An on-success task is an ordinary one whose parents are all tasks without children."""
    inner = {parent.name for task in tasks for parent in task.parents}
    wire.parents.extend(task.name for task in tasks if task.name not in inner)
    return wire


def _add_concurrency(wire: admin_pb2.CreateWorkflowVersionRequest, concurrency: Concurrency | None) -> None:
    """A single limit has a field of its own on the wire; several, and shared ones, go as a list."""
    limits = [concurrency_proto(limit) for limit in concurrency_list(concurrency)]
    if len(limits) == 1 and not limits[0].is_tenant_scoped:
        wire.concurrency.CopyFrom(limits[0])
    else:
        wire.concurrency_arr.extend(limits)


def _filter(item: DefaultFilter) -> admin_pb2.DefaultFilter:
    return admin_pb2.DefaultFilter(expression=item.expression, scope=item.scope, payload=json.dumps(item.payload).encode())


def _idempotency(config: Idempotency | None) -> admin_pb2.IdempotencyConfig | None:
    if config is None:
        return None
    is_ttl = isinstance(config, TTLBasedIdempotencyConfig)
    ttl = config.ttl if isinstance(config, TTLBasedIdempotencyConfig) else config.fallback_ttl
    return admin_pb2.IdempotencyConfig(
        expression=config.key_expression,
        ttl_ms=int(ttl / timedelta(milliseconds=1)),
        method="TTL" if is_ttl else "STATUS",
    )


def _schema(name: str, adapter: TypeAdapter[Any], input_type: Any) -> bytes | None:
    """The JSON schema of the input; None for the open model and for types that have none."""
    if input_type is EmptyModel:
        return None
    try:
        return json.dumps(adapter.json_schema(), sort_keys=True).encode()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, ValueError) as error:
        logger.debug("The input of workflow %s has no JSON schema (%s).", name, error)
        return None
