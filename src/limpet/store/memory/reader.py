"""The reader's half of the store in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from limpet.core.event_rows import ExpressionFailureRow
from limpet.core.ids import TenantNo
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow, as_of
from limpet.core.rows import Born, EventRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow
from limpet.core.webhook_rows import WebhookRow
from limpet.store.api import (
    COUNT_MAX,
    EVENT_ROWS_MAX,
    LIST_ROWS_MAX,
    LOG_LINES_MAX,
    PAGE_PAYLOAD_BYTES_MAX,
    CronRecord,
    EventQuery,
    EventRecord,
    FilterQuery,
    FilterRecord,
    LogLine,
    LogQuery,
    RateLimitOrder,
    RateLimitQuery,
    RunQuery,
    RunRecord,
    ScheduleRecord,
    TaskRecord,
    TimetableQuery,
)
from limpet.store.matching import contains_text, metadata_matches, page_of, within_budget
from limpet.store.memory import events
from limpet.store.memory.content import Content
from limpet.store.tables import is_encodable

Row = TypeVar("Row", RunRow, TaskRow)


class MemoryReader:
    """Reads of a content. Every answer is a list of its own; rows are immutable."""

    def __init__(self, content: Content) -> None:
        self.content = content

    async def run(self, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
        key = self.content.key_of("run", tenant_no, "id", run_id)
        if key is None or self.content.is_gone(self.content.runs[key]):
            return None
        return self._run_records([self.content.runs[key]])[0]

    async def task(self, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None:
        key = self.content.key_of("task", tenant_no, "id", task_run_id)
        if key is None or self.content.is_gone(self._run_of(self.content.tasks[key])):
            return None
        return self._task_records([self.content.tasks[key]])[0]

    async def runs(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[RunRecord], int]:
        found = [run for run in self.content.of(tenant_no, self.content.runs) if self._matches_run(run, query)]
        found.sort(key=lambda run: (run.created_at, run.key), reverse=True)
        return self._run_records(_page(found, query)), min(len(found), COUNT_MAX)

    async def tasks(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[TaskRecord], int]:
        found = sorted(self._matching_tasks(tenant_no, query), key=lambda task: (task.created_at, task.key), reverse=True)
        return self._task_records(_page(found, query)), min(len(found), COUNT_MAX)

    async def status_counts(self, tenant_no: TenantNo, query: RunQuery) -> Mapping[int, int]:
        return dict(Counter(task.status for task in self._matching_tasks(tenant_no, query)))

    async def events(self, tenant_no: TenantNo, tasks: Collection[Born]) -> Sequence[EventRow]:
        events = (
            self.content.events[key] for task in {task.key for task in tasks} for key in self.content.events_of.get(task, ())
        )
        ours = (event for event in events if event.tenant_no == tenant_no)
        return sorted(ours, key=lambda event: (event.at, event.key))[:EVENT_ROWS_MAX]

    async def workflows(self, tenant_no: TenantNo) -> Sequence[WorkflowRow]:
        found = (row for row in self.content.of(tenant_no, self.content.workflows) if row.deleted_at is None)
        return sorted(found, key=lambda row: (row.name, row.key))

    async def pauses(self, tenant_no: TenantNo) -> Mapping[int, PauseRow]:
        return {row.key: row for row in self.content.of(tenant_no, self.content.pauses)}

    async def versions(self, tenant_no: TenantNo, workflow_id: str) -> Sequence[VersionRow]:
        key = self.content.key_of("workflow", tenant_no, "id", workflow_id)
        found = (row for row in self.content.versions.values() if row.workflow_key == key)
        return sorted(found, key=lambda row: row.number, reverse=True)[:LIST_ROWS_MAX]

    async def workers_by_key(self, tenant_no: TenantNo, keys: Collection[int]) -> Mapping[int, WorkerRow]:
        found = (self.content.workers.get(key) for key in keys)
        return {row.key: row for row in found if row is not None and row.tenant_no == tenant_no}

    async def crons(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[CronRecord], int]:
        rows = self.content.of(tenant_no, self.content.crons)
        rows.sort(key=lambda row: row.key if query.by_creation else (row.name, row.key), reverse=query.descending)
        found = [row for row in rows if self._is_planned(row, query) and query.name in (None, row.name)]
        page, total = _timetable_page(found, query)
        return [CronRecord(row._replace(input=b""), *self._home_of(row), data) for row, data in page], total

    async def schedules(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[ScheduleRecord], int]:
        rows = self.content.of(tenant_no, self.content.schedules)
        rows.sort(key=lambda row: row.key if query.by_creation else (row.at, row.key), reverse=query.descending)
        found = [
            row
            for row in rows
            if self._is_planned(row, query)
            and query.parent_run_id in (None, row.parent_run_id)
            and query.parent_task_id in (None, row.parent_task_id)
        ]
        page, total = _timetable_page(found, query)
        return [ScheduleRecord(row._replace(input=b""), *self._home_of(row), data) for row, data in page], total

    async def rate_limits(self, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[Sequence[RateLimitRow], int]:
        rows = [as_of(row, query.now) for row in self.content.of(tenant_no, self.content.rate_limits)]
        found = sorted(
            (row for row in rows if query.search is None or query.search in row.name),
            key=lambda row: _rate_limit_place(row, query.order), reverse=query.descending,
        )  # fmt: skip
        start = max(0, query.offset)
        return found[start : start + max(0, min(query.limit, LIST_ROWS_MAX))], min(len(found), COUNT_MAX)

    async def pushed_events(self, tenant_no: TenantNo, query: EventQuery) -> tuple[Sequence[EventRecord], int]:
        return events.page(self.content, tenant_no, query)

    async def event_names(self, tenant_no: TenantNo) -> Sequence[str]:
        return events.names(self.content, tenant_no)

    async def filters(self, tenant_no: TenantNo, query: FilterQuery) -> Sequence[FilterRecord]:
        return events.filters(self.content, tenant_no, query)

    async def webhooks(self, tenant_no: TenantNo) -> Sequence[WebhookRow]:
        return self.content.of(tenant_no, self.content.webhooks)

    async def expression_failures(self, tenant_no: TenantNo, limit: int) -> Sequence[ExpressionFailureRow]:
        return events.failures(self.content, tenant_no, limit)

    def _is_planned(self, row: CronRow | ScheduleRow, query: TimetableQuery) -> bool:
        workflow = self.content.workflows[row.workflow_key]
        return (
            workflow.deleted_at is None
            and query.id in (None, row.id)
            and query.workflow_id in (None, workflow.id)
            and query.workflow_name in (None, workflow.name)
        )

    def _home_of(self, row: CronRow | ScheduleRow) -> tuple[WorkflowRow, str]:
        versions = (one for one in self.content.versions.values() if one.workflow_key == row.workflow_key)
        return self.content.workflows[row.workflow_key], max(versions, key=lambda one: one.number).id

    async def payloads(
        self, runs: Collection[Born], tasks: Collection[Born]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        inputs = {run.key: self.content.runs[run.key].input or b"" for run in runs if run.key in self.content.runs}
        return inputs, {task.key: self.content.tasks[task.key] for task in tasks if task.key in self.content.tasks}

    async def event_payloads(self, keys: Collection[int]) -> Mapping[int, bytes]:
        found = (self.content.pushed_events.get(key) for key in keys)
        return {row.key: row.payload for row in found if row is not None}

    async def log_lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        lines = [line for line in self.content.logs.get((tenant_no, query.task_run_id), ()) if _matches_line(line, query)]
        lines.sort(key=lambda line: line.at)  # stable: lines of one instant keep the order they came in
        if query.newest_first:
            lines.reverse()
        return lines[: max(0, min(query.limit, LOG_LINES_MAX))]

    def _run_of(self, task: TaskRow) -> RunRow:
        return self.content.runs[task.run_key]

    def _matching_tasks(self, tenant_no: TenantNo, query: RunQuery) -> Iterator[TaskRow]:
        return (task for task in self.content.of(tenant_no, self.content.tasks) if self._matches_task(task, query))

    def _matches_run(self, run: RunRow, query: RunQuery) -> bool:
        tasks = (self.content.tasks[key] for key in self.content.tasks_of.get(run.key, ()))
        return (
            _is_within(run.created_at, query)
            and (query.statuses is None or run.status in query.statuses)
            and (query.worker_id is None or any(self._is_of_worker(task, query.worker_id) for task in tasks))
            and self._matches_either(run, query)
        )

    def _matches_task(self, task: TaskRow, query: RunQuery) -> bool:
        return (
            _is_within(task.created_at, query)
            and (query.statuses is None or task.status in query.statuses)
            and (query.worker_id is None or self._is_of_worker(task, query.worker_id))
            and self._matches_either(self._run_of(task), query)
        )

    def _matches_either(self, run: RunRow, query: RunQuery) -> bool:
        """What a query says about a task's run, or a run itself."""
        return (
            not self.content.is_gone(run)
            and (query.workflow_ids is None or self.content.workflows[run.workflow_key].id in query.workflow_ids)
            and (query.parent_run_id is None or run.parent_run_id == query.parent_run_id)
            and (query.parent_task_id is None or run.parent_task_id == query.parent_task_id)
            and _is_over_within(run, query)
            and (query.event_id is None or self._is_of_event(run, query.event_id))
            and (query.held_keys is None or self._holds(run, query.held_keys))
            and (not query.metadata or metadata_matches(run.metadata or b"{}", query.metadata, every=query.metadata_all))
        )

    def _is_of_event(self, run: RunRow, event_id: str) -> bool:
        started = self.content.event_runs.get(run.key)
        return started is not None and started.event_id == event_id

    def _holds(self, run: RunRow, held_keys: Collection[str]) -> bool:
        claim = self.content.claims.get(run.key)
        return claim is not None and claim.name in {key.encode() for key in held_keys if is_encodable(key)}

    def _is_of_worker(self, task: TaskRow, worker_id: str) -> bool:
        worker = None if task.worker_key is None else self.content.workers.get(task.worker_key)
        return worker is not None and worker.id == worker_id

    def _run_records(self, runs: Sequence[RunRow]) -> list[RunRecord]:
        slim, left = _with_inputs(runs, PAGE_PAYLOAD_BYTES_MAX)
        in_order = [task for run in slim for task in self.content.tasks_of_run(run.key)]
        tasks: dict[int, list[TaskRow]] = {}
        for task in _with_outputs(in_order, left)[0]:
            tasks.setdefault(task.run_key, []).append(task)
        return [RunRecord(run, *self._definition(run), tasks.get(run.key, [])) for run in slim]

    def _task_records(self, tasks: Sequence[TaskRow]) -> list[TaskRecord]:
        slim, left = _with_outputs(tasks, PAGE_PAYLOAD_BYTES_MAX)
        runs = _with_inputs([self.content.runs[key] for key in dict.fromkeys(task.run_key for task in tasks)], left)[0]
        run_by_key = {run.key: run for run in runs}
        return [TaskRecord(task, run, *self._definition(run)) for task in slim for run in (run_by_key[task.run_key],)]

    def _definition(self, run: RunRow) -> tuple[WorkflowRow, VersionRow]:
        return self.content.workflows[run.workflow_key], self.content.versions[run.version_key]


