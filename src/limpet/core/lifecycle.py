"""The transition table of a task run, and the status of a run as a function of its tasks.

Law 1: a status changes through `move` or nowhere.
Law 2: this file knows nothing of workers, stores or wires.
Law 3: terminal is final, except for a replay, which opens a new attempt (T2).
`docs/lifecycle.md` is drawn from this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from limpet.core.rows import RunStatus, TaskStatus

PENDING, QUEUED, BACKING_OFF, ASSIGNED, RUNNING = (
    TaskStatus.PENDING,
    TaskStatus.QUEUED,
    TaskStatus.BACKING_OFF,
    TaskStatus.ASSIGNED,
    TaskStatus.RUNNING,
)
COMPLETED, FAILED, CANCELLED, SKIPPED = (
    TaskStatus.COMPLETED,
    TaskStatus.FAILED,
    TaskStatus.CANCELLED,
    TaskStatus.SKIPPED,
)


class Cause(StrEnum):
    """Why a status changes."""

    PARENTS_ENDED = "parents ended"
    PARENT_UNSUCCESSFUL = "a parent failed or was cancelled"
    ALL_PARENTS_SKIPPED = "all parents were skipped"
    NOTHING_FAILED = "the run ended without a failure"
    CONDITIONS_MET = "its conditions let it run"
    SKIP_CONDITION = "a skip condition holds"
    CANCEL_CONDITION = "a cancel condition holds"
    WAIT_UNSATISFIABLE = "its wait condition can never hold"
    INPUT_TOO_LARGE = "input and parents' outputs exceed the message limit"
    KEY_UNUSABLE = "the key or the units of a limit could not be computed"
    PLACED = "placed on a worker"
    CONFIRMED = "the worker confirmed the start"
    SUCCEEDED = "the task returned"
    FAILED_FOR_GOOD = "failed, no retry left"
    RETRIED = "failed, a retry follows at once"
    RETRIED_LATER = "failed, a retry follows after a delay"
    DELAY_OVER = "the delay is over"
    TAKEN_BACK = "worker or delivery lost"
    TAKEN_BACK_LATER = "start not deliverable, tried again after a delay"
    UNPLACEABLE = "scheduling timeout or scheduling error"
    CANCEL = "cancelled"
    REPLAY = "replayed, waits for its parents if it has any"


TASK_RUN: dict[tuple[TaskStatus, Cause], TaskStatus] = {
    (PENDING, Cause.PARENTS_ENDED): QUEUED,
    (PENDING, Cause.PARENT_UNSUCCESSFUL): CANCELLED,
    (PENDING, Cause.ALL_PARENTS_SKIPPED): SKIPPED,
    (PENDING, Cause.NOTHING_FAILED): SKIPPED,
    (PENDING, Cause.CONDITIONS_MET): QUEUED,
    (PENDING, Cause.SKIP_CONDITION): SKIPPED,
    (PENDING, Cause.CANCEL_CONDITION): CANCELLED,
    (PENDING, Cause.WAIT_UNSATISFIABLE): CANCELLED,
    (PENDING, Cause.INPUT_TOO_LARGE): FAILED,
    (PENDING, Cause.KEY_UNUSABLE): FAILED,
    (PENDING, Cause.CANCEL): CANCELLED,
    (QUEUED, Cause.PLACED): ASSIGNED,
    (QUEUED, Cause.UNPLACEABLE): FAILED,
    (QUEUED, Cause.CANCEL): CANCELLED,
    (BACKING_OFF, Cause.DELAY_OVER): QUEUED,
    (BACKING_OFF, Cause.CANCEL): CANCELLED,
    (ASSIGNED, Cause.CONFIRMED): RUNNING,
    (ASSIGNED, Cause.SUCCEEDED): COMPLETED,  # the outcome overtook the receipt
    (ASSIGNED, Cause.FAILED_FOR_GOOD): FAILED,
    (ASSIGNED, Cause.RETRIED): QUEUED,
    (ASSIGNED, Cause.RETRIED_LATER): BACKING_OFF,
    (ASSIGNED, Cause.TAKEN_BACK): QUEUED,
    (ASSIGNED, Cause.TAKEN_BACK_LATER): BACKING_OFF,
    (ASSIGNED, Cause.CANCEL): CANCELLED,
    (RUNNING, Cause.SUCCEEDED): COMPLETED,
    (RUNNING, Cause.FAILED_FOR_GOOD): FAILED,
    (RUNNING, Cause.RETRIED): QUEUED,
    (RUNNING, Cause.RETRIED_LATER): BACKING_OFF,
    (RUNNING, Cause.TAKEN_BACK): QUEUED,
    (RUNNING, Cause.CANCEL): CANCELLED,
    (COMPLETED, Cause.REPLAY): PENDING,
    (FAILED, Cause.REPLAY): PENDING,
    (CANCELLED, Cause.REPLAY): PENDING,
    (SKIPPED, Cause.REPLAY): PENDING,
}


def after(status: TaskStatus, cause: Cause) -> TaskStatus:
    """The status that follows. A pair outside the table is a bug of the core and asserts."""
    target = TASK_RUN.get((status, cause))
    assert target is not None, f"no transition for a {status.name} task because of: {cause}"
    return target


def final_run_status(statuses: Iterable[TaskStatus]) -> RunStatus:
    """The status of a run whose tasks have all ended (OB-5): any failure, else any cancellation, else success."""
    seen = set(statuses)
    if FAILED in seen:
        return RunStatus.FAILED
    return RunStatus.CANCELLED if CANCELLED in seen else RunStatus.COMPLETED


def open_run_status(*, is_single: bool, started: bool, any_live: bool) -> RunStatus:
    """The status of a run that goes on: a one-task run reads like its task, a DAG is RUNNING once it has started (W13.4)."""
    running = any_live if is_single else started
    return RunStatus.RUNNING if running else RunStatus.QUEUED
