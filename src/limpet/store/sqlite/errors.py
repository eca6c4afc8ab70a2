"""What SQLite says, in the words of `store.api`: grouped by what the engine does about it (R8)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limpet.store.api import CorruptStore, DataError, FatalStoreError, StoreError, TransientStoreError

# After a failed fsync the kernel may have dropped the pages it could not write, and a second fsync would report
# success: this process can no longer know what is on the disk.
FSYNC_FAILED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})

# Primary result codes (the low byte) whose cause may go away by itself or by an operator's hand.
PASSING = {
    sqlite3.SQLITE_BUSY: "it is busy: another program works on the file",
    sqlite3.SQLITE_LOCKED: "it is locked: another program works on the file",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "it is read-only: allow this user to write it",
    sqlite3.SQLITE_IOERR: "the disk reported an input/output error",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: its folder must exist, and this user be allowed to write there",
    sqlite3.SQLITE_PERM: "access is denied: allow this user to read and write it",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_PROTOCOL: "its locks are contended",
}
UNFIT = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE})
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite inside come out as a StoreError about the file."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        raise translate(error, path) from error


def translate(error: Exception, path: Path) -> StoreError:
    """The StoreError for an error of SQLite, or of binding a value to a statement."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return DataError(f"A value cannot be stored in {path}: {error}.")
    if code in FSYNC_FAILED:
        return FatalStoreError(f"The disk failed to keep {path} ({error}). End this process; look after the disk.")
    primary = code & 0xFF
    if primary in UNFIT:
        return DataError(f"The store {path} refuses the rows: {error}.")
    if primary in DAMAGED:
        return corrupt(path, str(error))
    if primary in PASSING:
        return TransientStoreError(f"The store {path} did not take part: {PASSING[primary]} ({error}).")
    return StoreError(f"The store {path} failed: {error}.")


def corrupt(path: Path, why: str) -> CorruptStore:
    """The file is damaged, or none of ours."""
    return CorruptStore(
        f"The store {path} is damaged or no SQLite file: {why}. "
        "`limpet db check` tells more; `limpet db restore` puts a backup in its place."
    )
