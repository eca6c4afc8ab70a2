"""REST models of scheduled runs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel


class ScheduledRunStatus(StrEnum):
    """Values of `ScheduledRunStatus`."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"


class ScheduledWorkflowsMethod(StrEnum):
    """Values of `ScheduledWorkflowsMethod`."""

    DEFAULT = "DEFAULT"
    API = "API"


class ScheduledWorkflowsOrderByField(StrEnum):
    """Values of `ScheduledWorkflowsOrderByField`."""

    TRIGGERAT = "triggerAt"
    CREATEDAT = "createdAt"


class ScheduleWorkflowRunRequest(RestModel):
    """REST model `ScheduleWorkflowRunRequest`."""

    input: dict[str, Any]
    additional_metadata: dict[str, Any]
    trigger_at: datetime
    priority: int | None = Field(default=None, ge=1, le=3)


class ScheduledWorkflows(RestModel):
    """REST model `ScheduledWorkflows`."""

    metadata: APIResourceMeta
    tenant_id: str
    workflow_version_id: str
    workflow_id: str
    workflow_name: str
    trigger_at: datetime
    input: dict[str, Any] | None = None
    additional_metadata: dict[str, Any] | None = None
    workflow_run_created_at: datetime | None = None
    workflow_run_name: str | None = None
    workflow_run_status: str | None = None
    workflow_run_id: str | None = None
    method: ScheduledWorkflowsMethod
    priority: int | None = Field(default=None, ge=1, le=3)


class ScheduledWorkflowsList(RestModel):
    """REST model `ScheduledWorkflowsList`."""

    rows: list[ScheduledWorkflows] | None = None
    pagination: PaginationResponse | None = None


class ScheduledWorkflowsBulkError(RestModel):
    """REST model `ScheduledWorkflowsBulkError`."""

    id: str | None = None
    error: str


class ScheduledWorkflowsBulkDeleteResponse(RestModel):
    """REST model `ScheduledWorkflowsBulkDeleteResponse`."""

    deleted_ids: list[str]
    errors: list[ScheduledWorkflowsBulkError]


class ScheduledWorkflowsBulkUpdateItem(RestModel):
    """REST model `ScheduledWorkflowsBulkUpdateItem`."""

    id: str
    trigger_at: datetime


class ScheduledWorkflowsBulkUpdateResponse(RestModel):
    """REST model `ScheduledWorkflowsBulkUpdateResponse`."""

    updated_ids: list[str]
    errors: list[ScheduledWorkflowsBulkError]
