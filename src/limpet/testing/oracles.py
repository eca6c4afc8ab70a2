"""Promises of placement, checked after a step by lists and loops: slow, obvious, and written without the core's own functions.

The core's memory is read, its rules are not called: an oracle that asked the code under test would agree with it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from limpet.core.definitions import Comparator, DesiredLabel, LabelValue, StickyStrategy
from limpet.core.ids import Instant, RunKey
from limpet.core.machine import Machine
from limpet.core.rate_definitions import RateValue
from limpet.core.records import Run, TaskRun, Worker
from limpet.core.rows import PinState, TaskStatus

_COMPARE: dict[Comparator, Callable[[int, int], bool]] = {
    Comparator.GREATER_THAN: operator.gt,
    Comparator.GREATER_THAN_OR_EQUAL: operator.ge,
    Comparator.LESS_THAN: operator.lt,
    Comparator.LESS_THAN_OR_EQUAL: operator.le,
}


@dataclass(frozen=True, slots=True)
class Before:
    """What an oracle must know from before the placing: who waits, and every run's pin."""

    waiting: tuple[TaskRun, ...]
    pins: dict[RunKey, tuple[PinState, str | None]]


class WatchedMachine(Machine):
    """A core that asserts the promises of placement and its own invariants in every step."""

    def place(self) -> None:
        before = before_placing(self)
        super().place()
        broken = violations(self, before) + self.check()
        assert not broken, "\n".join(broken)


def before_placing(machine: Machine) -> Before:
    """Taken between `apply` and `place`."""
    state = machine.state
    pins = {run.key: (run.pin_state, run.pin_worker_id) for run in state.runs.values() if run.sticky is not None}
    return Before(tuple(waiting_tasks(machine)), pins)


def waiting_tasks(machine: Machine) -> list[TaskRun]:
    """Queued tasks that may still be placed: their time is not up, and no pause or concurrency limit holds them."""
    state = machine.state
    return [
        task
        for task in state.tasks.values()
        if task.status is TaskStatus.QUEUED
        and ((due_by := task.due_by) is None or due_by > state.now)
        and not (task.run.started_at is None and task.run.version.workflow.is_paused)
        and is_admitted(task)
    ]


def units_of(task: TaskRun) -> dict[str, int]:
    """What an attempt takes of each rate limit."""
    values = list(task.run.rates)
    found: dict[str, int] = {}
    for step, definition in enumerate(task.run.definition.steps):
        for use in definition.rate_limits:
            value = values.pop(0) if use.key_expression or use.units_expression else RateValue(use.key, use.units)
            if step == task.step and isinstance(value, RateValue):
                found[value.name] = found.get(value.name, 0) + value.units
    return found


def has_units(machine: Machine, task: TaskRun, extra: TaskRun | None = None) -> bool:
    """Whether every rate limit has the task's units now, those that `extra` has taken counted as left."""
    more = {} if extra is None else units_of(extra)
    return all(_left(machine, name) + more.get(name, 0) >= units for name, units in units_of(task).items())


def _left(machine: Machine, name: str) -> int:
    """Units that a rate limit can give; those of one that is unknown or paused count as less than none."""
    bucket, now = machine.state.rates.buckets.get(name), machine.state.now
    if bucket is None or bucket.key is None or (bucket.paused_until or 0) > now:
        return -(2**40)
    is_over = bucket.level.refill_at is not None and bucket.level.refill_at <= now
    return bucket.limit if is_over else bucket.level.value


def is_admitted(task: TaskRun) -> bool:
    """Whether every concurrency limit on its way has let the task in, those of its run and its own."""
    definition = task.run.definition
    if len(definition.steps) == 1:
        return task.stage == len(definition.concurrency) + len(task.definition.concurrency)
    of_run = 0 if task.step == definition.on_failure_step else len(definition.concurrency)
    return task.run.stage >= of_run and task.stage == len(task.definition.concurrency)


def label_matches(label: DesiredLabel, labels: dict[str, LabelValue]) -> bool:
    """The table of assignment 3.2."""
    have, want = labels.get(label.key), label.value
    if have is None or type(have) is not type(want):
        return False
    if label.comparator in (Comparator.EQUAL, Comparator.NOT_EQUAL):
        return (have == want) is (label.comparator is Comparator.EQUAL)
    return isinstance(have, int) and isinstance(want, int) and _COMPARE[label.comparator](have, want)


def labels_of(task: TaskRun) -> Iterable[DesiredLabel]:
    """The trigger's labels if it gave any, else the definition's."""
    return task.run.desired_labels or task.definition.desired_labels


def admits(worker: Worker, task: TaskRun) -> bool:
    """Whether the worker registered the action and matches every required label; it may be away or full."""
    if worker.gone_at is not None or task.definition.action_id not in worker.actions:
        return False
    return all(label_matches(label, worker.labels) for label in labels_of(task) if label.required)


def listens(machine: Machine, worker: Worker) -> bool:
    """Whether new starts may go to the worker now (R30)."""
    state = machine.state
    silent_us = state.now - worker.seen_at
    away = worker.paused or worker.lost_at is not None or worker.gone_at is not None or not worker.sessions
    return not away and silent_us <= state.settings.worker_assignable_us


def free_units(worker: Worker) -> dict[str, int]:
    """Capacity minus the units of attempts that still hold theirs."""
    free = dict(worker.slots)
    for task in worker.tasks.values():
        if not task.slots_released:
            for kind, units in task.definition.slot_requests:
                free[kind] = free.get(kind, 0) - units
    return free


