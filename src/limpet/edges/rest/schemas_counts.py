"""The shapes of answers that count, and of lists that show little of many runs."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from limpet.edges.rest.schemas import Pagination, ResourceMeta, Schema, TaskStatusName


class RunCount(Schema):
    """How many runs or tasks match, counted up to a bound."""

    count: int


class RunsMetricsCounts(Schema):
    """Runs by status in the older shape, each counted up to a bound. QUEUED and PENDING are the same here."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=str.upper)

    pending: int
    running: int
    succeeded: int
    failed: int
    queued: int
    cancelled: int


class RunsMetrics(Schema):
    """Runs by status."""

    counts: RunsMetricsCounts


class TaskCounts(Schema):
    """Unfinished tasks: those that wait for a worker, those that run, those that wait for their parents."""

    num_queued: int
    num_running: int
    num_pending: int


class TenantTaskCounts(Schema):
    """Unfinished tasks of a tenant, and by workflow id."""

    total: TaskCounts
    workflow: dict[str, TaskCounts]


class WorkerCount(Schema):
    """Slots of active workers that a workflow's tasks can take."""

    free_slot_count: int
    max_slot_count: int


class DisplayName(Schema):
    """A run's shown name."""

    metadata: ResourceMeta
    display_name: str


class DisplayNameList(Schema):
    """Shown names, in the order of the ids that were asked for; unknown ids have none."""

    pagination: Pagination
    rows: list[DisplayName]


class TaskTiming(Schema):
    """When a task was queued, started and finished. `depth`: 0 for the run's own, 1 for its children's, and so on."""

    metadata: ResourceMeta
    depth: int
    status: TaskStatusName
    is_evicted: bool = False
    task_display_name: str
    task_external_id: str
    task_id: int
    task_inserted_at: datetime
    tenant_id: str
    parent_task_external_id: str | None = None
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    workflow_run_id: str
    retry_count: int
    attempt: int


class TaskTimingList(Schema):
    """The timings of a run and its children."""

    pagination: Pagination
    rows: list[TaskTiming]
