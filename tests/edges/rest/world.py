"""A small world for the REST edge: rows of one store, a door over them, a server on loopback.

The door obeys inputs just as far as answers show it (a trigger makes rows, a cancel ends them); the rules are the
core's and are tested there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any

from limpet.core.decision import Changes
from limpet.core.definition_text import checksum, decode_definition, encode_definition
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.errors import InvalidArgument, LimpetError, NotOwner
from limpet.core.event_inputs import EventsPushed, ExpressionFailed, FilterCreated, FilterDeleted, FilterUpdated
from limpet.core.explain import Explanation, Outlook, Reason, Verdict
from limpet.core.ids import (
    SECOND_US,
    TENANT_KEY_SHIFT,
    ActionId,
    Instant,
    TenantId,
    TenantNo,
    WorkflowId,
    WorkflowKey,
    external_id,
    first_key,
)
from limpet.core.inputs import (
    CancelRequested,
    Input,
    LabelsUpserted,
    ReplayRequested,
    RunsTriggered,
    Trigger,
    WorkerPaused,
    WorkflowDeleted,
    WorkflowPut,
)
from limpet.core.limits_view import LimitsView
from limpet.core.machine import Machine
from limpet.core.pause_inputs import WorkflowPaused, WorkflowUnpaused
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.rate_views import RatesView
from limpet.core.records import Workflow
from limpet.core.rows import EventRow, EventType, RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow, WorkflowRow
from limpet.core.subscriptions import Candidate, Subscriptions
from limpet.core.timetable_inputs import (
    CronCreated,
    CronDeleted,
    CronSwitched,
    CronTriggered,
    ScheduleDeleted,
    ScheduleMoved,
    SchedulesCreated,
    ScheduleTriggered,
)
from limpet.core.views import OutputView, SlotView, WorkerView
from limpet.core.webhook_inputs import WebhookCreated, WebhookDeleted, WebhookUpdated
from limpet.store.api import Batch, LogLine, Reader, RunRecord, Tenant
from limpet.store.memory.store import MemoryStore

NOW_S = 1_790_000_000
NOW = NOW_S * SECOND_US
SALT = b"a salt for tests"
TENANT = Tenant(TenantNo(1), TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52"), "Blue Team", NOW - 9 * SECOND_US)
OTHER = Tenant(TenantNo(2), TenantId("8b1f0c7e-2f3a-4b1c-9d55-0a1b2c3d4e5f"), "Red Team", NOW - 8 * SECOND_US)


def task(name: str, workflow: str, *, parents: tuple[str, ...] = ()) -> TaskDefinition:
    return TaskDefinition(name=name, action_id=ActionId(f"{workflow.lower()}:{name}"), parents=parents)


class World:
    """Writes rows into a store in memory, is the door to them, and remembers what was handed in."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.reader: Reader = self.store.reader
        self.views: dict[str, WorkerView] = {}
        self.receipts: dict[str, int] = {}
        self.expressions: dict[str, LimitsView] = {}
        self.explained: dict[str, Explanation | Exception] = {}  # by task run id; others wait for a label
        self.submitted: list[tuple[TenantId, Input]] = []
        self.rates_view = RatesView((), 0)
        self.refusal: Exception | None = None
        self.is_ready = True
        self.standby: str | None = None
        self.owner_elsewhere: NotOwner | None = None
        self._keys = {TENANT.no: first_key(TENANT.no), OTHER.no: first_key(OTHER.no)}

    # Rows

    async def open(self) -> None:
        await self.store.open()
        for tenant in (TENANT, OTHER):
            await self.store.create_tenant(tenant.id, tenant.name, tenant.created_at)
        await self.store.claim()

    async def write(self, no: TenantNo, **rows: list[Any]) -> None:
        fences = {group: fence.next() for group, fence in (await self.store.fences()).items()}
        await self.store.commit(Batch(fences, [(no, Changes(**rows))]))

    def key(self, no: TenantNo = TENANT.no) -> int:
        self._keys[no] += 1
        return self._keys[no]

    def new_id(self, key: int) -> str:
        return external_id(key, Instant(NOW), SALT)

    async def workflow(self, name: str, *tasks: TaskDefinition, no: TenantNo = TENANT.no, **options: Any) -> WorkflowRow:
        """A workflow with one version; without tasks it has one of its own name."""
        definition = WorkflowDefinition(name=name, tasks=tasks or (task(name, name),), **options)
        row = WorkflowRow(key := self.key(no), self.new_id(key), no, name, NOW - 60 * SECOND_US, None)
        await self.write(no, workflows=[row])
        await self.version(row, definition, 1)
        return row

    async def version(self, workflow: WorkflowRow, definition: WorkflowDefinition, number: int) -> VersionRow:
        no, text = TenantNo(workflow.tenant_no), encode_definition(definition)
        key, at = self.key(no), NOW - (60 - number) * SECOND_US
        row = VersionRow(key, self.new_id(key), no, workflow.key, number, checksum(text), text, at)
        await self.write(no, versions=[row])
        return row

    async def run(
        self, name: str, *statuses: TaskStatus, no: TenantNo = TENANT.no, status: RunStatus | None = None, **columns: Any
    ) -> RunRecord:
        """A run with a task for each status, in the order of its steps; payloads and times as a life would leave them."""
        workflow = next(row for row in await self.reader.workflows(no) if row.name == name)
        version = (await self.reader.versions(no, workflow.id))[0]
        wanted = statuses or (TaskStatus.QUEUED,)
        run_id = self.new_id(key := self.key(no))
        run = plain_run(key, run_id, no, workflow.key, version.key, run_status(wanted) if status is None else status)
        run = run._replace(**columns)
        is_single = len(decode_definition(version.definition).steps) == 1
        tasks = []
        for step, each in enumerate(wanted):
            task_key = self.key(no)
            task_id = run.id if is_single else self.new_id(task_key)
            tasks.append(plain_task(task_key, task_id, no, key, step, each, run.created_at))
        await self.write(no, runs_opened=[run], tasks_opened=tasks)
        return RunRecord(run, workflow, version, tasks)

    async def change(self, row: TaskRow, **columns: Any) -> TaskRow:
        changed = row._replace(**columns)
        await self.write(TenantNo(row.tenant_no), tasks_changed=[changed])
        return changed

    async def event(
        self, row: TaskRow, kind: EventType, at: int, *, retry_count: int = 0, worker: int | None = None, message: str = ""
    ) -> None:
        no = TenantNo(row.tenant_no)
        await self.write(no, events=[EventRow(self.key(no), no, row.key, retry_count, at, kind, worker, message)])

    async def worker_joins(self, name: str, *actions: str, no: TenantNo = TENANT.no, **fields: Any) -> WorkerView:
        key = self.key(no)
        view = WorkerView(
            key=key,
            worker_id=self.new_id(key),
            name=name,
            actions=actions,
            labels=(("region", "eu"), ("memory", 16)),
            slots=(SlotView("default", 100, 99),),
            runtime=b'{"sdk_version":"1.43.1","language":"PYTHON","language_version":"3.11","os":"linux"}',
            registered_at=NOW - 30 * SECOND_US,
            seen_at=NOW - SECOND_US,
            stream_open=True,
            paused=False,
            lost_at=None,
            gone_at=None,
            task_run_ids=(),
        )
        self.views[view.worker_id] = view = replace(view, **fields)
        row = WorkerRow(key, view.worker_id, no, name, b"[]", b"{}", b"{}", view.runtime, view.registered_at, None, 0, None, None)
        await self.write(no, workers=[row])
        return view

    # The door

    async def submit(self, tenant: TenantId, item: Input) -> object:
        self.submitted.append((tenant, item))
        if self.refusal is not None:
            raise self.refusal
        match item:
            case RunsTriggered():
                return tuple([await self._trigger(each) for each in item.items])
            case CancelRequested():
                return tuple([await self._cancel(each) for each in await self._tasks_of(item.ids) if each.finished_at is None])
            case ReplayRequested():
                return tuple([each.id for each in await self._tasks_of(item.ids)])
            case WorkerPaused():
                self.views[item.worker_id] = replace(self.views[item.worker_id], paused=item.paused)
            case LabelsUpserted():
                view = self.views[item.worker_id]
                kept = tuple(pair for pair in view.labels if pair[0] not in item.removed)
                self.views[item.worker_id] = replace(view, labels=kept)
            case CronCreated() | CronSwitched() | CronDeleted() | CronTriggered():
                return await self._by_core(item)
            case RateLimitPut() | RateLimitPaused() | RateLimitDeleted():
                return await self._by_core(item)
            case SchedulesCreated() | ScheduleMoved() | ScheduleDeleted() | ScheduleTriggered():
                return await self._by_core(item)
            case WorkflowPaused() | WorkflowUnpaused() | WebhookCreated() | WebhookUpdated() | WebhookDeleted():
                return await self._by_core(item)
            case WorkflowPut() | EventsPushed() | FilterCreated() | FilterUpdated() | FilterDeleted() | ExpressionFailed():
                return await self._by_core(item)
            case WorkflowDeleted():
                row = next(row for row in await self.reader.workflows(TENANT.no) if row.id == item.workflow_id)
                await self.write(TENANT.no, workflows=[row._replace(deleted_at=NOW)])
        return None

    async def _by_core(self, item: Input) -> object:
        """As the real core answers it, over the same rows."""
        machine = Machine.load(await self.store.load(TENANT.no), tenant_no=TENANT.no, now=Instant(NOW), salt=SALT)
        found = await self.store.look_up(TENANT.no, machine.needs([item]))
        decision = machine.step([item], Instant(NOW), found)
        if decision.changes:
            changes = decision.changes
            await self.write(TENANT.no, **{each.name: getattr(changes, each.name) for each in fields(changes)})
        self._keys[TENANT.no] = machine.state.next_key
        if isinstance(decision.replies[0], LimpetError):
            raise decision.replies[0]
        return decision.replies[0]

    def notify(self, tenant: TenantId, item: Input) -> None:
        self.submitted.append((tenant, item))

    def tenant_no(self, tenant: TenantId) -> TenantNo | None:
        if self.owner_elsewhere is not None:
            raise self.owner_elsewhere
        return {TENANT.id: TENANT.no, OTHER.id: OTHER.no}.get(tenant)

    def worker(self, tenant: TenantId, worker_id: str) -> WorkerView | None:
        return next((view for view in self.workers(tenant) if view.worker_id == worker_id), None)

    def workers(self, tenant: TenantId) -> Sequence[WorkerView]:
        no = self.tenant_no(tenant)
        return [view for view in self.views.values() if no is not None and view.key >> TENANT_KEY_SHIFT == no]

    def candidates(self, tenant: TenantId, event_key: str, scope: str | None) -> Sequence[Candidate]:
        """As the real core tells them, over the same rows."""
        content = self.store.content
        known = Subscriptions(content.filters.values())
        for row in content.workflows.values():
            newest = max((one for one in content.versions.values() if one.workflow_key == row.key), key=lambda one: one.number)
            workflow = Workflow(WorkflowKey(row.key), WorkflowId(row.id), row.name, Instant(row.created_at))
            if row.tenant_no == self.tenant_no(tenant) and row.deleted_at is None:
                known.subscribe(workflow, decode_definition(newest.definition).events)
        return known.candidates(event_key, scope)

    def limits(self, tenant: TenantId, workflow_name: str) -> LimitsView | None:
        return self.expressions.get(workflow_name)

    def output_view(self, tenant: TenantId, task_run_id: str) -> OutputView | None:
        return None

    def rates(self, tenant: TenantId) -> RatesView:
        return self.rates_view

    def awaited(self, tenant: TenantId, event_key: str) -> tuple[str, ...]:
        return ()

    def started_at(self, tenant: TenantId, task_run_ids: Sequence[str]) -> dict[str, int]:
        return {each: self.receipts[each] for each in task_run_ids if each in self.receipts}

    async def explain(self, tenant: TenantId, task_run_id: str) -> Explanation:
        if (known := self.explained.get(task_run_id)) is not None:
            if isinstance(known, Exception):
                raise known
            return known
        verdict = Verdict("w", "north", "label", "region EQUAL us wanted, worker has eu")
        text = "required label region EQUAL us matched by none of 1 workers"
        return Explanation(
            task_run_id, Outlook.NOT_NOW, Reason.NO_LABEL_MATCH, text, position=1, verdicts=(verdict,), unblock=("start one",)
        )

    def log(self, line: LogLine) -> bool:
        raise AssertionError("the REST edge writes no log lines")

    async def _trigger(self, item: Trigger) -> str:
        if not any(row.name == item.workflow_name for row in await self.reader.workflows(TENANT.no)):
            raise InvalidArgument(f"workflow {item.workflow_name} not found")
        columns = {"input": item.input, "input_bytes": len(item.input), "metadata": item.metadata, "priority": item.priority or 1}
        return (await self.run(item.workflow_name, **columns)).run.id

    async def _tasks_of(self, ids: Collection[str]) -> list[TaskRow]:
        runs = [await self.reader.run(TENANT.no, each) for each in ids]
        tasks = [await self.reader.task(TENANT.no, each) for each in ids]
        found = {row.key: row for record in runs if record for row in record.tasks}
        return list({**found, **{record.task.key: record.task for record in tasks if record}}.values())

    async def _cancel(self, row: TaskRow) -> str:
        await self.change(row, status=TaskStatus.CANCELLED, finished_at=NOW)
        return row.id


