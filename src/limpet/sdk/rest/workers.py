"""REST models of workers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel


class StepRunStatus(StrEnum):
    """Values of `StepRunStatus`."""

    PENDING = "PENDING"
    PENDING_ASSIGNMENT = "PENDING_ASSIGNMENT"
    ASSIGNED = "ASSIGNED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CANCELLING = "CANCELLING"
    BACKOFF = "BACKOFF"


class WorkerRuntimeSDKs(StrEnum):
    """Values of `WorkerRuntimeSDKs`."""

    GOLANG = "GOLANG"
    PYTHON = "PYTHON"
    TYPESCRIPT = "TYPESCRIPT"
    RUBY = "RUBY"


class WorkerStatus(StrEnum):
    """Values of `WorkerStatus`."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    PAUSED = "PAUSED"


class WorkerType(StrEnum):
    """Values of `WorkerType`."""

    SELFHOSTED = "SELFHOSTED"
    MANAGED = "MANAGED"
    WEBHOOK = "WEBHOOK"


class RecentStepRuns(RestModel):
    """REST model `RecentStepRuns`."""

    metadata: APIResourceMeta
    action_id: str
    status: StepRunStatus
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelled_at: datetime | None = None
    workflow_run_id: str


class RegisteredWorkflow(RestModel):
    """REST model `RegisteredWorkflow`."""

    id: str
    name: str


class SemaphoreSlots(RestModel):
    """REST model `SemaphoreSlots`."""

    step_run_id: str
    action_id: str
    started_at: datetime | None = None
    timeout_at: datetime | None = None
    workflow_run_id: str
    status: StepRunStatus | None = None


class UpdateWorkerRequest(RestModel):
    """REST model `UpdateWorkerRequest`."""

    is_paused: bool | None = None


class WorkerLabel(RestModel):
    """REST model `WorkerLabel`."""

    metadata: APIResourceMeta
    key: str
    value: str | None = None


class WorkerRuntimeInfo(RestModel):
    """REST model `WorkerRuntimeInfo`."""

    sdk_version: str | None = None
    language: WorkerRuntimeSDKs | None = None
    language_version: str | None = None
    os: str | None = None
    runtime_extra: str | None = None


class WorkerSlotConfig(RestModel):
    """REST model `WorkerSlotConfig`."""

    available: int | None = None
    limit: int


class Worker(RestModel):
    """REST model `Worker`."""

    metadata: APIResourceMeta
    name: str
    type: WorkerType
    last_heartbeat_at: datetime | None = None
    last_listener_established: datetime | None = None
    actions: list[str] | None = None
    registered_workflows: list[RegisteredWorkflow] | None = None
    slots: list[SemaphoreSlots] | None = None
    recent_step_runs: list[RecentStepRuns] | None = None
    status: WorkerStatus | None = None
    slot_config: dict[str, WorkerSlotConfig] | None = None
    dispatcher_id: str | None = None
    labels: list[WorkerLabel] | None = None
    webhook_url: str | None = None
    webhook_id: str | None = None
    runtime_info: WorkerRuntimeInfo | None = None
    operator_id: str | None = None
    evicted_durable_task_count: int | None = None


class WorkerList(RestModel):
    """REST model `WorkerList`."""

    pagination: PaginationResponse | None = None
    rows: list[Worker] | None = None
