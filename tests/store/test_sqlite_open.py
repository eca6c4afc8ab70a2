"""Opening a SQLite store: the lock, the schema, files that are none."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from limpet._version import __version__
from limpet.core.ids import TenantId
from limpet.store.api import ONLY_GROUP, CorruptStore, Fence, SchemaError, StoreLocked, TransientStoreError
from limpet.store.sqlite import SqliteStore, schema
from limpet.store.sqlite.connection import connect_writer
from limpet.store.sqlite.schema import Migration
from tests.store.builders import NOW, Owner

NEXT = Migration(
    len(schema.migrations("store")) + 1,
    "more.sql",
    "-- More.\nCREATE TABLE more (a INTEGER) STRICT;\nCREATE TRIGGER t AFTER INSERT ON more BEGIN\n  SELECT 1;\n  SELECT 2;\nEND;\n",
)
NEWER = (*schema.migrations("store"), NEXT)

HOLDER = """
import asyncio, sys
from limpet.store.sqlite import SqliteStore
async def main():
    await SqliteStore(sys.argv[1]).open()
    print("open", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def dump(path: Path) -> list[tuple[str, str | None]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    connection.close()
    return found


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the store `store.db`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "store.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


async def test_R22_a_second_process_is_told_who_holds_the_store(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(StoreLocked, match=rf"{store.path} is in use by process {holder.pid}\."):
        await store.open()
    holder.kill()
    holder.wait()
    await store.open()  # the kernel has let go of the lock
    await store.close()


async def test_R22_a_second_store_of_the_same_process_is_refused(sqlite: SqliteStore) -> None:
    with pytest.raises(StoreLocked, match=str(os.getpid())):
        await SqliteStore(sqlite.path).open()
    assert await sqlite.fences() == {ONLY_GROUP: Fence(0, 0)}


async def test_a_store_opens_again_after_its_close(sqlite: SqliteStore) -> None:
    await Owner(sqlite).claim()
    await sqlite.close()
    await sqlite.close()
    await sqlite.open()
    assert await sqlite.fences() == {ONLY_GROUP: Fence(1, 0)}


async def test_a_closed_store_says_so_and_leaves_no_thread(sqlite: SqliteStore) -> None:
    others = {"limpet-filters_0"}  # an edge's, which lives as long as the process
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("limpet-")} - others
    await sqlite.close()
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("limpet-")} - others == set()
    with pytest.raises(TransientStoreError, match="not open"):
        await sqlite.fences()
    with pytest.raises(TransientStoreError, match="not open"):
        await sqlite.tenants()


async def test_a_clean_close_leaves_everything_in_the_one_file(sqlite: SqliteStore) -> None:
    await sqlite.create_tenant(TenantId("a"), "A", NOW)
    await sqlite.close()
    names = {file.name for file in sqlite.path.parent.iterdir()}
    assert names == {"store.db", "store.db-logs", "store.db.lock"}


async def test_the_writer_syncs_every_commit_and_never_checkpoints_by_itself(sqlite: SqliteStore) -> None:
    settings = [
        await sqlite._writer.run(lambda connection, name=name: connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
    ]
    assert settings == ["wal", 2, 0]


async def test_readers_cannot_write(sqlite: SqliteStore) -> None:
    for lane in (sqlite._pages, sqlite._owner):
        with pytest.raises(TransientStoreError, match="read-only"):
            await lane.run(lambda connection: connection.execute("DELETE FROM tenants"))


async def test_R47_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    newer = SqliteStore(path, steps=NEWER)
    await newer.open()
    await newer.close()
    connection = connect_writer(path)
    connection.execute("UPDATE schema_version SET release = '9.1.0' WHERE number = ?", (NEXT.number,))
    connection.close()
    with pytest.raises(
        SchemaError, match=rf"schema {NEXT.number}, made by Limpet 9\.1\.0; this is Limpet {__version__}.* Start Limpet 9\.1\.0"
    ):
        await SqliteStore(path).open()
    with pytest.raises(SchemaError):
        await SqliteStore(path, auto_migrate=True).open()


async def test_R47_an_older_schema_names_the_command_that_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    old = SqliteStore(path)
    await old.open()
    await Owner(old).claim()
    await old.close()
    with pytest.raises(SchemaError, match=rf"schema {NEXT.number - 1}.*schema {NEXT.number}.*limpet db migrate --store {path}"):
        await SqliteStore(path, steps=NEWER).open()
    new = SqliteStore(path, steps=NEWER, auto_migrate=True)
    await new.open()
    assert await new.fences() == {ONLY_GROUP: Fence(1, 0)}
    await new.close()
    assert "more" in dict(dump(path))


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    before = dump(path)
    number = len(schema.migrations("store")) + 1
    broken = Migration(
        number, f"{number:04}_broken.sql", "CREATE TABLE more (a INTEGER) STRICT;\nINSERT INTO missing VALUES (1);\n"
    )
    with pytest.raises(Exception, match="missing"):
        await SqliteStore(path, steps=(*schema.migrations("store"), broken), auto_migrate=True).open()
    assert dump(path) == before
    await store.open()
    await store.close()


@pytest.mark.parametrize("steps", [NEWER, schema.migrations("store")], ids=["with another step", "as it is"])
async def test_a_fresh_schema_equals_all_migrations_applied(tmp_path: Path, steps: tuple[Migration, ...]) -> None:
    fresh = SqliteStore(tmp_path / "fresh.db", steps=steps)
    await fresh.open()
    await fresh.close()
    for number in range(1, len(steps) + 1):
        grown = SqliteStore(tmp_path / "grown.db", steps=steps[:number], auto_migrate=True)
        await grown.open()
        await grown.close()
    assert dump(tmp_path / "grown.db") == dump(tmp_path / "fresh.db")


def test_every_table_is_explained_at_the_top_of_the_migration_that_makes_it() -> None:
    for kind in ("store", "logs"):
        assert schema.migrations(kind)
        for step in schema.migrations(kind):
            head = step.script.partition("CREATE")[0]
            tables = [line.split()[2] for line in step.script.splitlines() if line.startswith("CREATE TABLE")]
            assert tables or step.number > 1
            assert [table for table in tables if f"--   {table} " not in head] == []


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"These are my notes, and no database at all. " * 100)
    with pytest.raises(CorruptStore, match=rf"{path} is damaged or no SQLite file.*limpet db restore"):
        await SqliteStore(path).open()
    assert path.read_bytes().startswith(b"These are my notes")


async def test_a_foreign_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CorruptStore, match="no Limpet store"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_a_damaged_store_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    await store.create_tenant(TenantId("a"), "A", NOW)
    await store.close()
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(CorruptStore):
        await store.open()


async def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(TransientStoreError, match="folder must exist"):
        await SqliteStore(tmp_path / "nowhere" / "store.db").open()


READ_ONLY = """
import asyncio, os, sys
from limpet.store.sqlite import SqliteStore
async def load_everything():  # Python's own files may be out of reach later
    store = SqliteStore(sys.argv[2])
    await store.open()
    await store.close()
asyncio.run(load_everything())
if os.geteuid() == 0:  # root may write everything
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(SqliteStore(sys.argv[1]).open())
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own ones are private."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def open_unprivileged(path: Path) -> str:
    """What a process says that may not write the file."""
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.with_name("store.db.lock").chmod(0o666)
    command = [sys.executable, "-c", READ_ONLY, str(path), str(path.with_name("other.db"))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_a_read_only_file_is_said(public_folder: Path) -> None:
    store = SqliteStore(public_folder / "store.db")
    await store.open()
    await store.close()
    said = open_unprivileged(store.path)
    assert said.startswith("TransientStoreError")
    assert "read-only" in said
