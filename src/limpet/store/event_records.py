"""What pages of events have in common in every store that has statements: the span they look at, and how rows become records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from limpet.core.event_rows import PushedEventRow
from limpet.store.api import PAGE_PAYLOAD_BYTES_MAX, EventQuery, EventRecord, StartedRun
from limpet.store.matching import within_budget
from limpet.store.tables import INTEGER_MAX, INTEGER_MIN


def span_of(query: EventQuery) -> dict[str, int]:
    """From when until when, as parameters that every column can be held against."""
    return {
        "since": INTEGER_MIN if query.since is None else max(query.since, INTEGER_MIN),
        "until": INTEGER_MAX if query.until is None else min(query.until, INTEGER_MAX),
    }


def fitting(keys: Sequence[int], rows: Mapping[int, PushedEventRow]) -> list[int]:
    """The events of a page whose payloads it can carry."""
    return within_budget([(key, rows[key].payload_bytes) for key in keys], PAGE_PAYLOAD_BYTES_MAX)[0]


def assembled(
    keys: Sequence[int], rows: Mapping[int, PushedEventRow], payloads: Mapping[int, bytes],
    started: Iterable[Sequence[Any]], counted: Iterable[Sequence[int]],
) -> list[EventRecord]:  # fmt: skip
    """Records in the order of the keys.

    started: event key, run id, filter id or None; counted: event key, status, how many of its runs have it
    """
    runs: defaultdict[int, list[StartedRun]] = defaultdict(list)
    for event_key, run_id, filter_id in started:
        runs[event_key].append(StartedRun(run_id, filter_id))
    statuses: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for event_key, status, count in counted:
        statuses[event_key][status] = count
    return [EventRecord(rows[key], payloads.get(key), runs[key], statuses[key]) for key in keys]
