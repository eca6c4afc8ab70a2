"""Numbered migrations, and whether a file's schema is the one this release knows (R47, R48).

Every step runs in a transaction of its own and records its number, with the release that took it. A release may only
add steps; `0001_initial.sql` opens with what every table is for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from limpet._version import __version__
from limpet.store import sql_files
from limpet.store.api import SchemaError
from limpet.store.sql_files import Migration
from limpet.store.sqlite.connection import APPLICATION_ID, is_empty, refuse_foreign, writing

__all__ = ["Migration", "applied", "check", "migrations", "prepare", "split"]

_CREATE_VERSIONS = """
CREATE TABLE schema_version (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    release TEXT NOT NULL
) STRICT
"""


def migrations(kind: str) -> tuple[Migration, ...]:
    """All steps for `store` or `logs`, in order, numbered from 1 without gaps."""
    return sql_files.migrations("limpet.store.sqlite", kind)


def prepare(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration], *, migrate: bool) -> None:
    """Bring a new file to the newest schema, an older one too if `migrate`. Raises SchemaError, CorruptStore."""
    if is_empty(connection):
        _create(connection, steps)
    version = check(connection, path, steps)
    if version < len(steps) and not migrate:
        raise SchemaError(
            f"The store {path} has schema {version}, and Limpet {__version__} works with schema {len(steps)}. "
            f"Make a backup, then run `limpet db migrate --store {path}`."
        )
    for step in steps[version:]:
        with writing(connection):
            _apply(connection, step)


def check(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration]) -> int:
    """The schema's number, at most the newest that this release knows. Raises SchemaError, CorruptStore."""
    refuse_foreign(connection, path)
    number, release = applied(connection)
    if number > len(steps):
        raise SchemaError(
            f"The store {path} has schema {number}, made by Limpet {release}; this is Limpet {__version__}, which knows "
            f"schemas up to {len(steps)}. Start Limpet {release} or newer."
        )
    return number


def applied(connection: sqlite3.Connection) -> tuple[int, str]:
    """Number of the newest step that was taken, and the release that took it; (0, "") before the first."""
    found = connection.execute("SELECT number, release FROM schema_version ORDER BY number DESC LIMIT 1").fetchone()
    return found or (0, "")


def split(script: str) -> Iterator[str]:
    """The statements of a script; a trigger's body stays together."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text.strip()
            text = ""


def _create(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """All steps at once: a file that a loss of power finds half made would ask for a migration that nobody knows of."""
    with writing(connection):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(_CREATE_VERSIONS)
        for step in steps:
            _apply(connection, step)


def _apply(connection: sqlite3.Connection, step: Migration) -> None:
    for statement in split(step.script):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO schema_version (number, name, release) VALUES (?, ?, ?)", (step.number, step.name, __version__)
    )
