"""The reader's half: committed rows for people, on connections of its own, each read bounded in time.

Every read is one transaction, so that it sees one commit and a transaction pooler may stand between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
from limpet.store.matching import metadata_matches, within_budget
from limpet.store.postgres import events, owner, rate_limits, timetable
from limpet.store.postgres.days import KEPT, LAST, day_of, day_of_id, days_of, homes
from limpet.store.postgres.lane import Lane, Link
from limpet.store.postgres.logs import Logs
from limpet.store.postgres.pairs import digest
from limpet.store.tables import INTEGER_MAX, INTEGER_MIN, is_encodable, is_storable

Row = TypeVar("Row", RunRow, TaskRow)
Where = dict[str, Any]
NO_METADATA: Where = {"pairs": [], "pairs_needed": 0, "fresh_days": [], "fresh_keys": []}


class PostgresReader:
    """Reads of a store. Payloads go by the owner's lane, because starts of tasks wait for them."""

    def __init__(self, pages: Lane, owners: Lane, logs: Logs) -> None:
        self._pages, self._owners, self._logs = pages, owners, logs

    async def run(self, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
        async with self._pages.link() as link, link.reading():
            found = await _named(link, "run_by_id", tenant_no, run_id)
            records = await _run_records(link, found)
        return records[0] if records else None

    async def task(self, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None:
        async with self._pages.link() as link, link.reading():
            found = await _named(link, "task_by_id", tenant_no, task_run_id)
            records = await _task_records(link, found)
        return records[0] if records else None

    async def runs(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[RunRecord], int]:
        async with self._pages.link() as link, link.reading():
            where, source = await _conditions(link, tenant_no, query, is_of_runs=True), f"runs_from_{_source(query)}"
            found = await link.rows_of(link.sql.with_source("runs_page", source), where)
            records = await _run_records(link, found)
            count = await link.rows_of(link.sql.with_source("runs_count", source), where)
        return records, count[0][0]

    async def tasks(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[TaskRecord], int]:
        async with self._pages.link() as link, link.reading():
            where, source = await _conditions(link, tenant_no, query), f"tasks_from_{_source(query)}"
            found = await link.rows_of(link.sql.with_source("tasks_page", source), where)
            records = await _task_records(link, found)
            count = await link.rows_of(link.sql.with_source("tasks_count", source), where)
        return records, count[0][0]

    async def status_counts(self, tenant_no: TenantNo, query: RunQuery) -> Mapping[int, int]:
        async with self._pages.link() as link, link.reading():
            statement = link.sql.with_source("status_counts", f"tasks_from_{_source(query)}")
            rows = await link.rows_of(statement, await _conditions(link, tenant_no, query))
        return dict(rows)

    async def events(self, tenant_no: TenantNo, tasks: Collection[Born]) -> Sequence[EventRow]:
        where = {"tenant_no": tenant_no, "task_keys": [task.key for task in tasks], "limit": EVENT_ROWS_MAX}
        first = min((day_of(task.created_at) for task in tasks), default=LAST)
        return owner.made(EventRow, await self._rows("events_by_task", day_first=first, **where))

    async def workflows(self, tenant_no: TenantNo) -> Sequence[WorkflowRow]:
        return owner.made(WorkflowRow, await self._rows("live_workflows", **key_range(tenant_no)))

    async def pauses(self, tenant_no: TenantNo) -> Mapping[int, PauseRow]:
        rows = owner.made(PauseRow, await self._rows("pauses_of_tenant", **key_range(tenant_no)))
        return {row.key: row for row in rows}

    async def versions(self, tenant_no: TenantNo, workflow_id: str) -> Sequence[VersionRow]:
        wanted = workflow_id if is_storable(workflow_id) else ""
        rows = await self._rows("versions_of_workflow", tenant_no=tenant_no, workflow_id=wanted, limit=LIST_ROWS_MAX)
        return owner.made(VersionRow, rows)

    async def workers_by_key(self, tenant_no: TenantNo, keys: Collection[int]) -> Mapping[int, WorkerRow]:
        rows = await self._rows("workers_by_key", tenant_no=tenant_no, keys=list(keys))
        return {row[0]: WorkerRow(*row) for row in rows}

    async def crons(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[CronRecord], int]:
        async with self._pages.link() as link, link.reading():
            return await timetable.crons(link, tenant_no, query)

    async def schedules(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[ScheduleRecord], int]:
        async with self._pages.link() as link, link.reading():
            return await timetable.schedules(link, tenant_no, query)

    async def rate_limits(self, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[Sequence[RateLimitRow], int]:
        async with self._pages.link() as link, link.reading():
            return await rate_limits.page(link, tenant_no, query)

    async def pushed_events(self, tenant_no: TenantNo, query: EventQuery) -> tuple[Sequence[EventRecord], int]:
        async with self._pages.link() as link, link.reading():
            return await events.page(link, tenant_no, query)

    async def event_names(self, tenant_no: TenantNo) -> Sequence[str]:
        async with self._pages.link() as link, link.reading():
            return await events.names(link, tenant_no)

    async def filters(self, tenant_no: TenantNo, query: FilterQuery) -> Sequence[FilterRecord]:
        async with self._pages.link() as link, link.reading():
            return await events.filters(link, tenant_no, query)

    async def webhooks(self, tenant_no: TenantNo) -> Sequence[WebhookRow]:
        async with self._pages.link() as link, link.reading():
            return await owner.webhooks(link, tenant_no)

    async def expression_failures(self, tenant_no: TenantNo, limit: int) -> Sequence[ExpressionFailureRow]:
        async with self._pages.link() as link, link.reading():
            return await events.failures(link, tenant_no, limit)

    async def payloads(
        self, runs: Collection[Born], tasks: Collection[Born]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        async with self._owners.link() as link:
            return await owner.payloads(link, runs, tasks)

    async def event_payloads(self, keys: Collection[int]) -> Mapping[int, bytes]:
        async with self._owners.link() as link:
            return await events.payloads(link, keys)

    async def log_lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        return await self._logs.lines(tenant_no, query)

    async def _rows(self, name: str, **where: Any) -> list[Any]:
        async with self._pages.link() as link, link.reading():
            return await link.rows(name, **where)


async def _named(link: Link, name: str, tenant_no: TenantNo, wanted: str) -> list[Any]:
    if not is_storable(wanted):
        return []
    return await link.rows(name, tenant_no=tenant_no, id=wanted, days=homes([day_of_id(wanted)]))


async def _run_records(link: Link, found: Sequence[Any]) -> list[RunRecord]:
    """Records of rows without inputs, in their order."""
    if not found:
        return []
    runs, left = await _with_inputs(link, owner.made(RunRow, found), PAGE_PAYLOAD_BYTES_MAX)
    tasks_of = await owner.tasks_by_run(link, runs)
    in_order = [task for run in runs for task in tasks_of.get(run.key, ())]
    tasks: dict[int, list[TaskRow]] = {}
    for task in (await _with_outputs(link, in_order, left))[0]:
        tasks.setdefault(task.run_key, []).append(task)
    workflows, versions = await _definitions(link, runs)
    return [RunRecord(run, workflows[run.workflow_key], versions[run.version_key], tasks.get(run.key, [])) for run in runs]


async def _task_records(link: Link, found: Sequence[Any]) -> list[TaskRecord]:
    """Records of rows without outputs, each followed by the birth of its run, in their order."""
    if not found:
        return []
    tasks, left = await _with_outputs(link, [TaskRow(*row[:-1]) for row in found], PAGE_PAYLOAD_BYTES_MAX)
    days = {task.run_key: day_of(row[-1]) for task, row in zip(tasks, found, strict=True)}
    runs_found = {run.key: run for run in await owner.runs_by_key(link, days)}
    with_inputs = (await _with_inputs(link, [runs_found[key] for key in days], left))[0]
    runs = {run.key: run for run in with_inputs}
    workflows, versions = await _definitions(link, runs.values())
    return [
        TaskRecord(task, run, workflows[run.workflow_key], versions[run.version_key])
        for task in tasks
        for run in (runs[task.run_key],)
    ]


async def _definitions(link: Link, runs: Iterable[RunRow]) -> tuple[dict[int, WorkflowRow], dict[int, VersionRow]]:
    pairs = {(run.workflow_key, run.version_key) for run in runs}
    workflows = await link.rows("workflows_by_key", keys=list({workflow for workflow, _ in pairs}))
    versions = await owner.versions_by_key(link, {version for _, version in pairs})
    return {row[0]: WorkflowRow(*row) for row in workflows}, versions


async def _with_inputs(link: Link, runs: Sequence[RunRow], left: int) -> tuple[list[RunRow], int]:
    keys, left = within_budget([(run.key, run.input_bytes) for run in runs], left)
    inputs = await _texts(link, "inputs_by_key", runs, set(keys))
    return [run._replace(input=inputs.get(run.key)) for run in runs], left


async def _with_outputs(link: Link, tasks: Sequence[TaskRow], left: int) -> tuple[list[TaskRow], int]:
    keys, left = within_budget([(task.key, task.output_bytes) for task in tasks], left)
    outputs = await _texts(link, "outputs_by_key", tasks, set(keys))
    return [task._replace(output=outputs.get(task.key)) for task in tasks], left


async def _texts(link: Link, name: str, rows: Iterable[Born], keys: Collection[int]) -> dict[int, bytes]:
    wanted = [row for row in rows if row.key in keys]
    if not wanted:
        return {}
    found = await link.rows(name, days=days_of(wanted) or homes(()), keys=[row.key for row in wanted])
    return dict(found)


def _source(query: RunQuery) -> str:
    """Where the search begins: with what is rarest; only the index knows metadata, whatever else is asked."""
    if query.metadata:
        return "metadata"
    if query.event_id is not None:
        return "event"
    return "age" if query.parent_task_id is None else "parent"


async def _conditions(link: Link, tenant_no: TenantNo, query: RunQuery, *, is_of_runs: bool = False) -> Where:
    since = INTEGER_MIN if query.since is None else max(query.since, INTEGER_MIN)
    until = INTEGER_MAX if query.until is None else min(query.until, INTEGER_MAX)
    ids = None if query.workflow_ids is None else [one for one in query.workflow_ids if is_storable(one)]
    return {
        "tenant_no": tenant_no,
        "since": since,
        "until": until,
        "day_first": day_of(since),
        "day_last": day_of(until),
        "run_day_first": day_of(since) if is_of_runs else KEPT,
        "statuses": None if query.statuses is None else [int(status) for status in query.statuses],
        "workflow_ids": ids,
        "worker_id": _storable_or_nothing(query.worker_id),
        "parent_run_id": _storable_or_nothing(query.parent_run_id),
        "parent_task_id": _storable_or_nothing(query.parent_task_id),
        "finished_since": query.finished_since,
        "finished_until": query.finished_until,
        "event_id": _storable_or_nothing(query.event_id),
        "held_keys": None if query.held_keys is None else [key.encode() for key in query.held_keys if is_encodable(key)],
        "limit": max(0, min(query.limit, LIST_ROWS_MAX)),
        "offset": max(0, query.offset),
        "count_max": COUNT_MAX,
        **(await _metadata_conditions(link, tenant_no, query) if query.metadata else NO_METADATA),
    }


async def _metadata_conditions(link: Link, tenant_no: TenantNo, query: RunQuery) -> Where:
    """Digests of the wanted pairs, how many of them a run must have, and the runs that match and are not in the index yet."""
    wanted = list(dict.fromkeys(pair for pair in query.metadata if all(map(is_encodable, pair))))
    is_impossible = query.metadata_all and len(wanted) < len(set(query.metadata))
    needed = len(query.metadata) + 1 if is_impossible else len(wanted) if query.metadata_all else 1
    unseen = await link.rows("metadata_unindexed", **key_range(tenant_no))
    fresh = [(day, key) for key, day, text in unseen if metadata_matches(text, query.metadata, every=query.metadata_all)]
    return {
        "pairs": [digest(pair) for pair in wanted],
        "pairs_needed": needed,
        "fresh_days": [day for day, _ in fresh],
        "fresh_keys": [key for _, key in fresh],
    }


def _storable_or_nothing(text: str | None) -> str | None:
    """A filter that names what cannot be stored finds nothing: no id is empty."""
    return text if text is None or is_storable(text) else ""
