"""The shapes of answers about workflows, and the older shape of a run that one client still reads."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from limpet.edges.rest.schemas import JsonObject, Pagination, ResourceMeta, Schema


class VersionMeta(Schema):
    """A version of a workflow, in brief."""

    metadata: ResourceMeta
    version: str
    order: int
    workflow_id: str


class ConditionsShown(Schema):
    """Conditions of a task of which one suffices, in words. All of one list (`wait_for`, `skip_if`, `cancel_if`) must hold."""

    list_name: str
    any_of: list[str]


class StepShown(Schema):
    """A task of a workflow."""

    metadata: ResourceMeta
    readable_id: str
    tenant_id: str
    job_id: str
    action: str
    timeout: str
    is_durable: bool
    slot_requests: dict[str, int]
    children: list[str]
    parents: list[str]
    conditions: list[ConditionsShown]


class JobShown(Schema):
    """The graph of a workflow version; there is one for the tasks and one for the on-failure task."""

    metadata: ResourceMeta
    tenant_id: str
    version_id: str
    name: str
    description: str | None = None
    steps: list[StepShown]


class EventTrigger(Schema):
    """An event key that starts a workflow."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)

    parent_id: str
    event_key: str


class CronTrigger(Schema):
    """A declared cron."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)

    parent_id: str
    cron: str


class Triggers(Schema):
    """What starts a version by itself, as it declares it. In snake case on the wire."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)

    metadata: ResourceMeta
    workflow_version_id: str
    tenant_id: str
    events: list[EventTrigger]
    crons: list[CronTrigger]


class WorkflowShown(Schema):
    """A workflow. `warnings`: what its newest version declares and this engine does not carry out.

    paused_…: only while it is paused
    """

    metadata: ResourceMeta
    name: str
    description: str
    is_paused: bool = False
    paused_workflow_cron_run_queue_behavior: str | None = None
    paused_workflow_scheduled_run_queue_behavior: str | None = None
    versions: list[VersionMeta]
    tags: list[JsonObject]
    jobs: list[JobShown]
    triggers: Triggers | None = None
    tenant_id: str
    warnings: list[str]


class WorkflowList(Schema):
    """A page of workflows."""

    rows: list[WorkflowShown]
    pagination: Pagination


class OlderConcurrency(Schema):
    """The first limit of a whole workflow, in the older shape."""

    max_runs: int
    limit_strategy: str
    get_concurrency_group: str


class ConcurrencySetting(Schema):
    """A concurrency limit of a version. `scope`: WORKFLOW, or TASK with the task's name.

    max_runs: 0 where `max_runs_expression` computes it for each run
    name, is_tenant_scoped: workflows share a limit with tenant scope by its name
    """

    max_runs: int
    limit_strategy: str
    expression: str
    step_readable_id: str | None = None
    scope: str
    name: str | None = None
    is_tenant_scoped: bool = False
    max_runs_expression: str | None = None


class VersionShown(Schema):
    """A version of a workflow."""

    metadata: ResourceMeta
    version: str
    order: int
    workflow_id: str
    sticky: str | None = None
    default_priority: int | None = None
    workflow: WorkflowShown
    schedule_timeout: str
    jobs: list[JobShown]
    triggers: Triggers
    concurrency: OlderConcurrency | None = None
    v1_concurrency: list[ConcurrencySetting]
    workflow_config: JsonObject
    input_json_schema: JsonObject | None = None


class StepRunShown(Schema):
    """A task run in the older shape; `output` is JSON text."""

    metadata: ResourceMeta
    tenant_id: str
    job_run_id: str
    step_id: str
    output: str | None = None
    status: str
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelled_at: datetime | None = None


class JobRunShown(Schema):
    """All task runs of a run, in the older shape."""

    metadata: ResourceMeta
    tenant_id: str
    workflow_run_id: str
    job_id: str
    job: JobShown
    step_runs: list[StepRunShown]
    status: str
    started_at: datetime | None = None
    finished_at: datetime | None = None


class TriggeredBy(Schema):
    """Who started a run."""

    metadata: ResourceMeta
    parent_workflow_run_id: str | None = None
    event_id: str | None = None
    cron_schedule: str | None = None


class OlderRun(Schema):
    """A run in the older shape, as lists have it."""

    metadata: ResourceMeta
    tenant_id: str
    workflow_id: str
    workflow_version_id: str
    status: str
    display_name: str
    triggered_by: TriggeredBy
    input: JsonObject
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: int | None = None
    parent_id: str | None = None
    parent_step_run_id: str | None = None
    additional_metadata: JsonObject


class RunShape(OlderRun):
    """A run in the older shape, with its task runs."""

    job_runs: list[JobRunShown]


class OlderRunList(Schema):
    """A page of runs in the older shape."""

    rows: list[OlderRun]
    pagination: Pagination


class WorkflowMetrics(Schema):
    """Runs of a workflow by the key of its first concurrency limit. `groupKeyRunsCount`: of the key that was asked for."""

    group_key_runs_count: int | None = None
    group_key_count: int
