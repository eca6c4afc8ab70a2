"""The work between the commits: index, retention, checkpoints."""

from __future__ import annotations

import sqlite3

import pytest

from limpet.core.decision import Changes
from limpet.core.ids import TenantId
from limpet.store.api import DataError, RunQuery
from limpet.store.sqlite import SqliteStore, upkeep
from tests.store.builders import NOW, ONE, SECOND, TWO, Owner, Rows


async def synchronous(store: SqliteStore) -> int:
    return await store._writer.run(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0])


async def indexed(store: SqliteStore) -> int:
    return await store._owner.run(lambda connection: connection.execute("SELECT count(*) FROM run_metadata").fetchone()[0])


async def test_the_index_is_filled_in_small_jobs(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sqlite.upkeep.stop()
    monkeypatch.setattr(upkeep, "INDEX_RUNS_MAX", 3)
    monkeypatch.setattr(upkeep, "INDEX_PAIRS_MAX", 2)
    for number in range(10):
        await sqlite_owner.open_run(rows, metadata=b'{"a":"%d","b":"c"}' % number if number % 3 else b"{}")
    assert await sqlite.upkeep.index_metadata() == 10
    assert await indexed(sqlite) == 12
    assert await sqlite.upkeep.index_metadata() == 0
    assert (await sqlite.reader.runs(ONE, RunQuery(metadata=[("a", "4")])))[1] == 1


async def test_each_tenant_has_its_own_place_in_the_index(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    await sqlite.upkeep.stop()
    theirs = Rows(TWO)
    await sqlite_owner.commit(theirs.definitions(), tenant_no=TWO)
    await sqlite_owner.open_run(theirs, metadata=b'{"a":"b"}')
    assert await sqlite.upkeep.index_metadata() == 1
    await sqlite_owner.open_run(rows, metadata=b'{"a":"b"}')
    assert await sqlite.upkeep.index_metadata() == 1
    for tenant_no in (ONE, TWO):
        assert (await sqlite.reader.runs(tenant_no, RunQuery(metadata=[("a", "b")])))[1] == 1


async def test_what_an_earlier_process_left_is_indexed(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    await sqlite.upkeep.stop()
    await sqlite_owner.open_run(rows, metadata=b'{"a":"b"}')
    await sqlite.close()
    await sqlite.open()
    await sqlite.upkeep.index_metadata()
    assert await indexed(sqlite) == 1


async def test_R22_commits_are_synced_again_after_upkeep(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    await sqlite_owner.end_run(rows, *await sqlite_owner.open_run(rows, metadata=b'{"a":"b"}'))
    await sqlite.upkeep.index_metadata()
    await sqlite.prune(rows.now + SECOND, 10)
    assert await synchronous(sqlite) == 2


async def test_R22_commits_are_synced_again_after_upkeep_that_failed(sqlite: SqliteStore) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        with upkeep._unsynced(connection):
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1
            connection.execute("INSERT INTO tenants (no, id, name, created_at) VALUES (1, NULL, '', 0)")

    with pytest.raises(DataError):
        await sqlite._writer.run(fails)
    assert await synchronous(sqlite) == 2


async def test_T_RETENTION_no_transaction_deletes_more_than_its_bound(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PRUNE_ROWS_MAX", 10)
    run = rows.run(metadata=b'{"a":"b","c":"d"}')
    tasks = [rows.task(run, step=step) for step in range(12)]
    await sqlite_owner.commit(Changes(runs_opened=[run], tasks_opened=tasks, events=[rows.event(task) for task in tasks]))
    ended = [rows.ended(task) for task in tasks]
    await sqlite_owner.commit(Changes(runs_changed=[rows.ended_run(run)], tasks_changed=ended))
    await sqlite.upkeep.index_metadata()
    seen: list[str] = []
    await sqlite._writer.run(lambda connection: connection.set_trace_callback(seen.append))
    assert await sqlite.prune(rows.now + SECOND, 10) == 1
    await sqlite._writer.run(lambda connection: connection.set_trace_callback(None))
    transactions = "\n".join(seen).split("BEGIN IMMEDIATE")
    deletions = [part.count("DELETE FROM") for part in transactions]
    assert sum(deletions) == 12 + 12 + 2 + 1
    assert max(deletions) == 10
    assert await indexed(sqlite) == 0


async def test_R19_a_run_that_is_replayed_during_its_deletion_stays(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    run, task = await sqlite_owner.open_run(rows)
    await sqlite_owner.end_run(rows, run, task)
    items = await sqlite._idle.run(lambda connection: upkeep._rows_of(connection, [run.key]))
    await sqlite_owner.commit(Changes(runs_changed=[run], tasks_changed=[task]))
    await sqlite._writer.run(lambda connection: upkeep._delete(connection, items, rows.now + SECOND))
    assert [row.key for row in (await sqlite.load(ONE)).tasks] == [task.key]


async def test_checkpoints_keep_the_log_short_beside_commits(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def settled() -> None:
        await sqlite._idle.run(lambda _: None)  # the part beside the commits
        await sqlite._writer.run(lambda _: None)  # the rest between two of them

    async def grown(commits: int) -> int:
        for _ in range(commits):
            await sqlite_owner.open_run(rows, input=b"x" * 20_000)
            await settled()
        return sqlite.path.with_name("store.db-wal").stat().st_size

    monkeypatch.setattr(upkeep, "CHECKPOINT_COMMITS", 10)
    first = await grown(20)
    assert await grown(100) <= first
    assert (await sqlite.reader.runs(ONE, RunQuery()))[1] == 120


async def test_a_reader_that_holds_an_old_commit_keeps_seeing_it(sqlite: SqliteStore) -> None:
    await sqlite.create_tenant(TenantId("a"), "A", NOW)

    def count(connection: sqlite3.Connection) -> int:
        return connection.execute("SELECT count(*) FROM tenants").fetchone()[0]

    await sqlite._owner.run(lambda connection: (connection.execute("BEGIN"), count(connection)))
    await sqlite.create_tenant(TenantId("b"), "B", NOW)
    sqlite._idle.post(sqlite.upkeep._checkpoint)
    await sqlite._idle.run(lambda _: None)
    assert await sqlite._owner.run(count) == 1
    await sqlite._owner.run(lambda connection: connection.execute("ROLLBACK"))
    assert await sqlite._owner.run(count) == 2
