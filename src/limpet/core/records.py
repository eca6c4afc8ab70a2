"""What the machine remembers while it matters: runs, task runs and workers, mutable, owned by one `State`.

Law: only the modules of this room change them, and every change that must last marks the record as dirty in the
state, which turns it into a row at the end of the step.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from limpet.core.definitions import DesiredLabel, LabelValue, StickyStrategy, TaskDefinition, WorkflowDefinition
from limpet.core.ids import (
    ActionId,
    Instant,
    RunKey,
    TaskKey,
    TaskRunId,
    VersionKey,
    WorkerId,
    WorkerKey,
    WorkflowId,
    WorkflowKey,
    WorkflowRunId,
    WorkflowVersionId,
)
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_definitions import Demand, RateValue
from limpet.core.rows import PinState, RunStatus, TaskStatus

if TYPE_CHECKING:
    from limpet.core.decision import CancelTask, EventSource


Order = tuple[int, int, int, int]
"""The place of a task among all that wait; smallest first. Made by `queue.order_of`."""


@dataclass(frozen=True, slots=True)
class UnusableKey:
    """A key or a number that could not be computed: its task fails at birth with this sentence (F2.8, F4.7), and a run that wants
    an idempotency key is not made (W16.8)."""

    error: str


LimitKey = str | UnusableKey


@dataclass(slots=True, eq=False)
class Workflow:
    """A name of the tenant and its newest version.

    pause:  its last pause; None: it never was paused
    parked: tasks that wait for the end of the pause, oldest first
    """

    key: WorkflowKey
    id: WorkflowId
    name: str
    created_at: Instant
    newest: Version | None = None
    pause: PauseRow | None = None
    parked: OrderedDict[TaskKey, TaskRun] = field(default_factory=OrderedDict)

    @property
    def is_paused(self) -> bool:
        return self.pause is not None and self.pause.paused_at is not None


@dataclass(slots=True, eq=False)
class Version:
    """One definition of a workflow."""

    key: VersionKey
    id: WorkflowVersionId
    workflow: Workflow
    number: int
    checksum: bytes
    definition: WorkflowDefinition


@dataclass(slots=True)
class Hold:
    """Freed units of a worker kept for a task that needs more than are free now (SL-6)."""

    task: TaskRun
    order: Order
    until: Instant


@dataclass(slots=True, eq=False)
class Worker:
    """A connected process that offers actions and slots.

    sessions: numbers of its open streams, oldest first; the last one gets starts (WK-17)
    tasks:    live attempts it owns, released slots included (SL-11)
    pinned:   unfinished runs whose pin names it
    pools:    numbers of the candidate pools it is a member of
    missed:   cancels it could not be told because no stream was open (CN-2)
    """

    key: WorkerKey
    id: WorkerId
    name: str
    actions: frozenset[ActionId]
    slots: dict[str, int]
    labels: dict[str, LabelValue]
    runtime: bytes
    registered_at: Instant
    seen_at: Instant
    paused: bool = False
    lost_at: Instant | None = None
    gone_at: Instant | None = None
    used: dict[str, int] = field(default_factory=dict)
    sessions: list[int] = field(default_factory=list)
    tasks: dict[TaskKey, TaskRun] = field(default_factory=dict)
    pinned: dict[RunKey, Run] = field(default_factory=dict)
    pools: dict[int, None] = field(default_factory=dict)
    missed: list[CancelTask] = field(default_factory=list)
    hold: Hold | None = None
    watched: bool = False  # a timer stands for its silence

    @property
    def is_present(self) -> bool:
        """Neither lost nor gone: it may be back any moment."""
        return self.lost_at is None and self.gone_at is None

    def free(self, slot_type: str) -> int:
        """Units of a pool that no unreleased attempt holds; 0 for a pool it does not have."""
        return self.slots.get(slot_type, 0) - self.used.get(slot_type, 0)


@dataclass(slots=True, eq=False)
class Run:
    """One execution of a workflow.

    tasks:    those that exist, by step
    keys:     of its concurrency limits, by number; empty when the workflow has none
    rates:    what its computed uses of rate limits came to, by number
    stage:    how many of the limits that it passes as a whole have admitted it
    at_gate:  whether it waits at the next of them
    source:   the event that started it; None: no event did
    """

    key: RunKey
    id: WorkflowRunId
    version: Version
    status: RunStatus
    input_bytes: int
    metadata: bytes
    priority: int
    sticky: StickyStrategy | None
    desired_worker_id: str | None
    desired_labels: tuple[DesiredLabel, ...]
    created_at: Instant
    pin_state: PinState = PinState.UNSET
    pin_worker_id: str | None = None
    pin_task_key: TaskKey | None = None
    parent_run_id: str | None = None
    parent_task_id: str | None = None
    child_index: int | None = None
    child_key: str | None = None
    child_ref: str | None = None
    request_id: str | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    input: bytes | None = None  # only until the row is made
    is_new: bool = True
    keys: tuple[LimitKey, ...] = ()
    stage: int = 0
    at_gate: bool = False
    rates: tuple[RateValue | UnusableKey, ...] = ()
    source: EventSource | None = None
    tasks: dict[int, TaskRun] = field(default_factory=dict)

    @property
    def definition(self) -> WorkflowDefinition:
        return self.version.definition

    @property
    def is_single(self) -> bool:
        """A one-task run: its id is its task's id, its status its task's (W1.4, OB-5)."""
        return len(self.version.definition.steps) == 1


@dataclass(slots=True, eq=False)
class TaskRun:
    """One task inside one run.

    stage:     how many of its own concurrency limits have admitted it
    at_gate:   whether it waits at the next of them
    is_parked: whether it waits for the end of a pause
    demand:    what it takes of rate limits, since it was queued last
    """

    key: TaskKey
    id: TaskRunId
    run: Run
    step: int
    created_at: Instant
    status: TaskStatus
    level: int
    enqueue_key: int
    queued_at: Instant
    retry_count: int = 0
    app_retries: int = 0
    internal_retries: int = 0
    not_before: Instant | None = None
    schedule_deadline: Instant | None = None
    worker: Worker | None = None
    session: int | None = None
    assigned_at: Instant | None = None
    confirm_by: Instant | None = None
    execution_deadline: Instant | None = None
    next_look: Instant | None = None  # the one timer entry of the live attempt that counts
    slots_released: bool = False
    started_at: Instant | None = None
    finished_at: Instant | None = None
    output: bytes | None = None  # only until the row is made
    output_bytes: int = 0
    error: str | None = None
    receipt_key: int | None = None
    orphaned_by_engine: bool = False  # unconfirmed since a load: its requeue is the engine's own fault (R28)
    in_queue: bool = False  # stands in the scheduling class named by class_id
    class_id: int = 0
    ticket: int = 0
    demand: Demand = ()
    avoid: WorkerKey | None = None  # after a timeout without a sticky strategy (section 10, 19)
    holds: Worker | None = None  # the worker whose freed units are kept for it (SL-6)
    hold_not_before: Instant = Instant(0)
    noted_at: Instant | None = None
    noted_reason: str | None = None
    is_new: bool = True
    stage: int = 0
    at_gate: bool = False
    is_parked: bool = False

    @property
    def definition(self) -> TaskDefinition:
        return self.run.version.definition.steps[self.step]

    @property
    def due_by(self) -> Instant | None:
        """When the task must have been placed; None: its clock stands, or it does not wait.

        The end of a pause gave every waiting task of the workflow its whole schedule timeout again (TO-4).
        """
        pause = self.run.version.workflow.pause
        if pause is None or self.schedule_deadline is None:
            return self.schedule_deadline
        if self.is_parked:
            return None
        return Instant(max(self.schedule_deadline, (pause.resumed_at or 0) + self.definition.schedule_timeout_us))
