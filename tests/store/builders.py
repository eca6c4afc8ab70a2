"""Valid rows for tests of stores, and an owner that commits them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from limpet.core.decision import Changes
from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, FailureSource, FilterRow, PushedEventRow
from limpet.core.ids import Instant, TenantId, TenantNo, external_id, first_key
from limpet.core.rows import (
    EventRow,
    EventType,
    PinState,
    ReceiptRow,
    RunRow,
    RunStatus,
    TaskRow,
    TaskStatus,
    VersionRow,
    WorkerRow,
    WorkflowRow,
)
from limpet.core.webhook_rows import WebhookRow
from limpet.store.api import ONLY_GROUP, Batch, Fence, Fences, GroupNo, LogLine, Store

ONE, TWO = TenantNo(1), TenantNo(2)
NOW = 1_700_000_000_000_000
SECOND = 1_000_000


@dataclass
class Rows:
    """Makes rows of one tenant with keys in order, one second of `now` apart."""

    tenant_no: TenantNo = ONE
    now: int = NOW
    last_key: int = 0
    workflow_row: WorkflowRow = field(init=False)
    version_row: VersionRow = field(init=False)
    worker_row: WorkerRow = field(init=False)

    def __post_init__(self) -> None:
        self.last_key = self.last_key or first_key(self.tenant_no) - 1
        self.workflow_row = self.workflow()
        self.version_row = self.version(self.workflow_row)
        self.worker_row = self.worker()

    def definitions(self) -> Changes:
        """The workflow, version and worker that runs and tasks refer to."""
        return Changes(workflows=[self.workflow_row], versions=[self.version_row], workers=[self.worker_row])

    def key(self) -> int:
        self.last_key += 1
        return self.last_key

    def at(self) -> int:
        self.now += SECOND
        return self.now

    def id(self, key: int) -> str:
        return external_id(key, Instant(self.now), b"salt")

    def workflow(self, **values: Any) -> WorkflowRow:
        key = self.key()
        return WorkflowRow(key, self.id(key), self.tenant_no, "greet", self.at(), None)._replace(**values)

    def version(self, workflow: WorkflowRow, **values: Any) -> VersionRow:
        key = self.key()
        row = VersionRow(key, self.id(key), self.tenant_no, workflow.key, 1, b"sum", b'{"name":"greet"}', self.at())
        return row._replace(**values)

    def worker(self, **values: Any) -> WorkerRow:
        key = self.key()
        row = WorkerRow(
            key, self.id(key), self.tenant_no, "w", b'["greet:hello"]', b'[["default",100]]', b"[]", b"{}", self.at(), None, 0, None, None
        )  # fmt: skip
        return row._replace(**values)

    def run(self, **values: Any) -> RunRow:
        key = self.key()
        row = RunRow(
            key=key, id=self.id(key), tenant_no=self.tenant_no, workflow_key=self.workflow_row.key,
            version_key=self.version_row.key, status=RunStatus.QUEUED, input=b'{"a":1}', input_bytes=7, metadata=b"{}", priority=1,
            sticky=None, desired_worker_id=None, desired_labels=None, pin_state=PinState.UNSET, pin_worker_id=None,
            pin_task_key=None, parent_run_id=None, parent_task_id=None, child_index=None, child_key=None, child_ref=None,
            request_id=None, created_at=self.at(), started_at=None, finished_at=None,
        )  # fmt: skip
        row = row._replace(**values)
        return row if "input_bytes" in values else row._replace(input_bytes=len(row.input or b""))

    def task(self, run: RunRow, **values: Any) -> TaskRow:
        key = self.key()
        row = TaskRow(
            key=key, id=self.id(key), tenant_no=self.tenant_no, run_key=run.key, step=0, created_at=run.created_at,
            status=TaskStatus.QUEUED, retry_count=0, app_retries=0, internal_retries=0, level=1, class_id=7, enqueue_key=key,
            queued_at=run.created_at, not_before=None, schedule_deadline=run.created_at + 300 * SECOND, worker_key=None,
            assigned_at=None, execution_deadline=None, slots_released=0, started_at=None, finished_at=None, output=None,
            output_bytes=0, error=None,
        )  # fmt: skip
        return row._replace(**values)

    def assigned(self, task: TaskRow, **values: Any) -> TaskRow:
        at = self.at()
        row = task._replace(
            status=TaskStatus.ASSIGNED, worker_key=self.worker_row.key, assigned_at=at, execution_deadline=at + 60 * SECOND
        )
        return row._replace(**values)

    def ended(self, task: TaskRow, **values: Any) -> TaskRow:
        at = self.at()
        row = self.assigned(task)._replace(
            status=TaskStatus.COMPLETED, started_at=at, finished_at=at, output=b'{"b":2}', output_bytes=7
        )
        return row._replace(**values)

    def ended_run(self, run: RunRow, **values: Any) -> RunRow:
        """A change: without what a run keeps from its birth."""
        at = self.at()
        row = run._replace(status=RunStatus.COMPLETED, started_at=at, finished_at=at, input=None, metadata=None)
        return row._replace(**values)

    def event(self, task: TaskRow, **values: Any) -> EventRow:
        row = EventRow(self.key(), self.tenant_no, task.key, 0, self.at(), EventType.RETRYING, None, "again")
        return row._replace(**values)

    def pushed_event(self, **values: Any) -> PushedEventRow:
        """An event. `payload` and its size go together."""
        key = self.key()
        payload = values.get("payload", b'{"n":1}')
        row = PushedEventRow(
            key, self.id(key), self.tenant_no, "order:created", payload, len(payload), b"{}", None, None, None, self.at()
        )
        return row._replace(**values)

    def event_run(self, event: PushedEventRow, run: RunRow, **values: Any) -> EventRunRow:
        """The event started the run."""
        row = EventRunRow(run.key, self.tenant_no, run.id, event.key, event.id, event.name, None, b"{}", run.created_at)
        return row._replace(**values)

    def filter(self, **values: Any) -> FilterRow:
        """A filter of the builder's workflow."""
        key, at = self.key(), self.at()
        row = FilterRow(key, self.id(key), self.tenant_no, self.workflow_row.key, 0, at, "s", "true", b"{}", key, at)
        return row._replace(**values)

    def failure(self, **values: Any) -> ExpressionFailureRow:
        """An expression without an answer."""
        row = ExpressionFailureRow(self.key(), self.tenant_no, self.at(), FailureSource.FILTER, "f", None, "no such key")
        return row._replace(**values)

    def webhook(self, **values: Any) -> WebhookRow:
        """A webhook."""
        key, at = self.key(), self.at()
        row = WebhookRow(
            key,
            self.id(key),
            self.tenant_no,
            f"hook-{key}",
            "GENERIC",
            "HMAC",
            b"{}",
            b"\x00sealed",
            at,
            "'k'",
            None,
            b"{}",
            1,
            at,
        )
        return row._replace(**values)

    def receipt(self, **values: Any) -> ReceiptRow:
        return ReceiptRow(self.key(), self.tenant_no, b"\x01\x02")._replace(**values)

    def line(self, task: TaskRow, message: str = "hello", **values: Any) -> LogLine:
        return LogLine(self.tenant_no, task.id, 0, self.at(), "INFO", message, "{}")._replace(**values)


