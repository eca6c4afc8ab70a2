"""What is remembered for good: one tuple type per table. The core makes them, a store keeps them, nobody edits them.

Columns hold integers, texts and bytes only; instants and durations are microseconds; None means "not (yet)".
A row is named by its integer key; `id` is its UUID for the outside. Every key carries its tenant in the high bits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, Protocol


class Born(Protocol):
    """What it takes to find a row: its key, and the instant of its birth (0: unknown, which makes a store search longer).

    Every row of a run or a task is one, and keeps both for good: a change carries them as they were at birth.
    """

    @property
    def key(self) -> int: ...

    @property
    def created_at(self) -> int: ...


SKIPPED_OUTPUT = b'{"skipped":true}'  # what everybody is told that a skipped task gave (W4.8, W5.4)


class TaskStatus(IntEnum):
    """Where a task run is (T1: in exactly one place)."""

    PENDING = 0  # exists already, waits for its conditions, or after a replay for its parents again
    QUEUED = 1
    BACKING_OFF = 2  # waits out the delay before a retry; shown as QUEUED
    ASSIGNED = 3  # committed to a worker, not yet confirmed; shown as RUNNING
    RUNNING = 4  # confirmed by its receipt; only in memory, the row keeps ASSIGNED (receipts are rows of their own)
    COMPLETED = 5
    FAILED = 6
    CANCELLED = 7
    SKIPPED = 8  # shown as COMPLETED with output {"skipped": true}

    @property
    def is_terminal(self) -> bool:
        return self >= TaskStatus.COMPLETED

    @property
    def is_live(self) -> bool:
        """Assigned and not yet ended."""
        return self is TaskStatus.ASSIGNED or self is TaskStatus.RUNNING


class RunStatus(IntEnum):
    """A function of the run's tasks (G2, OB-5)."""

    QUEUED = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELLED = 4

    @property
    def is_terminal(self) -> bool:
        return self >= RunStatus.COMPLETED


class PinState(IntEnum):
    """The worker a sticky run is bound to (ST-7)."""

    UNSET = 0
    TENTATIVE = 1
    BOUND = 2


class EventType(IntEnum):
    """Timeline events (assignment 9.1); names as in the REST enum, which is closed for official clients."""

    CREATED = 0
    QUEUED = 1
    REQUEUED_NO_WORKER = 2
    ASSIGNED = 3
    SENT_TO_WORKER = 4
    STARTED = 5
    FINISHED = 6
    FAILED = 7
    RETRYING = 8
    CANCELLED = 9
    TIMED_OUT = 10
    REASSIGNED = 11
    SLOT_RELEASED = 12
    TIMEOUT_REFRESHED = 13
    RETRIED_BY_USER = 14
    SCHEDULING_TIMED_OUT = 15
    SKIPPED = 16
    COULD_NOT_SEND_TO_WORKER = 17
    ACKNOWLEDGED = 18
    REQUEUED_RATE_LIMIT = 19


class WorkflowRow(NamedTuple):
    """A workflow name of a tenant."""

    key: int
    id: str
    tenant_no: int
    name: str
    created_at: int
    deleted_at: int | None


class VersionRow(NamedTuple):
    """One definition of a workflow. `definition` is the text of `core.definition_text`."""

    key: int
    id: str
    tenant_no: int
    workflow_key: int
    number: int
    checksum: bytes
    definition: bytes
    created_at: int


class WorkerRow(NamedTuple):
    """One registration of a worker. `actions`, `slots`, `labels`: JSON texts."""

    key: int
    id: str
    tenant_no: int
    name: str
    actions: bytes
    slots: bytes
    labels: bytes
    runtime: bytes
    registered_at: int
    seen_at: int | None
    paused: int
    lost_at: int | None
    gone_at: int | None


class RunRow(NamedTuple):
    """One execution of a workflow. Changes after birth: status, pin_…, started_at, finished_at, stage.

    limit_keys: JSON array, the keys of its concurrency limits in order, [key, runs] where the number of runs is computed, then a
               text [name, units, limit] for each computed use of a rate limit; what could not be computed: {"error": …}
    stage:     how many limits of the whole run have admitted it; None: none
    child_ref: "<parent scope id> k:<child key>" or "<parent scope id> i:<child index>"; unique where set (W10.3)
    """

    key: int
    id: str
    tenant_no: int
    workflow_key: int
    version_key: int
    status: int
    input: bytes | None  # None in an update: the stored value stays
    input_bytes: int
    metadata: bytes | None  # None in an update: the stored value stays
    priority: int
    sticky: int | None
    desired_worker_id: str | None
    desired_labels: bytes | None
    pin_state: int
    pin_worker_id: str | None
    pin_task_key: int | None
    parent_run_id: str | None
    parent_task_id: str | None
    child_index: int | None
    child_key: str | None
    child_ref: str | None
    request_id: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    limit_keys: bytes | None = None
    stage: int | None = None


class TaskRow(NamedTuple):
    """One task inside one run, from birth to end (D6). Changes after birth: everything behind `created_at`.

    class_id:     the scheduling class it waits in (R39)
    enqueue_key:  its place among equals; the task key, unless moved by an admission
    started_at:   written with the end of the attempt; while it lives, the receipt row has it
    output:       JSON, b"" for none; None in an update of an unfinished task
    stage:        how many of its own concurrency limits have admitted it; None: none
    """

    key: int
    id: str
    tenant_no: int
    run_key: int
    step: int
    created_at: int
    status: int
    retry_count: int
    app_retries: int
    internal_retries: int
    level: int
    class_id: int
    enqueue_key: int
    queued_at: int
    not_before: int | None
    schedule_deadline: int | None
    worker_key: int | None
    assigned_at: int | None
    execution_deadline: int | None
    slots_released: int
    started_at: int | None
    finished_at: int | None
    output: bytes | None
    output_bytes: int
    error: str | None
    stage: int | None = None


class ReceiptRow(NamedTuple):
    """The attempts confirmed by one commit (R26). `items`: packed (task key, retry_count, started_at) triples."""

    key: int
    tenant_no: int
    items: bytes


class EventRow(NamedTuple):
    """A timeline event that no column of the task's row tells. `key` orders events of one instant."""

    key: int
    tenant_no: int
    task_key: int
    retry_count: int
    at: int
    type: int
    worker_key: int | None
    message: str
