"""Our statuses under the names of the wire, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from limpet.core.errors import InvalidArgument
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.rest.schemas import TaskStatusName

TASK_NAME: Mapping[int, TaskStatusName] = {
    TaskStatus.PENDING: TaskStatusName.QUEUED,
    TaskStatus.QUEUED: TaskStatusName.QUEUED,
    TaskStatus.BACKING_OFF: TaskStatusName.QUEUED,
    TaskStatus.ASSIGNED: TaskStatusName.RUNNING,
    TaskStatus.RUNNING: TaskStatusName.RUNNING,
    TaskStatus.COMPLETED: TaskStatusName.COMPLETED,
    TaskStatus.FAILED: TaskStatusName.FAILED,
    TaskStatus.CANCELLED: TaskStatusName.CANCELLED,
    TaskStatus.SKIPPED: TaskStatusName.COMPLETED,
}
RUN_NAME: Mapping[int, TaskStatusName] = {
    RunStatus.QUEUED: TaskStatusName.QUEUED,
    RunStatus.RUNNING: TaskStatusName.RUNNING,
    RunStatus.COMPLETED: TaskStatusName.COMPLETED,
    RunStatus.FAILED: TaskStatusName.FAILED,
    RunStatus.CANCELLED: TaskStatusName.CANCELLED,
}

# The older shape has words of its own, one enum for runs and jobs, one for tasks.
OLD_RUN_NAME: Mapping[int, str] = {
    RunStatus.QUEUED: "PENDING",
    RunStatus.RUNNING: "RUNNING",
    RunStatus.COMPLETED: "SUCCEEDED",
    RunStatus.FAILED: "FAILED",
    RunStatus.CANCELLED: "CANCELLED",
}
OLD_TASK_NAME: Mapping[int, str] = {
    TaskStatus.PENDING: "PENDING",
    TaskStatus.QUEUED: "PENDING_ASSIGNMENT",
    TaskStatus.BACKING_OFF: "BACKOFF",
    TaskStatus.ASSIGNED: "ASSIGNED",
    TaskStatus.RUNNING: "RUNNING",
    TaskStatus.COMPLETED: "SUCCEEDED",
    TaskStatus.FAILED: "FAILED",
    TaskStatus.CANCELLED: "CANCELLED",
    TaskStatus.SKIPPED: "SUCCEEDED",
}


def numbers_of(names: Iterable[str], table: Mapping[int, TaskStatusName]) -> frozenset[int]:
    """All of our numbers that are shown under one of the names. Raises InvalidArgument for an unknown name."""
    wanted = set(names)
    unknown = wanted - set(TaskStatusName)
    if unknown:
        raise InvalidArgument(f"there is no status {min(unknown)[:64]!r}: use {', '.join(TaskStatusName)}")
    return frozenset(number for number, name in table.items() if name in wanted)
