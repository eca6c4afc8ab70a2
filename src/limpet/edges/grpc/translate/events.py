"""Pushed events, and the filters a workflow declares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from limpet.contracts import events_pb2 as wire
from limpet.contracts.admin_pb2 import DefaultFilter as WireFilter
from limpet.core.definitions import DefaultFilter
from limpet.core.errors import InvalidArgument
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import TenantId
from limpet.core.settings import Settings
from limpet.edges import json_text
from limpet.edges.events import NewEvent
from limpet.edges.grpc.translate.instants import timestamp
from limpet.edges.grpc.translate.workers import check_text


def new_event(request: wire.PushEventRequest, limits: Settings) -> NewEvent:
    """An event to push. Raises InvalidArgument (F5.1)."""
    check_text("event key", request.key, limits.name_bytes_max)
    if request.scope:
        check_text("event scope", request.scope, limits.name_bytes_max)
    what = f"event {request.key}: "
    return NewEvent(
        name=request.key,
        payload=json_text.check_object(request.payload.encode(), what + "payload", limits.payload_bytes_max),
        metadata=json_text.check_object(
            request.additional_metadata.encode(), what + "additional metadata", limits.metadata_bytes_max
        ),
        priority=request.priority if request.HasField("priority") else None,
        scope=request.scope or None,
    )


def new_events(requests: Sequence[wire.PushEventRequest], limits: Settings) -> list[NewEvent]:
    """Events to push together. Raises InvalidArgument (F5.2)."""
    if not 1 <= len(requests) <= limits.bulk_items_max:
        raise InvalidArgument(f"a push must have 1 to {limits.bulk_items_max} events (bulk_items_max), got {len(requests)}")
    return [_numbered(index, request, limits) for index, request in enumerate(requests)]


def event_answer(tenant: TenantId, event: NewEvent, row: PushedEventRow) -> wire.Event:
    """An event as it was stored."""
    return wire.Event(
        tenant_id=tenant,
        event_id=row.id,
        key=event.name,
        payload=event.payload.decode(),
        event_timestamp=timestamp(row.created_at),
        additional_metadata=event.metadata.decode(),
        scope=event.scope,
    )


def default_filters(filters: Iterable[WireFilter], limits: Settings) -> tuple[DefaultFilter, ...]:
    """The filters that a workflow declares."""
    return tuple(
        DefaultFilter(one.expression, one.scope, json_text.check_object(one.payload, "filter payload", limits.metadata_bytes_max))
        for one in filters
    )


def _numbered(index: int, request: wire.PushEventRequest, limits: Settings) -> NewEvent:
    try:
        return new_event(request, limits)
    except InvalidArgument as error:
        raise InvalidArgument(f"item {index}: {error}") from None
