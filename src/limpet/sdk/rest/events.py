"""REST models of pushed events and of filters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel
from limpet.sdk.rest.tenants import Tenant


class V1EventWorkflowRunSummary(RestModel):
    """REST model `V1EventWorkflowRunSummary`."""

    running: int
    queued: int
    succeeded: int
    failed: int
    cancelled: int


class V1EventTriggeredRun(RestModel):
    """REST model `V1EventTriggeredRun`."""

    workflow_run_id: str
    filter_id: str | None = None


class V1Event(RestModel):
    """REST model `V1Event`."""

    metadata: APIResourceMeta
    key: str
    tenant: Tenant | None = None
    tenant_id: str
    workflow_run_summary: V1EventWorkflowRunSummary
    additional_metadata: dict[str, Any] | None = None
    payload: dict[str, Any] | None = None
    scope: str | None = None
    seen_at: datetime | None = None
    triggered_runs: list[V1EventTriggeredRun] | None = None
    triggering_webhook_name: str | None = None
    payloads_restricted: bool | None = None


class V1EventList(RestModel):
    """REST model `V1EventList`."""

    pagination: PaginationResponse | None = None
    rows: list[V1Event] | None = None


class V1Filter(RestModel):
    """REST model `V1Filter`."""

    metadata: APIResourceMeta
    tenant_id: str
    workflow_id: str
    scope: str
    expression: str
    payload: dict[str, Any]
    is_declarative: bool | None = None


class V1FilterList(RestModel):
    """REST model `V1FilterList`."""

    pagination: PaginationResponse | None = None
    rows: list[V1Filter] | None = None


class V1CreateFilterRequest(RestModel):
    """REST model `V1CreateFilterRequest`."""

    workflow_id: str
    expression: str
    scope: str
    payload: dict[str, Any] | None = None


class V1UpdateFilterRequest(RestModel):
    """REST model `V1UpdateFilterRequest`."""

    expression: str | None = None
    scope: str | None = None
    payload: dict[str, Any] | None = None
