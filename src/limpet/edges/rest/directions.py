"""The two directions of an order, in the two spellings that lists of the wire have."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Of an order."""

    ASC = "ASC"
    DESC = "DESC"


class LowerDirection(StrEnum):
    """The same, in lower case."""

    ASC = "asc"
    DESC = "desc"
