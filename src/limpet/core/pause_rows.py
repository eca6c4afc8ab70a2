"""Pauses of workflows, for good: the tuple type of their table, as in `core.rows`."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class PausedStart(IntEnum):
    """What becomes of runs that the clock would start while their workflow is paused (W15.4)."""

    QUEUE = 0  # they are made, and wait
    DROP = 1  # they are not made


class PauseRow(NamedTuple):
    """The last pause of a workflow.

    key:          that of the workflow
    paused_at:    since when it is paused; None: it is not any more
    queue_ttl_us: how long a task waits for the end of the pause before it is cancelled (W15.2)
    resumed_at:   when the last pause ended; every waiting task has had its whole schedule timeout again since then (TO-4)
    """

    key: int
    tenant_no: int
    paused_at: int | None
    queue_ttl_us: int
    crons: int
    schedules: int
    resumed_at: int | None
