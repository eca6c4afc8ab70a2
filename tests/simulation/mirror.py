"""What the checker knows of one loaded core: its rows, who listens, who was heard of. Fed by inputs and rows alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from limpet.core.claim_rows import ClaimRow
from limpet.core.claims import names_of
from limpet.core.condition_rows import WaitRow, decode_seen
from limpet.core.decision import Decision, StartTask
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.ids import TenantNo
from limpet.core.inputs import (
    Input,
    LabelsUpserted,
    Report,
    SlotReleased,
    StreamClosed,
    StreamOpened,
    TimeoutRefreshed,
    WorkerSeen,
    WorkerUnsubscribed,
)
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import RunRow, TaskRow, TaskStatus, WorkerRow
from limpet.core.run_needs import keys_in
from limpet.core.settings import Settings
from limpet.core.timetable_rows import ScheduleRow
from tests.simulation.crowds import Crowds, Shares, is_held
from tests.simulation.meters import demand_of
from tests.simulation.oracle import Offer, Order, Wish, definition_of, offer_of, order_of, pin_of, used_slots, wish_of
from tests.simulation.pauses import is_parked
from tests.simulation.tables import Tables


@dataclass(slots=True)
class Seen:
    """Bounds of a worker's last sign of life: certainly as late as `surely`, no later than `perhaps`."""

    surely: int
    perhaps: int


@dataclass(slots=True)
class Step:
    """One step as the checker sees it: what came in, what went out, rows before and after."""

    mirror: Mirror
    now: int
    honest: int
    items: list[Input]
    decision: Decision
    tasks: list[tuple[TaskRow | None, TaskRow]]
    runs: list[tuple[RunRow | None, RunRow]]
    workers: list[tuple[WorkerRow | None, WorkerRow]]
    starts: list[StartTask] = field(default_factory=list)
    schedules_dropped: list[ScheduleRow] = field(default_factory=list)
    limits_before: dict[str, RateLimitRow] = field(default_factory=dict)
    waits_before: dict[tuple[int, int], WaitRow | None] = field(default_factory=dict)
    claims_before: dict[bytes, ClaimRow] = field(default_factory=dict)

    @property
    def is_paced(self) -> bool:
        """More is to be done than one step does (R53), or a rate limit must be read first; another step follows at once."""
        wake_at = self.decision.wake_at
        if wake_at is None or wake_at > self.now:
            return False
        limits = self.mirror.settings
        return limits.due_batch_max < 1_000 or limits.heard_batch_max < 500 or self.mirror.is_metered or self.mirror.is_looking


