"""What an operator does: status, migrate, backup, restore, check."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from limpet._version import __version__
from limpet.core.condition_rows import WaitRow
from limpet.core.decision import Changes
from limpet.core.rows import RunStatus
from limpet.store.api import CorruptStore, Fence, FenceMismatch, LogQuery, StoreError, StoreLocked
from limpet.store.sqlite import SqliteStore, maintenance, schema
from limpet.store.sqlite.connection import connect_writer
from limpet.store.sqlite.schema import Migration
from tests.store.builders import ONE, Owner, Rows, own


async def test_status_counts_what_is_there(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    await sqlite_owner.end_run(rows, *await sqlite_owner.open_run(rows))
    _, task = await sqlite_owner.open_run(rows)
    await sqlite_owner.open_run(rows)
    await sqlite_owner.commit(Changes(tasks_changed=[rows.assigned(task)]))
    await sqlite.quarantine(ONE, 0, "why", "what")
    found = maintenance.status(sqlite.path)
    assert (found.runs, found.unfinished_runs, found.waiting_tasks, found.live_tasks) == (3, 2, 1, 1)
    assert (found.tenants, found.workflows, found.workers, found.quarantined) == (2, 1, 1, 1)
    assert found.overdue_tasks == 1, "the rows are of the year 2023"
    assert found.used_by == str(os.getpid())
    assert found.fence == sqlite_owner.fence
    newest = schema.migrations("store")[-1].number
    assert (found.schema, found.schema_newest, found.schema_release) == (newest, newest, __version__)
    assert found.file_bytes > 0
    await sqlite.close()
    assert maintenance.status(sqlite.path).used_by is None


@pytest.mark.parametrize("call", [maintenance.status, maintenance.check, maintenance.migrate])
def test_a_store_that_is_not_there_is_said(tmp_path: Path, call: object) -> None:
    with pytest.raises(StoreError, match="no store at"):
        call(tmp_path / "none.db")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


async def test_migrate_brings_an_older_store_up_to_date(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreLocked):
        maintenance.migrate(sqlite.path)
    await sqlite.close()
    known = {kind: schema.migrations(kind) for kind in ("store", "logs")}
    newest = known["store"][-1].number
    step = Migration(newest + 1, f"{newest + 1:04}_more.sql", "CREATE TABLE more (a INTEGER) STRICT;\n")
    monkeypatch.setattr(schema, "migrations", lambda kind: (*known[kind], *([step] if kind == "store" else [])))
    assert maintenance.migrate(sqlite.path) == maintenance.Migrated(newest, newest + 1)
    assert maintenance.migrate(sqlite.path) == maintenance.Migrated(newest + 1, newest + 1)
    store = SqliteStore(sqlite.path)
    await store.open()
    await store.close()


async def test_a_backup_of_a_store_in_use_is_a_whole_store(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, tmp_path: Path
) -> None:
    run, task = await sqlite_owner.open_run(rows)
    await sqlite.append_logs([rows.line(task)])
    target = tmp_path / "backup.db"
    report = maintenance.backup(sqlite.path, target)
    later, _ = await sqlite_owner.open_run(rows)
    assert (report.path, report.log_path) == (target, tmp_path / "backup.db-logs")
    assert report.fence == Fence(1, sqlite_owner.fence.seq - 1)
    assert maintenance.check(target) == []
    copy = SqliteStore(target)
    await copy.open()
    assert await copy.reader.run(ONE, run.id) is not None
    assert await copy.reader.run(ONE, later.id) is None
    assert len(await copy.reader.log_lines(ONE, LogQuery(task.id))) == 1
    await copy.close()


async def test_a_backup_overwrites_nothing(sqlite: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        maintenance.backup(sqlite.path, target)
    assert target.read_text() == "precious"


async def test_a_restore_puts_the_backup_in_place_and_ends_older_owners(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, tmp_path: Path
) -> None:
    run, task = await sqlite_owner.open_run(rows)
    await sqlite.append_logs([rows.line(task)])
    target = tmp_path / "backup.db"
    maintenance.backup(sqlite.path, target)
    later, later_task = await sqlite_owner.open_run(rows)
    await sqlite.append_logs([rows.line(later_task)])
    for _ in range(3):
        await sqlite_owner.claim()
    with pytest.raises(StoreLocked):
        maintenance.restore(target, sqlite.path)
    await sqlite.close()
    report = maintenance.restore(target, sqlite.path)
    assert report.fence.epoch == sqlite_owner.fence.epoch + 1
    assert report.replaced == tmp_path / "store.db.replaced"
    await sqlite.open()
    assert await sqlite.reader.run(ONE, run.id) is not None
    assert await sqlite.reader.run(ONE, later.id) is None
    assert len(await sqlite.reader.log_lines(ONE, LogQuery(task.id))) == 1
    assert list(await sqlite.reader.log_lines(ONE, LogQuery(later_task.id))) == []
    with pytest.raises(FenceMismatch):
        await sqlite_owner.commit(Changes(runs_opened=[rows.run()]))
    await sqlite.close()
    former = SqliteStore(report.replaced)
    await former.open()
    assert await former.reader.run(ONE, later.id) is not None
    await former.close()


async def test_copies_are_for_their_owner_alone_as_the_store_is(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, tmp_path: Path
) -> None:
    _, task = await sqlite_owner.open_run(rows)
    await sqlite.append_logs([rows.line(task)])
    maintenance.backup(sqlite.path, tmp_path / "backup.db")
    await sqlite.close()
    maintenance.restore(tmp_path / "backup.db", sqlite.path)
    names = ("backup.db", "backup.db-logs", "store.db", "store.db-logs")
    assert {name: f"{stat.S_IMODE((tmp_path / name).stat().st_mode):o}" for name in names} == dict.fromkeys(names, "600")


async def test_a_restore_mends_a_store_beyond_reading(
    sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows, tmp_path: Path
) -> None:
    run, _ = await sqlite_owner.open_run(rows)
    maintenance.backup(sqlite.path, tmp_path / "backup.db")
    await sqlite.close()
    sqlite.path.write_bytes(b"\x00" * 10_000)
    sqlite.path.with_name("store.db-wal").write_bytes(b"left over")
    maintenance.restore(tmp_path / "backup.db", sqlite.path)
    await sqlite.open()
    assert await sqlite.reader.run(ONE, run.id) is not None


async def test_a_restore_makes_a_store_where_none_was(sqlite: SqliteStore, sqlite_owner: Owner, tmp_path: Path) -> None:
    maintenance.backup(sqlite.path, tmp_path / "backup.db")
    report = maintenance.restore(tmp_path / "backup.db", tmp_path / "other.db")
    assert report.replaced is None
    assert report.fence == Fence(sqlite_owner.fence.epoch + 1, sqlite_owner.fence.seq)


async def test_a_restore_of_something_else_changes_nothing(sqlite: SqliteStore, tmp_path: Path) -> None:
    await sqlite.close()
    before = sqlite.path.read_bytes()
    (tmp_path / "notes.db").write_bytes(b"notes " * 1_000)
    with pytest.raises(CorruptStore):
        maintenance.restore(tmp_path / "notes.db", sqlite.path)
    assert sqlite.path.read_bytes() == before


async def test_a_sound_store_has_nothing_to_tell(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    run, task = await sqlite_owner.open_run(rows, metadata=b'{"a":"b"}')
    await sqlite_owner.commit(Changes(events=[rows.event(task)]))
    await sqlite_owner.end_run(rows, run, task)
    running = rows.run(status=RunStatus.RUNNING)
    await sqlite_owner.commit(Changes(runs_opened=[running], tasks_opened=[rows.assigned(rows.task(running))]))
    await sqlite.upkeep.index_metadata()
    assert maintenance.check(sqlite.path) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("DELETE FROM ownership", "exactly one fence"),
        ("UPDATE runs SET tenant_no = 2", "range of its tenant"),
        ("UPDATE tasks SET tenant_no = 2", "tenant of its run"),
        ("UPDATE tasks SET run_key = 5", "A task must belong to a run"),
        ("UPDATE runs SET version_key = 5", "a version of its workflow"),
        ("UPDATE versions SET workflow_key = 5", "a workflow of its tenant"),
        ("UPDATE events SET task_key = 5", "An event must belong to a task"),
        ("UPDATE run_metadata SET run_key = 5", "metadata index must belong to a run"),
        ("UPDATE tasks SET status = 3, finished_at = NULL", "live task must have a worker"),
        ("UPDATE tasks SET finished_at = NULL", "A task must have ended at some time"),
        ("UPDATE runs SET finished_at = NULL", "A run must have ended at some time"),
        ("UPDATE tasks SET status = 1, finished_at = NULL", "must not have a task that has not ended"),
        ("UPDATE runs SET status = 1, finished_at = NULL", "must have a task that has not ended"),
        ("UPDATE waits SET run_key = 5", "Conditions must belong to a run"),
        ("UPDATE event_runs SET event_key = 5", "must be an event of its tenant"),
        ("UPDATE tasks SET status = 6", "completed run must not have a failed task"),
    ],
)
async def test_the_self_check_names_what_must_not_be(tmp_path: Path, damage: str, sentence: str) -> None:
    store, rows = SqliteStore(tmp_path / "store.db"), Rows()
    await store.open()
    owner = await own(store, rows)
    run, task = await owner.open_run(rows, metadata=b'{"a":"b"}')
    pushed = rows.pushed_event()
    waits = [WaitRow(run.key, 0, ONE, run.created_at, None, None, b"")]
    started = [rows.event_run(pushed, run)]
    await owner.commit(Changes(events=[rows.event(task)], pushed_events=[pushed], event_runs=started, waits=waits))
    ended = rows.ended(task, worker_key=None)
    await owner.commit(Changes(runs_changed=[rows.ended_run(run)], tasks_changed=[ended]))
    await store.upkeep.index_metadata()
    await store.close()
    assert maintenance.check(store.path) == []
    connection = connect_writer(store.path)
    connection.execute(damage)
    connection.close()
    assert [problem for problem in maintenance.check(store.path) if sentence in problem and "Broken 1 times" in problem]


async def test_every_check_is_proven_to_find_something() -> None:
    marks = next(mark for mark in test_the_self_check_names_what_must_not_be.pytestmark if mark.name == "parametrize")
    sentences = [one.sentence for name, one in maintenance.statements().items() if name.startswith("check_")]
    assert [each for each in sentences if not any(part in each for _, part in marks.args[1])] == []


async def test_damage_of_the_file_is_reported(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    for _ in range(20):
        await sqlite_owner.open_run(rows)
    await sqlite.close()
    connection = connect_writer(sqlite.path)
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tasks_by_age'").fetchone()[0]
    connection.close()
    with sqlite.path.open("r+b") as file:
        file.seek((page - 1) * 4096 + 2_000)
        file.write(b"\x55" * 2_000)
    problems = maintenance.check(sqlite.path)
    assert problems
    assert all("is damaged" in problem for problem in problems)