def run_status(statuses: Sequence[TaskStatus]) -> RunStatus:
    """As OB-5 has it, for a run whose tasks all exist."""
    kinds = set(statuses)
    if kinds <= {TaskStatus.QUEUED, TaskStatus.PENDING, TaskStatus.BACKING_OFF}:
        return RunStatus.QUEUED
    if not all(each.is_terminal for each in kinds):
        return RunStatus.RUNNING
    if TaskStatus.FAILED in kinds:
        return RunStatus.FAILED
    return RunStatus.CANCELLED if TaskStatus.CANCELLED in kinds else RunStatus.COMPLETED


def plain_run(key: int, run_id: str, no: int, workflow_key: int, version_key: int, status: RunStatus) -> RunRow:
    """A run without wishes."""
    text, ended = b'{"n": 1.0}', NOW if status.is_terminal else None
    return RunRow(
        key=key,
        id=run_id,
        tenant_no=no,
        workflow_key=workflow_key,
        version_key=version_key,
        status=status,
        input=text,
        input_bytes=len(text),
        metadata=b'{"customer":"42"}',
        priority=1,
        sticky=None,
        desired_worker_id=None,
        desired_labels=None,
        pin_state=0,
        pin_worker_id=None,
        pin_task_key=None,
        parent_run_id=None,
        parent_task_id=None,
        child_index=None,
        child_key=None,
        child_ref=None,
        request_id=None,
        created_at=NOW - 4 * SECOND_US,
        started_at=None if status is RunStatus.QUEUED else NOW - 2 * SECOND_US,
        finished_at=ended,
    )


def plain_task(key: int, task_id: str, no: int, run_key: int, step: int, status: TaskStatus, created_at: int) -> TaskRow:
    """A task as its status implies: live ones are assigned, ended ones have times, an output or an error."""
    begun = status.is_live or status in (TaskStatus.COMPLETED, TaskStatus.FAILED)
    output = b'{"sum": 3}' if status is TaskStatus.COMPLETED else None
    return TaskRow(
        key=key,
        id=task_id,
        tenant_no=no,
        run_key=run_key,
        step=step,
        created_at=created_at,
        status=status,
        retry_count=0,
        app_retries=0,
        internal_retries=0,
        level=1,
        class_id=1,
        enqueue_key=key,
        queued_at=created_at,
        not_before=None,
        schedule_deadline=None,
        worker_key=None,
        assigned_at=created_at + SECOND_US if begun else None,
        execution_deadline=None,
        slots_released=0,
        started_at=created_at + 2 * SECOND_US if begun and status.is_terminal else None,
        finished_at=created_at + 4 * SECOND_US if status.is_terminal else None,
        output=output,
        output_bytes=len(output or b""),
        error="ValueError: no such thing" if status is TaskStatus.FAILED else None,
    )
