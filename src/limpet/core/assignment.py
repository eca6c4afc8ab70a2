"""Placing waiting tasks on free slots: the heart.

`plan` walks the first tasks of all awake classes in one order over all queues (priority, then age, whatever their
actions: PR-10, PR-11) and gives each the best worker there is. A task without a place blocks its class and nobody
else (PR-13, PR-16). So no task gets a slot while one that stands before it could have taken that slot (P-PRIO),
and a freshly triggered task overtakes nobody (PR-14). `rewind` undoes a plan: `explain` asks by planning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from limpet.core.ids import Instant, TaskKey
from limpet.core.lanes import Tap
from limpet.core.placement import is_assignable
from limpet.core.queue import SchedulingClass, order_of
from limpet.core.rates import Spent
from limpet.core.records import Hold, Order, Run, TaskRun, Worker
from limpet.core.rows import PinState
from limpet.core.slots import active_hold, capable, fits, give_back, held_against, is_heavy, take
from limpet.core.state import State

ClassHeap = list[tuple[Order, int, SchedulingClass]]


@dataclass(slots=True)
class Placement:
    """Queue item + worker + slots, decided.

    pin_before:  what the run's pin was, if this placement set it
    used_before: when the worker's turn among its equals was before this one
    spent:       what it takes of rate limits, and how they stood before
    """

    task: TaskRun
    worker: Worker
    cls: SchedulingClass
    order: Order
    pin_before: tuple[PinState, str | None, TaskKey | None] | None = None
    used_before: int = 0
    spent: Spent = ()


@dataclass(slots=True)
class Plan:
    """Placements in order, and what else planning has touched. `closed`: taps whose buckets had too few units."""

    placements: list[Placement] = field(default_factory=list)
    holds: list[tuple[Worker, Hold | None, TaskRun, Worker | None]] = field(default_factory=list)
    closed: list[Tap] = field(default_factory=list)


def plan(state: State, now: Instant) -> Plan:
    """Decide who goes where now. Takes slots, leaves queues and sets pins; emits nothing."""
    made = Plan()
    heap: ClassHeap = [(head[0], cls.id, cls) for cls in state.awake_classes() if (head := cls.head()) is not None]
    heapify(heap)
    while heap:
        order, _, cls = heappop(heap)
        head = cls.head()
        if head is None:
            continue
        if head[0] != order:  # the head moved away since; look at its successor in turn
            heappush(heap, (head[0], cls.id, cls))
            continue
        task = head[1]
        due_by = task.due_by
        if due_by is not None and due_by <= now:
            state.set_overdue(task)
        elif task.demand and _is_short(state, made, cls, task, now):
            _let_go(state, made, cls, heap)  # the rest of the class may have its units
        elif (worker := choose(state, cls, task, order, now)) is not None:
            placement = Placement(task, worker, cls, order)
            made.placements.append(placement)
            _settle(state, placement, heap, now)
        else:
            _hold_units(state, made, cls, task, order, now)
            continue
        if (following := cls.head()) is not None:
            heappush(heap, (following[0], cls.id, cls))
    return made


def _is_short(state: State, made: Plan, cls: SchedulingClass, task: TaskRun, now: Instant) -> bool:
    """Whether a rate limit cannot give the task its units now; then it waits with all that want the same (A-0.5, F4.11)."""
    found = state.rates.short(task.demand, now)
    if found is None:
        return False
    tap = state.rates.close(cls, cls.lane_of(task), *found)
    if tap is not None:
        made.closed.append(tap)
    return True


def _let_go(state: State, made: Plan, cls: SchedulingClass, heap: ClassHeap) -> None:
    """Who waits for a rate limit keeps no worker's units from others (SL-6, F4.11)."""
    if not is_heavy(cls.request):
        return
    for worker in [member.worker for member in cls.pool.members.values()]:
        hold = worker.hold
        if hold is not None and hold.task.in_queue and hold.task.class_id == cls.id and _is_parked(cls, hold.task):
            made.holds.append((worker, hold, hold.task, worker))
            worker.hold = hold.task.holds = None
            _look_at(state.classes_of(worker), heap)


def _is_parked(cls: SchedulingClass, task: TaskRun) -> bool:
    tap = cls.lane_of(task).tap
    return tap is not None and not tap.is_open


