"""The shapes of answers about crons and scheduled runs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from limpet.edges.rest.schemas import JsonObject, Pagination, ResourceMeta, Schema


class Method(StrEnum):
    """Who made it: a definition, or a call."""

    DEFAULT = "DEFAULT"
    API = "API"


class CronOrder(StrEnum):
    """What crons are ordered by."""

    NAME = "name"
    CREATED_AT = "createdAt"


class ScheduledOrder(StrEnum):
    """What scheduled runs are ordered by."""

    TRIGGER_AT = "triggerAt"
    CREATED_AT = "createdAt"


class ScheduledStatus(StrEnum):
    """How a scheduled run stands. Whatever has started its run is gone, so that only one of these is ever true."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"


class CronShown(Schema):
    """A cron. `input` is null when the page has no room for it; `nextAt` when it is switched off."""

    metadata: ResourceMeta
    tenant_id: str
    workflow_version_id: str
    workflow_id: str
    workflow_name: str
    cron: str
    name: str | None = None
    input: JsonObject | None = None
    additional_metadata: JsonObject
    enabled: bool
    method: Method
    priority: int | None = None
    next_at: datetime | None = None


class CronList(Schema):
    """A page of crons."""

    rows: list[CronShown]
    pagination: Pagination


class ScheduledShown(Schema):
    """A scheduled run. `input` is null when the page has no room for it."""

    metadata: ResourceMeta
    tenant_id: str
    workflow_version_id: str
    workflow_id: str
    workflow_name: str
    trigger_at: datetime
    input: JsonObject | None = None
    additional_metadata: JsonObject
    method: Method
    priority: int | None = None


class ScheduledList(Schema):
    """A page of scheduled runs."""

    rows: list[ScheduledShown]
    pagination: Pagination


class Started(Schema):
    """The run that a call has started."""

    workflow_run_id: str


class BulkError(Schema):
    """Why one of many was left alone."""

    id: str | None = None
    error: str


class BulkDeleted(Schema):
    """What a bulk deletion did."""

    deleted_ids: list[str]
    errors: list[BulkError]


class BulkUpdated(Schema):
    """What a bulk change did."""

    updated_ids: list[str]
    errors: list[BulkError]
