"""What the engine's owner asks: everything to rebuild a core from, and what a step lacks. Plain reads of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

from limpet.core.condition_rows import WaitRow
from limpet.core.event_rows import EventRunRow, FilterRow
from limpet.core.ids import TenantNo
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.pause_rows import PauseRow
from limpet.core.rows import ReceiptRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.webhook_rows import WebhookRow
from limpet.store.api import QUARANTINE_MAX, Quarantined, Tenant, Token
from limpet.store.key_range import key_range
from limpet.store.sqlite import claims, events, rate_limits, timetable
from limpet.store.sqlite.connection import json_list, reading, writing
from limpet.store.sqlite.statements import statement
from limpet.store.tables import is_encodable

Parameters = dict[str, Any]


def load(connection: sqlite3.Connection, tenant_no: TenantNo) -> Snapshot:
    """All in one transaction, so that it is one commit's state."""
    where = key_range(tenant_no)
    with reading(connection):
        largest = connection.execute(statement("largest_key"), where).fetchone()[0]
        return Snapshot(
            next_key=max(largest + 1, where["key_first"]),
            workflows=list(map(WorkflowRow._make, connection.execute(statement("live_workflows"), where))),
            versions=list(map(VersionRow._make, connection.execute(statement("versions_to_load"), where))),
            workers=list(map(WorkerRow._make, connection.execute(statement("workers_to_load"), where))),
            runs=list(map(RunRow._make, connection.execute(statement("unfinished_runs"), where))),
            tasks=list(map(TaskRow._make, connection.execute(statement("tasks_of_unfinished_runs"), where))),
            receipts=list(map(ReceiptRow._make, connection.execute(statement("receipts_to_load"), where))),
            pauses=pauses(connection, tenant_no),
            due_at=connection.execute(statement("first_due"), where).fetchone()[0],
            webhooks=webhooks(connection, tenant_no),
            filters=list(map(FilterRow._make, connection.execute(statement("filters_to_load"), where))),
            event_runs=list(map(EventRunRow._make, connection.execute(statement("event_runs_of_unfinished_runs"), where))),
            waits=list(map(WaitRow._make, connection.execute(statement("waits_of_unfinished_runs"), where))),
        )


def webhooks(connection: sqlite3.Connection, tenant_no: TenantNo) -> list[WebhookRow]:
    """All of a tenant, oldest first."""
    return list(map(WebhookRow._make, connection.execute(statement("webhooks_to_load"), {"tenant_no": tenant_no})))


def look_up(connection: sqlite3.Connection, tenant_no: TenantNo, needs: Needs) -> Found:
    """One transaction for the whole batch (R52)."""
    with reading(connection):
        keys = sorted({key for _, key in _wanted(connection, "run_keys_by_any_id", tenant_no, needs.run_or_task_ids)})
        runs = runs_by_key(connection, keys)
        tasks = tasks_by_run(connection, keys)
        return Found(
            runs_by_ref=dict(_wanted(connection, "run_by_child_ref", tenant_no, needs.child_refs)),
            runs_by_request=dict(_wanted(connection, "run_by_request", tenant_no, needs.request_ids)),
            runs=[(run, tasks.get(run.key, [])) for run in runs],
            versions=list(versions_by_key(connection, {run.version_key for run in runs}).values()),
            waits=list(map(WaitRow._make, connection.execute(statement("waits_by_run"), _keys(keys)))) if keys else [],
            timetable=timetable.look_up(connection, tenant_no, needs.timetable),
            rate_limits=rate_limits.named(connection, tenant_no, needs.rate_limits),
            claims=claims.look_up(connection, tenant_no, needs.claims),
            event_runs=events.of_runs(connection, keys),
            events=events.known(connection, tenant_no, needs.event_ids),
        )


def pauses(connection: sqlite3.Connection, tenant_no: TenantNo) -> list[PauseRow]:
    """The last one of each workflow that ever was paused."""
    return list(map(PauseRow._make, connection.execute(statement("pauses_of_tenant"), key_range(tenant_no))))


def payloads(
    connection: sqlite3.Connection, run_keys: Collection[int], task_keys: Collection[int]
) -> tuple[dict[int, bytes], dict[int, TaskRow]]:
    """Inputs by run key, whole rows by task key."""
    with reading(connection):
        inputs = dict(connection.execute(statement("inputs_by_key"), _keys(run_keys))) if run_keys else {}
        rows = connection.execute(statement("whole_tasks_by_key"), _keys(task_keys)) if task_keys else ()
        return inputs, {row[0]: TaskRow._make(row) for row in rows}


def runs_by_key(connection: sqlite3.Connection, keys: Collection[int]) -> list[RunRow]:
    """By key, without inputs."""
    return list(map(RunRow._make, connection.execute(statement("runs_by_key"), _keys(keys)))) if keys else []


def tasks_by_run(connection: sqlite3.Connection, run_keys: Collection[int]) -> dict[int, list[TaskRow]]:
    """All tasks of the runs in order of their steps, without outputs."""
    found: dict[int, list[TaskRow]] = {}
    if run_keys:
        for row in map(TaskRow._make, connection.execute(statement("tasks_by_run"), _keys(run_keys))):
            found.setdefault(row.run_key, []).append(row)
    return found


def versions_by_key(connection: sqlite3.Connection, keys: Collection[int]) -> dict[int, VersionRow]:
    """Some versions."""
    rows = connection.execute(statement("versions_by_key"), _keys(keys)) if keys else ()
    return {row[0]: VersionRow._make(row) for row in rows}


def tenants(connection: sqlite3.Connection) -> list[Tenant]:
    """All, in the order they came."""
    return [Tenant(*row) for row in connection.execute(statement("tenants"))]


def create_tenant(connection: sqlite3.Connection, tenant_id: str, name: str, now: int) -> Tenant:
    """Returns the existing one when the id is taken."""
    with writing(connection):
        connection.execute(statement("insert_tenant"), {"id": tenant_id, "name": name, "created_at": now})
        return Tenant(*connection.execute(statement("tenant_by_id"), {"id": tenant_id}).fetchone())


def tokens(connection: sqlite3.Connection) -> list[Token]:
    """All, revoked and expired ones too."""
    return list(map(Token._make, connection.execute(statement("tokens"))))


def put_token(connection: sqlite3.Connection, token: Token) -> None:
    """Insert or replace."""
    with writing(connection):
        connection.execute(statement("put_token"), token)


def quarantine(connection: sqlite3.Connection, item: Quarantined) -> None:
    """Keep an input; the oldest one beyond the bound goes."""
    with writing(connection):
        connection.execute(statement("insert_quarantined"), item)
        connection.execute(statement("trim_quarantine"), {"kept": QUARANTINE_MAX})


def quarantined(connection: sqlite3.Connection) -> list[Quarantined]:
    """Newest first."""
    return list(map(Quarantined._make, connection.execute(statement("quarantined"), {"kept": QUARANTINE_MAX})))


def _keys(keys: Collection[int]) -> Parameters:
    return {"keys": json_list(list(keys))}


def _wanted(connection: sqlite3.Connection, name: str, tenant_no: TenantNo, wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
    """What is known by each text. One look-up each: JSON would cut a text at a NUL character."""
    text = statement(name)
    for one in filter(is_encodable, wanted):
        for (found,) in connection.execute(text, {"tenant_no": tenant_no, "wanted": one}):
            yield one, found
