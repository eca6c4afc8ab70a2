"""What a filter means: the same for every store, because every store asks here.

Metadata values are compared as text: a text is itself, everything else its JSON text without spaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import orjson

from limpet.core.metadata_text import text_of
from limpet.store.api import RateLimitQuery, TimetableQuery

Pair = tuple[str, str]

INDEXED_CHARS_MAX = 200  # an index entry's name and value are cut to this; whoever looks there must look again


def metadata_pairs(metadata: bytes) -> list[Pair]:
    """The (name, value) pairs of a run's metadata; none for what is no JSON object."""
    if metadata == b"{}":
        return []
    try:
        value = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return []
    return [(name, text_of(found)) for name, found in value.items()] if isinstance(value, dict) else []


def metadata_matches(metadata: bytes, wanted: Sequence[Pair], *, every: bool) -> bool:
    """Whether any of the wanted pairs is there, or, with `every`, all of them (W9.4)."""
    has = set(metadata_pairs(metadata))
    matches = (pair in has for pair in wanted)
    return all(matches) if every else any(matches)


def within_budget(sizes: Iterable[tuple[int, int]], left: int) -> tuple[list[int], int]:
    """Of (key, bytes) pairs the keys that fit into `left` bytes, in order, and the bytes that are left then."""
    keys = []
    for key, size in sizes:
        if size <= left:
            keys.append(key)
            left -= size
    return keys, left


def page_of(
    candidates: Iterable[tuple[int, bytes]], wanted: Sequence[Pair], *, offset: int, limit: int, count_max: int
) -> tuple[list[int], int]:
    """Of (key, metadata) candidates in order: the keys of one page, and how many match in all, counted up to a bound."""
    matching = (key for key, metadata in candidates if not wanted or metadata_matches(metadata, wanted, every=True))
    keys = list(islice(matching, max(count_max, offset + limit)))
    return keys[offset : offset + limit], min(len(keys), count_max)


TIMETABLE_TEXTS = ("id", "workflow_id", "workflow_name", "name", "parent_run_id", "parent_task_id")  # fields of its query


def timetable_order(query: TimetableQuery) -> str:
    """The source of the statement that has the order a query asks for."""
    return f"planned_from_{'age' if query.by_creation else 'place'}_{'down' if query.descending else 'up'}"


def rate_limits_order(query: RateLimitQuery) -> str:
    """The source of the statement that has the order a query asks for."""
    return f"rate_limits_from_{query.order}_{'down' if query.descending else 'up'}"


def contains_text(message: str, search: str) -> bool:
    """Plain substring, whatever the case."""
    return search.casefold() in message.casefold()
