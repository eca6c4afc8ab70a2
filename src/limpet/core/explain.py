"""Why a task waits: the answer's shape. Computed by the functions that assign (decision 0007), in `machine`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The one dominant reason why a task is not running. Stable codes, shown to people and compared by tests."""

    NONE = "none"  # it is placed now, or it is not waiting
    NO_WORKER_FOR_ACTION = "no_worker_for_action"
    NO_LABEL_MATCH = "no_label_match"
    CAPACITY_TOO_SMALL = "capacity_too_small"
    PIN_LABEL_MISMATCH = "pin_label_mismatch"
    PIN_BUSY = "pin_busy"
    PIN_PAUSED = "pin_paused"
    PIN_DISCONNECTED = "pin_disconnected"
    PIN_GONE = "pin_gone"
    PIN_LACKS_ACTION = "pin_lacks_action"
    WORKERS_PAUSED = "workers_paused"
    WORKERS_DISCONNECTED = "workers_disconnected"
    WORKERS_UNAVAILABLE = "workers_unavailable"  # some paused, some disconnected
    NO_FREE_SLOT = "no_free_slot"
    WORKFLOW_PAUSED = "workflow_paused"
    CONCURRENCY_FULL = "concurrency_full"  # its key of a concurrency limit has as many as the limit allows
    RATE_LIMITED = "rate_limited"  # a rate limit has too few units left; they are back at its refill
    RATE_LIMIT_PAUSED = "rate_limit_paused"
    RATE_LIMIT_TOO_SMALL = "rate_limit_too_small"  # it asks for more units than the limit ever has
    RATE_LIMIT_UNKNOWN = "rate_limit_unknown"  # nobody has set the limit
    SLOTS_HELD = "slots_held"  # free units are kept for a heavier task ahead
    BACKING_OFF = "backing_off"
    WAITING_FOR_PARENTS = "waiting_for_parents"
    CONDITION_UNMET = "condition_unmet"  # its parents allow it; a sleep or an event that it awaits is still to come


class Outlook(StrEnum):
    """When (OB-14)."""

    NOW = "now"
    SOON = "soon"  # time alone brings it: a back-off, a delivery delay
    NOT_NOW = "not now"
    NEVER = "never"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one worker says to the task, or, beyond 20 workers, how many say the same.

    count:   workers with this cause; worker_id and name then are one of them
    label:   for a label cause: "key comparator wanted, worker has …"
    asked, free, total: slot units of the type that decides, for a slot cause
    """

    worker_id: str
    worker_name: str
    cause: str
    text: str
    count: int = 1
    asked: int | None = None
    free: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why is my task waiting?".

    worker_id: with outlook NOW or RUNNING, the worker
    position:  1 for the first in its order, before a gate among those that want its key; None when not queued;
               counted up to `position_capped_at`
    text:      a sentence for people; unblock: what would help, a sentence each
    """

    task_run_id: str
    outlook: Outlook
    reason: Reason
    text: str
    worker_id: str | None = None
    worker_name: str | None = None
    position: int | None = None
    position_capped_at: int = 1_000
    verdicts: tuple[Verdict, ...] = ()
    unblock: tuple[str, ...] = ()