def _look_at(classes: Iterable[SchedulingClass], heap: ClassHeap) -> None:
    """Something may be free for their tasks now."""
    for cls in classes:
        if (head := cls.head()) is not None:
            heappush(heap, (head[0], cls.id, cls))


def choose(state: State, cls: SchedulingClass, task: TaskRun, order: Order, now: Instant) -> Worker | None:
    """The best worker for the first task of a class, now (A-0.7 to A-0.9); None: nobody."""
    if cls.pin is not None:
        pinned = state.workers_by_id.get(cls.pin)
        if pinned is not None and takes(state, cls, pinned, task, order, now):
            return pinned
        if cls.hard:
            return None
    return cls.pool.best(task, order, now, state.settings)


def takes(state: State, cls: SchedulingClass, worker: Worker, task: TaskRun, order: Order, now: Instant) -> bool:
    """Whether this very worker could take the task now."""
    return (
        worker.key in cls.pool.members
        and is_assignable(worker, now, state.settings)
        and fits(worker, cls.request)
        and not held_against(worker, order, task, now)
    )


def rewind(state: State, made: Plan, now: Instant) -> None:
    """Undo a plan, last placement first."""
    for placement in reversed(made.placements):
        task, run = placement.task, placement.task.run
        give_back(placement.worker, placement.cls.request)
        state.rates.give_back(placement.spent)
        state.touch(placement.worker)
        placement.cls.pool.unused(placement.worker, placement.used_before)
        if placement.pin_before is not None:
            state.set_pin(run, *placement.pin_before)
        state.join_class(task, order_of(task, now, state.settings))
        if placement.pin_before is not None:
            state.reclassify(run, now)
    for tap in made.closed:
        if tap.size and not tap.is_open:
            state.rates.open(tap)
            state.awaken(tap.class_id)
    for worker, hold_before, task, held_before in reversed(made.holds):
        task.holds = held_before
        worker.hold = hold_before
        if hold_before is not None:
            hold_before.task.holds = worker


def _settle(state: State, placement: Placement, heap: ClassHeap, now: Instant) -> None:
    """Take the slots, leave the queue, set the pin; the run's other tasks see the pin at once (ST-8)."""
    task, worker, run = placement.task, placement.worker, placement.task.run
    state.leave_class(task)
    take(worker, placement.cls.request)
    placement.spent = state.rates.take(task.demand, now)
    state.touch(worker)
    placement.used_before = placement.cls.pool.used(worker)
    stirred: list[SchedulingClass] = []
    if needs_pin(state, run):
        placement.pin_before = (run.pin_state, run.pin_worker_id, run.pin_task_key)
        state.set_pin(run, PinState.TENTATIVE, worker.id, task.key)
        stirred += state.reclassify(run, now)
    if task.holds is not None and task.holds is not worker:
        stirred += state.classes_of(task.holds)  # what it had kept there is free for the others
    _look_at(stirred, heap)


def needs_pin(state: State, run: Run) -> bool:
    """Whether the next committed attempt sets the run's pin: none is set, or SOFT names a worker that is away (ST-8, ST-20)."""
    return run.sticky is not None and state.pin_of(run)[0] is None


def _hold_units(state: State, made: Plan, cls: SchedulingClass, task: TaskRun, order: Order, now: Instant) -> None:
    """Keep freed units for a heavy task that only lacks free ones, on the worker that has most (SL-6)."""
    if not is_heavy(cls.request) or state.settings.slot_hold_us <= 0 or task.holds is not None or now < task.hold_not_before:
        return
    ready = [
        member.worker
        for member in cls.pool.members.values()
        if (not cls.hard or member.worker.id == cls.pin)
        and capable(member.worker, cls.request)
        and is_assignable(member.worker, now, state.settings)
        and not fits(member.worker, cls.request)
        and ((hold := active_hold(member.worker, now)) is None or hold.order > order)
    ]
    if not ready:
        return
    kind = cls.request[0][0]
    worker = max(ready, key=lambda w: (w.id == cls.pin, w.free(kind), -w.key))
    made.holds.append((worker, worker.hold, task, task.holds))
    if worker.hold is not None:
        worker.hold.task.holds = None
    worker.hold, task.holds = Hold(task, order, Instant(now + state.settings.slot_hold_us)), worker
