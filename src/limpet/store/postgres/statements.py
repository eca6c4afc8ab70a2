"""The SQL of this store, from the files in `queries/` (see `store.sql_files`), for one schema.

Statements name their parameters (`:key`); PostgreSQL wants numbers. They name every table with the schema `limpet`, which
stands for the schema of the store.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from limpet.store.address import SCHEMA
from limpet.store.sql_files import OPEN, Statement, Statements

__all__ = ["OPEN", "PACKAGE", "Compiled", "Sql", "in_schema", "statements"]

PACKAGE = "limpet.store.postgres"
_STATEMENTS = Statements(PACKAGE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_PREFIX = re.compile(rf"\b{SCHEMA}\.")


class Compiled(NamedTuple):
    """A text for PostgreSQL, and the names of its parameters in order."""

    text: str
    names: tuple[str, ...]

    def arguments(self, where: dict[str, Any]) -> list[Any]:
        return [where[name] for name in self.names]


def statements() -> dict[str, Statement]:
    """All statements as they are written, by name."""
    return _STATEMENTS.written


def in_schema(text: str, schema: str) -> str:
    """The text with the schema of a store."""
    return _PREFIX.sub(f"{schema}.", text)


class Sql:
    """The statements of a store in its schema."""

    def __init__(self, schema: str) -> None:
        self.schema = schema

    def statement(self, name: str) -> Compiled:
        """A statement by its name."""
        return _compiled(_STATEMENTS.text(name), self.schema)

    def with_source(self, name: str, source: str) -> Compiled:
        """A statement that reads from the named source."""
        return _compiled(_STATEMENTS.with_source(name, source), self.schema)


@cache
def _compiled(text: str, schema: str) -> Compiled:
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text)
    return Compiled(in_schema(numbered, schema), names)
