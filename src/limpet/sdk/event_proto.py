"""From events to the messages that push them, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from limpet.contracts import events_pb2
from limpet.sdk.config import ClientConfig, with_prefix
from limpet.sdk.context import Context
from limpet.sdk.event_options import BulkPushEventWithMetadata, Event
from limpet.sdk.priority import check_priority
from limpet.sdk.triggers import chunked

SOURCE_RUN_KEY = "hatchet__source_workflow_run_id"
SOURCE_TASK_KEY = "hatchet__source_step_run_id"


def push_request(
    event: BulkPushEventWithMetadata, config: ClientConfig, namespace: str | None, parent: Context | None
) -> events_pb2.PushEventRequest:
    """The message that pushes an event. Inside a task its metadata tell the task. Raises TypeError for what is no JSON."""
    source = {} if parent is None else {SOURCE_RUN_KEY: parent.workflow_run_id, SOURCE_TASK_KEY: parent.task_run_id}
    request = events_pb2.PushEventRequest(
        key=config.apply_namespace(event.key) if namespace is None else with_prefix(event.key, namespace),
        payload=json.dumps(event.payload),
        additional_metadata=json.dumps(event.additional_metadata | source),
        priority=check_priority(event.priority),
        scope=event.scope,
    )
    request.event_timestamp.GetCurrentTime()
    return request


def push_chunks(requests: Sequence[events_pb2.PushEventRequest], *, bytes_max: int) -> Iterator[events_pb2.BulkPushEventRequest]:
    """The events in order, in messages that the engine takes."""
    for chunk in chunked(requests, bytes_max=bytes_max):
        yield events_pb2.BulkPushEventRequest(events=chunk)


def read_event(wire: events_pb2.Event) -> Event:
    """What the engine tells about an event."""
    return Event(
        tenant_id=wire.tenant_id,
        event_id=wire.event_id,
        key=wire.key,
        payload=wire.payload,
        event_timestamp=wire.event_timestamp,
        additional_metadata=wire.additional_metadata if wire.HasField("additional_metadata") else None,
        scope=wire.scope if wire.HasField("scope") else None,
        seen_at=wire.event_timestamp.ToDatetime(tzinfo=UTC) if wire.HasField("event_timestamp") else datetime.now(UTC),
    )
