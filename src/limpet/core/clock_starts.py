"""Runs that the clock starts, of workflows with expressions: their keys are computed by an edge, on request (decision 0025).

Laws:
1. What waits for keys stays in the timetable as it is: due, and startable by whoever answers first.
2. An answer counts only for the row and the instant that was asked about, and for the version in force; else it is asked again.
3. Nobody answers: it is asked again after `KEYS_WAIT_US`. So neither a crash nor a lost answer loses or doubles a slot (I3).
"""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.ids import SECOND_US, Instant
from limpet.core.limits_view import StartAsked
from limpet.core.records import Version
from limpet.core.run_keys import RunKeys
from limpet.core.views import limits_of

STARTS_AT_ONCE_MAX = 100  # asked for together: one round trip and one commit for so many
KEYS_WAIT_US = 5 * SECOND_US  # an edge takes milliseconds


def asked(
    version: Version, row_id: str, data: bytes, metadata: bytes, *, due_at: int | None = None, slot: Instant | None = None
) -> StartAsked:
    """What an edge is asked to evaluate for a run of that version."""
    return StartAsked(row_id, due_at, slot, data, metadata, limits_of(version))


def lacks_keys(version: Version, keys: RunKeys | None) -> bool:
    """Whether no run of the version can be made with these keys: there are none, or they belong to another one."""
    return version.definition.is_computed and (keys is None or keys.version_id != version.id)


@dataclass(frozen=True, slots=True)
class StartKeyed:
    """The answer: the keys of that run."""

    row_id: str
    due_at: int | None
    slot: Instant | None
    keys: RunKeys


@dataclass(frozen=True, slots=True)
class StartsKeyed:
    """An edge has evaluated the expressions of runs that are due. Reply: None; what does not fit any more is left out."""

    items: tuple[StartKeyed, ...]
