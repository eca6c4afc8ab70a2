"""The shapes of answers about workers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from limpet.edges.rest.schemas import Pagination, ResourceMeta, Schema


class WorkerStatusName(StrEnum):
    """How a worker is shown (WK-13)."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    PAUSED = "PAUSED"


class WorkerLabelShown(Schema):
    """A label; whole numbers are shown as text (LB-24)."""

    metadata: ResourceMeta
    key: str
    value: str


class WorkerSlotConfig(Schema):
    """A pool of slots."""

    available: int
    limit: int


class WorkerRuntime(Schema):
    """What the client said about itself."""

    sdk_version: str | None = None
    language: str | None = None
    language_version: str | None = None
    os: str | None = None
    runtime_extra: str | None = None


class RegisteredWorkflow(Schema):
    """A workflow of which the worker offers an action."""

    id: str
    name: str


class SemaphoreSlot(Schema):
    """A task that the worker has now."""

    step_run_id: str
    action_id: str
    started_at: datetime | None = None
    timeout_at: datetime | None = None
    workflow_run_id: str
    status: str


class RecentStepRun(Schema):
    """A task that the worker had last."""

    metadata: ResourceMeta
    action_id: str
    status: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelled_at: datetime | None = None
    workflow_run_id: str


class WorkerShown(Schema):
    """A worker. Tasks and workflows are told only where one worker is asked for."""

    metadata: ResourceMeta
    name: str
    type: str = "SELFHOSTED"
    last_heartbeat_at: datetime | None = None
    last_listener_established: datetime | None = None
    actions: list[str]
    registered_workflows: list[RegisteredWorkflow] | None = None
    slots: list[SemaphoreSlot] | None = None
    recent_step_runs: list[RecentStepRun] | None = None
    status: WorkerStatusName
    slot_config: dict[str, WorkerSlotConfig]
    labels: list[WorkerLabelShown]
    runtime_info: WorkerRuntime | None = None


class WorkerList(Schema):
    """A page of workers."""

    pagination: Pagination
    rows: list[WorkerShown]
