"""The pin of a sticky run: UNSET, TENTATIVE, BOUND, and what becomes of tasks whose worker is gone (assignment 1.3, 1.4)."""

from __future__ import annotations

from limpet.core.definitions import StickyStrategy
from limpet.core.records import Run, TaskRun, Worker
from limpet.core.rows import PinState, TaskStatus
from limpet.core.settings import HardStickyPolicy
from limpet.core.state import State
from limpet.core.timers import Due


def bind(state: State, task: TaskRun) -> None:
    """A task completed on the pinned worker: from now on a HARD pin never moves (ST-10)."""
    run = task.run
    if run.pin_state is PinState.TENTATIVE and task.worker is not None and run.pin_worker_id == task.worker.id:
        run.pin_state = PinState.BOUND
        state.run_changed(run)


def worker_left(state: State, worker: Worker) -> list[TaskRun]:
    """The worker is lost or gone: pins that may move are cleared; returns tasks that now have no place (ST-20, ST-21)."""
    doomed = []
    for run in list(worker.pinned.values()):
        if run.sticky is StickyStrategy.SOFT or run.pin_state is PinState.TENTATIVE:
            state.set_pin(run, PinState.UNSET, None, None)
            state.reclassify(run, state.now)
        else:
            doomed += [task for task in run.tasks.values() if task.status is TaskStatus.QUEUED and scheduling_error(state, task)]
            watch_grace(state, run)
    return doomed


def watch_grace(state: State, run: Run) -> None:
    """A HARD run's worker is lost: look again when its grace is over (ST-20)."""
    if run.pin_worker_id is None or state.settings.hard_sticky_policy is HardStickyPolicy.WAIT:
        return
    worker = state.workers_by_id.get(run.pin_worker_id)
    if worker is not None and worker.lost_at is not None and worker.gone_at is None:
        state.timers.arm(worker.lost_at + state.settings.hard_sticky_grace_us, Due.PIN, run)


def doomed_tasks(state: State, run: Run) -> list[TaskRun]:
    """The run's waiting tasks that can no longer be placed."""
    return [task for task in run.tasks.values() if task.status is TaskStatus.QUEUED and scheduling_error(state, task)]


def scheduling_error(state: State, task: TaskRun) -> str | None:
    """Why a HARD task must end instead of waiting; None: it may wait (ST-20 to ST-23, ST-25).

    The sentence names strategy, worker name and id, and cause.
    """
    run = task.run
    if run.sticky is not StickyStrategy.HARD or run.pin_worker_id is None:
        return None
    if state.settings.hard_sticky_policy is HardStickyPolicy.WAIT:
        return None
    worker = state.workers_by_id.get(run.pin_worker_id)
    if worker is None:
        return f"Scheduling error: HARD sticky demands worker {run.pin_worker_id}, which does not exist in this tenant."
    who = f"worker {worker.name} ({worker.id})"
    if task.definition.action_id not in worker.actions:
        return f"Scheduling error: HARD sticky demands {who}, which does not register the action {task.definition.action_id}."
    if run.pin_state is not PinState.BOUND:
        return None
    if worker.gone_at is not None:
        return f"Scheduling error: HARD sticky demands {who}, which has unsubscribed or was deleted."
    return _lost_too_long(state, worker, who)


def _lost_too_long(state: State, worker: Worker, who: str) -> str | None:
    grace_us = state.settings.hard_sticky_grace_us
    if worker.lost_at is None or state.now < worker.lost_at + grace_us:
        return None
    return (
        f"Scheduling error: HARD sticky demands {who}, which was lost and did not come back "
        f"within {grace_us / 1_000_000:g} seconds."
    )


def reset_for_replay(state: State, run: Run, replayed: set[int]) -> None:
    """A replay clears the pin when it includes the task that set it, or when its worker is lost or gone (ST-30)."""
    if run.sticky is None:
        return
    setter = next((step for step, task in run.tasks.items() if task.key == run.pin_task_key), None)
    worker = state.workers_by_id.get(run.pin_worker_id) if run.pin_worker_id else None
    whole_run = len(replayed) == len(run.definition.steps)
    if whole_run or setter in replayed or worker is None or not worker.is_present:
        set_initial_pin(state, run)


def set_initial_pin(state: State, run: Run) -> None:
    """The pin a run begins with: BOUND to the worker its trigger names, else UNSET (ST-9, ST-14)."""
    if run.sticky is None or run.desired_worker_id is None:
        state.set_pin(run, PinState.UNSET, None, None)
    else:
        state.set_pin(run, PinState.BOUND, run.desired_worker_id, None)
