"""The logs' own file, `<store>-logs`, with its own writer: a flood of lines never delays a commit (R10, D21).

Its last lines may be lost with the power, never its order: it is written with `synchronous = NORMAL`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from limpet.core.ids import TenantNo
from limpet.store.api import LOG_LINES_MAX, PRUNE_ROWS_MAX, READ_SECONDS_MAX, LogLine, LogQuery
from limpet.store.sqlite import schema
from limpet.store.sqlite.connection import connect_reader, connect_writer, json_list, limited, reading, writing
from limpet.store.sqlite.lane import Lane
from limpet.store.sqlite.statements import statement
from limpet.store.tables import INTEGER_MAX, INTEGER_MIN

BATCHES_WAITING_MAX = 100  # of whatever size their maker chose; beyond that, lines are refused, and dropped with a counter
READS_WAITING_MAX = 200
PAGES_PER_CHECKPOINT = 1_000  # SQLite's own: nobody waits for this writer

TaskName = tuple[int, str]  # tenant number, outside id of a task


def log_path(store: Path) -> Path:
    """The file beside the store."""
    return store.with_name(store.name + "-logs")


class LogFile:
    """Lines of tasks, appended and read."""

    def __init__(self, store: Path, *, migrate: bool) -> None:
        self.path: Path = log_path(store)
        self._migrate = migrate
        self._writer = Lane("log-writer", self.path, self._connect, waiting_max=BATCHES_WAITING_MAX)
        self._reader = Lane("log-reader", self.path, connect_reader, waiting_max=READS_WAITING_MAX)

    async def open(self) -> None:
        """Make the file when it is missing. Raises like `Store.open`."""
        await self._writer.open()
        await self._reader.open()

    async def close(self) -> None:
        """Finish what is being written."""
        await self._reader.close()
        await self._writer.close()

    async def append(self, lines: Sequence[LogLine]) -> None:
        """All or none."""
        await self._writer.run(partial(_append, lines=lines))

    async def lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        """At most `LOG_LINES_MAX`."""
        return await self._reader.run(partial(_lines, tenant_no=tenant_no, query=query))

    async def forget(self, tasks: Sequence[TaskName]) -> None:
        """Delete the lines of some tasks, in small transactions."""
        while tasks:
            tasks = await self._writer.run(partial(_forget, tasks=tasks))

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = connect_writer(path, synchronous="NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT}")
        schema.prepare(connection, path, schema.migrations("logs"), migrate=self._migrate)
        return connection


def _append(connection: sqlite3.Connection, lines: Sequence[LogLine]) -> None:
    with writing(connection):
        connection.executemany(statement("insert_log_line"), lines)


def _lines(connection: sqlite3.Connection, tenant_no: TenantNo, query: LogQuery) -> list[LogLine]:
    name = "log_lines_backward" if query.newest_first else "log_lines_forward"
    where: dict[str, Any] = {
        "tenant_no": tenant_no,
        "task_run_id": query.task_run_id,
        "since": INTEGER_MIN if query.since is None else query.since,
        "until": INTEGER_MAX if query.until is None else query.until,
        "levels": None if query.levels is None else json_list(list(query.levels)),
        "retry_count": query.retry_count,
        "search": query.search,
        "limit": max(0, min(query.limit, LOG_LINES_MAX)),
    }
    with limited(connection, READ_SECONDS_MAX), reading(connection):
        return list(map(LogLine._make, connection.execute(statement(name), where)))


def _forget(connection: sqlite3.Connection, tasks: Sequence[TaskName]) -> Sequence[TaskName]:
    """Delete up to a batch of lines; returns the tasks that may have more."""
    numbers: list[tuple[int]] = []
    done = 0
    for tenant_no, task_run_id in tasks:
        where = {"tenant_no": tenant_no, "task_run_id": task_run_id, "limit": PRUNE_ROWS_MAX - len(numbers)}
        numbers += connection.execute(statement("log_numbers_of_task"), where)
        if len(numbers) == PRUNE_ROWS_MAX:
            break
        done += 1
    with writing(connection):
        connection.executemany(statement("delete_log_line"), numbers)
    return tasks[done:]
