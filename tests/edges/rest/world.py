"""A small world for the REST edge: rows of one store, a door over them, a server on loopback.

The door obeys inputs just as far as answers show it (a trigger makes rows, a cancel ends them); the rules are the
core's and are tested there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from limpet.core.definition_text import checksum, encode_definition
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.errors import InvalidArgument, LimpetError, NotFound
from limpet.core.explain import Explanation, Outlook, Reason, Verdict
from limpet.core.ids import SECOND_US, ActionId, Instant, TenantId, TenantNo, external_id, first_key
from limpet.core.inputs import (
    CancelRequested,
    Input,
    LabelsUpserted,
    ReplayRequested,
    RunsTriggered,
    Trigger,
    WorkerPaused,
    WorkflowDeleted,
)
from limpet.core.rows import EventRow, EventType, RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow, WorkflowRow
from limpet.core.views import SlotView, WorkerView
from limpet.store.api import LogLine, LogQuery, RunQuery, RunRecord, TaskRecord, Tenant

NOW_S = 1_790_000_000
NOW = NOW_S * SECOND_US
SALT = b"a salt for tests"
TENANT = Tenant(TenantNo(1), TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52"), "Blue Team", NOW - 9 * SECOND_US)
OTHER = Tenant(TenantNo(2), TenantId("8b1f0c7e-2f3a-4b1c-9d55-0a1b2c3d4e5f"), "Red Team", NOW - 8 * SECOND_US)


def task(name: str, workflow: str, *, parents: tuple[str, ...] = ()) -> TaskDefinition:
    return TaskDefinition(name=name, action_id=ActionId(f"{workflow.lower()}:{name}"), parents=parents)


@dataclass
class Shelf:
    """The rows of one tenant."""

    workflows: dict[int, WorkflowRow] = field(default_factory=dict)
    versions: dict[int, VersionRow] = field(default_factory=dict)
    runs: dict[int, RunRow] = field(default_factory=dict)
    tasks: dict[int, TaskRow] = field(default_factory=dict)
    workers: dict[int, WorkerRow] = field(default_factory=dict)
    events: list[EventRow] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)


class World:
    """Builds rows, is the door to them, and remembers what was handed in."""

    def __init__(self) -> None:
        self.shelves = {TENANT.no: Shelf(), OTHER.no: Shelf()}
        self.views: dict[str, WorkerView] = {}
        self.receipts: dict[str, int] = {}
        self.submitted: list[tuple[TenantId, Input]] = []
        self.refusal: LimpetError | Exception | None = None
        self.is_ready = True
        self.reader = RowReader(self)
        self._keys = {no: first_key(no) for no in self.shelves}

    # Rows

    def key(self, no: TenantNo = TENANT.no) -> int:
        self._keys[no] += 1
        return self._keys[no]

    def new_id(self, key: int) -> str:
        return external_id(key, Instant(NOW), SALT)

    def workflow(self, name: str, *tasks: TaskDefinition, no: TenantNo = TENANT.no, **options: object) -> WorkflowDefinition:
        """A workflow with one version; without tasks it has one of its own name."""
        definition = WorkflowDefinition(name=name, tasks=tasks or (task(name, name),), **options)  # type: ignore[arg-type]
        key, version_key, text = self.key(no), self.key(no), encode_definition(definition)
        shelf = self.shelves[no]
        shelf.workflows[key] = WorkflowRow(key, self.new_id(key), no, name, NOW - 60 * SECOND_US, None)
        shelf.versions[version_key] = VersionRow(
            version_key, self.new_id(version_key), no, key, 1, checksum(text), text, NOW - 60 * SECOND_US
        )
        return definition

    def workflow_row(self, name: str, no: TenantNo = TENANT.no) -> WorkflowRow:
        return next(row for row in self.shelves[no].workflows.values() if row.name == name)

    def run(
        self, name: str, *statuses: TaskStatus, no: TenantNo = TENANT.no, status: RunStatus | None = None, **columns: object
    ) -> RunRecord:
        """A run with a task for each status, in the order of its steps; payloads and times as a life would leave them."""
        shelf, workflow = self.shelves[no], self.workflow_row(name, no)
        version = next(row for row in shelf.versions.values() if row.workflow_key == workflow.key)
        key = self.key(no)
        wanted = statuses or (TaskStatus.QUEUED,)
        row = plain_run(
            key, self.new_id(key), no, workflow.key, version.key, status if status is not None else run_status(wanted)
        )
        row = row._replace(**columns)
        shelf.runs[key] = row
        single = WorkflowDefinition is not None and len(self.definition(version).steps) == 1
        for step, each in enumerate(wanted):
            task_key = self.key(no)
            task_id = row.id if single else self.new_id(task_key)
            shelf.tasks[task_key] = plain_task(task_key, task_id, no, key, step, each, row.created_at)
        return self.record(row)

    def definition(self, version: VersionRow) -> WorkflowDefinition:
        from limpet.core.definition_text import decode_definition

        return decode_definition(version.definition)

    def record(self, run: RunRow) -> RunRecord:
        shelf = self.shelves[TenantNo(run.tenant_no)]
        tasks = sorted((each for each in shelf.tasks.values() if each.run_key == run.key), key=lambda each: each.step)
        return RunRecord(run, shelf.workflows[run.workflow_key], shelf.versions[run.version_key], tasks)

    def change_task(self, row: TaskRow, **columns: object) -> TaskRow:
        changed = row._replace(**columns)
        self.shelves[TenantNo(row.tenant_no)].tasks[row.key] = changed
        return changed

    def event(
        self, row: TaskRow, kind: EventType, at: int, *, retry_count: int = 0, worker: int | None = None, message: str = ""
    ) -> None:
        no = TenantNo(row.tenant_no)
        self.shelves[no].events.append(EventRow(self.key(no), no, row.key, retry_count, at, kind, worker, message))

    def worker_joins(self, name: str, *actions: str, no: TenantNo = TENANT.no, **fields: object) -> WorkerView:
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
        view = replace(view, **fields)  # type: ignore[arg-type]
        self.views[view.worker_id] = view
        self.shelves[no].workers[key] = WorkerRow(
            key, view.worker_id, no, name, b"[]", b"{}", b"{}", view.runtime, view.registered_at, None, 0, None, None
        )
        return view

    # The door

    async def submit(self, tenant: TenantId, item: Input) -> object:
        self.submitted.append((tenant, item))
        if self.refusal is not None:
            raise self.refusal
        match item:
            case RunsTriggered():
                return tuple(self._trigger(each) for each in item.items)
            case CancelRequested():
                return tuple(self._end(each, TaskStatus.CANCELLED) for each in self._open_tasks(item.ids))
            case ReplayRequested():
                return tuple(each.id for each in self._tasks_of(item.ids))
            case WorkerPaused():
                self.views[item.worker_id] = replace(self.views[item.worker_id], paused=item.paused)
            case LabelsUpserted():
                view = self.views[item.worker_id]
                kept = tuple(pair for pair in view.labels if pair[0] not in item.removed)
                self.views[item.worker_id] = replace(view, labels=kept)
            case WorkflowDeleted():
                shelf = self.shelves[TENANT.no]
                for key, row in shelf.workflows.items():
                    if row.id == item.workflow_id:
                        shelf.workflows[key] = row._replace(deleted_at=NOW)
        return None

    def notify(self, tenant: TenantId, item: Input) -> None:
        self.submitted.append((tenant, item))

    def tenant_no(self, tenant: TenantId) -> TenantNo | None:
        return {TENANT.id: TENANT.no, OTHER.id: OTHER.no}.get(tenant)

    def worker(self, tenant: TenantId, worker_id: str) -> WorkerView | None:
        return next((view for view in self.workers(tenant) if view.worker_id == worker_id), None)

    def workers(self, tenant: TenantId) -> Sequence[WorkerView]:
        no = self.tenant_no(tenant)
        return [view for view in self.views.values() if no is not None and view.key in self.shelves[no].workers]

    def started_at(self, tenant: TenantId, task_run_ids: Sequence[str]) -> dict[str, int]:
        return {each: self.receipts[each] for each in task_run_ids if each in self.receipts}

    async def explain(self, tenant: TenantId, task_run_id: str) -> Explanation:
        verdict = Verdict("w", "north", "label", "region EQUAL us wanted, worker has eu")
        text = "required label region EQUAL us matched by none of 1 workers"
        return Explanation(
            task_run_id, Outlook.NOT_NOW, Reason.NO_LABEL_MATCH, text, position=1, verdicts=(verdict,), unblock=("start one",)
        )

    def log(self, line: LogLine) -> bool:
        self.shelves[TenantNo(line.tenant_no)].logs.append(line)
        return True

    def _trigger(self, item: Trigger) -> str:
        if not any(row.name == item.workflow_name for row in self.shelves[TENANT.no].workflows.values()):
            raise InvalidArgument(f"workflow {item.workflow_name} not found")
        record = self.run(
            item.workflow_name, input=item.input, input_bytes=len(item.input), metadata=item.metadata, priority=item.priority or 1
        )
        return record.run.id

    def _tasks_of(self, ids: Collection[str]) -> list[TaskRow]:
        shelf = self.shelves[TENANT.no]
        return [each for each in shelf.tasks.values() if each.id in ids or shelf.runs[each.run_key].id in ids]

    def _open_tasks(self, ids: Collection[str]) -> list[TaskRow]:
        return [each for each in self._tasks_of(ids) if not TaskStatus(each.status).is_terminal]

    def _end(self, row: TaskRow, status: TaskStatus) -> str:
        self.change_task(row, status=status, finished_at=NOW)
        runs = self.shelves[TenantNo(row.tenant_no)].runs
        runs[row.run_key] = runs[row.run_key]._replace(status=RunStatus.CANCELLED, finished_at=NOW)
        return row.id


class RowReader:
    """The reader's half of a store, over the rows of a world. Lists leave payload columns out, as a store may."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.asked: list[str] = []

    def _shelf(self, tenant_no: TenantNo) -> Shelf:
        return self._world.shelves[tenant_no]

    async def run(self, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
        self.asked.append("run")
        found = next((row for row in self._shelf(tenant_no).runs.values() if row.id == run_id), None)
        return None if found is None else self._world.record(found)

    async def task(self, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None:
        self.asked.append("task")
        shelf = self._shelf(tenant_no)
        found = next((row for row in shelf.tasks.values() if row.id == task_run_id), None)
        return None if found is None else self._task_record(shelf, found)

    def _task_record(self, shelf: Shelf, row: TaskRow) -> TaskRecord:
        run = shelf.runs[row.run_key]
        return TaskRecord(row, run, shelf.workflows[run.workflow_key], shelf.versions[run.version_key])

    async def runs(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[RunRecord], int]:
        shelf = self._shelf(tenant_no)
        found = [self._world.record(run) for run in shelf.runs.values() if fits(shelf, run, run.status, query)]
        found = [each for each in found if works_on(shelf, each.tasks, query)]
        found.sort(key=lambda each: -each.run.key)
        page = found[query.offset : query.offset + query.limit]
        return [each._replace(run=each.run._replace(input=None), tasks=[bare(row) for row in each.tasks]) for each in page], len(
            found
        )

    async def tasks(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[TaskRecord], int]:
        shelf = self._shelf(tenant_no)
        rows = [row for row in shelf.tasks.values() if fits(shelf, shelf.runs[row.run_key], row.status, query)]
        found = [self._task_record(shelf, row) for row in rows if works_on(shelf, [row], query)]
        found.sort(key=lambda each: -each.task.key)
        page = found[query.offset : query.offset + query.limit]
        return [each._replace(task=bare(each.task), run=each.run._replace(input=None)) for each in page], len(found)

    async def status_counts(self, tenant_no: TenantNo, query: RunQuery) -> Mapping[int, int]:
        shelf, counts = self._shelf(tenant_no), dict[int, int]()
        for row in shelf.tasks.values():
            if fits(shelf, shelf.runs[row.run_key], row.status, query):
                counts[row.status] = counts.get(row.status, 0) + 1
        return counts

    async def events(self, tenant_no: TenantNo, task_keys: Collection[int]) -> Sequence[EventRow]:
        return sorted((row for row in self._shelf(tenant_no).events if row.task_key in task_keys), key=lambda row: row.key)

    async def workflows(self, tenant_no: TenantNo) -> Sequence[WorkflowRow]:
        return list(self._shelf(tenant_no).workflows.values())

    async def versions(self, tenant_no: TenantNo, workflow_id: str) -> Sequence[VersionRow]:
        shelf = self._shelf(tenant_no)
        keys = {row.key for row in shelf.workflows.values() if row.id == workflow_id}
        return sorted((row for row in shelf.versions.values() if row.workflow_key in keys), key=lambda row: -row.number)

    async def workers_by_key(self, tenant_no: TenantNo, keys: Collection[int]) -> Mapping[int, WorkerRow]:
        return {key: row for key, row in self._shelf(tenant_no).workers.items() if key in keys}

    async def payloads(
        self, run_keys: Collection[int], task_keys: Collection[int]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        shelves = self._world.shelves.values()
        runs = {key: row.input for shelf in shelves for key, row in shelf.runs.items() if key in run_keys}
        tasks = {key: row for shelf in shelves for key, row in shelf.tasks.items() if key in task_keys}
        return {key: data for key, data in runs.items() if data is not None}, tasks

    async def log_lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        found = [line for line in self._shelf(tenant_no).logs if line.task_run_id == query.task_run_id]
        found = [line for line in found if query.levels is None or line.level in query.levels]
        found = [line for line in found if query.search is None or query.search.lower() in line.message.lower()]
        found = [line for line in found if query.retry_count is None or line.retry_count == query.retry_count]
        found = [line for line in found if (query.since or 0) <= line.at and (query.until is None or line.at < query.until)]
        return sorted(found, key=lambda line: line.at, reverse=query.newest_first)[: query.limit]


def fits(shelf: Shelf, run: RunRow, status: int, query: RunQuery) -> bool:
    """Everything of a query that a run decides, and the status."""
    import json

    metadata = json.loads(run.metadata or b"{}")
    pairs = [str(metadata.get(key)) == value for key, value in query.metadata]
    return (
        (query.since is None or run.created_at >= query.since)
        and (query.until is None or run.created_at < query.until)
        and (query.statuses is None or status in query.statuses)
        and (query.workflow_ids is None or shelf.workflows[run.workflow_key].id in query.workflow_ids)
        and (query.parent_task_id is None or run.parent_task_id == query.parent_task_id)
        and (not pairs or (all(pairs) if query.metadata_all else any(pairs)))
    )


def works_on(shelf: Shelf, tasks: Sequence[TaskRow], query: RunQuery) -> bool:
    """Whether one of the tasks is on the worker asked for."""
    if query.worker_id is None:
        return True
    return any(row.worker_key is not None and shelf.workers[row.worker_key].id == query.worker_id for row in tasks)


def bare(row: TaskRow) -> TaskRow:
    """A row without its payloads."""
    return row._replace(output=None, error=None)


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


def missing(kind: str) -> NotFound:
    return NotFound(kind, "x")
