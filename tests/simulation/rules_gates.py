"""Checks of concurrency, by brute force over rows: C1, C3, C4, PR-17, and that nobody waits before a gate with room."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.definitions import LimitStrategy
from limpet.core.inputs import ReplayRequested
from limpet.core.rows import EventType, RunRow, RunStatus, TaskRow, TaskStatus
from limpet.core.settings import RetryPriority
from tests.simulation.crowds import Crowd, Crowds, Name, crowds, own_limits, run_limits
from tests.simulation.mirror import Step

S = TaskStatus
REASON = "Cancelled by the concurrency limit"


def gates(step: Step) -> Iterator[str]:
    """The crowds after the step."""
    for _, new in step.tasks:
        if new.stage and S(new.status) in (S.COMPLETED, S.FAILED, S.CANCELLED, S.SKIPPED, S.PENDING):
            yield f"C4: task {new.id} is {S(new.status).name} and admitted to {new.stage}"
    for _, run in step.runs:
        if run.stage and RunStatus(run.status).is_terminal:
            yield f"C4: run {run.id} is {RunStatus(run.status).name} and admitted to {run.stage}"
    before, step.mirror.crowds = step.mirror.crowds, crowds(step.mirror.tables, step.now, step.mirror.shares)
    found = step.mirror.crowds
    for name, crowd in found.items():
        yield from _of_crowd(step, name, crowd)
        if before is not None and name in before:
            yield from _overtaken(step, name, crowd, before[name])
    yield from _given_up(step)
    yield from _cancelled(step)
    if before is not None and step.mirror.settings.retry_priority is RetryPriority.DECLARED:
        yield from _newest_stay(step, found, before)


def _of_crowd(step: Step, name: Name, crowd: Crowd) -> Iterator[str]:
    limit = crowd.limit
    if len(crowd.admitted) > limit.max_runs:
        yield f"C1: {name} admits {limit.max_runs} and has {len(crowd.admitted)}"
    if crowd.waiting and len(crowd.admitted) < limit.max_runs and not step.is_paced:
        yield f"L1: {name} admits {limit.max_runs}, has {len(crowd.admitted)}, and {len(crowd.waiting)} wait for it"
    if crowd.waiting and limit.strategy is not LimitStrategy.GROUP_ROUND_ROBIN and not step.is_paced:
        yield f"C3: {name} cancels whoever is too many, and {len(crowd.waiting)} wait"


def _overtaken(step: Step, name: Name, crowd: Crowd, before: Crowd) -> Iterator[str]:
    """PR-17: of those that waited before the step, the better ones came in first. Runs that back off may come and go."""
    still = [crowd.waiting[key] for key in crowd.waiting.keys() & before.waiting.keys()]
    for key in crowd.admitted.keys() - before.admitted.keys():
        mine = _rank(step, crowd, crowd.admitted[key])
        for other in still:
            if _rank(step, crowd, other) < mine:
                yield f"PR-17: {name} let {key} in before {other.key}"


def _rank(step: Step, crowd: Crowd, row: TaskRow | RunRow) -> tuple[int, int, int]:
    if isinstance(row, RunRow):
        return (-row.priority, 0, row.key)
    run = step.mirror.tables.runs[row.run_key]
    return (-row.level, -run.priority if row.level >= 4 else 0, row.key)


def _given_up(step: Step) -> Iterator[str]:
    """F2.11: a task gives its places up only when it ends or backs off after a failure of its own."""
    for old, new in step.tasks:
        if old is not None and S(new.status) is S.BACKING_OFF and new.app_retries > old.app_retries and new.stage:
            yield f"F2.11: task {new.id} waits for its retry and keeps its admission"
        if old is None or not old.stage or (new.stage or 0) >= old.stage:
            continue
        ended = S(new.status) in (S.COMPLETED, S.FAILED, S.CANCELLED, S.SKIPPED)
        backs_off = S(new.status) is S.BACKING_OFF and new.app_retries > old.app_retries
        if not ended and not backs_off and new.retry_count == old.retry_count:
            yield f"F2.11: task {new.id} is {S(new.status).name} and lost its admission"


def _cancelled(step: Step) -> Iterator[str]:
    """F2.16, F2.24: only strategies that cancel do, and for good."""
    mirror = step.mirror
    replayed = any(isinstance(item, ReplayRequested) for item in step.items)
    for event in step.decision.changes.events:
        if event.type != EventType.CANCELLED or not event.message.startswith(REASON):
            continue
        task = mirror.tables.tasks[event.task_key]
        definition = mirror.definition(mirror.tables.runs[task.run_key])
        limits = [limit for _, limit in (*run_limits(definition), *own_limits(definition, task.step))]
        if all(limit.strategy is LimitStrategy.GROUP_ROUND_ROBIN for limit in limits):
            yield f"F2.16: task {task.id} was cancelled by a limit that makes others wait"
        if S(task.status) is not S.CANCELLED and not replayed:
            yield f"F2.24: task {task.id} was cancelled by a limit and is {S(task.status).name}"


def _newest_stay(step: Step, found: Crowds, before: Crowds) -> Iterator[str]:
    """C3: of a limit that cancels what is in progress, nobody was cancelled for one that ranks behind."""
    for name, crowd in before.items():
        if crowd.limit.strategy is not LimitStrategy.CANCEL_IN_PROGRESS or crowd.of_run or name not in found:
            continue
        because = f"{REASON} {crowd.limit.expression} = {name[2]!r} ("
        lost = {event.task_key for event in step.decision.changes.events if event.message.startswith(because)}
        worst = min((_importance(step, row) for row in found[name].admitted.values()), default=None)
        for key in lost & crowd.admitted.keys():
            if worst is not None and _importance(step, crowd.admitted[key]) > worst:
                yield f"C3: {name} gave up {key} for one that ranks behind it"


def _importance(step: Step, row: TaskRow | RunRow) -> tuple[int, int]:
    assert isinstance(row, TaskRow)
    return (step.mirror.tables.runs[row.run_key].priority, row.key)
