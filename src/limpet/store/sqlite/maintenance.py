"""What an operator does to a store: look, migrate, back up, restore, check. Plain functions, for the command line.

`status`, `backup` and `check` work beside a running engine; `migrate` and `restore` need the store for themselves.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from limpet.store.api import Fence, StoreError, TransientStoreError
from limpet.store.sqlite import schema
from limpet.store.sqlite.commit import stored_fence
from limpet.store.sqlite.connection import connect_reader, connect_writer, make_private, reading, refuse_foreign, writing
from limpet.store.sqlite.errors import translated
from limpet.store.sqlite.lock import FileLock
from limpet.store.sqlite.logs import log_path
from limpet.store.sqlite.statements import statement, statements

PROBLEMS_MAX = 100  # of the file's own structure; more tell nothing new
REPLACED = ".replaced"  # what a restored store takes the place of is kept under this name
SIDE_FILES = ("-wal", "-shm")  # SQLite's own, beside a file in use


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a store. `used_by`: the process that holds it, None when nobody does."""

    path: Path
    schema: int
    schema_newest: int
    schema_release: str
    used_by: str | None
    fence: Fence
    file_bytes: int
    log_file_bytes: int
    tenants: int
    workflows: int
    workers: int
    runs: int
    unfinished_runs: int
    waiting_tasks: int
    live_tasks: int
    overdue_tasks: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """The schema before and after."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup or a restore has written. `replaced`: where the former store was put, None if there was none."""

    path: Path
    log_path: Path | None
    file_bytes: int
    fence: Fence
    replaced: Path | None = None


