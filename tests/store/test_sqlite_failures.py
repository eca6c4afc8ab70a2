"""What SQLite cannot do, and what becomes of the commit (R8)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from limpet.core.decision import Changes
from limpet.store.api import (
    ONLY_GROUP,
    CorruptStore,
    DataError,
    FatalStoreError,
    ReadTimedOut,
    RunQuery,
    StoreError,
    TransientStoreError,
)
from limpet.store.sqlite import SqliteStore, commit, connection, lane, reader
from limpet.store.sqlite.errors import translate
from tests.store.builders import ONE, Owner, Rows, own


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, TransientStoreError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, TransientStoreError),
        (sqlite3.SQLITE_LOCKED, TransientStoreError),
        (sqlite3.SQLITE_FULL, TransientStoreError),
        (sqlite3.SQLITE_READONLY, TransientStoreError),
        (sqlite3.SQLITE_READONLY_DBMOVED, TransientStoreError),
        (sqlite3.SQLITE_IOERR_WRITE, TransientStoreError),
        (sqlite3.SQLITE_IOERR_READ, TransientStoreError),
        (sqlite3.SQLITE_CANTOPEN, TransientStoreError),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, DataError),
        (sqlite3.SQLITE_CONSTRAINT_DATATYPE if hasattr(sqlite3, "SQLITE_CONSTRAINT_DATATYPE") else 3091, DataError),
        (sqlite3.SQLITE_MISMATCH, DataError),
        (sqlite3.SQLITE_TOOBIG, DataError),
        (sqlite3.SQLITE_CORRUPT, CorruptStore),
        (sqlite3.SQLITE_CORRUPT_INDEX, CorruptStore),
        (sqlite3.SQLITE_NOTADB, CorruptStore),
        (sqlite3.SQLITE_IOERR_FSYNC, FatalStoreError),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, FatalStoreError),
        (sqlite3.SQLITE_ERROR, StoreError),
    ],
)
def test_R8_every_error_says_who_can_act(code: int, kind: type[StoreError]) -> None:
    error = translate(sqlite_error(code), Path("/data/store.db"))
    assert type(error) is kind
    assert "/data/store.db" in str(error)


async def test_T_DISK_FULL_the_same_batch_goes_in_once_there_is_space(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows
) -> None:
    def limit_pages(connection: sqlite3.Connection, spare: int) -> None:
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + spare}")

    await sqlite._writer.run(lambda connection: limit_pages(connection, 5))
    run = rows.run(input=b"x" * 1_000_000)
    batch = sqlite_owner.next_batch(Changes(runs_opened=[run]))
    before = await sqlite.fences()
    for _ in range(2):
        with pytest.raises(TransientStoreError, match="disk is full"):
            await sqlite.commit(batch)
    assert await sqlite.fences() == before
    await sqlite._writer.run(lambda connection: limit_pages(connection, 10_000))
    await sqlite.commit(batch)
    assert (await sqlite.reader.payloads([run], []))[0] == {run.key: run.input}


async def test_T_DB_READONLY_the_same_batch_goes_in_once_it_may_be_written(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows
) -> None:
    await sqlite._writer.run(lambda connection: connection.execute("PRAGMA query_only = ON"))
    batch = sqlite_owner.next_batch(Changes(runs_opened=[rows.run()]))
    with pytest.raises(TransientStoreError, match="read-only"):
        await sqlite.commit(batch)
    await sqlite._writer.run(lambda connection: connection.execute("PRAGMA query_only = OFF"))
    await sqlite.commit(batch)
    assert await sqlite.fences() == batch.fences


async def test_a_foreign_program_that_holds_the_file_makes_us_wait_and_try_again(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.01)
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    owner = await own(store, rows)
    foreign = sqlite3.connect(store.path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    batch = owner.next_batch(Changes(runs_opened=[rows.run()]))
    with pytest.raises(TransientStoreError, match="another program"):
        await store.commit(batch)
    foreign.execute("ROLLBACK")
    foreign.close()
    await store.commit(batch)
    await store.close()


async def test_R8_after_a_failed_fsync_nothing_is_written_any_more(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync_fails(*_: object, **__: object) -> int:
        raise sqlite_error(sqlite3.SQLITE_IOERR_FSYNC)

    with monkeypatch.context() as patch:
        patch.setattr(commit, "commit", fsync_fails)
        with pytest.raises(FatalStoreError, match="End this process"):
            await sqlite_owner.commit(Changes(runs_opened=[rows.run()]))
    with pytest.raises(FatalStoreError):
        await sqlite_owner.commit(Changes(runs_opened=[rows.run()]))
    with pytest.raises(FatalStoreError):
        await sqlite.claim()


async def test_R8_a_failed_fsync_of_a_checkpoint_ends_the_writing_too(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows
) -> None:
    class BrokenDisk:
        def execute(self, text: str) -> None:
            raise sqlite_error(sqlite3.SQLITE_IOERR_FSYNC)

    sqlite._idle.post(lambda _: sqlite.upkeep._checkpoint(BrokenDisk()))  # type: ignore[arg-type]
    await sqlite._idle.run(lambda _: None)
    with pytest.raises(FatalStoreError, match="checkpoint"):
        await sqlite_owner.commit(Changes(runs_opened=[rows.run()]))


async def test_R51_a_read_that_takes_too_long_is_ended(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sqlite_owner.open_run(rows)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "INSTRUCTIONS_PER_LOOK", 1)
        patch.setattr(reader, "READ_SECONDS_MAX", 0.0)
        with pytest.raises(ReadTimedOut, match="shorter time"):
            await sqlite.reader.runs(ONE, RunQuery())
    assert (await sqlite.reader.runs(ONE, RunQuery()))[1] == 1


async def test_more_reads_than_can_wait_are_told_to_try_again(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, waiting = threading.Event(), 4
    monkeypatch.setattr(sqlite._pages, "_waiting_max", waiting)
    reads = [asyncio.ensure_future(sqlite._pages.run(lambda _: gate.wait())) for _ in range(3)]
    started = asyncio.get_running_loop().time()
    await asyncio.sleep(0)
    while sqlite._pages._queue.qsize():  # the three threads take one each
        await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() - started < 30
    reads += [asyncio.ensure_future(sqlite._pages.run(lambda _: gate.wait())) for _ in range(waiting)]
    await asyncio.sleep(0)
    with pytest.raises(TransientStoreError, match="Too many calls wait"):
        await sqlite.reader.runs(ONE, RunQuery())
    gate.set()
    assert await asyncio.gather(*reads) == [True] * (3 + waiting)


async def test_a_page_that_hangs_stops_neither_commits_nor_payloads(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    gate = threading.Event()
    slow = [asyncio.ensure_future(sqlite._pages.run(lambda _: gate.wait())) for _ in range(3)]
    run, _ = await sqlite_owner.open_run(rows)
    assert (await sqlite.reader.payloads([run], []))[0] == {run.key: run.input}
    gate.set()
    await asyncio.gather(*slow)


async def test_a_caller_that_gave_up_disturbs_nobody(sqlite: SqliteStore) -> None:
    gate = threading.Event()
    abandoned = asyncio.ensure_future(sqlite._writer.run(lambda _: gate.wait()))
    await asyncio.sleep(0)
    abandoned.cancel()
    gate.set()
    assert (await sqlite.claim())[ONLY_GROUP].epoch == 1


async def test_a_posted_job_that_fails_is_logged(sqlite: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    sqlite._writer.post(lambda connection: connection.execute("SELECT * FROM missing"))
    await sqlite.fences()
    assert [record.name for record in caplog.records] == [lane.__name__]
    assert "no such table" in caplog.text
