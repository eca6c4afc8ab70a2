"""What holds a task before a gate or in a pause, in sentences: who is in, who stands ahead, what would help (OB-13, OB-14)."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.gates import Group, Subject
from limpet.core.ids import SECOND_US, Instant
from limpet.core.records import Run, TaskRun

HOLDERS_MAX = 3  # named in a sentence; of more, how many


def sentence(group: Group, task: TaskRun) -> str:
    """`concurrency limit input.user = 'ada' (1 at a time, …) is full: task … runs on w1; 2 stand ahead`."""
    names = [_described(subject) for subject in list(group.held.values())[:HOLDERS_MAX]]
    more = len(group.held) - len(names)
    held_by = ", ".join(names) + (f" and {more} more" if more else "")
    before = ahead(group, task)
    return f"concurrency limit {group.described} is full: {held_by}" + (f"; {before} ahead of it" if before else "")


def ahead(group: Group, task: TaskRun) -> int:
    """How many stand before the task, or before its run, for the same key."""
    return group.ahead_of(task.run if group.gate.of_run else task)


def helps(group: Group) -> Iterator[str]:
    """What would let it pass, a sentence each."""
    first = next(iter(group.held.values()))
    yield f"Wait until one of those that are in ends, or cancel one, for instance {_name(first)}."
    yield f"Raise the limit {group.gate.limit.expression} above {group.gate.limit.max_runs} and register the workflow again."


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


def _described(subject: Subject) -> str:
    """`task … runs on w1`, `run … is QUEUED`."""
    if isinstance(subject, TaskRun) and subject.worker is not None and subject.status.is_live:
        return f"{_name(subject)} runs on {subject.worker.name}"
    return f"{_name(subject)} is {subject.status.name}"


def _name(subject: Subject) -> str:
    return f"{'run' if isinstance(subject, Run) else 'task'} {subject.id}"
