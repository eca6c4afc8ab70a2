"""The invariants that can be read off a tenant's memory (reliability section 4). A violation is a bug, said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core import parking
from limpet.core.conditions import Action
from limpet.core.definitions import StickyStrategy
from limpet.core.gates import GroupName, Subject, gates_of, name_of, next_gate, size_of
from limpet.core.ids import Instant
from limpet.core.records import Run, TaskRun, Worker
from limpet.core.rows import PinState, RunStatus, TaskStatus
from limpet.core.state import State
from limpet.core.waits import Name, Wait

NOT_BEGUN = frozenset({TaskStatus.PENDING, TaskStatus.SKIPPED, TaskStatus.CANCELLED})  # or stopped on the way


def violations(state: State) -> list[str]:
    """All that is wrong; empty when all is well."""
    found: list[str] = []
    for run in state.runs.values():
        found += _of_run(run)
        for task in run.tasks.values():
            found += _of_task(state, task)
    for worker in state.workers.values():
        found += _of_worker(worker)
    found += _of_gates(state)
    found += _of_rates(state)
    found += _of_waits(state)
    return found


def _of_run(run: Run) -> Iterator[str]:
    """G2: a run is terminal if and only if all its tasks exist and are."""
    ended = len(run.tasks) == len(run.definition.steps) and all(t.status.is_terminal for t in run.tasks.values())
    if ended is not run.status.is_terminal:
        yield f"G2: run {run.id} is {run.status.name}, its tasks say otherwise"
    if run.status is RunStatus.COMPLETED and any(t.status is TaskStatus.FAILED for t in run.tasks.values()):
        yield f"G2: run {run.id} is COMPLETED with a failed task"
    on_failure = run.definition.on_failure_step
    if on_failure is not None and on_failure in run.tasks and run.tasks[on_failure].status not in NOT_BEGUN:
        others = [t for step, t in run.tasks.items() if step != on_failure]
        if not any(t.status is TaskStatus.FAILED for t in others):
            yield f"G3: the on-failure task of run {run.id} is {run.tasks[on_failure].status.name} though nothing failed"


def _of_task(state: State, task: TaskRun) -> Iterator[str]:
    """T1, T4, T7: each task in exactly one place, with what belongs to that place."""
    in_queue, owned = task.in_queue, task.worker is not None and task.key in task.worker.tasks
    if in_queue and task.status is not TaskStatus.QUEUED:
        yield f"T1: task {task.id} is {task.status.name} and still in a queue"
    if task.status is TaskStatus.QUEUED and not (in_queue or task.is_parked or _is_set_aside(state, task)):
        yield f"T1: task {task.id} is QUEUED, in no queue, before no gate and not held by a pause"
    if task.is_parked and (task.status is not TaskStatus.QUEUED or not parking.holds(task.run)):
        yield f"WK-33: task {task.id} of run {task.run.id} is parked, and should not be"
    if task.is_parked is not (task.key in task.run.version.workflow.parked):
        yield f"WK-33: task {task.id} and its workflow disagree whether it is parked"
    if (in_queue or task.at_gate or task.run.at_gate) and parking.holds(task.run) and task.status is TaskStatus.QUEUED:
        yield f"WK-33: task {task.id} is on its way, and its workflow is paused"
    if in_queue and task.run.keys and next_gate(task) is not None:
        yield f"T1: task {task.id} is in a queue, and a gate has not admitted it"
    if owned is not task.status.is_live:
        yield f"T4: task {task.id} is {task.status.name}, its worker says otherwise"
    if task.app_retries > task.definition.retries:
        yield f"T7: task {task.id} has used {task.app_retries} of {task.definition.retries} retries"
    if task.internal_retries > state.settings.internal_retries_max:
        yield f"T7: task {task.id} was reassigned {task.internal_retries} times"
    if task.status.is_live and task.worker is not None:
        yield from _of_pin(task, task.worker)


def _is_set_aside(state: State, task: TaskRun) -> bool:
    """Whether the task waits before a gate, or for its end because it is too late."""
    return task.key in state.overdue or _stands_at_gate(state, task)


def _stands_at_gate(state: State, task: TaskRun) -> bool:
    """Whether the task, or its run for it, waits in a group."""
    ahead = next_gate(task) if task.run.keys else None
    if ahead is None:
        return False
    group = state.gates.find(*ahead)
    return group is not None and ahead[0].at_gate and ahead[0].key in group.waiting


def _of_gates(state: State) -> Iterator[str]:
    """C1, C4: who is in a group follows from runs and tasks that have not ended, and they are never more than it allows."""
    admitted: dict[GroupName, dict[int, int]] = {}  # with how many each allows
    for run in state.runs.values():
        subjects: tuple[Subject, ...] = (run, *run.tasks.values())
        for subject in subjects:
            if subject.stage and subject.status.is_terminal:
                yield f"C4: {subject.id} has ended as {subject.status.name} and is still admitted"
            for gate in gates_of(subject)[: subject.stage]:
                admitted.setdefault(name_of(subject, gate), {})[subject.key] = size_of(subject, gate)
    for name, group in state.gates.groups.items():
        allowed = admitted.pop(name, {})
        if group.held.keys() != allowed.keys():
            yield f"C4: the group {name} counts {len(group.held)} admitted, runs and tasks say otherwise"
        elif allowed and len(allowed) > max(allowed.values()):
            yield f"C1: the group {name} has {len(group.held)} admitted, and none of them allows so many"
        if not group.held and not group.waiting:
            yield f"S2: the group {name} is empty and still remembered"
    for name in admitted:
        yield f"C4: the group {name} is missing"


def _of_rates(state: State) -> Iterator[str]:
    """RL1: no limit has given more than it has, and nobody is kept from units that are there."""
    for bucket in state.rates.buckets.values():
        value, _, refill_at = bucket.level
        if bucket.exists and not (0 <= value <= bucket.limit and (refill_at is None) is (value == bucket.limit)):
            yield f"RL1: rate limit {bucket.name!r} has {value} of {bucket.limit} units left, refill at {refill_at}"
        closed = [tap for tap in state.rates.taps_of(bucket) if not tap.is_open]
        if bucket.is_awaited is not bool(closed):
            yield f"L1: rate limit {bucket.name!r} counts {'somebody' if bucket.is_awaited else 'nobody'} who waits for it"
        if bucket.waiting != sum(1 for tap in closed for _ in tap.tasks()):
            yield f"L1: rate limit {bucket.name!r} counts {bucket.waiting} tasks that wait for it, and others do"
        for tap in closed:
            if bucket.gives(tap.units, state.now):
                yield f"L1: rate limit {bucket.name!r} keeps {tap.units} units from tasks that wait for them"
    for task in state.tasks.values():
        if task.in_queue and not task.demand and task.definition.rate_limits:
            yield f"RL1: task {task.id} waits for a worker without its rate limits"


def _of_waits(state: State) -> Iterator[str]:
    """G1, W5.8: who is armed exists, has not begun, is listened for, and has not been decided by what is known, or is ripe."""
    ripe = state.waits.ripe
    armed = {wait.name: wait for wait in state.waits.all() if wait.is_armed}
    for (_, step), wait in armed.items():
        task = wait.run.tasks.get(step)
        if task is None or task.status is not TaskStatus.PENDING:
            yield f"G1: step {step} of run {wait.run.id} awaits its conditions and has begun, or does not exist"
        if wait.name not in ripe and wait.name not in state.waits.looking and _is_overlooked(wait, state.now):
            yield f"W5.8: the conditions of step {step} of run {wait.run.id} hold, and it still waits"
    for name, (wait, decided) in ripe.items():
        if armed.get(name) is not wait or wait.first_decision(state.now) != decided:
            yield f"W5.8: step {wait.step} of run {wait.run.id} is to go on, and its conditions say otherwise"
    for name, wait in state.waits.looking.items():
        if armed.get(name) is not wait or name in ripe:
            yield f"W5.7: step {wait.step} of run {wait.run.id} looks back, and does not wait"
    yield from _of_listening(state, {name: wait for name, wait in armed.items() if name not in ripe})


def _is_overlooked(wait: Wait, now: Instant) -> bool:
    """Whether parents had decided before the arming, or an event since; what a sleep has decided may wait for its turn (R53)."""
    before = wait.met(Instant((wait.armed_at or 0) - 1))
    spoken = {action for action in Action if wait.rules.holds(action, before)}
    if wait.rules.looks_first:
        spoken.discard(Action.QUEUE)  # the past is asked first whether to skip or cancel it
    decided = wait.first_decision(now)
    return bool(spoken) or (decided is not None and decided.moment.event_key > 0)


def _of_listening(state: State, armed: dict[Name, Wait]) -> Iterator[str]:
    """W5.7: events are told to all that are armed and undecided, and to nobody else."""
    for key, waiting in state.waits.listening().items():
        if not waiting or any(armed.get(name) is not wait or key not in wait.rules.event_keys for name, wait in waiting.items()):
            yield f"S2: somebody is remembered as waiting for event {key} who does not"
    for wait in armed.values():
        if any(wait.name not in state.waits.listening().get(key, {}) for key in wait.rules.event_keys):
            yield f"W5.7: step {wait.step} of run {wait.run.id} awaits events, and nobody would tell it"


def _of_pin(task: TaskRun, worker: Worker) -> Iterator[str]:
    """P-HARD: a HARD run's live tasks are on the worker it is bound to; one that drains may end what it began before."""
    run = task.run
    if worker.gone_at is not None:
        return
    if run.sticky is StickyStrategy.HARD and run.pin_state is PinState.BOUND and run.pin_worker_id != worker.id:
        yield f"P-HARD: task {task.id} runs on {worker.id}, its run is bound to {run.pin_worker_id}"


def _of_worker(worker: Worker) -> Iterator[str]:
    """W1: used units are those of its live attempts that have not been released, and never above capacity."""
    used: dict[str, int] = {}
    for task in worker.tasks.values():
        if not task.slots_released:
            for kind, units in task.definition.slot_requests:
                used[kind] = used.get(kind, 0) + units
    for kind in sorted({*used, *worker.used}):
        in_use, counted, total = used.get(kind, 0), worker.used.get(kind, 0), worker.slots.get(kind, 0)
        if in_use != counted:
            yield f"W1: worker {worker.id} counts {counted} used {kind} units, its attempts use {in_use}"
        if in_use > total:
            yield f"W1: worker {worker.id} has {total} {kind} units, {in_use} are used"
