"""Checks of runs: the graph (G1 to G3), pins (P-HARD, P-REPLAY, P-CHILD), bulk and repeated triggers (I4, I5)."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.conditions import Action
from limpet.core.definitions import StickyStrategy
from limpet.core.inputs import KeyTaken, ReplayRequested, RunsTriggered
from limpet.core.rows import PinState, RunRow, RunStatus, TaskRow, TaskStatus
from tests.simulation.mirror import Mirror, Step

S = TaskStatus
TERMINAL = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.SKIPPED})
BAD = frozenset({S.FAILED, S.CANCELLED})
BEGUN = frozenset({S.QUEUED, S.BACKING_OFF, S.ASSIGNED, S.COMPLETED})


def graph(step: Step) -> Iterator[str]:
    """Every run that the step touched."""
    tables = step.mirror.tables
    touched = {new.key for _, new in step.runs} | {new.run_key for _, new in step.tasks}
    for key in sorted(touched):
        run = tables.runs[key]
        tasks = {row.step: row for row in tables.tasks_of(key)}
        yield from _status(step.mirror, run, tasks)
        yield from _begun(step.mirror, run, tasks)
        yield from _rescue(step.mirror, run, tasks)


def _status(mirror: Mirror, run: RunRow, tasks: dict[int, TaskRow]) -> Iterator[str]:
    """G2, OB-5, W13.4."""
    definition = mirror.definition(run)
    statuses = [S(row.status) for row in tasks.values()]
    if len(tasks) == len(definition.steps) and all(one in TERMINAL for one in statuses):
        if S.FAILED in statuses:
            wanted = RunStatus.FAILED
        else:
            wanted = RunStatus.CANCELLED if S.CANCELLED in statuses else RunStatus.COMPLETED
    elif len(definition.steps) == 1:
        wanted = RunStatus.RUNNING if S.ASSIGNED in statuses else RunStatus.QUEUED
    else:
        wanted = RunStatus.RUNNING if run.started_at is not None else RunStatus.QUEUED
    if run.status != wanted:
        yield f"G2: run {run.id} is {RunStatus(run.status).name}, its tasks make it {wanted.name}: {statuses}"
    if (run.finished_at is not None) is not wanted.is_terminal:
        yield f"G2: run {run.id} is {wanted.name} and has finished_at {run.finished_at}"


def _begun(mirror: Mirror, run: RunRow, tasks: dict[int, TaskRow]) -> Iterator[str]:
    """G1, W4.2, W4.5: a task begins when its parents allow it, and only then exists."""
    definition = mirror.definition(run)
    for number, parents in enumerate(definition.parent_steps):
        if number == definition.on_failure_step:
            continue
        row, above = tasks.get(number), [S(tasks[one].status) if one in tasks else None for one in parents]
        done = all(one in TERMINAL for one in above)
        allowed = done and not BAD.intersection(above) and (not above or any(one is not S.SKIPPED for one in above))
        if row is None:
            if done:
                yield f"G1: run {run.id}: the parents of step {number} have ended, and it does not exist"
        elif S(row.status) in BEGUN and not allowed:
            yield f"G1: run {run.id}: step {number} is {S(row.status).name}, its parents are {above}"
        elif S(row.status) is S.SKIPPED and not (above and all(one is S.SKIPPED for one in above)) and not _may_skip(mirror, row):
            yield f"G1: run {run.id}: step {number} is skipped, its parents are {above}"
        elif S(row.status) is S.PENDING and done and not _awaits(mirror, row):
            yield f"G1: run {run.id}: step {number} waits for parents that have all ended"


def _may_skip(mirror: Mirror, row: TaskRow) -> bool:
    """Whether conditions may have skipped it; that they did is shown by `rules_conditions`."""
    return any(one.action is Action.SKIP for one in mirror.task_definition(row).conditions)


def _awaits(mirror: Mirror, row: TaskRow) -> bool:
    """Whether it waits for conditions and not for parents."""
    wait = mirror.tables.waits.get((row.run_key, row.step))
    return wait is not None and wait.armed_at is not None and wait.decided_at is None


def _rescue(mirror: Mirror, run: RunRow, tasks: dict[int, TaskRow]) -> Iterator[str]:
    """G3, W6.2, W6.3: the on-failure task runs if and only if another one failed."""
    number = mirror.definition(run).on_failure_step
    if number is None:
        return
    others = [S(row.status) for step, row in tasks.items() if step != number]
    row = tasks.get(number)
    if row is None or S(row.status) is S.PENDING:
        if S.FAILED in others:
            yield f"G3: run {run.id} has a failed task, and its on-failure task has not begun"
    elif S(row.status) in BEGUN and S.FAILED not in others:
        yield f"G3: run {run.id}: the on-failure task is {S(row.status).name} though nothing failed: {others}"
    elif S(row.status) is S.SKIPPED and S.FAILED in others:
        yield f"G3: run {run.id}: the on-failure task is skipped though a task failed"


def pins(step: Step) -> Iterator[str]:
    """ST-7 to ST-11, P-CHILD, P-REPLAY: how pins may change."""
    replayed = any(isinstance(item, ReplayRequested) for item in step.items)
    for old, new in step.runs:
        if new.sticky is None:
            if new.pin_state != PinState.UNSET:
                yield f"ST-14: run {new.id} has no strategy and a pin"
            continue
        if old is None:
            yield from _born(new)
        elif not replayed:
            yield from _moved(step, old, new)
        elif RunStatus(old.status).is_terminal and not RunStatus(new.status).is_terminal:
            yield from _replayed(step, old, new)


def _born(new: RunRow) -> Iterator[str]:
    """ST-9, P-CHILD: the named worker at once, and for HARD for good."""
    if new.desired_worker_id is None:
        if new.pin_state == PinState.BOUND:
            yield f"ST-10: run {new.id} is born bound to {new.pin_worker_id}, which nobody asked for"
    elif new.sticky == StickyStrategy.HARD and (new.pin_state, new.pin_worker_id) != (PinState.BOUND, new.desired_worker_id):
        yield f"P-CHILD: run {new.id} asks for worker {new.desired_worker_id} and is pinned to {new.pin_worker_id}"


def _moved(step: Step, old: RunRow, new: RunRow) -> Iterator[str]:
    before, after = (old.pin_state, old.pin_worker_id), (new.pin_state, new.pin_worker_id)
    if before == after:
        return
    mirror = step.mirror
    if old.pin_state == PinState.BOUND and new.sticky == StickyStrategy.HARD:
        yield f"P-HARD: run {new.id} was bound to {old.pin_worker_id} and has the pin {after}"
    if new.pin_state == PinState.BOUND and not _completed_there(step, new):
        yield f"ST-10: run {new.id} is bound to {new.pin_worker_id}, where none of its tasks completed"
    left = old.pin_state == PinState.BOUND and new.sticky == StickyStrategy.SOFT and mirror.is_present(old.pin_worker_id or "")
    if left and not any(one.id == old.pin_worker_id and row and row.lost_at for row, one in step.workers):
        yield f"ST-11: run {new.id} left worker {old.pin_worker_id}, which is neither lost nor gone"


def _completed_there(step: Step, run: RunRow) -> bool:
    worker_key = step.mirror.tables.worker_keys.get(run.pin_worker_id or "")
    return any(S(row.status) is S.COMPLETED and row.worker_key == worker_key for row in step.mirror.tables.tasks_of(run.key))


def _replayed(step: Step, old: RunRow, new: RunRow) -> Iterator[str]:
    """P-REPLAY: the pin goes when its setter is replayed, or when its worker is lost or gone; else it stays."""
    again = {
        task.key for before, task in step.tasks if task.run_key == new.key and before and task.retry_count > before.retry_count
    }
    whole = len(again) == len(step.mirror.definition(new).steps)
    is_lost = not step.mirror.is_present(old.pin_worker_id or "")
    is_reset = whole or old.pin_task_key in again or old.pin_worker_id is None or is_lost
    fresh = (PinState.UNSET, None) if new.desired_worker_id is None else (PinState.BOUND, new.desired_worker_id)
    after = (new.pin_state, new.pin_worker_id)
    set_again = new.pin_state == PinState.TENTATIVE and any(start.task_key == new.pin_task_key for start in step.starts)
    if is_reset and after != fresh and not set_again:
        yield f"P-REPLAY: run {new.id} was replayed and keeps the pin {after} instead of {fresh}"
    is_kept = not is_reset and new.sticky == StickyStrategy.HARD and old.pin_state == PinState.BOUND
    if is_kept and after != (old.pin_state, old.pin_worker_id):
        yield f"P-REPLAY: run {new.id}: the task that set the pin is not replayed, and the pin moved to {after}"


def triggers(step: Step) -> Iterator[str]:
    """I4: all or nothing. I2, I5: the same child, the same request, the same run."""
    tables = step.mirror.tables
    opened = {new.request_id for old, new in step.runs if old is None and new.request_id is not None}
    for item, reply in zip(step.items, step.decision.replies, strict=True):
        if not isinstance(item, RunsTriggered):
            continue
        ids = [one.request_id for one in item.items if one.request_id is not None]
        if isinstance(reply, Exception):
            if opened.intersection(ids) and not _asked_again(step, ids):
                yield f"I4: a bulk trigger was refused ({reply}) and made runs"
            continue
        assert isinstance(reply, tuple)
        for one, run_id in zip(item.items, reply, strict=True):
            if isinstance(run_id, KeyTaken):
                continue
            if run_id not in tables.run_keys:
                yield f"D1: the trigger was told of run {run_id}, which has no row"
            elif one.request_id is not None and tables.requests.get(one.request_id) not in (run_id, None):
                yield f"I5: request {one.request_id} made run {tables.requests[one.request_id]} and is told of {run_id}"
            elif one.parent_task_id is not None and _ref(one.parent_task_id, one.child_key, one.child_index) not in (
                ref for ref, known in tables.refs.items() if known == run_id
            ):
                yield f"I2: child {one.child_key or one.child_index} of {one.parent_task_id} is told of run {run_id}"


def _ref(parent: str, key: str | None, index: int | None) -> str:
    return f"{parent} k:{key}" if key is not None else f"{parent} i:{index}"


def _asked_again(step: Step, ids: list[str]) -> bool:
    """Whether two calls of the same step carry the same request, be it one message that came twice."""
    calls = [item for item in step.items if isinstance(item, RunsTriggered)]
    return sum(any(one.request_id in ids for one in item.items) for item in calls) > 1
