"""What the store in memory holds, apart from the store, so that it can outlive one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from limpet.core.claim_rows import ClaimRow
from limpet.core.condition_rows import WaitRow
from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, FilterRow, PushedEventRow
from limpet.core.ids import TENANT_KEY_SHIFT, TenantNo
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import EventRow, ReceiptRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow
from limpet.core.webhook_rows import WebhookRow
from limpet.store.api import Fence, LogLine, Quarantined, Tenant, Token


@dataclass(slots=True)
class Content:
    """What is stored: rows by key, and the ways to find them. Its owner is the one store that is open over it.

    names:      (table, tenant, kind of name, name) to key: every name that must be unique
    tasks_of:   run key to the keys of its tasks; events_of: task key to the keys of its events
    waits:      by run key, by step
    key_floors: by tenant, the largest key that was ever deleted
    logs:       (tenant, task run id) to its lines
    """

    fence: Fence = Fence(0, 0)
    gone_before: int = 0
    tenants: dict[int, Tenant] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    workflows: dict[int, WorkflowRow] = field(default_factory=dict)
    versions: dict[int, VersionRow] = field(default_factory=dict)
    workers: dict[int, WorkerRow] = field(default_factory=dict)
    runs: dict[int, RunRow] = field(default_factory=dict)
    tasks: dict[int, TaskRow] = field(default_factory=dict)
    receipts: dict[int, ReceiptRow] = field(default_factory=dict)
    events: dict[int, EventRow] = field(default_factory=dict)
    crons: dict[int, CronRow] = field(default_factory=dict)
    schedules: dict[int, ScheduleRow] = field(default_factory=dict)
    rate_limits: dict[int, RateLimitRow] = field(default_factory=dict)
    claims: dict[int, ClaimRow] = field(default_factory=dict)
    pauses: dict[int, PauseRow] = field(default_factory=dict)
    pushed_events: dict[int, PushedEventRow] = field(default_factory=dict)
    event_runs: dict[int, EventRunRow] = field(default_factory=dict)
    filters: dict[int, FilterRow] = field(default_factory=dict)
    expression_failures: dict[int, ExpressionFailureRow] = field(default_factory=dict)
    webhooks: dict[int, WebhookRow] = field(default_factory=dict)
    waits: dict[int, tuple[WaitRow, ...]] = field(default_factory=dict)
    names: dict[tuple[Any, ...], int] = field(default_factory=dict)
    tasks_of: dict[int, tuple[int, ...]] = field(default_factory=dict)
    events_of: dict[int, tuple[int, ...]] = field(default_factory=dict)
    key_floors: dict[int, int] = field(default_factory=dict)
    quarantine: tuple[Quarantined, ...] = ()
    logs: dict[tuple[int, str], deque[LogLine]] = field(default_factory=dict)

    def copy(self) -> Content:
        """The same content, for later; rows are immutable, so only what holds them is copied."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        copied: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
        copied["logs"] = {task: lines.copy() for task, lines in self.logs.items()}
        return Content(**copied)

    def key_of(self, kind: str, tenant_no: TenantNo, what: str, name: str | bytes) -> int | None:
        """The key behind a unique name."""
        return self.names.get((kind, tenant_no, what, name))

    def of(self, tenant_no: TenantNo, table: dict[int, Any]) -> list[Any]:
        """A tenant's rows of a table by key."""
        return [table[key] for key in sorted(table) if key >> TENANT_KEY_SHIFT == tenant_no]

    def waits_of(self, runs: Iterable[RunRow]) -> list[WaitRow]:
        """The conditions of the runs' tasks."""
        return [wait for run in runs for wait in self.waits.get(run.key, ())]

    def tasks_of_run(self, run_key: int) -> list[TaskRow]:
        """In order of their steps."""
        tasks = (self.tasks[key] for key in self.tasks_of.get(run_key, ()))
        return sorted(tasks, key=lambda task: (task.step, task.key))

    def is_gone(self, run: RunRow) -> bool:
        """Whether the run's retention is over (R50)."""
        return run.finished_at is not None and run.finished_at < self.gone_before
