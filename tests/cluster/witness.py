"""What the database says: leases and tasks while the servers run, and in the end everything, held against the journal."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import asyncpg

from limpet.core.ids import TenantNo
from limpet.core.rows import EventRow, EventType, RunStatus
from limpet.store.api import Reader, RunRecord
from tests.cluster.records import Line
from tests.soak import auditor

TENANT = TenantNo(1)
LEASE = """
SELECT l.owner_id, l.address, l.epoch, l.seq FROM limpet.leases AS l JOIN limpet.tenants AS t ON t.group_no = l.group_no
WHERE t.no = $1 AND l.shard_no = 0
"""
INTERNAL = "SELECT id, internal_retries FROM limpet.tasks WHERE id = ANY ($1) AND internal_retries > 0"
# What a server says only when it met a bug of its own.
BUGS = frozenset({"invariant.violated", "tenant.halted", "turn.failed", "deliver.failed", "payloads.failed", "engine.ended"})
TASKS_AT_ONCE = 1_000


class Lease(NamedTuple):
    """Of the group that the tenant is in."""

    owner_id: str
    address: str
    epoch: int
    seq: int


async def lease(url: str) -> Lease:
    """As it is stored now."""
    (row,) = await _rows(url, LEASE, TENANT)
    return Lease(*row)


async def internal_retries(url: str, tasks: Collection[str]) -> dict[str, int]:
    """Those of the tasks whose counter is not 0 (R28)."""
    return dict(map(tuple, await _rows(url, INTERNAL, list(tasks))))


async def _rows(url: str, statement: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


class Truth(NamedTuple):
    """Every run, and every event of every task by the task's key, after all servers have ended."""

    runs: Mapping[str, RunRecord]
    events: Mapping[int, list[EventRow]]


async def truth(url: str) -> Truth:
    """Read it all."""
    store = auditor.open_store(url)
    await store.open()
    try:
        return await read(store.reader)
    finally:
        await store.close()


async def read(reader: Reader) -> Truth:
    """All runs, and the events of their tasks."""
    runs = await auditor.read_runs(reader, TENANT)
    tasks = [task for record in runs.values() for task in record.tasks]
    events: dict[int, list[EventRow]] = {}
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        for row in await reader.events(TENANT, tasks[start : start + TASKS_AT_ONCE]):
            events.setdefault(row.task_key, []).append(row)
    return Truth(runs, events)


def without(told: Truth, runs: Collection[str]) -> Truth:
    """The truth about all other runs."""
    kept = {run_id: record for run_id, record in told.runs.items() if run_id not in runs}
    keys = {task.key for record in kept.values() for task in record.tasks}
    return Truth(kept, {key: rows for key, rows in told.events.items() if key in keys})


def unfinished(told: Truth) -> list[str]:
    """Runs that have not ended."""
    return [run_id for run_id, record in told.runs.items() if not RunStatus(record.run.status).is_terminal]


def violations(told: Truth, journal: list[Line], logs: Mapping[str, list[Line]]) -> list[str]:
    """Everything that does not hold after a story in which every worker lived."""
    evidence = auditor.gather(journal, dict(told.runs), workers_were_killed=False)
    return [*auditor.violations(evidence), *_told_otherwise(told, journal), *of_any_story(told, logs)]


def of_any_story(told: Truth, logs: Mapping[str, list[Line]]) -> list[str]:
    """What may not be, whoever worked and whatever they did, when every worker lived."""
    return [*_repeated_though_confirmed(told), *_bugs(logs)]


def _repeated_though_confirmed(told: Truth) -> Iterator[str]:
    """T12, where no worker was lost: what had its receipt is not taken from its worker."""
    for rows in told.events.values():
        confirmed = {row.retry_count for row in rows if row.type == EventType.STARTED}
        for row in rows:
            if row.type in (EventType.REASSIGNED, EventType.COULD_NOT_SEND_TO_WORKER) and row.retry_count in confirmed:
                yield f"T12: attempt {row.retry_count} of task {row.task_key} was confirmed and taken back: {row.message}"


def _told_otherwise(told: Truth, journal: list[Line]) -> Iterator[str]:
    """T5, E2: one outcome; what a caller was told is what is stored, to the number of the attempt."""
    for line in journal:
        record = told.runs.get(line["run"]) if line["kind"] == "result" else None
        if record is not None:
            stored = [json.loads(task.output) for task in record.tasks if task.output]
            value = line["value"]
            if value not in stored and not all(one in stored for one in value.values()):
                yield f"T5: the caller was told {value} of run {line['run']}, and the store holds {stored}"


def _bugs(logs: Mapping[str, list[Line]]) -> Iterator[str]:
    for name, lines in logs.items():
        for line in lines:
            if line.get("event") in BUGS:
                yield f"{name} says: {line['message']} {line.get('exception', '')[-600:]}"
