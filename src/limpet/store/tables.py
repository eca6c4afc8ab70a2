"""What fits a column: read from the tuple types in `core.rows`, so that no store has an opinion of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

from limpet.core.decision import Changes

NUL = "\x00"
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1  # what a column of every store can hold

# None stands for "unchanged" in an update (`RunRow`); a row that is born must bring these.
BORN_WITH: Mapping[str, frozenset[str]] = {"RunRow": frozenset({"input", "metadata"})}

Row = tuple[Any, ...]


class Column(NamedTuple):
    """A column's name, the Python types that fit it, and whether it may be empty at birth."""

    name: str
    types: tuple[type, ...]
    optional: bool


@cache
def columns(row_type: type) -> tuple[Column, ...]:
    """The columns of a row type, in order."""
    born_with = BORN_WITH.get(row_type.__name__, frozenset())
    return tuple(_column(name, hint, born_with) for name, hint in get_type_hints(row_type).items())


def misfit(row: Row, *, is_birth: bool) -> str | None:
    """A sentence about the first value that no store can hold, or None."""
    for column, value in zip(columns(type(row)), row, strict=True):
        if value is None:
            if is_birth and not column.optional:
                return f"{type(row).__name__}.{column.name} is empty, but a new row must have it."
        elif not isinstance(value, column.types):
            return f"{type(row).__name__}.{column.name} cannot hold a {type(value).__name__}."
        elif isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
            return f"{type(row).__name__}.{column.name} cannot hold a number beyond 64 bits."
        elif isinstance(value, str) and not is_encodable(value):
            return f"{type(row).__name__}.{column.name} cannot hold a text with lone surrogates."
    return None


def dropped_keys(changes: Changes) -> tuple[int, ...]:
    """Keys of rows that a commit deletes; none of them is ever given again."""
    return (
        *changes.workers_forgotten,
        *changes.receipts_folded,
        *changes.crons_dropped,
        *changes.schedules_dropped,
        *changes.filters_dropped,
        *changes.webhooks_dropped,
        *changes.rate_limits_dropped,
    )


def _column(name: str, hint: Any, born_with: frozenset[str]) -> Column:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    types = tuple(kind for kind in kinds if kind is not NoneType)
    return Column(name, types, optional=NoneType in kinds and name not in born_with)


def is_encodable(text: str) -> bool:
    """Whether a store can hold the text, or has ever held it: lone surrogates have no bytes."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable(text: str) -> bool:
    """Whether a statement can ask for the text: PostgreSQL holds no NUL character, and SQLite cuts a text of JSON at one."""
    return NUL not in text and is_encodable(text)
