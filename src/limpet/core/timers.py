"""Due dates in memory. An entry that no longer holds is recognised when it fires, or swept away in bulk.

Law: an entry is only a hint to look at its subject; what is due is read from the subject's own fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import Any

from limpet.core.ids import Instant


class Due(IntEnum):
    """What to look at."""

    SCHEDULE = 0  # a waiting task's schedule deadline
    BACKOFF = 1  # a delayed task's next queueing
    ATTEMPT = 2  # a live attempt: receipt and execution deadline
    SILENCE = 3  # a worker's signs of life
    PIN = 4  # the grace of a lost pinned worker
    HOLD = 5  # the end of a slot hold
    NOTICE = 6  # a scheduling class, a group before a gate or a tap, whose tasks may owe the timeline a reason
    AGE = 7  # a waiting task's next level
    FORGET = 8  # a worker nobody needs any more
    CONDITION = 9  # the end of a sleep that a task's conditions await
    REFILL = 10  # a rate limit that tasks wait for: the end of its window, or of its pause
    PARKED = 11  # a paused workflow, whose oldest waiting task may have waited too long


SWEEP_MIN = 4_096  # below this many entries a sweep is not worth its pass


class Timers:
    """A heap of (instant, order of arming, what, subject)."""

    __slots__ = ("_armed", "_heap", "_obsolete")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Due, Any]] = []
        self._armed = 0
        self._obsolete = 0

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, at: int, due: Due, subject: Any) -> None:
        """Look at the subject at that instant."""
        self._armed += 1
        heappush(self._heap, (at, self._armed, due, subject))

    def forget_one(self) -> None:
        """Some entry has just become pointless; enough of them make a sweep worth while."""
        self._obsolete += 1

    def next_at(self) -> Instant | None:
        return Instant(self._heap[0][0]) if self._heap else None

    def due(self, now: int, limit: int) -> Iterator[tuple[int, Due, Any]]:
        """Entries due at `now` with the instant they were armed for, oldest first, at most `limit` of them."""
        for _ in range(limit):
            if not self._heap or self._heap[0][0] > now:
                return
            at, _, due, subject = heappop(self._heap)
            yield at, due, subject

    def sweep(self, holds: Callable[[Due, Any], bool]) -> None:
        """Drop entries that no longer hold, once they are about half of all; amortised O(1) an entry."""
        if self._obsolete < SWEEP_MIN or self._obsolete * 2 < len(self._heap):
            return
        self._heap = [entry for entry in self._heap if holds(entry[2], entry[3])]
        heapify(self._heap)
        self._obsolete = 0
