"""The shapes of answers about pushed events and filters."""

from __future__ import annotations

from datetime import datetime

from limpet.edges.rest.schemas import JsonObject, Pagination, ResourceMeta, Schema


class EventRunCounts(Schema):
    """How the runs of an event stand."""

    running: int
    queued: int
    succeeded: int
    failed: int
    cancelled: int


class EventRun(Schema):
    """A run that an event started, and the filter that let it through."""

    workflow_run_id: str
    filter_id: str | None = None


class EventShown(Schema):
    """A pushed event. `payload` is null when the page has no room for it."""

    metadata: ResourceMeta
    key: str
    tenant_id: str
    workflow_run_summary: EventRunCounts
    additional_metadata: JsonObject
    payload: JsonObject | None = None
    scope: str | None = None
    seen_at: datetime
    triggered_runs: list[EventRun]
    triggering_webhook_name: str | None = None


class EventList(Schema):
    """A page of events."""

    rows: list[EventShown]
    pagination: Pagination


class EventData(Schema):
    """An event's payload; `data` is JSON text."""

    data: str


class EventKeys(Schema):
    """The keys of the events that are there, each once."""

    rows: list[str]
    pagination: Pagination


class FilterShown(Schema):
    """A filter. `isDeclarative`: it came with the workflow's definition."""

    metadata: ResourceMeta
    tenant_id: str
    workflow_id: str
    scope: str
    expression: str
    payload: JsonObject
    is_declarative: bool


class FilterList(Schema):
    """A page of filters. Nobody counts them: another page follows while this one is full."""

    rows: list[FilterShown]
    pagination: Pagination


class FailureShown(Schema):
    """An expression that could not be evaluated. `about`: the id of the filter, or the name of the webhook."""

    source: str
    about: str
    event_id: str | None = None
    message: str
    at: datetime


class FailureList(Schema):
    """The newest failures."""

    rows: list[FailureShown]
