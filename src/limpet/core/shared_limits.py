"""Concurrency limits that several workflows share by name: what a definition must fulfil, and where two of them differ.

Law: on every way of a task the shared limits are passed in the order of their names, so whoever holds a place waits only for
places of later names, and no two runs wait for each other (decision 0028).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from limpet.core.definitions import ConcurrencyLimit, TaskDefinition, WorkflowDefinition
from limpet.core.errors import InvalidArgument

DIFFERENCES_MAX = 20  # told of one registration


def check_order(definition: WorkflowDefinition) -> None:
    """Raises InvalidArgument where the order of names would not hold, or a task would need two places in one line."""
    for step, task in enumerate(definition.steps):
        own = [gate.limit for gate in definition.task_gates[step]]
        ahead = [] if step == definition.on_failure_step else [gate.limit for gate in definition.run_gates]
        for before, after in pairwise(one.name for one in (*ahead, *own) if one.is_shared):
            if before == after:
                raise InvalidArgument(
                    f"{_place(definition, task)}: it would pass the shared concurrency limit {after!r} twice, and need two "
                    "places in it; declare it once, for the workflow or for the task"
                )
            if before > after:
                raise InvalidArgument(
                    f"{_place(definition, task)}: its shared concurrency limit {after!r} must come after {before!r} of the "
                    "workflow in the alphabet, in which order they are passed everywhere, so that no two runs wait for each "
                    "other; rename one, or declare both at the same place"
                )


def differences(definition: WorkflowDefinition, others: Iterable[WorkflowDefinition]) -> tuple[str, ...]:
    """A sentence for each limit that another workflow declares under the same name in another way."""
    mine = dict.fromkeys(_shared(definition))
    if not mine:
        return ()
    found = dict.fromkeys(
        _sentence(definition, limit, other, its)
        for other in others
        for its in _shared(other)
        for limit in mine
        if limit.name == its.name and _measure(limit) != _measure(its)
    )
    return tuple(found)[:DIFFERENCES_MAX]


def _shared(definition: WorkflowDefinition) -> Iterator[ConcurrencyLimit]:
    return (gate.limit for gate in definition.gates if gate.limit.is_shared)


def _measure(limit: ConcurrencyLimit) -> str:
    """`2 at a time, CANCEL_NEWEST`."""
    return f"{limit.runs_expression or limit.max_runs} at a time, {limit.strategy.name}"


def _sentence(mine: WorkflowDefinition, limit: ConcurrencyLimit, other: WorkflowDefinition, its: ConcurrencyLimit) -> str:
    return (
        f"Workflows {mine.name} and {other.name} share the concurrency limit {limit.name!r} and declare it differently: "
        f"{_measure(limit)}, and {_measure(its)}; each run is let in by its own workflow's."
    )


def _place(definition: WorkflowDefinition, task: TaskDefinition) -> str:
    return f"workflow {definition.name}, task {task.name}"
