"""Everything that can follow from a step: rows to write, then answers and deliveries, then a wake-up.

Law: nothing in `replies` or `deliveries` leaves the engine before `changes` is committed (decision 0001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from limpet.core.claim_rows import ClaimRow
from limpet.core.condition_rows import WaitRow
from limpet.core.errors import LimpetError
from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, FilterRow, PushedEventRow
from limpet.core.ids import ActionId, Instant, RunKey, TaskKey, TaskRunId, WorkerId, WorkflowRunId
from limpet.core.limits_view import StartAsked
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import EventRow, ReceiptRow, RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow
from limpet.core.webhook_rows import WebhookRow


@dataclass(slots=True)
class Changes:
    """What one commit writes for one tenant, at most one row per key and list; applied in this order."""

    workflows: list[WorkflowRow] = field(default_factory=list)  # insert or replace
    versions: list[VersionRow] = field(default_factory=list)  # insert
    workers: list[WorkerRow] = field(default_factory=list)  # insert or replace
    workers_forgotten: list[int] = field(default_factory=list)  # delete by key
    runs_opened: list[RunRow] = field(default_factory=list)  # insert
    runs_changed: list[RunRow] = field(default_factory=list)  # update by key, the columns named in RunRow
    tasks_opened: list[TaskRow] = field(default_factory=list)  # insert
    tasks_changed: list[TaskRow] = field(default_factory=list)  # update by key, everything behind created_at
    receipts: list[ReceiptRow] = field(default_factory=list)  # insert
    receipts_folded: list[int] = field(default_factory=list)  # delete by key
    events: list[EventRow] = field(default_factory=list)  # insert
    crons_dropped: list[int] = field(default_factory=list)  # delete by key
    crons: list[CronRow] = field(default_factory=list)  # insert or replace
    schedules_dropped: list[int] = field(default_factory=list)  # delete by key
    schedules: list[ScheduleRow] = field(default_factory=list)  # insert or replace
    rate_limits_dropped: list[int] = field(default_factory=list)  # delete by key
    rate_limits: list[RateLimitRow] = field(default_factory=list)  # insert or replace
    claims_dropped: list[int] = field(default_factory=list)  # delete by key, if it is there
    claims: list[ClaimRow] = field(default_factory=list)  # insert
    pauses: list[PauseRow] = field(default_factory=list)  # insert or replace
    pushed_events: list[PushedEventRow] = field(default_factory=list)  # insert
    event_runs: list[EventRunRow] = field(default_factory=list)  # insert
    filters_dropped: list[int] = field(default_factory=list)  # delete by key
    filters: list[FilterRow] = field(default_factory=list)  # insert or replace
    expression_failures: list[ExpressionFailureRow] = field(default_factory=list)  # insert
    webhooks_dropped: list[int] = field(default_factory=list)  # delete by key
    webhooks: list[WebhookRow] = field(default_factory=list)  # insert or replace
    waits: list[WaitRow] = field(default_factory=list)  # insert or replace

    def __bool__(self) -> bool:
        return bool(
            self.tasks_changed
            or self.tasks_opened
            or self.runs_opened
            or self.runs_changed
            or self.receipts
            or self.receipts_folded
            or self.events
            or self.workers
            or self.workers_forgotten
            or self.workflows
            or self.versions
            or self.has_timetable
            or self.has_rate_limits
            or self.has_claims
            or self.pauses
            or self.has_events
            or self.has_webhooks
            or self.waits
        )

    @property
    def has_timetable(self) -> bool:
        """Whether crons or scheduled runs change."""
        return bool(self.crons or self.schedules or self.crons_dropped or self.schedules_dropped)

    @property
    def has_rate_limits(self) -> bool:
        """Whether rate limits change."""
        return bool(self.rate_limits or self.rate_limits_dropped)

    @property
    def has_claims(self) -> bool:
        """Whether idempotency keys are taken or given up."""
        return bool(self.claims or self.claims_dropped)

    @property
    def has_events(self) -> bool:
        """Whether events were pushed, or filters change."""
        return bool(self.pushed_events or self.filters or self.filters_dropped or self.expression_failures)

    @property
    def has_webhooks(self) -> bool:
        """Whether webhooks change."""
        return bool(self.webhooks or self.webhooks_dropped)


@dataclass(slots=True)
class PayloadRef:
    """A payload by the row that holds it; `data` is filled in by the loop just before delivery.

    of_run:     the run's input when True, else the task's output (or, with `is_error`, its error text)
    of_event:   the payload of a pushed event
    created_at: when the row was born; with `key` it finds the row (`rows.Born`)
    """

    key: int
    name: str
    of_run: bool = False
    is_error: bool = False
    data: bytes | None = None
    created_at: int = 0
    of_event: bool = False


@dataclass(frozen=True, slots=True)
class EventSource:
    """The event that started a run, as each of its tasks is told. `filter_payload`: a JSON object."""

    event_id: str
    event_name: str
    filter_payload: bytes


@dataclass(slots=True)
class StartTask:
    """Send this attempt to that worker's newest stream, once (R25).

    source: the event that started the run; None: no event did
    """

    worker_id: WorkerId
    task_key: TaskKey
    task_run_id: TaskRunId
    run_key: RunKey
    workflow_run_id: WorkflowRunId
    action_id: ActionId
    task_name: str
    retry_count: int
    priority: int
    workflow_id: str
    workflow_version_id: str
    metadata: bytes
    created_at: Instant
    input: PayloadRef
    parents: tuple[PayloadRef, ...] = ()
    triggers: tuple[PayloadRef, ...] = ()  # what satisfied its conditions, by data key (W5.16)
    errors: tuple[PayloadRef, ...] = ()  # of failed tasks, for an on-failure task
    parent_run_id: str | None = None
    child_index: int | None = None
    child_key: str | None = None
    source: EventSource | None = None


@dataclass(slots=True)
class CancelTask:
    """Tell every stream of that worker to stop this attempt (CN-2)."""

    worker_id: WorkerId
    task_run_id: TaskRunId
    workflow_run_id: WorkflowRunId
    action_id: ActionId
    task_name: str
    retry_count: int


@dataclass(slots=True)
class CloseStreams:
    """End that worker's streams with UNAVAILABLE: deaf (R26), or unsubscribed. `session` None: all of them."""

    worker_id: WorkerId
    session: int | None
    reason: str


