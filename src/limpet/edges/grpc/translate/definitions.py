"""A registration as a definition. Only wire values are read here; what a definition must fulfil, the core checks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from limpet.contracts.admin_pb2 import Concurrency, CreateTaskOpts, CreateWorkflowVersionRequest
from limpet.core.definitions import (
    BACKOFF_MAX_DEFAULT_US,
    DEFAULT_EXECUTION_TIMEOUT_US,
    DEFAULT_SCHEDULE_TIMEOUT_US,
    DEFAULT_SLOT_TYPE,
    Feature,
    StickyStrategy,
    TaskDefinition,
    WorkflowDefinition,
)
from limpet.core.durations import parse_duration
from limpet.core.errors import InvalidArgument
from limpet.core.ids import SECOND_US, ActionId
from limpet.core.settings import Settings
from limpet.edges import json_text
from limpet.edges.grpc.translate import conditions
from limpet.edges.grpc.translate.concurrency import concurrency_limits
from limpet.edges.grpc.translate.events import default_filters
from limpet.edges.grpc.translate.idempotency import idempotency
from limpet.edges.grpc.translate.labels import desired_labels
from limpet.edges.grpc.translate.rate_limits import rate_uses
from limpet.edges.grpc.translate.workers import slot_units

DURABLE_SLOT_TYPE = "durable"  # SL-2
DESCRIPTION_BYTES_MAX = 64 * 1024
VERSION_BYTES_MAX = 255


def definition_of(request: CreateWorkflowVersionRequest, limits: Settings) -> WorkflowDefinition:
    """The definition. Raises InvalidArgument for a value that cannot be read."""
    _check_enums(request, f"workflow {request.name}")
    _check_length("description", request.description, DESCRIPTION_BYTES_MAX)
    _check_length("version", request.version, VERSION_BYTES_MAX)
    on_failure = request.on_failure_task if request.HasField("on_failure_task") else None
    return WorkflowDefinition(
        name=request.name,
        tasks=tuple(_task(task, limits) for task in request.tasks),
        description=request.description,
        version=request.version,
        on_failure=None if on_failure is None else _task(on_failure, limits),
        sticky=StickyStrategy(request.sticky) if request.HasField("sticky") else None,
        default_priority=request.default_priority if request.HasField("default_priority") else None,
        input_schema=_schema(request, limits),
        undelivered=tuple(_undelivered(request)),
        crons=tuple(request.cron_triggers),
        cron_input=json_text.check_object(request.cron_input.encode(), "cron_input", limits.payload_bytes_max),
        concurrency=concurrency_limits(_whole(request), "workflow"),
        idempotency=idempotency(request),
        events=tuple(dict.fromkeys(request.event_triggers)),
        filters=default_filters(request.default_filters, limits),
    )


def _task(task: CreateTaskOpts, limits: Settings) -> TaskDefinition:
    where = f"task {task.readable_id}"
    factor = _factor_milli(task, where)
    return TaskDefinition(
        name=task.readable_id,
        action_id=ActionId(task.action),
        parents=tuple(dict.fromkeys(task.parents)),
        retries=task.retries,
        schedule_timeout_us=_duration(task.schedule_timeout, DEFAULT_SCHEDULE_TIMEOUT_US, f"{where}: schedule timeout"),
        execution_timeout_us=_duration(task.timeout, DEFAULT_EXECUTION_TIMEOUT_US, f"{where}: timeout"),
        backoff_factor_milli=factor,
        backoff_max_us=_backoff_max_us(task, factor),
        desired_labels=desired_labels(task.worker_labels, where, limits),
        slot_requests=_slot_requests(task, where),
        is_durable=task.is_durable,
        concurrency=concurrency_limits(task.concurrency, where),
        rate_limits=rate_uses(task.rate_limits),
        conditions=conditions.conditions_of(task.conditions, where),
    )


def _whole(request: CreateWorkflowVersionRequest) -> Sequence[Concurrency]:
    """The limits of the whole workflow; the older single field is read when the list is empty (F2.3)."""
    if request.concurrency_arr:
        return request.concurrency_arr
    return [request.concurrency] if request.HasField("concurrency") else []


def _duration(text: str, default_us: int, what: str) -> int:
    return parse_duration(text, what) if text else default_us


def _factor_milli(task: CreateTaskOpts, where: str) -> int | None:
    """Thousandths: the core knows no floats (R1)."""
    if not task.HasField("backoff_factor"):
        return None
    if not math.isfinite(task.backoff_factor):
        raise InvalidArgument(f"{where}: backoff factor must be a number between 1 and 1000, got {task.backoff_factor}")
    return round(task.backoff_factor * 1000)


def _backoff_max_us(task: CreateTaskOpts, factor: int | None) -> int:
    """The cap counts only together with a factor (RT-3)."""
    if factor is None or not task.HasField("backoff_max_seconds"):
        return BACKOFF_MAX_DEFAULT_US
    return task.backoff_max_seconds * SECOND_US


def _slot_requests(task: CreateTaskOpts, where: str) -> tuple[tuple[str, int], ...]:
    if task.slot_requests:
        return slot_units(task.slot_requests, where)
    return ((DURABLE_SLOT_TYPE if task.is_durable else DEFAULT_SLOT_TYPE, 1),)


def _schema(request: CreateWorkflowVersionRequest, limits: Settings) -> bytes | None:
    """The JSON schema of the input, for people; an absent one stays absent."""
    if not request.input_json_schema:
        return None
    return json_text.check_object(request.input_json_schema, "input_json_schema", limits.payload_bytes_max)


def _undelivered(request: CreateWorkflowVersionRequest) -> Iterator[tuple[Feature, str]]:
    """What is declared and not carried out, and where."""
    for task in request.tasks:
        yield from _undelivered_of_task(task)
    if request.HasField("on_failure_task"):
        yield from _undelivered_of_task(request.on_failure_task)


def _undelivered_of_task(task: CreateTaskOpts) -> Iterator[tuple[Feature, str]]:
    where = f"task {task.readable_id}"
    if task.is_durable:
        yield Feature.DURABLE, where
    if task.HasField("batch"):
        yield Feature.BATCH, where


def _check_length(what: str, text: str, bytes_max: int) -> None:
    if len(text.encode()) > bytes_max or "\0" in text:
        raise InvalidArgument(f"{what} is not usable; use at most {bytes_max} bytes of text without NUL characters")


def _check_enums(message: Message, where: str) -> None:
    """Refuse numbers that name no value of their enum, anywhere in the message (ST-2)."""
    for field, value in message.ListFields():
        if field.enum_type is not None and value not in field.enum_type.values_by_number:
            known = ", ".join(f"{number} ({one.name})" for number, one in field.enum_type.values_by_number.items())
            raise InvalidArgument(f"{where}: {field.name} {value} is unknown; use {known}")
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in _messages(value):
                _check_enums(inner, where)


def _messages(value: Any) -> Iterator[Message]:
    """The messages in a message field: its value, its items, or the values of its map."""
    items = [value] if isinstance(value, Message) else value.values() if hasattr(value, "values") else value
    yield from (item for item in items if isinstance(item, Message))
