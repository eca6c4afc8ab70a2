"""REST models of runs, tasks, their events and their log lines."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel


class V1LogLineLevel(StrEnum):
    """Values of `V1LogLineLevel`."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class V1TaskEventType(StrEnum):
    """Values of `V1TaskEventType`."""

    REQUEUED_NO_WORKER = "REQUEUED_NO_WORKER"
    REQUEUED_RATE_LIMIT = "REQUEUED_RATE_LIMIT"
    SCHEDULING_TIMED_OUT = "SCHEDULING_TIMED_OUT"
    ASSIGNED = "ASSIGNED"
    STARTED = "STARTED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    RETRYING = "RETRYING"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    REASSIGNED = "REASSIGNED"
    SLOT_RELEASED = "SLOT_RELEASED"
    TIMEOUT_REFRESHED = "TIMEOUT_REFRESHED"
    RETRIED_BY_USER = "RETRIED_BY_USER"
    SENT_TO_WORKER = "SENT_TO_WORKER"
    RATE_LIMIT_ERROR = "RATE_LIMIT_ERROR"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    CREATED = "CREATED"
    QUEUED = "QUEUED"
    SKIPPED = "SKIPPED"
    WAITING_FOR_BATCH = "WAITING_FOR_BATCH"
    BATCH_FLUSHED = "BATCH_FLUSHED"
    COULD_NOT_SEND_TO_WORKER = "COULD_NOT_SEND_TO_WORKER"
    DURABLE_EVICTED = "DURABLE_EVICTED"
    DURABLE_RESTORING = "DURABLE_RESTORING"


class V1TaskStatus(StrEnum):
    """Values of `V1TaskStatus`."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class V1WorkflowType(StrEnum):
    """Values of `V1WorkflowType`."""

    DAG = "DAG"
    TASK = "TASK"


class V1CancelledTasks(RestModel):
    """REST model `V1CancelledTasks`."""

    ids: list[str] | None = None


class V1LogLine(RestModel):
    """REST model `V1LogLine`."""

    created_at: datetime
    message: str
    metadata: dict[str, Any]
    task_external_id: str | None = None
    task_display_name: str | None = None
    retry_count: int | None = None
    attempt: int | None = None
    level: V1LogLineLevel | None = None


class V1LogLineList(RestModel):
    """REST model `V1LogLineList`."""

    pagination: PaginationResponse | None = None
    rows: list[V1LogLine] | None = None


class V1ReplayedTasks(RestModel):
    """REST model `V1ReplayedTasks`."""

    ids: list[str] | None = None


class V1RunningDetailCount(RestModel):
    """REST model `V1RunningDetailCount`."""

    evicted: int
    on_worker: int


class V1TaskEvent(RestModel):
    """REST model `V1TaskEvent`."""

    id: int
    task_id: str
    timestamp: datetime
    event_type: V1TaskEventType
    message: str
    error_message: str | None = None
    output: str | None = None
    worker_id: str | None = None
    task_display_name: str | None = None
    retry_count: int | None = None
    attempt: int | None = None


class V1TaskFilter(RestModel):
    """REST model `V1TaskFilter`."""

    since: datetime
    until: datetime | None = None
    statuses: list[V1TaskStatus] | None = None
    workflow_ids: list[str] | None = None
    additional_metadata: list[str] | None = None


class V1TaskRunMetric(RestModel):
    """REST model `V1TaskRunMetric`."""

    status: V1TaskStatus
    count: int
    running_detail_count: V1RunningDetailCount | None = None


class V1TaskSummary(RestModel):
    """REST model `V1TaskSummary`."""

    metadata: APIResourceMeta
    action_id: str | None = None
    retry_count: int | None = None
    attempt: int | None = None
    additional_metadata: dict[str, Any] | None = None
    children: list[V1TaskSummary] | None = None
    created_at: datetime
    display_name: str
    duration: int | None = None
    is_durable: bool | None = None
    error_message: str | None = None
    finished_at: datetime | None = None
    input: dict[str, Any]
    num_spawned_children: int
    output: dict[str, Any]
    status: V1TaskStatus
    is_evicted: bool | None = None
    started_at: datetime | None = None
    step_id: str | None = None
    task_external_id: str
    task_id: int
    task_inserted_at: datetime
    tenant_id: str
    type: V1WorkflowType
    workflow_id: str
    workflow_name: str | None = None
    workflow_run_external_id: str
    workflow_version_id: str | None = None
    workflow_config: dict[str, Any] | None = None
    parent_task_external_id: str | None = None
    idempotency_key: str | None = None
    payloads_restricted: bool | None = None


class V1TaskSummaryList(RestModel):
    """REST model `V1TaskSummaryList`."""

    pagination: PaginationResponse
    rows: list[V1TaskSummary]


class V1TriggerWorkflowRunRequest(RestModel):
    """REST model `V1TriggerWorkflowRunRequest`."""

    workflow_name: str
    input: dict[str, Any]
    additional_metadata: dict[str, Any] | None = None
    priority: int | None = None
    return_only_id: bool | None = None


class V1WorkflowRun(RestModel):
    """REST model `V1WorkflowRun`."""

    metadata: APIResourceMeta
    status: V1TaskStatus
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: int | None = None
    tenant_id: str
    additional_metadata: dict[str, Any] | None = None
    display_name: str
    workflow_id: str
    output: dict[str, Any]
    error_message: str | None = None
    workflow_version_id: str | None = None
    input: dict[str, Any]
    created_at: datetime | None = None
    parent_task_external_id: str | None = None
    payloads_restricted: bool | None = None


class WorkflowRunShapeItemForWorkflowRunDetails(RestModel):
    """REST model `WorkflowRunShapeItemForWorkflowRunDetails`."""

    task_external_id: str
    step_id: str
    children_step_ids: list[str]
    task_name: str


class V1CancelTaskRequest(RestModel):
    """REST model `V1CancelTaskRequest`."""

    external_ids: list[str] | None = None
    filter: V1TaskFilter | None = None


class V1ReplayTaskRequest(RestModel):
    """REST model `V1ReplayTaskRequest`."""

    external_ids: list[str] | None = None
    filter: V1TaskFilter | None = None


class V1WorkflowRunDetails(RestModel):
    """REST model `V1WorkflowRunDetails`."""

    run: V1WorkflowRun
    task_events: list[V1TaskEvent]
    shape: list[WorkflowRunShapeItemForWorkflowRunDetails]
    tasks: list[V1TaskSummary]
    workflow_config: dict[str, Any] | None = None
