"""REST models of workflows and their versions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel


class ConcurrencyLimitStrategy(StrEnum):
    """Values of `ConcurrencyLimitStrategy`."""

    CANCEL_IN_PROGRESS = "CANCEL_IN_PROGRESS"
    DROP_NEWEST = "DROP_NEWEST"
    QUEUE_NEWEST = "QUEUE_NEWEST"
    GROUP_ROUND_ROBIN = "GROUP_ROUND_ROBIN"


class ConcurrencyScope(StrEnum):
    """Values of `ConcurrencyScope`."""

    WORKFLOW = "WORKFLOW"
    TASK = "TASK"


class WorkflowPauseScheduledCronRunQueueBehavior(StrEnum):
    """Values of `WorkflowPauseScheduledCronRunQueueBehavior`."""

    DROP = "DROP"
    QUEUE = "QUEUE"


class ConcurrencySetting(RestModel):
    """REST model `ConcurrencySetting`."""

    max_runs: int
    limit_strategy: ConcurrencyLimitStrategy
    expression: str
    step_readable_id: str | None = None
    scope: ConcurrencyScope


class PauseWorkflowRequestPause(RestModel):
    """REST model `PauseWorkflowRequestPause`."""

    action: str
    paused_workflow_cron_run_queue_behavior: WorkflowPauseScheduledCronRunQueueBehavior
    paused_workflow_scheduled_run_queue_behavior: WorkflowPauseScheduledCronRunQueueBehavior
    paused_workflow_queue_ttl: str = Field(alias="pausedWorkflowQueueTTL")


class PauseWorkflowRequestUnpause(RestModel):
    """REST model `PauseWorkflowRequestUnpause`."""

    action: str


class Step(RestModel):
    """REST model `Step`."""

    metadata: APIResourceMeta
    readable_id: str
    tenant_id: str
    job_id: str
    action: str
    timeout: str | None = None
    is_durable: bool | None = None
    slot_requests: dict[str, int] | None = None
    children: list[str] | None = None
    parents: list[str] | None = None


class WorkflowConcurrency(RestModel):
    """REST model `WorkflowConcurrency`."""

    max_runs: int
    limit_strategy: ConcurrencyLimitStrategy
    get_concurrency_group: str


class WorkflowTag(RestModel):
    """REST model `WorkflowTag`."""

    name: str
    color: str


class WorkflowTriggerCronRef(RestModel):
    """REST model `WorkflowTriggerCronRef`."""

    parent_id: str | None = None
    cron: str | None = None


class WorkflowTriggerEventRef(RestModel):
    """REST model `WorkflowTriggerEventRef`."""

    parent_id: str | None = None
    event_key: str | None = None


class WorkflowTriggers(RestModel):
    """REST model `WorkflowTriggers`."""

    metadata: APIResourceMeta | None = None
    workflow_version_id: str | None = None
    tenant_id: str | None = None
    events: list[WorkflowTriggerEventRef] | None = None
    crons: list[WorkflowTriggerCronRef] | None = None


class WorkflowUpdateRequest(RestModel):
    """REST model `WorkflowUpdateRequest`."""

    pause: PauseWorkflowRequest | None = None


class Job(RestModel):
    """REST model `Job`."""

    metadata: APIResourceMeta
    tenant_id: str
    version_id: str
    name: str
    description: str | None = None
    steps: list[Step]
    timeout: str | None = None


class Workflow(RestModel):
    """REST model `Workflow`."""

    metadata: APIResourceMeta
    name: str
    description: str | None = None
    is_paused: bool | None = None
    paused_workflow_cron_run_queue_behavior: WorkflowPauseScheduledCronRunQueueBehavior | None = None
    paused_workflow_scheduled_run_queue_behavior: WorkflowPauseScheduledCronRunQueueBehavior | None = None
    versions: list[WorkflowVersionMeta] | None = None
    tags: list[WorkflowTag] | None = None
    jobs: list[Job] | None = None
    tenant_id: str
    triggers: WorkflowTriggers | None = None


class WorkflowList(RestModel):
    """REST model `WorkflowList`."""

    metadata: APIResourceMeta | None = None
    rows: list[Workflow] | None = None
    pagination: PaginationResponse | None = None


class WorkflowVersion(RestModel):
    """REST model `WorkflowVersion`."""

    metadata: APIResourceMeta
    version: str
    order: int
    workflow_id: str
    sticky: str | None = None
    default_priority: int | None = None
    workflow: Workflow | None = None
    concurrency: WorkflowConcurrency | None = None
    triggers: WorkflowTriggers | None = None
    schedule_timeout: str | None = None
    jobs: list[Job] | None = None
    workflow_config: dict[str, Any] | None = None
    v1_concurrency: list[ConcurrencySetting] | None = None
    input_json_schema: dict[str, Any] | None = None


class WorkflowVersionMeta(RestModel):
    """REST model `WorkflowVersionMeta`."""

    metadata: APIResourceMeta
    version: str
    order: int
    workflow_id: str
    workflow: Workflow | None = None


PauseWorkflowRequest = PauseWorkflowRequestPause | PauseWorkflowRequestUnpause
