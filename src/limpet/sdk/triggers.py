"""From "start this workflow" to the message that asks for it: children, metadata, stickiness, bulk chunks.

Law: every check that can fail is made before the first call, for all items of a bulk (ST-38).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from google.protobuf.message import Message

from limpet.contracts import trigger_pb2, workflows_pb2
from limpet.sdk.context import Context
from limpet.sdk.labels import DesiredWorkerLabel, check_label_number
from limpet.sdk.priority import check_priority
from limpet.sdk.run_variables import ctx_action_key, ctx_hatchet_context, next_child_index
from limpet.sdk.sticky_child import StickyTarget, check_sticky_child
from limpet.sdk.trigger_options import ScheduleTriggerWorkflowOptions, TriggerWorkflowOptions, labels_of

Item = TypeVar("Item", bound=Message)
BULK_ITEMS_MAX = 1_000  # the engine's limit of one call [W8.4]
KEYED_BULK_ITEMS_MAX = 100  # of a workflow with idempotency keys: what is told of collisions must fit into a trailer
BULK_OVERHEAD_BYTES = 64 * 1024  # room for metadata and framing below the send limit

_ENGINE_METADATA_PREFIX = "hatchet__"


def trigger_request(
    target: StickyTarget,
    input_text: str,
    options: TriggerWorkflowOptions,
    *,
    default_metadata: Mapping[str, Any] | None = None,
) -> trigger_pb2.TriggerWorkflowRequest:
    """The message that starts a run of `target`, as a child when called inside a task (W10.1)."""
    parent = ctx_hatchet_context.get()
    request = trigger_pb2.TriggerWorkflowRequest(
        name=target.name,
        input=input_text.encode(),
        additional_metadata=json.dumps(_metadata(parent, default_metadata, options)).encode(),
        desired_worker_id=_desired_worker_id(target, options, parent),
        priority=check_priority(options.priority),
        desired_worker_labels=wire_labels(labels_of(options)),
    )
    _name_parent(request, parent, options)
    return request


def schedule_request(
    name: str,
    run_at: datetime,
    input_text: str,
    options: ScheduleTriggerWorkflowOptions,
    *,
    default_metadata: Mapping[str, Any] | None = None,
) -> workflows_pb2.ScheduleWorkflowRequest:
    """The message that plans one run, as a child when called inside a task (F7.7)."""
    parent = ctx_hatchet_context.get()
    request = workflows_pb2.ScheduleWorkflowRequest(
        name=name,
        input=input_text,
        additional_metadata=json.dumps(_metadata(parent, default_metadata, options)),
        priority=check_priority(options.priority),
    )
    request.schedules.add().FromDatetime(run_at)
    _name_parent(request, parent, options)
    return request


def bulk_chunks(
    requests: Sequence[trigger_pb2.TriggerWorkflowRequest], *, bytes_max: int, items_max: int = BULK_ITEMS_MAX
) -> Iterator[workflows_pb2.BulkTriggerWorkflowRequest]:
    """The items in order, in messages that the engine takes: at most `items_max` items and below the send limit."""
    for chunk in chunked(requests, bytes_max=bytes_max, items_max=items_max):
        yield workflows_pb2.BulkTriggerWorkflowRequest(workflows=chunk)


def chunked(messages: Sequence[Item], *, bytes_max: int, items_max: int = BULK_ITEMS_MAX) -> Iterator[list[Item]]:
    """The messages in order, at most `items_max` together and below the send limit."""
    chunk: list[Item] = []
    size = 0
    for message in messages:
        message_size = message.ByteSize()
        if chunk and (len(chunk) >= items_max or size + message_size > bytes_max - BULK_OVERHEAD_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += message_size
    if chunk:
        yield chunk


def new_request_id() -> str:
    """The id of one trigger call; its repeats carry the same (I5)."""
    return str(uuid4())


def wire_labels(labels: Mapping[str, DesiredWorkerLabel]) -> dict[str, trigger_pb2.DesiredWorkerLabels]:
    """Desired labels as the wire carries them. What the user left out stays unset."""
    return {key: _wire_label(key, label) for key, label in labels.items()}


def _wire_label(key: str, label: DesiredWorkerLabel) -> trigger_pb2.DesiredWorkerLabels:
    wire = trigger_pb2.DesiredWorkerLabels(required=label.required)
    if isinstance(label.value, str):
        wire.str_value = label.value
    else:
        wire.int_value = check_label_number(key, label.value, what="the desired label")
    if label.weight is not None:
        wire.weight = check_label_number(key, label.weight, what="the weight of the desired label")
    if label.comparator is not None:
        wire.comparator = trigger_pb2.WorkerLabelComparator.Name(int(label.comparator))  # type: ignore[assignment]
    return wire


def _metadata(
    parent: Context | None, defaults: Mapping[str, Any] | None, options: ScheduleTriggerWorkflowOptions
) -> dict[str, Any]:
    """The parent's below the workflow's below the call's own (W8.6, W9.1)."""
    inherited = parent.additional_metadata if parent is not None else {}
    kept = {key: value for key, value in inherited.items() if not key.startswith(_ENGINE_METADATA_PREFIX)}
    return kept | dict(defaults or {}) | options.additional_metadata


def _desired_worker_id(target: StickyTarget, options: TriggerWorkflowOptions, parent: Context | None) -> str | None:
    """The explicit id, else the current worker's for a sticky child (ST-34)."""
    if options.desired_worker_id:
        _warn_of_unused_id(target)
    if not options.sticky:
        return options.desired_worker_id or None
    if parent is None:
        warnings.warn("sticky=True has no effect outside a task: there is no current worker.", stacklevel=5)
        return options.desired_worker_id or None
    check_sticky_child(target, parent.worker_action_ids)
    return options.desired_worker_id or parent.worker_id


def _warn_of_unused_id(target: StickyTarget) -> None:
    if target.is_declared_here and not target.is_sticky:
        warnings.warn(f"desired_worker_id has no effect: workflow {target.name!r} declares no sticky strategy.", stacklevel=6)


def _name_parent(
    request: trigger_pb2.TriggerWorkflowRequest | workflows_pb2.ScheduleWorkflowRequest,
    parent: Context | None,
    options: ScheduleTriggerWorkflowOptions,
) -> None:
    parent_id = options.parent_id or (parent.workflow_run_id if parent else None)
    parent_task_id = options.parent_step_run_id or (parent.task_run_id if parent else None)
    if parent_id is None or parent_task_id is None:
        return
    request.parent_id = parent_id
    request.parent_task_run_external_id = parent_task_id
    action_key = ctx_action_key.get()
    counted = next_child_index(action_key) if action_key is not None else 0
    request.child_index = options.child_index if options.child_index is not None else counted
    if options.child_key:
        request.child_key = options.child_key
