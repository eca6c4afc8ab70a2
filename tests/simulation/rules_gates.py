"""Checks of concurrency, by brute force over rows: C1, C3, C4, PR-17, and that nobody waits before a gate with room."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.definitions import LimitStrategy
from limpet.core.inputs import ReplayRequested
from limpet.core.rows import EventType, RunRow, RunStatus, TaskRow, TaskStatus
from limpet.core.settings import RetryPriority
from tests.simulation.crowds import Crowd, Crowds, Name, Want, crowds, own_limits, run_limits
from tests.simulation.mirror import Step

S = TaskStatus
REASON = "Cancelled by the concurrency limit"
WAITS = LimitStrategy.GROUP_ROUND_ROBIN


def gates(step: Step) -> Iterator[str]:
    """The crowds after the step."""
    for _, new in step.tasks:
        if new.stage and S(new.status) in (S.COMPLETED, S.FAILED, S.CANCELLED, S.SKIPPED, S.PENDING):
            yield f"C4: task {new.id} is {S(new.status).name} and admitted to {new.stage}"
    for _, run in step.runs:
        if run.stage and RunStatus(run.status).is_terminal:
            yield f"C4: run {run.id} is {RunStatus(run.status).name} and admitted to {run.stage}"
    replayed = any(isinstance(item, ReplayRequested) for item in step.items)  # who left may be in again
    before, step.mirror.crowds = step.mirror.crowds, crowds(step.mirror.tables, step.now, step.mirror.shares)
    found = step.mirror.crowds
    for name, crowd in found.items():
        yield from _of_crowd(step, name, crowd)
        if before is not None and name in before:
            yield from _overtaken(step, name, crowd, before[name])
            yield from () if replayed else _let_in(name, crowd, before[name])
    yield from _given_up(step)
    yield from _cancelled(step)
    if before is not None and step.mirror.settings.retry_priority is RetryPriority.DECLARED:
        yield from _newest_stay(step, found, before)


def _of_crowd(step: Step, name: Name, crowd: Crowd) -> Iterator[str]:
    most = max((want.most for want in crowd.admitted.values()), default=0)
    if len(crowd.admitted) > most:
        yield f"C1: {name} has {len(crowd.admitted)}, and nobody of them allows more than {most}"
    if not crowd.waiting or step.is_paced:
        return
    first = min(crowd.waiting.values(), key=lambda want: _rank(step, want.row))
    if len(crowd.admitted) < first.most:
        yield f"L1: {name} has {len(crowd.admitted)}, and {first.row.key} waits for it, that allows {first.most}"
    if any(want.limit.strategy is not WAITS for want in crowd.waiting.values()):
        yield f"C3: {name} cancels whoever is too many, and {len(crowd.waiting)} wait"


def _let_in(name: Name, crowd: Crowd, before: Crowd) -> Iterator[str]:
    """C1: whoever came in did so beside fewer than it allows, all those counted that were in before and still are."""
    stayed = len(crowd.admitted.keys() & before.admitted.keys())
    came = [crowd.admitted[key] for key in crowd.admitted.keys() - before.admitted.keys()]
    for want in came:
        if stayed >= want.most:
            yield f"C1: {name} let {want.row.key} in, that allows {want.most}, beside {stayed}"
    if came and len(crowd.admitted) > max(want.most for want in came):
        yield f"C1: {name} has {len(crowd.admitted)}, and nobody who came last allows so many"


def _overtaken(step: Step, name: Name, crowd: Crowd, before: Crowd) -> Iterator[str]:
    """PR-17: of those that waited before the step, the better ones came in first. Runs that back off may come and go.

    Whose limit cancels does not stand in that line.
    """
    still = [crowd.waiting[key].row for key in crowd.waiting.keys() & before.waiting.keys()]
    for key in crowd.admitted.keys() - before.admitted.keys():
        if crowd.admitted[key].limit.strategy is not WAITS:
            continue
        mine = _rank(step, crowd.admitted[key].row)
        for other in still:
            if _rank(step, other) < mine:
                yield f"PR-17: {name} let {key} in before {other.key}"


def _rank(step: Step, row: TaskRow | RunRow) -> tuple[int, int, int]:
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
        if all(limit.strategy is WAITS and not limit.is_shared for limit in limits):  # of a shared one another's limit may cancel
            yield f"F2.16: task {task.id} was cancelled by a limit that makes others wait"
        if S(task.status) is not S.CANCELLED and not replayed:
            yield f"F2.24: task {task.id} was cancelled by a limit and is {S(task.status).name}"


def _newest_stay(step: Step, found: Crowds, before: Crowds) -> Iterator[str]:
    """C3: of a limit that cancels what is in progress, nobody was cancelled for one that ranks behind."""
    for name, crowd in before.items():
        if name not in found or not _all_replace(crowd, found[name]):
            continue
        limit = next(iter((*crowd.admitted.values(), *crowd.waiting.values()))).limit
        because = f"{REASON} {limit.name}: " if limit.name else f"{REASON} {limit.expression} = "
        told = [event for event in step.decision.changes.events if event.message.startswith(because)]
        lost = {event.task_key for event in told if f" = {name[2]!r} (" in event.message}
        for key in lost & crowd.admitted.keys():
            if not _had_to_go(step, crowd.admitted[key], crowd, found[name]):
                yield f"C3: {name} gave up {key} for one that ranks behind it"


def _had_to_go(step: Step, loser: Want, before: Crowd, after: Crowd) -> bool:
    """Whether all that are in outrank the loser, or came in behind it once it had left for one that allows fewer than they do.

    It left for a better one that came, when with that one as many outrank it as that one allows.
    """
    mine, came = _importance(step, loser.row), after.admitted.keys() - before.admitted.keys()
    ahead = {key for crowd in (before, after) for key, want in crowd.admitted.items() if _importance(step, want.row) > mine}
    behind = {key for key, want in after.admitted.items() if _importance(step, want.row) < mine}
    left_for = [after.admitted[key].most for key in came & ahead if after.admitted[key].most <= len(ahead)]
    return behind <= came and all(any(most < after.admitted[key].most for most in left_for) for key in behind)


def _all_replace(*crowds: Crowd) -> bool:
    """Whether nobody but tasks whose limits cancel what is in progress wants the key."""
    wants = [want for crowd in crowds for want in (*crowd.admitted.values(), *crowd.waiting.values())]
    return bool(wants) and all(want.limit.strategy is LimitStrategy.CANCEL_IN_PROGRESS and not want.of_run for want in wants)


def _importance(step: Step, row: TaskRow | RunRow) -> tuple[int, int]:
    assert isinstance(row, TaskRow)
    return (step.mirror.tables.runs[row.run_key].priority, row.key)
