"""What holds a task before a gate or in a pause, in sentences: who is in, who stands ahead, what would help (OB-13, OB-14)."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.definitions import Gate, LimitStrategy
from limpet.core.gates import Group, Subject, gate_before, next_gate, run_of, size_of
from limpet.core.ids import SECOND_US, Instant
from limpet.core.records import Run, TaskRun

HOLDERS_MAX = 3  # named in a sentence; of more, how many


def sentence(group: Group, task: TaskRun) -> str:
    """`concurrency limit input.user = 'ada' (1 at a time, …) is full: task … runs on w1; 2 ahead of it`."""
    subject, gate = _waiting(task)
    held_by, before = _holders(group, gate), group.ahead_of(subject)
    limit = f"concurrency limit {described(group, subject, gate)}"
    if before and group.has_room(subject):  # it stands behind one whose limit is lower
        first = group.head()
        assert first is not None, f"{subject.id} waits in {group.name}, and nobody does"
        least = size_of(first, gate_before(first))
        why = f"{before} ahead of it; {_name(first, gate)} comes first and needs fewer than {least} in"
        return f"{limit} has room, and {why}: {held_by}"
    return f"{limit} is full: {held_by}" + (f"; {before} ahead of it" if before else "")


def ahead(group: Group, task: TaskRun) -> int:
    """How many stand before the task, or before its run, for the same key."""
    return group.ahead_of(_waiting(task)[0])


def helps(group: Group, task: TaskRun) -> Iterator[str]:
    """What would let it pass, a sentence each."""
    subject, gate = _waiting(task)
    first = next(iter(group.held.values()))
    yield f"Wait until one of those that are in ends, or cancel one, for instance {_name(first, gate)}."
    if group.has_room(subject):
        return
    limit, most = gate.limit, size_of(subject, gate)
    if limit.runs_expression:
        yield f"Let {limit.runs_expression}, which gives {most} for this run, give more to the next ones."
    else:
        yield f"Raise the limit {limit.expression} above {most} and register the workflow again."


def end_sentence(group: Group, subject: Subject, loser: Subject) -> str:
    """Why the loser is cancelled for the subject, which waits before its gate and may be the loser itself."""
    gate = gate_before(subject)
    if gate.limit.strategy is not LimitStrategy.CANCEL_IN_PROGRESS:
        cause = "the key was full"
    elif gate.limit.is_shared and subject is not loser:
        cause = f"{_name(subject, gate)} took its place"
    else:
        cause = "another took its place"
    return f"Cancelled by the concurrency limit {described(group, subject, gate)}: {cause}."


def described(group: Group, subject: Subject, gate: Gate) -> str:
    """The limit as the subject sees it: `input.user = 'ada' (1 at a time, GROUP_ROUND_ROBIN)`."""
    limit = gate.limit
    name = f"{limit.name}: " if limit.name else ""
    shared = ", shared by name" if limit.is_shared else ""
    return f"{name}{limit.expression} = {group.key!r} ({size_of(subject, gate)} at a time, {limit.strategy.name}{shared})"


def _waiting(task: TaskRun) -> tuple[Subject, Gate]:
    """Who waits so that the task must, and before which gate."""
    found = next_gate(task)
    assert found is not None, f"task {task.id} stands before no gate"
    return found


def _holders(group: Group, gate: Gate) -> str:
    names = [_described(subject, gate) for subject in list(group.held.values())[:HOLDERS_MAX]]
    more = len(group.held) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def pause_sentence(task: TaskRun, now: Instant) -> str:
    """`workflow bill is paused, for 4 s now; if it still is in 56 s, the task is cancelled`."""
    workflow = task.run.version.workflow
    pause = workflow.pause
    assert pause is not None, f"task {task.id} is parked, and workflow {workflow.name} was never paused"
    since, left = now - (pause.paused_at or now), task.queued_at + pause.queue_ttl_us - now
    return (
        f"workflow {workflow.name} is paused, for {since // SECOND_US} s now; "
        f"if it still is in {max(0, left) // SECOND_US} s, the task is cancelled"
    )


def pause_helps(task: TaskRun) -> Iterator[str]:
    """What would let it go on, a sentence each."""
    yield f"Unpause the workflow: limpet workflows unpause {task.run.version.workflow.name}"


def _described(subject: Subject, gate: Gate) -> str:
    """`task … runs on w1`, `run … is QUEUED`."""
    if isinstance(subject, TaskRun) and subject.worker is not None and subject.status.is_live:
        return f"{_name(subject, gate)} runs on {subject.worker.name}"
    return f"{_name(subject, gate)} is {subject.status.name}"


def _name(subject: Subject, gate: Gate) -> str:
    """`task …`; before a gate that workflows share, `task … of workflow bill`."""
    of = f" of workflow {run_of(subject).definition.name}" if gate.limit.is_shared else ""
    return f"{'run' if isinstance(subject, Run) else 'task'} {subject.id}{of}"