def status(path: Path) -> Status:
    """Raises StoreError when there is no store."""
    with _reader(path) as connection:
        number = schema.check(connection, path, schema.migrations("store"))
        counts = dict(_named_row(connection, statement("store_counts")))
        overdue = connection.execute(statement("overdue_tasks"), {"now": time.time_ns() // 1_000}).fetchone()[0]
        return Status(
            path=path,
            schema=number,
            schema_newest=len(schema.migrations("store")),
            schema_release=schema.applied(connection)[1],
            used_by=FileLock(path).holder(),
            fence=stored_fence(connection),
            file_bytes=_size(path),
            log_file_bytes=_size(log_path(path)),
            overdue_tasks=overdue,
            **counts,
        )


def migrate(path: Path) -> Migrated:
    """Bring the schema to the newest. Raises StoreLocked while an engine runs, SchemaError for a newer schema."""
    if not path.exists():
        raise StoreError(f"There is no store at {path}. Check the path; starting the server makes a new store.")
    with _locked(path):
        before = _migrate(path, "store")
        if log_path(path).exists():
            _migrate(log_path(path), "logs")
    return Migrated(before, len(schema.migrations("store")))


def backup(path: Path, target: Path) -> Copied:
    """Copy the store as of one commit, then its logs; the engine may go on. Refuses to overwrite."""
    for taken in (target, log_path(target)):
        if taken.exists():
            raise StoreError(f"{taken} exists already. Choose another name for the backup, or move that file away.")
    with _reader(path) as connection:
        schema.check(connection, path, schema.migrations("store"))
        _copy(connection, target)
    logs = log_path(path)
    if logs.exists():
        with _reader(logs) as connection:
            _copy(connection, log_path(target))
    with _reader(target) as connection:
        return Copied(target, log_path(target) if logs.exists() else None, _size(target), stored_fence(connection))


def restore(source: Path, path: Path) -> Copied:
    """Put a backup in the place of a store, and keep what was there under another name.

    Nobody may hold the store. The epoch rises above that of both, so an engine of the former store never writes here.
    """
    with _reader(source) as connection:
        schema.check(connection, source, schema.migrations("store"))
    with _locked(path):
        fresh = path.with_name(path.name + ".restoring")
        _remove(fresh)
        with _reader(source) as connection:
            _copy(connection, fresh)
        fence = _raise_epoch(fresh, _epoch_of(path))
        replaced = _take_place(fresh, path)
        logs = _restore_logs(log_path(source), log_path(path))
    return Copied(path, logs, _size(path), fence, replaced)


def check(path: Path) -> list[str]:
    """Everything that is wrong, a sentence each; empty for a sound store. Raises StoreError when there is none to check."""
    with _reader(path) as connection:
        schema.check(connection, path, schema.migrations("store"))
        problems = _structure(connection, path)
        problems += [] if problems else _violations(connection)
    logs = log_path(path)
    if logs.exists():
        with _reader(logs) as connection:
            problems += _structure(connection, logs)
    return problems


def _structure(connection: sqlite3.Connection, path: Path) -> list[str]:
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({PROBLEMS_MAX})")]
    return [] if found == ["ok"] else [f"The file {path} is damaged: {problem}" for problem in found]


def _violations(connection: sqlite3.Connection) -> list[str]:
    problems = []
    with reading(connection):
        for one in statements().values():
            if one.name.startswith("check_"):
                count, example = connection.execute(statement(one.name)).fetchone()
                if count:
                    problems.append(f"{one.sentence} Broken {count} times, first by key {example}.")
    return problems


def _named_row(connection: sqlite3.Connection, text: str) -> Iterator[tuple[str, int]]:
    cursor = connection.execute(text)
    return zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True)


def _migrate(path: Path, kind: str) -> int:
    with translated(path), closing(connect_writer(path)) as connection:
        before = schema.check(connection, path, schema.migrations(kind))
        schema.prepare(connection, path, schema.migrations(kind), migrate=True)
        return before


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    """One read transaction: a consistent copy, whatever is committed meanwhile. Complete on disk, or not there at all."""
    unfinished = target.with_name(target.name + ".unfinished")
    _remove(unfinished)
    make_private(unfinished)
    try:
        with translated(unfinished), closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file that is complete by itself
        _sync(unfinished)
        unfinished.replace(target)
    finally:
        _remove(unfinished)
    _sync(target.parent)


def _raise_epoch(path: Path, above: int) -> Fence:
    with translated(path), closing(connect_writer(path)) as connection, writing(connection):
        fence = stored_fence(connection)
        connection.execute(statement("restore_epoch"), {"epoch": max(fence.epoch, above) + 1})
        return stored_fence(connection)


def _epoch_of(path: Path) -> int:
    """The epoch of the store that is replaced; 0 when it is missing or beyond reading, which is why one restores."""
    with suppress(StoreError), _reader(path) as connection:
        refuse_foreign(connection, path)
        return stored_fence(connection).epoch
    return 0


def _take_place(fresh: Path, path: Path) -> Path | None:
    """In one step: whenever the power goes, the old store or the new one is there."""
    replaced = path.with_name(path.name + REPLACED) if path.exists() else None
    if replaced is not None:
        _remove(replaced)
        _settle(path)
        for suffix in SIDE_FILES:  # only left when the old file is beyond reading; SQLite would mix them into the new one
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).replace(replaced.with_name(replaced.name + suffix))
        _keep(path, replaced)
    fresh.replace(path)
    _sync(path.parent)
    return replaced


def _settle(path: Path) -> None:
    """Bring everything into the one file, if it can be read."""
    with suppress(StoreError), translated(path), closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _keep(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except OSError:  # a file system without links
        shutil.copy2(path, name)


def _restore_logs(source: Path, path: Path) -> Path | None:
    if not source.exists():
        _take_away(path)
        return None
    fresh = path.with_name(path.name + ".restoring")
    with _reader(source) as connection:
        _copy(connection, fresh)
    _take_place(fresh, path)
    return path


def _take_away(path: Path) -> None:
    if path.exists():
        path.replace(path.with_name(path.name + REPLACED))


def _remove(path: Path) -> None:
    for suffix in ("", *SIDE_FILES, "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with translated(path), closing(connect_reader(path)) as connection:
            yield connection
    except OSError as error:
        raise TransientStoreError(f"The store {path} could not be copied: {error.strerror}.") from error