async def stored_fence(store: Store, tenant_no: TenantNo = ONE) -> Fence:
    """Of a tenant's group."""
    groups = {tenant.no: tenant.group for tenant in await store.tenants()}
    return (await store.fences())[groups.get(tenant_no, ONLY_GROUP)]


@dataclass
class Owner:
    """Claims a store and commits to it, one number after the other."""

    store: Store
    fences: dict[GroupNo, Fence] = field(default_factory=dict)
    groups: dict[TenantNo, GroupNo] = field(default_factory=dict)

    async def claim(self) -> Fence:
        self.fences = dict(await self.store.claim())
        self.groups = {tenant.no: tenant.group for tenant in await self.store.tenants()}
        return self.fence

    @property
    def fence(self) -> Fence:
        """Of the first tenant's group."""
        return self.fences[self.group()]

    def group(self, tenant_no: TenantNo = ONE) -> GroupNo:
        return self.groups.get(tenant_no, ONLY_GROUP)

    def next_fences(self, *tenants: TenantNo) -> Fences:
        """What a commit for these tenants carries."""
        return {self.group(one): self.fences[self.group(one)].next() for one in tenants}

    def next_batch(self, *changes: Changes, tenant_no: TenantNo = ONE) -> Batch:
        return Batch(self.next_fences(tenant_no), [(tenant_no, each) for each in changes])

    async def commit(self, *changes: Changes, tenant_no: TenantNo = ONE) -> None:
        batch = self.next_batch(*changes, tenant_no=tenant_no)
        await self.store.commit(batch)
        self.fences.update(batch.fences)

    async def open_run(self, rows: Rows, **values: Any) -> tuple[RunRow, TaskRow]:
        """A run with one waiting task, committed."""
        run = rows.run(**values)
        task = rows.task(run)
        await self.commit(Changes(runs_opened=[run], tasks_opened=[task]), tenant_no=rows.tenant_no)
        return run, task

    async def end_run(self, rows: Rows, run: RunRow, task: TaskRow) -> tuple[RunRow, TaskRow]:
        """Both end, committed."""
        ended, ended_run = rows.ended(task), rows.ended_run(run)
        await self.commit(Changes(runs_changed=[ended_run], tasks_changed=[ended]), tenant_no=rows.tenant_no)
        return ended_run._replace(input=run.input, metadata=run.metadata), ended


async def own(store: Store, rows: Rows) -> Owner:
    """An owner of the store, which knows two tenants and the first one's definitions."""
    for name in ("one", "two"):
        await store.create_tenant(TenantId(name), name.title(), NOW)
    owner = Owner(store)
    await owner.claim()
    await owner.commit(rows.definitions())
    return owner