def has_room(worker: Worker, task: TaskRun, extra: TaskRun | None = None) -> bool:
    """Whether the task's units are free on the worker, those of `extra` counted as free."""
    free = free_units(worker)
    for kind, units in extra.definition.slot_requests if extra is not None else ():
        free[kind] = free.get(kind, 0) + units
    return all(free.get(kind, 0) >= units for kind, units in task.definition.slot_requests)


def is_held(worker: Worker, now: Instant) -> bool:
    """Whether freed units of the worker are kept for a heavy task (SL-6); then others may have to wait."""
    return worker.hold is not None and worker.hold.until > now and worker.hold.task.status is TaskStatus.QUEUED


def stands_before(machine: Machine, one: TaskRun, other: TaskRun) -> bool:
    """Whether `one` comes first: level, inside level 4 priority, then original order."""
    return _place(machine, one) < _place(machine, other)


def _place(machine: Machine, task: TaskRun) -> tuple[int, int, int, int]:
    settings, level, started = machine.state.settings, task.level, 0
    if settings.priority_age_us and level < 3:
        level = min(3, level + (machine.state.now - task.queued_at) // settings.priority_age_us)
    if settings.depth_first:
        started = task.run.started_at or 2**62
    return -level, -task.run.priority if level == 4 else 0, started, task.enqueue_key


def pin_allows(run: Run, worker: Worker) -> bool:
    """A HARD pin demands its worker; everything else leaves the choice."""
    return run.sticky is not StickyStrategy.HARD or run.pin_worker_id in (None, worker.id)


def violations(machine: Machine, before: Before) -> list[str]:
    """What the placing of this step broke; a sentence each."""
    placed = [task for task in before.waiting if task.status.is_live and task.worker is not None]
    waiting, stood = waiting_tasks(machine), set(before.waiting)
    found: list[str] = []
    for task in placed:
        found += _of_placed(machine, before, task)
        found += _overtaken(machine, task, [other for other in waiting if other in stood])  # others came in later
    found += _idle(machine, waiting)
    return found


def _of_placed(machine: Machine, before: Before, task: TaskRun) -> Iterator[str]:
    worker = task.worker
    assert worker is not None
    name = f"{task.run.definition.name}.{task.definition.name} ({task.id})"
    if not admits(worker, task):
        yield f"P-REQ: {name} went to {worker.name}, which lacks its action or a required label"
    if not listens(machine, worker):
        yield f"W2: {name} went to {worker.name}, which does not listen"
    pin_state, pin = before.pins.get(task.run.key, (PinState.UNSET, None))
    if task.run.sticky is StickyStrategy.HARD and pin not in (None, worker.id):
        yield f"P-HARD: {name} went to {worker.name}, its run is pinned to {pin} ({pin_state.name})"
    pinned = machine.state.workers_by_id.get(pin or "")
    if pinned is not None and pinned is not worker and _could_take(machine, pinned, task):
        yield f"P-SOFT: {name} went to {worker.name}, its run's worker {pinned.name} had room"
    if pin is None and task.run.pin_worker_id in (None, worker.id):
        yield from _outweighed(machine, worker, task, name)


def _could_take(machine: Machine, worker: Worker, task: TaskRun) -> bool:
    """Also after the whole step: then it could have taken it before. It has its units, or they are not what this is about."""
    return admits(worker, task) and listens(machine, worker) and has_room(worker, task) and not is_held(worker, machine.state.now)


def _outweighed(machine: Machine, worker: Worker, task: TaskRun, name: str) -> Iterator[str]:
    """P-WEIGHT, with the rank of ST-33b before the weight."""
    for other in machine.state.workers.values():
        if other is not worker and _could_take(machine, other, task) and _rank(other, task) > _rank(worker, task):
            yield f"P-WEIGHT: {name} went to {worker.name}, {other.name} ranks higher and had room"


def _rank(worker: Worker, task: TaskRun) -> tuple[bool, int]:
    sets_pin = task.run.sticky is not None and task.run.pin_task_key == task.key
    whole = sets_pin and all(one.action_id in worker.actions for one in task.run.definition.steps)
    return whole, sum(label.weight for label in labels_of(task) if label_matches(label, worker.labels))


def _overtaken(machine: Machine, task: TaskRun, waiting: list[TaskRun]) -> Iterator[str]:
    """P-PRIO: nobody who still waits stood before it and could have taken its slot."""
    worker = task.worker
    assert worker is not None
    for other in waiting:
        has_all = has_units(machine, other, extra=task) and has_room(worker, other, extra=task)
        if not has_all or not admits(worker, other) or not pin_allows(other.run, worker):
            continue
        if stands_before(machine, other, task) and not is_held(worker, machine.state.now):
            who = f"{other.definition.name} ({other.id})"
            yield f"P-PRIO: {task.definition.name} ({task.id}) took a slot of {worker.name} before {who}"


def _idle(machine: Machine, waiting: list[TaskRun]) -> Iterator[str]:
    """L1: no waiting task with a worker that could take it now."""
    ready = [worker for worker in machine.state.workers.values() if listens(machine, worker)]
    for worker in ready:
        for task in waiting:
            if has_units(machine, task) and pin_allows(task.run, worker) and _could_take(machine, worker, task):
                yield f"L1: {task.definition.name} ({task.id}) waits though {worker.name} could take it"
                break
