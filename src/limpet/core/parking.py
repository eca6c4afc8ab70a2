"""Where tasks of a paused workflow wait: outside every queue and before no gate (A-0.1, WK-33).

Laws:
1. A run that had started before the pause is not held; of one that had not, everything is (W15.1).
2. What was admitted to a concurrency limit stays admitted: a pause costs nobody its place.
3. Pausing and going on write one row, however many tasks wait: who is parked follows from the pause and the run, and the time
   that the pause took from a schedule timeout follows from `resumed_at` (R4, TO-4).
"""

from __future__ import annotations

from limpet.core.gates import next_gate
from limpet.core.records import Run, TaskRun, Workflow
from limpet.core.state import State
from limpet.core.timers import Due


def holds(run: Run) -> bool:
    """Whether the run's tasks wait for the end of a pause."""
    return run.started_at is None and run.version.workflow.is_paused


def park(state: State, task: TaskRun) -> None:
    """The task, QUEUED and in no queue, waits until its workflow goes on, or has waited too long."""
    if not (task.run.keys and next_gate(task) is not None):
        task.class_id = state.class_of(task).id  # as it will be, so that going on changes no row
    put(state, task)


def put(state: State, task: TaskRun) -> None:
    """As `park`, for a task whose row is as it should be."""
    workflow = task.run.version.workflow
    workflow.parked[task.key] = task
    task.is_parked = True
    if len(workflow.parked) == 1:
        watch(state, workflow)


def leave(task: TaskRun) -> None:
    """Not parked any more, for whatever reason."""
    del task.run.version.workflow.parked[task.key]
    task.is_parked = False


def watch(state: State, workflow: Workflow) -> None:
    """Look again when the first has waited too long."""
    if workflow.parked and workflow.pause is not None:
        first = next(iter(workflow.parked.values()))
        state.timers.arm(first.queued_at + workflow.pause.queue_ttl_us, Due.PARKED, workflow)