@dataclass(slots=True)
class TaskResult:
    """How one task of a finished run ended. Its error, if any, is read like an output when `is_error`."""

    task_run_id: TaskRunId
    name: str
    status: TaskStatus
    payload: PayloadRef | None


@dataclass(slots=True)
class RunFinished:
    """Tell whoever waits for this run (E2)."""

    workflow_run_id: WorkflowRunId
    run_key: RunKey
    status: RunStatus
    at: Instant
    results: tuple[TaskResult, ...]


@dataclass(slots=True)
class TaskChanged:
    """Tell whoever watches this run's events. Only to watchers; nobody watches: dropped."""

    workflow_run_id: WorkflowRunId
    task_run_id: TaskRunId
    status: TaskStatus
    retry_count: int
    retries: int
    at: Instant


@dataclass(slots=True)
class KeysWanted:
    """Have the expressions of runs that are due evaluated; the answer is the input `StartsKeyed` (decision 0025)."""

    starts: tuple[StartAsked, ...]


Delivery = StartTask | CancelTask | CloseStreams | RunFinished | TaskChanged | KeysWanted


@dataclass(slots=True)
class Decision:
    """The whole answer of one step.

    replies:  one for each input, in order: the value its docstring names, or the error it is refused with
    stale:    reports that fitted no live attempt, by cause; a metric (R24)
    notices:  sentences for the operator's log (unsupported features, quarantined definitions)
    wake_at:  when time alone will next change something; None: never
    """

    changes: Changes
    replies: Sequence[object | LimpetError]
    deliveries: list[Delivery]
    wake_at: Instant | None
    stale: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
