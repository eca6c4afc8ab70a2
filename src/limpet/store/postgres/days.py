"""Days of birth: rows are partitioned by them, and an id tells its own.

A day is a number: days since 1970-01-01 UTC. Day 0 holds the rows whose own day has no partition, so every search for
rows of some days looks there too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from limpet.core.rows import Born

DAY_US = 86_400_000_000
DAY_MS = DAY_US // 1_000
KEPT = 0  # the day of rows that have outlived theirs, or never had one
LAST = 2**31 - 2  # the last day a partition may be for

_UUID7 = 36, 14, "7"  # length, where the version stands, the version


def day_of(instant: int) -> int:
    """The day of an instant in microseconds."""
    return min(max(instant // DAY_US, KEPT), LAST)


def day_of_id(text: str) -> int:
    """The day in a UUIDv7; `KEPT` for every other text."""
    length, place, version = _UUID7
    if len(text) != length or text[place] != version:
        return KEPT
    try:
        return int(text[:8] + text[9:13], 16) // DAY_MS
    except ValueError:
        return KEPT


def days_of(rows: Iterable[Born]) -> list[int] | None:
    """Where some rows may lie; None when the birth of one is unknown."""
    instants = {row.created_at for row in rows}
    return None if 0 in instants else homes(day_of(instant) for instant in instants)


def days_of_ids(texts: Collection[str]) -> list[int]:
    """Where rows with these ids may lie."""
    return homes(map(day_of_id, texts))


def homes(days: Iterable[int]) -> list[int]:
    """The days, and the one for those that lost theirs."""
    return sorted({KEPT, *days})
