"""The reader's half: committed rows for people, on threads and connections of its own, each read bounded in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from limpet.core.event_rows import ExpressionFailureRow
from limpet.core.ids import TenantNo
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import Born, EventRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.webhook_rows import WebhookRow
from limpet.store.api import (
    COUNT_MAX,
    EVENT_ROWS_MAX,
    LIST_ROWS_MAX,
    PAGE_PAYLOAD_BYTES_MAX,
    READ_SECONDS_MAX,
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
from limpet.store.key_range import key_range
from limpet.store.matching import INDEXED_CHARS_MAX, within_budget
from limpet.store.sqlite import events, owner, rate_limits, timetable
from limpet.store.sqlite.connection import json_list, limited, reading
from limpet.store.sqlite.lane import Lane
from limpet.store.sqlite.logs import LogFile
from limpet.store.sqlite.statements import statement, with_source
from limpet.store.tables import INTEGER_MAX, INTEGER_MIN, is_encodable

T = TypeVar("T")
Row = TypeVar("Row", RunRow, TaskRow)


class SqliteReader:
    """Reads of a store. Payloads go by the owner's lane, because starts of tasks wait for them."""

    def __init__(self, pages: Lane, owners: Lane, logs: LogFile) -> None:
        self._pages, self._owners, self._logs = pages, owners, logs

    async def run(self, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
        return await self._read(partial(_run, tenant_no=tenant_no, run_id=run_id))

    async def task(self, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None:
        return await self._read(partial(_task, tenant_no=tenant_no, task_run_id=task_run_id))

    async def runs(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[RunRecord], int]:
        return await self._read(partial(_runs, tenant_no=tenant_no, query=query))

    async def tasks(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[TaskRecord], int]:
        return await self._read(partial(_tasks, tenant_no=tenant_no, query=query))

    async def status_counts(self, tenant_no: TenantNo, query: RunQuery) -> Mapping[int, int]:
        text = with_source("status_counts", f"tasks_from_{_source(query)}")
        return dict(await self._rows(text, _conditions(tenant_no, query)))

    async def events(self, tenant_no: TenantNo, tasks: Collection[Born]) -> Sequence[EventRow]:
        where = {"tenant_no": tenant_no, "keys": json_list([task.key for task in tasks]), "limit": EVENT_ROWS_MAX}
        return list(map(EventRow._make, await self._rows(statement("events_by_task"), where)))

    async def workflows(self, tenant_no: TenantNo) -> Sequence[WorkflowRow]:
        return list(map(WorkflowRow._make, await self._rows(statement("live_workflows"), key_range(tenant_no))))

    async def pauses(self, tenant_no: TenantNo) -> Mapping[int, PauseRow]:
        return {row.key: row for row in await self._read(partial(owner.pauses, tenant_no=tenant_no))}

    async def versions(self, tenant_no: TenantNo, workflow_id: str) -> Sequence[VersionRow]:
        where = {"tenant_no": tenant_no, "workflow_id": workflow_id, "limit": LIST_ROWS_MAX}
        return list(map(VersionRow._make, await self._rows(statement("versions_of_workflow"), where)))

    async def workers_by_key(self, tenant_no: TenantNo, keys: Collection[int]) -> Mapping[int, WorkerRow]:
        where = {"tenant_no": tenant_no, "keys": json_list(list(keys))}
        rows = map(WorkerRow._make, await self._rows(statement("workers_by_key"), where))
        return {row.key: row for row in rows}

    async def crons(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[CronRecord], int]:
        return await self._read(partial(timetable.crons, tenant_no=tenant_no, query=query))

    async def schedules(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[ScheduleRecord], int]:
        return await self._read(partial(timetable.schedules, tenant_no=tenant_no, query=query))

    async def rate_limits(self, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[Sequence[RateLimitRow], int]:
        return await self._read(partial(rate_limits.page, tenant_no=tenant_no, query=query))

    async def pushed_events(self, tenant_no: TenantNo, query: EventQuery) -> tuple[Sequence[EventRecord], int]:
        return await self._read(partial(events.page, tenant_no=tenant_no, query=query))

    async def event_names(self, tenant_no: TenantNo) -> Sequence[str]:
        return await self._read(partial(events.names, tenant_no=tenant_no))

    async def filters(self, tenant_no: TenantNo, query: FilterQuery) -> Sequence[FilterRecord]:
        return await self._read(partial(events.filters, tenant_no=tenant_no, query=query))

    async def webhooks(self, tenant_no: TenantNo) -> Sequence[WebhookRow]:
        return await self._read(partial(owner.webhooks, tenant_no=tenant_no))

    async def expression_failures(self, tenant_no: TenantNo, limit: int) -> Sequence[ExpressionFailureRow]:
        return await self._read(partial(events.failures, tenant_no=tenant_no, limit=limit))

    async def payloads(
        self, runs: Collection[Born], tasks: Collection[Born]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        return await self._owners.run(
            partial(owner.payloads, run_keys=[run.key for run in runs], task_keys=[task.key for task in tasks])
        )

    async def event_payloads(self, keys: Collection[int]) -> Mapping[int, bytes]:
        return await self._owners.run(partial(events.payloads, keys=list(keys)))

    async def log_lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        return await self._logs.lines(tenant_no, query)

    async def _rows(self, text: str, where: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return await self._read(lambda connection: connection.execute(text, where).fetchall())

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._pages.run(partial(_bounded, job=job))


def _bounded(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    with limited(connection, READ_SECONDS_MAX), reading(connection):
        return job(connection)


def _run(connection: sqlite3.Connection, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
    keys = _key_by_id(connection, "run_key_by_id", tenant_no, run_id)
    return _run_records(connection, keys)[0] if keys else None


def _task(connection: sqlite3.Connection, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None:
    keys = _key_by_id(connection, "task_key_by_id", tenant_no, task_run_id)
    return _task_records(connection, keys)[0] if keys else None


def _key_by_id(connection: sqlite3.Connection, name: str, tenant_no: TenantNo, wanted: str) -> list[int]:
    if not is_encodable(wanted):
        return []
    return [key for (key,) in connection.execute(statement(name), {"tenant_no": tenant_no, "id": wanted})]


def _runs(connection: sqlite3.Connection, tenant_no: TenantNo, query: RunQuery) -> tuple[list[RunRecord], int]:
    where, source = _conditions(tenant_no, query), f"runs_from_{_source(query)}"
    keys = [row[0] for row in connection.execute(with_source("runs_page", source), where)]
    return _run_records(connection, keys), connection.execute(with_source("runs_count", source), where).fetchone()[0]


def _tasks(connection: sqlite3.Connection, tenant_no: TenantNo, query: RunQuery) -> tuple[list[TaskRecord], int]:
    where, source = _conditions(tenant_no, query), f"tasks_from_{_source(query)}"
    keys = [row[0] for row in connection.execute(with_source("tasks_page", source), where)]
    return _task_records(connection, keys), connection.execute(with_source("tasks_count", source), where).fetchone()[0]


def _run_records(connection: sqlite3.Connection, keys: Sequence[int]) -> list[RunRecord]:
    """Records in the order of the keys."""
    found = {run.key: run for run in owner.runs_by_key(connection, keys)}
    runs, left = _with_inputs(connection, [found[key] for key in keys], PAGE_PAYLOAD_BYTES_MAX)
    tasks_of = owner.tasks_by_run(connection, keys)
    in_order = [task for key in keys for task in tasks_of.get(key, ())]
    tasks: dict[int, list[TaskRow]] = {}
    for task in _with_outputs(connection, in_order, left)[0]:
        tasks.setdefault(task.run_key, []).append(task)
    workflows, versions = _definitions(connection, runs)
    return [RunRecord(run, workflows[run.workflow_key], versions[run.version_key], tasks.get(run.key, [])) for run in runs]


def _task_records(connection: sqlite3.Connection, keys: Sequence[int]) -> list[TaskRecord]:
    """Records in the order of the keys."""
    rows = connection.execute(statement("tasks_by_key"), {"keys": json_list(list(keys))})
    found = {row[0]: TaskRow._make(row) for row in rows}
    tasks, left = _with_outputs(connection, [found[key] for key in keys], PAGE_PAYLOAD_BYTES_MAX)
    runs_found = {run.key: run for run in owner.runs_by_key(connection, {task.run_key for task in tasks})}
    in_order = [runs_found[key] for key in dict.fromkeys(task.run_key for task in tasks)]
    runs = {run.key: run for run in _with_inputs(connection, in_order, left)[0]}
    workflows, versions = _definitions(connection, runs.values())
    return [
        TaskRecord(task, run, workflows[run.workflow_key], versions[run.version_key])
        for task in tasks
        for run in (runs[task.run_key],)
    ]


def _definitions(
    connection: sqlite3.Connection, runs: Collection[RunRow]
) -> tuple[dict[int, WorkflowRow], dict[int, VersionRow]]:
    keys = json_list(list({run.workflow_key for run in runs}))
    workflows = map(WorkflowRow._make, connection.execute(statement("workflows_by_key"), {"keys": keys}))
    versions = owner.versions_by_key(connection, {run.version_key for run in runs})
    return {workflow.key: workflow for workflow in workflows}, versions


def _with_inputs(connection: sqlite3.Connection, runs: Sequence[RunRow], left: int) -> tuple[list[RunRow], int]:
    keys, left = within_budget([(run.key, run.input_bytes) for run in runs], left)
    inputs = dict(connection.execute(statement("inputs_by_key"), {"keys": json_list(keys)}))
    return [run._replace(input=inputs.get(run.key)) for run in runs], left


def _with_outputs(connection: sqlite3.Connection, tasks: Sequence[TaskRow], left: int) -> tuple[list[TaskRow], int]:
    keys, left = within_budget([(task.key, task.output_bytes) for task in tasks], left)
    outputs = dict(connection.execute(statement("outputs_by_key"), {"keys": json_list(keys)}))
    return [task._replace(output=outputs.get(task.key)) for task in tasks], left


def _source(query: RunQuery) -> str:
    """Where the search begins: with what is rarest."""
    if query.parent_task_id is not None:
        return "parent"
    if query.event_id is not None:
        return "event"
    return "metadata" if query.metadata else "age"


def _conditions(tenant_no: TenantNo, query: RunQuery) -> dict[str, Any]:
    pairs = list(query.metadata)
    # A run that must match all pairs matches the first one.
    indexed = [
        (name[:INDEXED_CHARS_MAX], value[:INDEXED_CHARS_MAX]) for name, value in (pairs[:1] if query.metadata_all else pairs)
    ]
    return {
        **key_range(tenant_no),
        "since": INTEGER_MIN if query.since is None else query.since,
        "until": INTEGER_MAX if query.until is None else query.until,
        "statuses": None if query.statuses is None else json_list([int(status) for status in query.statuses]),
        "workflow_ids": None if query.workflow_ids is None else json_list(list(query.workflow_ids)),
        "worker_id": query.worker_id,
        "parent_run_id": query.parent_run_id,
        "parent_task_id": query.parent_task_id,
        "finished_since": query.finished_since,
        "finished_until": query.finished_until,
        "event_id": query.event_id,
        "held_keys": None if query.held_keys is None else json_list([key for key in query.held_keys if is_encodable(key)]),
        "pairs": json_list(pairs) if pairs else None,
        "indexed_pairs": json_list(indexed),
        "every_pair": query.metadata_all,
        "limit": max(0, min(query.limit, LIST_ROWS_MAX)),
        "offset": max(0, query.offset),
        "count_max": COUNT_MAX,
    }
