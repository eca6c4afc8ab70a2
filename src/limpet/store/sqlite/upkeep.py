"""Work between the commits: the metadata index, retention, checkpoints. Small jobs, so that a commit waits a few ms at most.

What this work writes is committed without an fsync of its own: it is made durable by the next commit, and when the power
goes before that, it is done again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from limpet.core.ids import TENANT_KEY_SHIFT, TenantNo, first_key, last_key
from limpet.store.api import PRUNE_ROWS_MAX, FatalStoreError
from limpet.store.indexing import index_for_ever
from limpet.store.matching import INDEXED_CHARS_MAX, metadata_pairs
from limpet.store.sqlite import claims, events
from limpet.store.sqlite.connection import LOG_BYTES_MAX, json_list, reading, writing
from limpet.store.sqlite.errors import FSYNC_FAILED
from limpet.store.sqlite.lane import Lane
from limpet.store.sqlite.logs import LogFile
from limpet.store.sqlite.statements import statement

_log = logging.getLogger(__name__)

INDEX_RUNS_MAX = 1_000  # runs looked at in one job: about 2 ms when none has metadata
INDEX_PAIRS_MAX = 1_000  # entries written by one job, about 4 ms; a run's own entries stay together
PRUNE_RUNS_AT_ONCE = 100  # whose row keys are in memory together: 100,000 of the largest graphs
EVENT_KINDS = ("event_run", "pushed_event", "expression_failure")  # in the order in which their rows go
CHECKPOINT_COMMITS = 100  # 3 to 80 MB of write-ahead log; its two fsyncs then cost 2 % of those of the commits


Entry = tuple[TenantNo, str, str, int]  # a row of run_metadata


class Item(NamedTuple):
    """A row to delete: the run it belongs to, the statement, its parameters."""

    run_key: int
    statement: str
    parameters: tuple[Any, ...]


class Upkeep:
    """Asked by the store after each commit. `writer` is the commits' lane, `idle` one that nobody waits for."""

    def __init__(self, path: Path, writer: Lane, idle: Lane, logs: LogFile) -> None:
        self._writer, self._idle, self._logs = writer, idle, logs
        self._wal = path.with_name(path.name + "-wal")
        self._commits = 0
        self._is_checkpointing = False
        self._runs_opened = asyncio.Event()
        self._indexing: asyncio.Task[None] | None = None
        self.fatal: FatalStoreError | None = None

    def start(self) -> None:
        """Begin to index; the first pass finds what an earlier process left."""
        self._is_checkpointing, self._commits = False, 0
        self._runs_opened = asyncio.Event()
        self._runs_opened.set()
        self._indexing = asyncio.create_task(
            index_for_ever(self._runs_opened, self.index_metadata, _log), name="limpet-metadata-index"
        )

    async def stop(self) -> None:
        """End the background task."""
        if self._indexing is not None:
            self._indexing.cancel()
            await asyncio.wait([self._indexing])
            self._indexing = None

    def after_commit(self, *, runs_opened: bool) -> None:
        """Note that there is work, and start a checkpoint when the log has grown. Never waits."""
        self._commits += 1
        if runs_opened:
            self._runs_opened.set()
        if not self._is_checkpointing and (self._commits >= CHECKPOINT_COMMITS or self._log_is_large()):
            self._is_checkpointing, self._commits = True, 0
            self._idle.post(self._checkpoint)

    async def index_metadata(self) -> int:
        """Index everything that is not; returns the number of runs it has looked at."""
        total = 0
        for tenant_no, cursor in await self._idle.run(_progress):
            while seen := await self._writer.run(partial(_index, tenant_no=tenant_no, cursor=cursor)):
                total, cursor = total + seen.runs, seen.cursor
        return total

    async def prune(self, before: int, limit: int) -> int:
        """Hide what ended before the instant, delete up to `limit` of those runs; returns how many."""
        await self._writer.run(partial(_hide, before=before))
        keys = await self._idle.run(partial(_finished, before=before, limit=limit))
        for start in range(0, len(keys), PRUNE_RUNS_AT_ONCE):
            await self._prune_runs(keys[start : start + PRUNE_RUNS_AT_ONCE], before)
        return len(keys)

    async def purge_claims(self, before: int, limit: int) -> int:
        """Delete up to `limit` idempotency keys that had expired by then; returns how many were found."""
        keys = await self._idle.run(partial(claims.expired, before=before, limit=min(limit, PRUNE_ROWS_MAX)))
        if keys:
            await self._writer.run(partial(_purge, keys=keys, before=before))
        return len(keys)

    async def prune_events(self, before: int, limit: int) -> int:
        """Delete up to `limit` rows of events and what belongs to them; see `Store.prune_events`."""
        gone, held = 0, await self._idle.run(partial(events.held, before=before))
        for kind in EVENT_KINDS:
            while gone < limit:
                at_once = min(PRUNE_ROWS_MAX, limit - gone)
                some = await self._idle.run(partial(events.stale, kind=kind, before=before, limit=at_once, held=held))
                if not some:
                    break
                await self._writer.run(partial(_delete_events, rows=some))
                gone += len(some)
        return gone

    async def _prune_runs(self, keys: Sequence[int], before: int) -> None:
        await self._logs.forget(await self._idle.run(partial(_task_names, keys=keys)))
        items = iter(await self._idle.run(partial(_rows_of, keys=keys)))
        while some := list(islice(items, PRUNE_ROWS_MAX)):
            await self._writer.run(partial(_delete, items=some, before=before))

    def _log_is_large(self) -> bool:
        try:
            return self._wal.stat().st_size > LOG_BYTES_MAX
        except OSError:
            return False

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """The large part beside the commits; the few pages written meanwhile between two of them.

        Only a log that was copied whole is begun anew, and beside steady commits that would never be.
        """
        try:
            self._copy_log(connection)
        finally:
            self._writer.post(self._finish_checkpoint)

    def _finish_checkpoint(self, connection: sqlite3.Connection) -> None:
        try:
            self._copy_log(connection)
        finally:
            self._is_checkpointing = False

    def _copy_log(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in FSYNC_FAILED:
                self.fatal = FatalStoreError(
                    f"The disk failed to keep a checkpoint ({error}). End this process; look after the disk."
                )
            raise


class Indexed(NamedTuple):
    """What one indexing job has done."""

    runs: int
    cursor: int


@contextmanager
def _unsynced(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction without an fsync. The connection is the commits' own: its setting must come back, whatever happens."""
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        with writing(connection):
            yield
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def _progress(connection: sqlite3.Connection) -> list[tuple[TenantNo, int]]:
    return connection.execute(statement("metadata_progress")).fetchall()


def _index(connection: sqlite3.Connection, tenant_no: TenantNo, cursor: int) -> Indexed | None:
    where = {"cursor": max(cursor, first_key(tenant_no) - 1), "key_last": last_key(tenant_no), "limit": INDEX_RUNS_MAX}
    runs = connection.execute(statement("metadata_to_index"), where).fetchall()
    if not runs:
        return None
    entries, seen = _entries(tenant_no, runs)
    reached = runs[seen - 1][0]
    with _unsynced(connection):
        connection.executemany(statement("insert_metadata"), entries)
        connection.execute(statement("move_metadata_cursor"), {"cursor": reached, "tenant_no": tenant_no})
    return Indexed(seen, reached)


def _entries(tenant_no: TenantNo, runs: Sequence[tuple[int, bytes]]) -> tuple[list[Entry], int]:
    """Index entries of the first runs, up to a bound, and how many runs these are."""
    entries: list[Entry] = []
    for seen, (key, metadata) in enumerate(runs):
        if len(entries) >= INDEX_PAIRS_MAX:
            return entries, seen
        pairs = metadata_pairs(metadata)
        entries += ((tenant_no, name[:INDEXED_CHARS_MAX], value[:INDEXED_CHARS_MAX], key) for name, value in pairs)
    return entries, len(runs)


def _hide(connection: sqlite3.Connection, before: int) -> None:
    with _unsynced(connection):
        connection.execute(statement("hide_finished"), {"before": before})


def _finished(connection: sqlite3.Connection, before: int, limit: int) -> list[int]:
    return [key for (key,) in connection.execute(statement("finished_runs"), {"before": before, "limit": max(0, limit)})]


def _task_names(connection: sqlite3.Connection, keys: Sequence[int]) -> list[tuple[int, str]]:
    rows = connection.execute(statement("task_ids_of_runs"), {"keys": json_list(keys)})
    return [(tenant_no, task_run_id) for _, _, tenant_no, task_run_id in rows]


def _rows_of(connection: sqlite3.Connection, keys: Sequence[int]) -> list[Item]:
    """Everything that goes with the runs, each run's own row last."""
    where = {"keys": json_list(keys)}
    with reading(connection):
        events = connection.execute(statement("event_keys_of_runs"), where).fetchall()
        tasks = connection.execute(statement("task_ids_of_runs"), where).fetchall()
        metadata = connection.execute(statement("metadata_of_runs"), where).fetchall()
        waits = connection.execute(statement("waits_by_run"), where).fetchall()
    items = [
        *(Item(run_key, "delete_event", (key,)) for run_key, key in events),
        *(Item(run_key, "delete_task", (key,)) for run_key, key, _, _ in tasks),
        *(Item(row[0], "delete_metadata", row) for row in metadata),
        *(Item(row[0], "delete_wait", row[:2]) for row in waits),
        *(Item(key, "delete_run", (key,)) for key in keys),
    ]
    rank = {key: position for position, key in enumerate(keys)}
    return sorted(items, key=lambda item: rank[item.run_key])  # stable: the order above stays within a run


def _delete(connection: sqlite3.Connection, items: Sequence[Item], before: int) -> None:
    """Only rows of runs that are still ended: the owner may have replayed one meanwhile (R19)."""
    with _unsynced(connection):
        where = {"keys": json_list(sorted({item.run_key for item in items})), "before": before}
        ended = {key for (key,) in connection.execute(statement("still_finished"), where)}
        for item in items:
            if item.run_key in ended:
                connection.execute(statement(item.statement), item.parameters)
        connection.executemany(statement("raise_key_floor"), _floors(items))


def _purge(connection: sqlite3.Connection, keys: Sequence[int], before: int) -> None:
    with _unsynced(connection):
        connection.executemany(statement("purge_claim"), [(key, before) for key in keys])


def _delete_events(connection: sqlite3.Connection, rows: Sequence[events.Stale]) -> None:
    """Whatever may go now may go for ever: an event starts nothing later, and a deleted run does not come back."""
    largest: dict[int, int] = {}
    with _unsynced(connection):
        for row in rows:
            connection.execute(statement(row.statement), (row.key,))
            tenant_no = row.key >> TENANT_KEY_SHIFT
            largest[tenant_no] = max(largest.get(tenant_no, 0), row.key)
        connection.executemany(statement("raise_key_floor"), [(key, tenant_no) for tenant_no, key in largest.items()])


def _floors(items: Sequence[Item]) -> list[tuple[int, int]]:
    """The largest key that goes, with its tenant, for each tenant."""
    largest: dict[int, int] = {}
    for item in items:
        key, tenant_no = item.parameters[0], item.run_key >> TENANT_KEY_SHIFT
        largest[tenant_no] = max(largest.get(tenant_no, 0), key)
    return [(key, tenant_no) for tenant_no, key in largest.items()]
