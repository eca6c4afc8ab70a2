"""How this store opens its files: settings of a connection, and transactions on it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from limpet.store.api import CorruptStore, ReadTimedOut, StoreError
from limpet.store.matching import contains_text, metadata_matches
from limpet.store.sqlite.errors import translated

# "Limp" in the file's header: `file store.db` shows it, and a foreign database is never mistaken for a store.
APPLICATION_ID = 0x4C696D70
SQLITE_VERSION_MIN = (3, 37, 0)  # STRICT tables: a text never ends up in a column of numbers
BUSY_SECONDS = 2.0  # only foreign programs can be in the way: a person's sqlite3 shell for one
STATEMENTS_CACHED = 128  # more than this store has
WRITER_CACHE_KIB = 64 * 1024  # the hot ends of all indices of a store with millions of rows
LOG_BYTES_MAX = 64 * 1024 * 1024  # the write-ahead log shrinks back to this after a burst
INSTRUCTIONS_PER_LOOK = 20_000  # of SQLite's machine, about 1 ms, between two looks at a reader's clock

PRIVATE = 0o600  # mode of a new store file


def make_private(path: Path) -> None:
    """Make the file when it is missing, for its owner alone; SQLite gives -wal and -shm the same mode."""
    with suppress(OSError):  # it exists, or SQLite will say in a moment why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))


def connect_writer(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection that writes; makes the file when it is missing. `synchronous`: FULL or NORMAL."""
    _check_library(path)
    with translated(path):
        make_private(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=STATEMENTS_CACHED)
        try:
            refuse_foreign(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL" if synchronous == "NORMAL" else "PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # checkpoints have a thread of their own (`upkeep`)
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
        return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, of an existing store."""
    if not path.exists():
        raise StoreError(f"There is no store at {path}. Check the path; starting the server makes a new store.")
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=STATEMENTS_CACHED,
        )  # fmt: skip
        connection.execute("PRAGMA query_only = ON")
        connection.create_function("metadata_matches", 3, _metadata_matches, deterministic=True)
        connection.create_function("contains_text", 2, contains_text, deterministic=True)
        return connection


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing yet."""
    return not connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0]


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raises CorruptStore for somebody else's database, before anything in it is touched."""
    if not is_empty(connection) and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise CorruptStore(f"{path} is a SQLite file, but no Limpet store. Choose another path for the store.")


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements see the same commit."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def limited(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """A read that takes longer is interrupted and raises ReadTimedOut."""
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, INSTRUCTIONS_PER_LOOK)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise ReadTimedOut(f"The read took longer than {seconds:g} s and was ended. Ask for a shorter time.") from None
    finally:
        connection.set_progress_handler(None, 0)


def json_list(values: object) -> str:
    """Keys or texts as one parameter, for `json_each`."""
    return orjson.dumps(values).decode()


def _metadata_matches(metadata: bytes, wanted: str, every: int) -> bool:
    return metadata_matches(metadata, [(name, value) for name, value in orjson.loads(wanted)], every=bool(every))


def _check_library(path: Path) -> None:
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        needed = ".".join(map(str, SQLITE_VERSION_MIN))
        raise CorruptStore(
            f"This Python brings SQLite {sqlite3.sqlite_version}, and the store {path} needs {needed} or newer. "
            "Use a Python that brings a newer one."
        )
