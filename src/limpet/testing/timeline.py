"""A task's timeline from its row and its event rows: what people read of a task's life.

The columns of a task tell of its last attempt; rows of events tell of earlier ones and of what columns have no place for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from limpet.core.rows import EventRow, EventType, TaskRow, TaskStatus

_ENDS = {
    TaskStatus.COMPLETED: EventType.FINISHED,
    TaskStatus.FAILED: EventType.FAILED,
    TaskStatus.CANCELLED: EventType.CANCELLED,
    TaskStatus.SKIPPED: EventType.SKIPPED,
}
_PLACE = {
    EventType.RETRYING: 0,
    EventType.RETRIED_BY_USER: 0,
    EventType.QUEUED: 1,
    EventType.REQUEUED_NO_WORKER: 2,
    EventType.REQUEUED_RATE_LIMIT: 2,
    EventType.ASSIGNED: 3,
    EventType.SENT_TO_WORKER: 4,
    EventType.STARTED: 5,
    EventType.SLOT_RELEASED: 6,
    EventType.TIMEOUT_REFRESHED: 6,
    EventType.SCHEDULING_TIMED_OUT: 7,
    EventType.TIMED_OUT: 7,
}
_LAST = 8
_TIME_OUTS = frozenset({EventType.TIMED_OUT, EventType.SCHEDULING_TIMED_OUT})


class Moment(NamedTuple):
    """One line of a timeline. `at` in microseconds, `attempt` counted as `retry_count`."""

    type: EventType
    at: int
    attempt: int
    worker: str | None = None
    message: str = ""


def timeline(task: TaskRow, events: Iterable[EventRow], *, started_at: int | None, workers: Mapping[int, str]) -> list[Moment]:
    """All moments, oldest attempt first.

    started_at: the receipt of a live attempt, which its row does not hold
    workers:    names by worker key
    """
    told = [
        Moment(EventType(e.type), e.at, e.retry_count, workers.get(e.worker_key or 0), e.message)
        for e in sorted(events, key=lambda e: e.key)
    ]
    columns = _of_columns(task, started_at, workers.get(task.worker_key or 0))
    moments = [*told, *(moment for moment in columns if not _told_by(moment, told))]
    return sorted(moments, key=lambda m: (m.attempt, m.at, _PLACE.get(m.type, _LAST)))


def _told_by(moment: Moment, told: list[Moment]) -> bool:
    """Whether event rows tell it already; a time-out is the failure and stands alone."""
    kinds = _TIME_OUTS | {EventType.FAILED} if moment.type is EventType.FAILED else {moment.type}
    return any(other.attempt == moment.attempt and other.type in kinds for other in told)


def _of_columns(task: TaskRow, started_at: int | None, worker: str | None) -> Iterator[Moment]:
    attempt, status = task.retry_count, TaskStatus(task.status)
    if task.schedule_deadline is not None:
        yield Moment(EventType.QUEUED, task.queued_at, attempt)
    if task.assigned_at is not None:
        yield Moment(EventType.ASSIGNED, task.assigned_at, attempt, worker)
        yield Moment(EventType.SENT_TO_WORKER, task.assigned_at, attempt, worker)
    if started_at is not None:
        yield Moment(EventType.STARTED, started_at, attempt, worker)
    if status in _ENDS and task.finished_at is not None:
        yield Moment(_ENDS[status], task.finished_at, attempt, worker, task.error or "")
