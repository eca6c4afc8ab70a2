"""The bodies of requests about pushed events and filters."""

from __future__ import annotations

import msgspec

from limpet.edges.rest.bodies import Name


class EventBody(msgspec.Struct, frozen=True, rename="camel"):
    """CreateEventRequest."""

    key: Name
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    additional_metadata: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    priority: int | None = None
    scope: Name | None = None


class EventsBody(msgspec.Struct, frozen=True):
    """BulkCreateEventRequest."""

    events: list[EventBody]


class FilterBody(msgspec.Struct, frozen=True, rename="camel"):
    """V1CreateFilterRequest."""

    workflow_id: str
    expression: str
    scope: Name
    payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class FilterChange(msgspec.Struct, frozen=True):
    """V1UpdateFilterRequest: what is absent or null stays."""

    expression: str | None = None
    scope: Name | None = None
    payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
