"""The SQL of this store, from the files in `queries/` (see `store.sql_files`)."""

from __future__ import annotations

from functools import cache

from limpet.store.sql_files import OPEN, Statement, Statements

__all__ = ["OPEN", "statement", "statements", "with_source"]

_STATEMENTS = Statements("limpet.store.sqlite")


def statement(name: str) -> str:
    """The text of a statement, its parts filled in."""
    return _STATEMENTS.text(name)


@cache
def with_source(name: str, source: str) -> str:
    """The text of a statement that reads from the named source."""
    return _STATEMENTS.with_source(name, source)


def statements() -> dict[str, Statement]:
    """All statements as they are written, by name."""
    return _STATEMENTS.written
