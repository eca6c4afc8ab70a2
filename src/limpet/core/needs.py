"""What a step must know that memory may lack: asked for by the core, read by the loop in one batch (R52)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from limpet.core.claim_rows import ClaimRow
from limpet.core.condition_rows import WaitRow
from limpet.core.conditions import LookBack
from limpet.core.event_rows import EventRunRow, FilterRow, PushedEventRow
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import ReceiptRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import TimetableFound, TimetableNeeds
from limpet.core.webhook_rows import WebhookRow


@dataclass(slots=True)
class Needs:
    """Look-ups for one batch of inputs of one tenant. Empty for almost every batch.

    rate_limits: by name
    look_backs:  the newest event of the past that is like each
    claims:      names of idempotency keys
    """

    child_refs: set[str] = field(default_factory=set)
    request_ids: set[str] = field(default_factory=set)
    run_or_task_ids: set[str] = field(default_factory=set)
    event_ids: set[str] = field(default_factory=set)
    timetable: TimetableNeeds = field(default_factory=TimetableNeeds)
    rate_limits: set[str] = field(default_factory=set)
    look_backs: list[LookBack] = field(default_factory=list)
    claims: set[bytes] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.look_backs) or self.has_records

    @property
    def has_records(self) -> bool:
        """Whether anything but the past of events is asked."""
        return bool(
            self.child_refs
            or self.request_ids
            or self.run_or_task_ids
            or self.event_ids
            or self.timetable
            or self.rate_limits
            or self.claims
        )


@dataclass(slots=True)
class Found:
    """What the store knew. What it did not know is simply absent.

    runs_by_ref:     child_ref to run id
    runs_by_request: request id to run id
    runs:            whole runs with all their tasks, for every id in `run_or_task_ids` that exists
    versions:        the versions those runs were made with
    rate_limits:     by every name that was asked for; None: there is none
    claims:          by name, expired ones too while they wait to be purged
    event_runs:      of those runs that events started
    events:          by id, without their payloads
    waits:           the conditions of their tasks
    look_backs:      the event without its payload, for everything that was asked; None: there is none
    """

    runs_by_ref: dict[str, str] = field(default_factory=dict)
    runs_by_request: dict[str, str] = field(default_factory=dict)
    runs: Sequence[tuple[RunRow, Sequence[TaskRow]]] = ()
    versions: Sequence[VersionRow] = ()
    timetable: TimetableFound = field(default_factory=TimetableFound)
    claims: Mapping[bytes, ClaimRow] = field(default_factory=dict)
    event_runs: list[EventRunRow] = field(default_factory=list)
    events: dict[str, PushedEventRow] = field(default_factory=dict)
    waits: list[WaitRow] = field(default_factory=list)
    rate_limits: Mapping[str, RateLimitRow | None] = field(default_factory=dict)
    look_backs: Mapping[LookBack, PushedEventRow | None] = field(default_factory=dict)


@dataclass(slots=True)
class Snapshot:
    """All that a tenant's core is rebuilt from (recovery). Counters that can be derived are not in it (R4).

    next_key:  one above the largest key of any row of the tenant
    workflows: all that are not deleted
    versions:  the newest of each workflow, and those of unfinished runs
    workers:   all that are not forgotten
    runs:      the unfinished ones; tasks: all tasks of those runs, finished ones too. Payload columns may be None
    receipts:  all that are not folded away
    due_at:    when the first cron or scheduled run is due; None: nothing is planned
    pauses:    the last one of each workflow that ever was paused, deleted ones too
    filters:   all of workflows that are not deleted; event_runs: of the unfinished runs that events started
    waits:     the conditions of the tasks of unfinished runs
    webhooks:  all
    """

    next_key: int
    workflows: Sequence[WorkflowRow] = ()
    versions: Sequence[VersionRow] = ()
    workers: Sequence[WorkerRow] = ()
    runs: Sequence[RunRow] = ()
    tasks: Sequence[TaskRow] = ()
    receipts: Sequence[ReceiptRow] = ()
    due_at: int | None = None
    pauses: Sequence[PauseRow] = ()
    filters: Sequence[FilterRow] = ()
    event_runs: Sequence[EventRunRow] = ()
    waits: Sequence[WaitRow] = ()
    webhooks: Sequence[WebhookRow] = ()