def _with_inputs(runs: Sequence[RunRow], left: int) -> tuple[list[RunRow], int]:
    keys, left = within_budget([(run.key, run.input_bytes) for run in runs], left)
    kept = set(keys)
    return [run if run.key in kept else run._replace(input=None) for run in runs], left


def _with_outputs(tasks: Sequence[TaskRow], left: int) -> tuple[list[TaskRow], int]:
    keys, left = within_budget([(task.key, task.output_bytes) for task in tasks], left)
    kept = set(keys)
    return [task if task.key in kept else task._replace(output=None) for task in tasks], left


def _rate_limit_place(row: RateLimitRow, order: RateLimitOrder) -> tuple[int, bytes]:
    """Names are compared by their bytes, as databases do."""
    number = {RateLimitOrder.VALUE: row.value, RateLimitOrder.LIMIT: row.limit_value}.get(order, 0)
    return number, row.name.encode()


def _page(found: list[Row], query: RunQuery) -> list[Row]:
    start = max(0, query.offset)
    return found[start : start + max(0, min(query.limit, LIST_ROWS_MAX))]


def _is_within(at: int, query: RunQuery | LogQuery) -> bool:
    return (query.since is None or at >= query.since) and (query.until is None or at < query.until)


def _is_over_within(run: RunRow, query: RunQuery) -> bool:
    since, until = query.finished_since, query.finished_until
    if since is None and until is None:
        return True
    at = run.finished_at
    return at is not None and (since is None or at >= since) and (until is None or at < until)


def _matches_line(line: LogLine, query: LogQuery) -> bool:
    return (
        _is_within(line.at, query)
        and (query.levels is None or line.level in query.levels)
        and (query.retry_count is None or line.retry_count == query.retry_count)
        and (query.search is None or contains_text(line.message, query.search))
    )


def _timetable_page(rows: Sequence[Any], query: TimetableQuery) -> tuple[list[tuple[Any, bytes | None]], int]:
    """Rows of a page with their inputs, while they fit; and how many match in all."""
    limit, offset = max(0, min(query.limit, LIST_ROWS_MAX)), max(0, query.offset)
    candidates = ((row.key, row.metadata) for row in rows)
    keys, total = page_of(candidates, query.metadata, offset=offset, limit=limit, count_max=COUNT_MAX)
    by_key = {row.key: row for row in rows}
    fitting = set(within_budget([(key, by_key[key].input_bytes) for key in keys], PAGE_PAYLOAD_BYTES_MAX)[0])
    return [(by_key[key], by_key[key].input if key in fitting else None) for key in keys], total