class Mirror:
    """Rows as the core's memory must have them, and the signs that have reached it."""

    def __init__(self, tenant_no: TenantNo, tables: Tables, settings: Settings, now: int, seen: dict[str, int]) -> None:
        self.tenant_no, self.tables, self.settings = tenant_no, tables, settings
        self.loaded_at = now
        self.sessions: dict[int, set[int]] = {}
        self.seen: dict[int, Seen] = {}
        for key, worker in tables.workers.items():
            at = min(now, seen.get(worker.id, now))
            self.seen[key] = Seen(at, at)
        self.waiting = {key: None for key, row in tables.tasks.items() if row.status == TaskStatus.QUEUED}
        self.crowds: Crowds | None = None  # as they were after the last step
        self.shares: Shares = {}
        self.awaiting: dict[tuple[int, int], Any] = {}  # of `rules_conditions`, filled after a load
        self.in_line = {key: None for key in self.waiting if not self.is_held(tables.tasks[key])}
        self.live = {key: None for key, row in tables.tasks.items() if row.status == TaskStatus.ASSIGNED}
        self.orphans = {(row.id, row.retry_count) for row in tables.tasks.values() if row.status == TaskStatus.ASSIGNED}
        self._offers: dict[int, tuple[WorkerRow, Offer]] = {}
        self._wishes: dict[int, tuple[RunRow, bool, Wish]] = {}
        self._free: dict[int, dict[str, int]] | None = None
        self._demands: dict[int, dict[str, int]] = {}

    # Following

    def follow(self, now: int, honest: int, items: list[Input], decision: Decision) -> Step:
        """Take in one step; raises `Broken` when its rows do not fit."""
        tables, changes = self.tables, decision.changes
        old_tasks = {row.key: tables.tasks.get(row.key) for row in (*changes.tasks_opened, *changes.tasks_changed)}
        old_runs = {row.key: tables.runs.get(row.key) for row in (*changes.runs_opened, *changes.runs_changed)}
        old_workers = {row.key: tables.workers.get(row.key) for row in changes.workers}
        limits = {row.name: row for row in tables.rate_limits.values()}
        dropped = [tables.schedules[key] for key in changes.schedules_dropped if key in tables.schedules]
        old_waits = {row.key: tables.waits.get(row.key) for row in changes.waits}
        wanted = [keys for item in items for keys in keys_in(item)]
        claims_before = tables.claims_of([*names_of(wanted), *(row.name for row in changes.claims)])
        tables.apply(changes)
        if changes.tasks_changed or changes.tasks_opened or changes.workers or changes.workers_forgotten:
            self._free = None
        step = Step(
            self, now, honest, items, decision,
            [(old, tables.tasks[key]) for key, old in old_tasks.items()],
            [(old, tables.runs[key]) for key, old in old_runs.items()],
            [(old, tables.workers[key]) for key, old in old_workers.items() if key in tables.workers],
            [one for one in decision.deliveries if isinstance(one, StartTask)], dropped, limits, old_waits, claims_before,
        )  # fmt: skip
        for _, run in step.runs:
            self.shares.pop(run.key, None)
        for _, new in step.tasks:
            self.shares.pop(new.run_key, None)
            _place(self.waiting, new.key, new.status == TaskStatus.QUEUED)
            _place(self.in_line, new.key, new.status == TaskStatus.QUEUED and not self.is_held(new))
            _place(self.live, new.key, new.status == TaskStatus.ASSIGNED)
        if changes.pauses:
            self.shares.clear()
            self.in_line = {key: None for key in self.waiting if not self.is_held(tables.tasks[key])}
        for item, reply in zip(items, decision.replies, strict=True):
            self._hear(item, reply, honest)
        for old, new_worker in step.workers:
            if old is None:
                self.seen[new_worker.key] = Seen(honest, honest)
            elif new_worker.lost_at is not None and old.lost_at is None:
                self.sessions.pop(new_worker.key, None)  # the engine ends the streams of a worker it gives up
        return step

    def _hear(self, item: Input, reply: object, at: int) -> None:
        """Signs of life, and streams that open and close (R27)."""
        if isinstance(item, StreamOpened) and not isinstance(reply, Exception):
            key = self.tables.worker_keys.get(item.worker_id)
            if key is not None:
                self.sessions.setdefault(key, set()).add(item.session)
        elif isinstance(item, StreamClosed):
            self.sessions.get(self.tables.worker_keys.get(item.worker_id, 0), set()).discard(item.session)
        elif isinstance(item, WorkerUnsubscribed):
            self.sessions.pop(self.tables.worker_keys.get(item.worker_id, 0), None)
        if isinstance(item, WorkerSeen | StreamOpened | LabelsUpserted) and not isinstance(reply, Exception):
            self._heard(item.worker_id, at)
        elif isinstance(item, Report):
            self._heard(item.worker_ref, at)
            self._perhaps_heard(item.task_run_id, at)
        elif isinstance(item, SlotReleased | TimeoutRefreshed):
            self._perhaps_heard(item.task_run_id, at)

    def _heard(self, worker_id: str, at: int) -> None:
        key = self.tables.worker_keys.get(worker_id)
        if key is not None:
            self.seen[key] = Seen(at, at)

    def _perhaps_heard(self, task_run_id: str, at: int) -> None:
        task = self.tables.tasks.get(self.tables.task_keys.get(task_run_id, 0))
        if task is not None and task.worker_key in self.seen:
            self.seen[task.worker_key].perhaps = at

    # Asking

    def definition(self, run: RunRow) -> WorkflowDefinition:
        return definition_of(self.tables.versions[run.version_key].definition)

    def is_held(self, task: TaskRow) -> bool:
        """Whether a pause or a concurrency limit keeps the waiting task from its queue."""
        run = self.tables.runs[task.run_key]
        return is_parked(self.tables, task) or is_held(task, run, self.definition(run))

    @property
    def is_looking(self) -> bool:
        """Whether somebody has asked for events of the past."""
        return any(map(self.looks, self.tables.waits.values()))

    def looks(self, row: WaitRow) -> bool:
        """Whether the store has still to be asked for events of the past of this wait."""
        if row.armed_at is None or row.decided_at is not None:
            return False
        seen = decode_seen(row.seen)
        given = self.definition(self.tables.runs[row.run_key]).steps[row.step].conditions
        return any(one.since_us and place not in seen for place, one in enumerate(given))

    @property
    def is_metered(self) -> bool:
        """Whether a waiting task takes units of a rate limit."""
        return any(self.demand(self.tables.tasks[key]) for key in self.in_line)

    def demand(self, task: TaskRow) -> dict[str, int]:
        """What an attempt of the task takes of rate limits."""
        known = self._demands.get(task.key)
        if known is None:
            run = self.tables.runs[task.run_key]
            known = self._demands[task.key] = demand_of(run, self.definition(run), task.step)
        return known

    def task_definition(self, task: TaskRow) -> TaskDefinition:
        return self.definition(self.tables.runs[task.run_key]).steps[task.step]

    def offer(self, key: int) -> Offer:
        row = self.tables.workers[key]
        known = self._offers.get(key)
        if known is None or known[0] is not row:
            known = self._offers[key] = (row, offer_of(row))
        return known[1]

    def is_present(self, worker_id: str) -> bool:
        key = self.tables.worker_keys.get(worker_id)
        return key is not None and self.offer(key).present

    def is_assignable(self, key: int, now: int, *, surely: bool) -> bool:
        """R30, by the one bound of the last sign of life or the other."""
        offer = self.offer(key)
        seen = self.seen[key].surely if surely else self.seen[key].perhaps
        listens = bool(self.sessions.get(key))
        return offer.present and not offer.paused and listens and now - seen <= self.settings.worker_assignable_us

    def free(self) -> dict[int, dict[str, int]]:
        """Free units of every worker, from the rows alone (W1). Not to be changed."""
        if self._free is None:
            self._free = self._count_free()
        return self._free

    def _count_free(self) -> dict[int, dict[str, int]]:
        live = ((row, self.task_definition(row)) for row in map(self.tables.tasks.__getitem__, self.live))
        used = used_slots(live)
        found = {}
        for key in self.tables.workers:
            taken = used.get(key, {})
            found[key] = {kind: units - taken.get(kind, 0) for kind, units in self.offer(key).slots.items()}
        return found

    def wish(self, task: TaskRow, *, set_pin: bool = False) -> Wish:
        """What the task wants now; `set_pin`: before it set the run's pin itself."""
        run = self.tables.runs[task.run_key]
        if set_pin:
            return wish_of(run, self.definition(run), task.step, None, self.is_present)
        pin = pin_of(run)
        is_there = pin is not None and self.is_present(pin)
        known = self._wishes.get(task.key)
        if known is None or known[0] is not run or known[1] is not is_there:
            wish = wish_of(run, self.definition(run), task.step, pin, self.is_present)
            known = self._wishes[task.key] = (run, is_there, wish)
        return known[2]

    def order(self, task: TaskRow, now: int) -> Order:
        return order_of(task, self.tables.runs[task.run_key], now, self.settings)


def _place(where: dict[int, None], key: int, belongs: bool) -> None:
    if belongs:
        where[key] = None
    else:
        where.pop(key, None)
