"""The shapes of answers, as official clients parse them. Names and nullability follow the wire, not our taste.

Laws (the traps of this contract):
1. `input`, `output` and log metadata are objects, never null; integers are whole; five task statuses, no more.
2. Event types are a closed enum: a new value would break every official client (OB-1).
3. A payload stays the bytes that were stored: it travels through these models as an opaque fragment (design D10).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

JsonObject = Annotated[Any, WithJsonSchema({"type": "object", "additionalProperties": True})]
"""A JSON object, as an `orjson.Fragment` of stored bytes or as a dict."""


class Schema(BaseModel):
    """Base of all answers: camel case outside, our names inside."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, arbitrary_types_allowed=True, extra="forbid"
    )


class ApiError(Schema):
    """One thing that is wrong."""

    code: int | None = None
    field: str | None = None
    description: str


class ApiErrors(Schema):
    """Every answer that is not a success."""

    errors: list[ApiError]


class ResourceMeta(Schema):
    """Id and times of a thing."""

    id: str
    created_at: datetime
    updated_at: datetime


class Pagination(Schema):
    """Where a page lies. These three are in snake case on the wire."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)

    current_page: int
    next_page: int
    num_pages: int | None = None


class TaskStatusName(StrEnum):
    """How tasks and runs are shown."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class RunKind(StrEnum):
    """A run of several tasks, or one task."""

    DAG = "DAG"
    TASK = "TASK"


class RunningFilter(StrEnum):
    """Which of the running ones; no durable task is evicted by this engine, so EVICTED selects nothing."""

    ALL = "ALL"
    EVICTED = "EVICTED"
    ON_WORKER = "ON_WORKER"


class MetadataOperator(StrEnum):
    """How several metadata pairs are joined."""

    OR = "OR"
    AND = "AND"


class TaskSummary(Schema):
    """A task, or in lists of runs a run; `children` are the tasks of a run of several.

    waits_for: what a task that waits for its conditions still needs; told where one run or one task is asked for
    """

    metadata: ResourceMeta
    action_id: str | None = None
    retry_count: int
    attempt: int
    additional_metadata: JsonObject
    children: list[TaskSummary] | None = None
    created_at: datetime
    display_name: str
    duration: int | None = None
    is_durable: bool | None = None
    error_message: str | None = None
    finished_at: datetime | None = None
    input: JsonObject
    num_spawned_children: int
    output: JsonObject
    status: TaskStatusName
    is_evicted: bool = False
    started_at: datetime | None = None
    step_id: str | None = None
    waits_for: str | None = None
    task_external_id: str
    task_id: int
    task_inserted_at: datetime
    tenant_id: str
    type: RunKind
    workflow_id: str
    workflow_name: str
    workflow_run_external_id: str
    workflow_version_id: str
    parent_task_external_id: str | None = None
    payloads_restricted: bool = False


class TaskSummaryList(Schema):
    """A page of tasks or runs."""

    pagination: Pagination
    rows: list[TaskSummary]


class TaskEvent(Schema):
    """One line of a task's timeline."""

    id: int
    task_id: str
    timestamp: datetime
    event_type: str
    message: str
    error_message: str | None = None
    worker_id: str | None = None
    task_display_name: str
    retry_count: int
    attempt: int


class TaskEventList(Schema):
    """A task's timeline."""

    pagination: Pagination
    rows: list[TaskEvent]


class Run(Schema):
    """A workflow run. `output`: of a one-task run the task's, else an object by task name (W4.8)."""

    metadata: ResourceMeta
    status: TaskStatusName
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: int | None = None
    tenant_id: str
    additional_metadata: JsonObject
    display_name: str
    workflow_id: str
    output: JsonObject
    error_message: str | None = None
    workflow_version_id: str
    input: JsonObject
    created_at: datetime
    parent_task_external_id: str | None = None
    payloads_restricted: bool = False


class ShapeItem(Schema):
    """A step of the workflow's graph and the task that carries it out, the nil UUID before it exists."""

    task_external_id: str
    step_id: str
    children_step_ids: list[str]
    task_name: str


class RunDetails(Schema):
    """Everything about one run."""

    run: Run
    task_events: list[TaskEvent]
    shape: list[ShapeItem]
    tasks: list[TaskSummary]
    workflow_config: JsonObject


class TaskIds(Schema):
    """The task runs that a cancel or replay took on (W12.10)."""

    ids: list[str]


class RunningDetail(Schema):
    """Where running tasks are."""

    evicted: int
    on_worker: int


class StatusCount(Schema):
    """How many tasks have a status."""

    status: TaskStatusName
    count: int
    running_detail_count: RunningDetail | None = None


class QueueMetrics(Schema):
    """Waiting tasks by queue, which is the action id (W1.3)."""

    queues: dict[str, int]


class TaskStatusStat(Schema):
    """Waiting or running tasks of one name."""

    total: int
    queues: dict[str, int]
    oldest: datetime | None = None
    oldest_excluding_retries: datetime | None = None


class TaskStat(Schema):
    """What there is of a task's name."""

    queued: TaskStatusStat | None = None
    running: TaskStatusStat | None = None


class LogLevel(StrEnum):
    """Levels of log lines (W14.6)."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class LogOrder(StrEnum):
    """Oldest or newest first."""

    ASC = "ASC"
    DESC = "DESC"


class LogLineShown(Schema):
    """A line that a task wrote."""

    created_at: datetime
    message: str
    metadata: JsonObject
    task_external_id: str
    task_display_name: str
    retry_count: int
    attempt: int
    level: LogLevel | None = None


class LogLineList(Schema):
    """The lines of a task."""

    pagination: Pagination
    rows: list[LogLineShown]


class ExpressionTried(Schema):
    """What an expression gave: SUCCESS with the output, or ERROR with a sentence."""

    status: str
    output: bool | None = None
    error: str | None = None


class TenantShown(Schema):
    """A tenant. `version` is the wire's generation, which is V1 for ever."""

    metadata: ResourceMeta
    name: str
    slug: str
    analytics_opt_out: bool = True
    alert_member_emails: bool = False
    version: str = "V1"
    environment: str
    server_url: str | None = None
    data_retention_period: str | None = None


class VerdictShown(Schema):
    """What one worker, or several alike, say to a waiting task."""

    worker_id: str
    worker_name: str
    cause: str
    text: str
    count: int
    asked: int | None = None
    free: int | None = None
    total: int | None = None


class ExplanationShown(Schema):
    """Why a task waits, or where it is (OB-13, OB-14)."""

    task_run_id: str
    outlook: str
    reason: str
    text: str
    worker_id: str | None = None
    worker_name: str | None = None
    position: int | None = None
    position_capped_at: int
    verdicts: list[VerdictShown]
    unblock: list[str]
