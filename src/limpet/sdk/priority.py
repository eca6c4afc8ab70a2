"""The three run priorities, and the check that every place which takes one makes (PR-2)."""

from __future__ import annotations

from enum import IntEnum

PRIORITY_MIN, PRIORITY_MAX = 1, 3


class Priority(IntEnum):
    """How early a queued run is served. Higher values go first."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


def check_priority(value: int | None, *, what: str = "priority") -> int | None:
    """The value as a plain int, or None when there is none. Raises ValueError outside 1 to 3."""
    if value is None:
        return None
    number = int(value)
    if not PRIORITY_MIN <= number <= PRIORITY_MAX:
        raise ValueError(f"{what} is {number}, but it must be 1 (low), 2 (medium) or 3 (high).")
    return number
