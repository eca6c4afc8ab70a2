"""The auditor's part in flow control: events, scheduled runs, and the limits that nothing may exceed.

A limit is broken only where that is proven. Of the attempts of a task the decisive one counts: it held its place from before its
first line in the journal until after its last. Of a rate limit the last attempts count, at the instants that the store has.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from limpet.core.ids import MILLISECOND_US, SECOND_US
from limpet.store.api import RunRecord
from tests.soak.programs.flow import LIMITED_AT_ONCE, LIMITED_KEYS, METERED_PER_S

if TYPE_CHECKING:
    from tests.soak.auditor import Evidence

EVENT_ID = "hatchet__event_id"
HEARERS = ("heard", "heard-too")
CLOCKS_US = 10 * MILLISECOND_US  # that the clocks of two servers of one machine may be apart, and that F4.12 allows


def _of(evidence: Evidence, *kinds: str) -> Iterator[tuple[str, RunRecord]]:
    """Runs of those workflows, with their client."""
    for record in evidence.runs.values():
        client, _, what = record.workflow.name.partition("-")
        if what in kinds:
            yield client, record


def _about(record: RunRecord) -> dict[str, str]:
    return dict(json.loads(record.run.metadata or b"{}"))


def _heard_once(evidence: Evidence) -> Iterator[str]:
    counts = Counter((_about(record)[EVENT_ID], record.workflow.name) for _, record in _of(evidence, *HEARERS))
    for line in evidence.of("pushed"):
        for what in HEARERS:
            counts.setdefault((line["event"], f"{line['client']}-{what}"), 0)
    for (event, workflow), count in counts.items():
        if count != 1:
            yield f"E1: event {event} started {count} runs of {workflow}"


def _scheduled_are_there(evidence: Evidence) -> Iterator[str]:
    """That there is not a second one, `_asked_once` says."""
    started = {(client, _about(record)["number"]) for client, record in _of(evidence, "later")}
    for line in evidence.of("scheduled"):
        if (line["client"], str(line["number"])) not in started:
            yield f"F7.4: number {line['number']} of {line['client']} was scheduled and never started"


def _limits_hold(evidence: Evidence) -> Iterator[str]:
    seen = {(line["task"], line["retry"], line["kind"]): line["at"] for line in evidence.of("start", "done")}
    spans: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for client, record in _of(evidence, "limited"):
        for task in record.tasks:
            begun, done = (seen.get((task.id, task.retry_count, kind)) for kind in ("start", "done"))
            if begun is not None and done is not None:
                spans[client, int(_about(record)["number"]) % LIMITED_KEYS].append((begun, done))
    for (client, key), some in spans.items():
        if (most := _most_at_once(some)) > LIMITED_AT_ONCE:
            yield f"C1: {most} runs of {client}-limited with key {key} ran at once, {LIMITED_AT_ONCE} may"


def _most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    changes = sorted([change for begun, done in spans for change in ((begun, 1), (done, -1))])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def _rates_hold(evidence: Evidence) -> Iterator[str]:
    """F4.16: in any span as long as a window, at most twice the limit."""
    at: dict[str, list[int]] = defaultdict(list)
    for client, record in _of(evidence, "metered"):
        at[client] += [task.assigned_at for task in record.tasks if task.assigned_at]
    for client, instants in at.items():
        ordered = sorted(instants)
        for first, last in zip(ordered, ordered[2 * METERED_PER_S :], strict=False):
            if last - first < SECOND_US - CLOCKS_US:
                yield f"RL1: {2 * METERED_PER_S + 1} tasks of {client}-metered were assigned within {(last - first) / 1e6:.3f} s"


CHECKS = (_heard_once, _scheduled_are_there, _limits_hold, _rates_hold)
