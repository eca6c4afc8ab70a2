"""A door that records what it is asked and answers as it was told to; `test_fake_door.py` holds it against `Door`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from limpet.core.definition_text import encode_definition
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.errors import LimpetError
from limpet.core.event_rows import ExpressionFailureRow
from limpet.core.explain import Explanation, Outlook, Reason
from limpet.core.ids import ActionId, TenantId, TenantNo
from limpet.core.inputs import Input
from limpet.core.limits_view import LimitsView
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rate_views import RatesView
from limpet.core.rows import Born, EventRow, RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow, WorkflowRow
from limpet.core.subscriptions import Candidate
from limpet.core.views import OutputView, WorkerView
from limpet.core.webhook_rows import WebhookRow
from limpet.edges.access import AccessUnavailable, NotAuthenticated
from limpet.store.api import (
    CronRecord,
    EventQuery,
    EventRecord,
    FilterQuery,
    FilterRecord,
    LogLine,
    LogQuery,
    RateLimitQuery,
    RunQuery,
    RunRecord,
    ScheduleRecord,
    TaskRecord,
    TimetableQuery,
)

TENANT = TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52")
OTHER_TENANT = TenantId("11111111-80ab-4e1f-a156-f1c4546cbf52")
TENANTS = {TENANT: TenantNo(1), OTHER_TENANT: TenantNo(2)}
AT = 1_700_000_000_000_000

Reply = object | LimpetError | Callable[[Any], Awaitable[object]]


class FakeAccess:
    """Tokens by their text; `unavailable` makes every question unanswerable."""

    def __init__(self) -> None:
        self.tenants = {"bearer one": TENANT, "bearer two": OTHER_TENANT}
        self.unavailable = False

    def tenant_of(self, authorization: str | None) -> TenantId:
        if self.unavailable:
            raise AccessUnavailable("the tokens cannot be read")
        if authorization not in self.tenants:
            raise NotAuthenticated("no such token")
        return self.tenants[authorization]


class FakeReader:
    """Rows in memory, by tenant. `failure` is raised by every method while it is set."""

    def __init__(self) -> None:
        self.records: dict[tuple[int, str], RunRecord] = {}
        self.asked: list[tuple[str, str]] = []
        self.queries: list[RunQuery] = []
        self.named: list[WorkflowRow] = []
        self.version_rows: list[VersionRow] = []
        self.failure: Exception | None = None
        self.looked = asyncio.Event()

    def add(self, record: RunRecord, tenant_no: int = 1) -> RunRecord:
        self.records[(tenant_no, record.run.id)] = record
        return record

    def _ask(self, what: str, key: str) -> None:
        self.asked.append((what, key))
        self.looked.set()
        if self.failure is not None:
            raise self.failure

    async def run(self, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
        self._ask("run", run_id)
        return self.records.get((tenant_no, run_id))

    async def task(self, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None:
        self._ask("task", task_run_id)
        for (no, _), record in self.records.items():
            for task in record.tasks:
                if no == tenant_no and task.id == task_run_id:
                    return TaskRecord(task, record.run, record.workflow, record.version)
        return None

    async def runs(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[RunRecord], int]:
        self._ask("runs", "")
        self.queries.append(query)
        wanted = [
            record
            for (no, _), record in self.records.items()
            if no == tenant_no and (query.statuses is None or record.run.status in query.statuses) and _has_pair(record, query)
        ]
        return wanted[query.offset : query.offset + query.limit], len(wanted)

    async def tasks(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[TaskRecord], int]:
        self._ask("tasks", "")
        return [], 0

    async def status_counts(self, tenant_no: TenantNo, query: RunQuery) -> Mapping[int, int]:
        self._ask("status_counts", "")
        return {}

    async def events(self, tenant_no: TenantNo, tasks: Collection[Born]) -> Sequence[EventRow]:
        self._ask("events", "")
        return []

    async def event_payloads(self, keys: Collection[int]) -> Mapping[int, bytes]:
        self._ask("event_payloads", "")
        return {}

    async def workflows(self, tenant_no: TenantNo) -> Sequence[WorkflowRow]:
        self._ask("workflows", "")
        return list(self.named)

    async def pauses(self, tenant_no: TenantNo) -> Mapping[int, PauseRow]:
        self._ask("pauses", "")
        return {}

    async def versions(self, tenant_no: TenantNo, workflow_id: str) -> Sequence[VersionRow]:
        self._ask("versions", workflow_id)
        return list(self.version_rows)

    async def workers_by_key(self, tenant_no: TenantNo, keys: Collection[int]) -> Mapping[int, WorkerRow]:
        self._ask("workers_by_key", "")
        return {}

    async def crons(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[CronRecord], int]:
        self._ask("crons", "")
        return [], 0

    async def schedules(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[ScheduleRecord], int]:
        self._ask("schedules", "")
        return [], 0

    async def rate_limits(self, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[Sequence[RateLimitRow], int]:
        self._ask("rate_limits", "")
        return [], 0

    async def pushed_events(self, tenant_no: TenantNo, query: EventQuery) -> tuple[Sequence[EventRecord], int]:
        self._ask("pushed_events", "")
        return [], 0

    async def event_names(self, tenant_no: TenantNo) -> Sequence[str]:
        self._ask("event_names", "")
        return []

    async def filters(self, tenant_no: TenantNo, query: FilterQuery) -> Sequence[FilterRecord]:
        self._ask("filters", "")
        return []

    async def webhooks(self, tenant_no: TenantNo) -> Sequence[WebhookRow]:
        self._ask("webhooks", "")
        return []

    async def expression_failures(self, tenant_no: TenantNo, limit: int) -> Sequence[ExpressionFailureRow]:
        self._ask("expression_failures", "")
        return []

    async def payloads(
        self, runs: Collection[Born], tasks: Collection[Born]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        self._ask("payloads", "")
        return {}, {}

    async def log_lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        self._ask("log_lines", query.task_run_id)
        return []


def _has_pair(record: RunRecord, query: RunQuery) -> bool:
    metadata = (record.run.metadata or b"").decode()
    return not query.metadata or any(f'"{key}":"{value}"' in metadata for key, value in query.metadata)


@dataclass
class FakeDoor:
    """Inputs are kept in order. `replies` by input type: a value, an error to raise, or an async function of the input."""

    reader: FakeReader = field(default_factory=FakeReader)
    submitted: list[tuple[TenantId, Input]] = field(default_factory=list)
    notified: list[tuple[TenantId, Input]] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    replies: dict[type, Reply] = field(default_factory=dict)
    views: dict[str, WorkerView] = field(default_factory=dict)
    receipts: dict[str, int] = field(default_factory=dict)
    expressions: dict[str, LimitsView] = field(default_factory=dict)
    subscribed: dict[tuple[str, str | None], Sequence[Candidate]] = field(default_factory=dict)
    looked_at: dict[str, OutputView] = field(default_factory=dict)
    awaited_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, tenant: TenantId, item: Input) -> object:
        self.submitted.append((tenant, item))
        self.happened.set()
        reply = self.replies.get(type(item))
        if isinstance(reply, Exception):
            raise reply
        return await reply(item) if callable(reply) else reply

    def notify(self, tenant: TenantId, item: Input) -> None:
        self.notified.append((tenant, item))

    def tenant_no(self, tenant: TenantId) -> TenantNo | None:
        return TENANTS.get(tenant)

    def worker(self, tenant: TenantId, worker_id: str) -> WorkerView | None:
        return self.views.get(worker_id) if tenant == TENANT else None

    def workers(self, tenant: TenantId) -> Sequence[WorkerView]:
        return list(self.views.values())

    def candidates(self, tenant: TenantId, event_key: str, scope: str | None) -> Sequence[Candidate]:
        return self.subscribed.get((event_key, scope), ())

    def limits(self, tenant: TenantId, workflow_name: str) -> LimitsView | None:
        return self.expressions.get(workflow_name)

    def output_view(self, tenant: TenantId, task_run_id: str) -> OutputView | None:
        return self.looked_at.get(task_run_id)

    def rates(self, tenant: TenantId) -> RatesView:
        return RatesView((), 0)

    def awaited(self, tenant: TenantId, event_key: str) -> tuple[str, ...]:
        return self.awaited_of.get(event_key, ())

    def started_at(self, tenant: TenantId, task_run_ids: Sequence[str]) -> dict[str, int]:
        return {one: self.receipts[one] for one in task_run_ids if one in self.receipts}

    async def explain(self, tenant: TenantId, task_run_id: str) -> Explanation:
        return Explanation(task_run_id, Outlook.NOW, Reason.NONE, "")

    def log(self, line: LogLine) -> bool:
        self.lines.append(line)
        return True

    standby: str | None = None

    @property
    def is_ready(self) -> bool:
        return True

    async def until(self, kind: type, count: int = 1) -> Input:
        """Return the `count`-th input of that type, waiting for it."""
        while True:
            found = [item for _, item in self.submitted if isinstance(item, kind)]
            if len(found) >= count:
                return found[count - 1]
            self.happened.clear()
            await self.happened.wait()


def worker_view(worker_id: str, *, gone_at: int | None = None) -> WorkerView:
    """A registered worker."""
    return WorkerView(1, worker_id, "w", ("a:t",), (), (), b"{}", AT, AT, True, False, None, gone_at, ())


def run_id(number: int) -> str:
    """A UUID that one can read."""
    return f"00000000-0000-7000-8000-{number:012d}"


def task_row(number: int, step: int, status: TaskStatus, **more: Any) -> TaskRow:
    """A task of a run; give what differs from a queued one."""
    fields: dict[str, Any] = {
        "key": number, "id": run_id(number), "tenant_no": 1, "run_key": 1, "step": step, "created_at": AT, "status": status,
        "retry_count": 0, "app_retries": 0, "internal_retries": 0, "level": 1, "class_id": 1, "enqueue_key": number, "queued_at": AT,
        "not_before": None, "schedule_deadline": None, "worker_key": None, "assigned_at": None, "execution_deadline": None,
        "slots_released": 0, "started_at": None, "finished_at": None, "output": None, "output_bytes": 0, "error": None,
    }  # fmt: skip
    return TaskRow(**{**fields, **more})


def run_record(
    number: int, status: RunStatus, tasks: Sequence[TaskRow], names: Sequence[str] = ("step1", "step2"), **more: Any
) -> RunRecord:
    """A run of workflow `wf` whose tasks are called `names`."""
    fields: dict[str, Any] = {
        "key": number, "id": run_id(number), "tenant_no": 1, "workflow_key": 1, "version_key": number, "status": status,
        "input": b'{"a":1}', "input_bytes": 7, "metadata": b"{}", "priority": 1, "sticky": None, "desired_worker_id": None,
        "desired_labels": None, "pin_state": 0, "pin_worker_id": None, "pin_task_key": None, "parent_run_id": None,
        "parent_task_id": None, "child_index": None, "child_key": None, "child_ref": None, "request_id": None, "created_at": AT,
        "started_at": None, "finished_at": AT + 5_000_000 if status.is_terminal else None,
    }  # fmt: skip
    definition = WorkflowDefinition("wf", tuple(TaskDefinition(name, ActionId(f"wf:{name}")) for name in names))
    version = VersionRow(number, run_id(900), 1, 1, 1, b"", encode_definition(definition), AT)
    workflow = WorkflowRow(1, run_id(901), 1, "wf", AT, None)
    return RunRecord(RunRow(**{**fields, **more}), workflow, version, tuple(tasks))
