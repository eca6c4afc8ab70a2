"""What becomes of the tasks of a workflow when others end. Pure: definitions and statuses in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from limpet.core.definitions import WorkflowDefinition
from limpet.core.rows import TaskStatus

FAILED, CANCELLED, SKIPPED = TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED
UNSUCCESSFUL = frozenset({FAILED, CANCELLED})


class Fate(Enum):
    """What a task that has not begun deserves now."""

    WAIT = "wait"
    QUEUE = "queue"
    SKIP = "skip"
    CANCEL = "cancel"


def fate(definition: WorkflowDefinition, step: int, statuses: Mapping[int, TaskStatus]) -> Fate:
    """The fate of a step, given the status of every step that exists (W4.2, W4.5, W6.2, W6.3).

    statuses: absent steps have not been created; PENDING ones wait again after a replay
    """
    if step == definition.on_failure_step:
        return _fate_of_on_failure(definition, statuses)
    parents = [statuses.get(parent) for parent in definition.parent_steps[step]]
    if any(status is None or not status.is_terminal for status in parents):
        return Fate.WAIT
    if any(status in UNSUCCESSFUL for status in parents):
        return Fate.CANCEL
    if parents and all(status is SKIPPED for status in parents):
        return Fate.SKIP
    return Fate.QUEUE


def _fate_of_on_failure(definition: WorkflowDefinition, statuses: Mapping[int, TaskStatus]) -> Fate:
    others = [statuses.get(step) for step in range(len(definition.tasks))]
    if FAILED in others:
        return Fate.QUEUE
    if all(status is not None and status.is_terminal for status in others):
        return Fate.SKIP
    return Fate.WAIT


def candidates(definition: WorkflowDefinition, ended: int) -> Sequence[int]:
    """The steps whose fate may change when a step has ended."""
    children = definition.child_steps[ended]
    on_failure = definition.on_failure_step
    return children if on_failure is None or ended == on_failure else (*children, on_failure)


def roots(definition: WorkflowDefinition) -> list[int]:
    """Steps that are created with the run."""
    return [step for step in range(len(definition.tasks)) if not definition.parent_steps[step]]


def descendants(definition: WorkflowDefinition, steps: Sequence[int]) -> list[int]:
    """The given steps and everything below them, in step order; the on-failure task belongs to all (W12.5)."""
    reached, frontier = set(steps), list(steps)
    while frontier:
        for child in definition.child_steps[frontier.pop()]:
            if child not in reached:
                reached.add(child)
                frontier.append(child)
    if definition.on_failure_step is not None:
        reached.add(definition.on_failure_step)
    return sorted(reached)
