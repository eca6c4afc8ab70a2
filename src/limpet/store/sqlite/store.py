"""A store in one SQLite file, for one process (R22): every fsync of the writer serves all tenants.

Laws:
1. All commits go through one thread with one connection, `synchronous = FULL`, fence first (`commit.py`).
2. Nothing else makes a commit wait for longer than a small job: reads, checkpoints and logs have threads of their own.
3. After a failed fsync nothing is written any more: the process has to end (R8).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from limpet.core.ids import TenantId, TenantNo
from limpet.core.needs import Found, Needs, Snapshot
from limpet.store.api import (
    ONLY_GROUP,
    Batch,
    FatalStoreError,
    FenceMismatch,
    Fences,
    Holder,
    LogLine,
    Quarantined,
    Reader,
    StoreStats,
    Tenant,
    Token,
)
from limpet.store.sqlite import commit, owner, schema
from limpet.store.sqlite.connection import connect_reader, connect_writer
from limpet.store.sqlite.lane import Job, Lane, T
from limpet.store.sqlite.lock import FileLock
from limpet.store.sqlite.logs import LogFile
from limpet.store.sqlite.reader import SqliteReader
from limpet.store.sqlite.upkeep import Upkeep

WRITES_WAITING_MAX = 1_000  # commits come one at a time; the rest are small jobs
READS_WAITING_MAX = 200  # pages that wait for a thread; the next one is told to try again
READ_THREADS = 3  # a slow page leaves two for the others; more would only fight for the interpreter


class SqliteStore:
    """`Store` over `<path>`, with `<path>-logs` and `<path>.lock` beside it; the folder must exist.

    auto_migrate: bring an older schema up to date at open, instead of asking for `limpet db migrate`
    steps:        the schema this store works with; the newest, but for tests of migrations
    """

    path: Path
    stats: StoreStats
    upkeep: Upkeep
    reader: Reader
    lease_us: int | None = None  # the lock on the file lasts as long as the process

    def __init__(self, path: str | Path, *, auto_migrate: bool = False, steps: Sequence[schema.Migration] | None = None) -> None:
        self.path = Path(path)
        self.stats = StoreStats()
        self._auto_migrate = auto_migrate
        self._steps = schema.migrations("store") if steps is None else steps
        self._lock = FileLock(self.path)
        self._writer = Lane("store-writer", self.path, self._connect, waiting_max=WRITES_WAITING_MAX)
        self._owner = Lane("store-owner", self.path, connect_reader, waiting_max=READS_WAITING_MAX)
        self._idle = Lane("store-upkeep", self.path, connect_writer, waiting_max=WRITES_WAITING_MAX)
        self._pages = Lane("store-reader", self.path, connect_reader, waiting_max=READS_WAITING_MAX, threads=READ_THREADS)
        self._logs = LogFile(self.path, migrate=auto_migrate)
        self.upkeep = Upkeep(self.path, self._writer, self._idle, self._logs)
        self.reader = SqliteReader(self._pages, self._owner, self._logs)

    async def open(self) -> None:
        """Lock, check or make the schema, connect. Raises StoreLocked, SchemaError, CorruptStore, TransientStoreError."""
        self._lock.acquire()
        try:
            await self._writer.open()  # first: it makes the file
            for lane in (self._owner, self._idle, self._pages):
                await lane.open()
            await self._logs.open()
        except BaseException:
            await self.close()
            raise
        self.upkeep.start()

    async def close(self) -> None:
        """Finish what is being written, let go of the lock. Harmless when called twice."""
        await self.upkeep.stop()
        await self._logs.close()
        for lane in (self._pages, self._owner, self._idle):
            await lane.close()
        await self._writer.close()  # last: it copies the write-ahead log into the file
        self._lock.release()

    async def claim(self) -> Fences:
        return {ONLY_GROUP: await self._write(commit.claim)}

    async def fences(self) -> Fences:
        return {ONLY_GROUP: await self._write(commit.stored_fence)}

    async def renew(self, fences: Fences) -> None:
        stored = (await self.fences())[ONLY_GROUP]
        if stored.epoch != fences[ONLY_GROUP].epoch:
            raise FenceMismatch(f"The store stands at {stored}, so {fences[ONLY_GROUP]} does not own it any more.")

    async def release(self, fences: Fences) -> None:
        """Nothing to give up: the file's lock goes with `close`."""

    async def holder(self) -> Holder | None:
        return None

    async def load(self, tenant_no: TenantNo) -> Snapshot:
        return await self._owner.run(partial(owner.load, tenant_no=tenant_no))

    async def commit(self, batch: Batch) -> None:
        began = time.perf_counter()
        rows = await self._write(partial(commit.commit, batch=batch))
        self.stats.commits += 1
        self.stats.rows_written += rows
        self.stats.commit_seconds_total += time.perf_counter() - began
        self.upkeep.after_commit(runs_opened=any(changes.runs_opened for _, changes in batch.changes))

    async def look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        return await self._owner.run(partial(owner.look_up, tenant_no=tenant_no, needs=needs))

    async def tenants(self) -> Sequence[Tenant]:
        return await self._owner.run(owner.tenants)

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        return await self._write(partial(owner.create_tenant, tenant_id=tenant_id, name=name, now=now))

    async def tokens(self) -> Sequence[Token]:
        return await self._owner.run(owner.tokens)

    async def put_token(self, token: Token) -> None:
        await self._write(partial(owner.put_token, token=token))

    async def quarantine(self, tenant_no: TenantNo, at: int, reason: str, content: str) -> None:
        await self._write(partial(owner.quarantine, item=Quarantined(tenant_no, at, reason, content)))

    async def quarantined(self) -> Sequence[Quarantined]:
        return await self._owner.run(owner.quarantined)

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        await self._logs.append(lines)

    async def prune(self, before: int, limit: int) -> int:
        return await self.upkeep.prune(before, limit)

    async def purge_claims(self, before: int, limit: int) -> int:
        return await self.upkeep.purge_claims(before, limit)

    async def prune_events(self, before: int, limit: int) -> int:
        return await self.upkeep.prune_events(before, limit)

    async def _write(self, job: Job[T]) -> T:
        if self.upkeep.fatal is not None:
            raise self.upkeep.fatal
        try:
            return await self._writer.run(job)
        except FatalStoreError as error:
            self.upkeep.fatal = error
            raise

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = connect_writer(path)
        try:
            schema.prepare(connection, path, self._steps, migrate=self._auto_migrate)
        except BaseException:
            connection.close()
            raise
        return connection
