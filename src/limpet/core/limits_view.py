"""What an edge is asked to evaluate: for a workflow, and for one run that the clock starts."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.ids import Instant
from limpet.core.rate_definitions import RateUse


@dataclass(frozen=True, slots=True)
class LimitsView:
    """What an edge evaluates for each run of a workflow, in the version in force.

    expressions: those of its concurrency limits, by number; rates: its computed uses of rate limits, by number;
    idempotency: that of its idempotency key
    """

    version_id: str
    expressions: tuple[str, ...]
    rates: tuple[RateUse, ...] = ()
    idempotency: str | None = None


@dataclass(frozen=True, slots=True)
class StartAsked:
    """A run that is due, or wanted now, and cannot be made without its keys.

    row_id:  of the cron or the scheduled run
    due_at:  the instant for which its row stood in the timetable
    slot:    the slot of a cron that counts; None: of a scheduled run, or a start that somebody asked for
    limits:  what is to be evaluated, over `input` and `metadata`
    """

    row_id: str
    due_at: int | None
    slot: Instant | None
    input: bytes
    metadata: bytes
    limits: LimitsView
