"""A task's timeline: what its row tells about the current attempt, and the event rows for all the rest (design D6).

Laws:
1. Event rows tell closed attempts in full, and of the current attempt only what no column of the task's row tells.
2. A column adds an event unless a row of the same attempt and type is there; SENT_TO_WORKER needs a receipt.
3. Order: by instant, then attempt, then the order of a task's life (OB-8 to OB-11). Event types are the wire's own (OB-1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from limpet.core.rows import EventRow, EventType, TaskRow, TaskStatus, WorkerRow
from limpet.edges.rest.answers import moment
from limpet.edges.rest.schemas import TaskEvent

# How a task's life goes; what happens in one commit has one instant, and this is its order.
LIFE = (
    EventType.RETRIED_BY_USER,
    EventType.RETRYING,
    EventType.CREATED,
    EventType.QUEUED,
    EventType.REQUEUED_NO_WORKER,
    EventType.REQUEUED_RATE_LIMIT,
    EventType.ASSIGNED,
    EventType.SENT_TO_WORKER,
    EventType.COULD_NOT_SEND_TO_WORKER,
    EventType.ACKNOWLEDGED,
    EventType.STARTED,
    EventType.TIMEOUT_REFRESHED,
    EventType.SLOT_RELEASED,
    EventType.SCHEDULING_TIMED_OUT,
    EventType.TIMED_OUT,
    EventType.FINISHED,
    EventType.FAILED,
    EventType.SKIPPED,
    EventType.CANCELLED,
    EventType.REASSIGNED,
)
PLACE_IN_LIFE = {int(kind): place for place, kind in enumerate(LIFE)}
ENDS: Mapping[int, EventType] = {
    TaskStatus.COMPLETED: EventType.FINISHED,
    TaskStatus.FAILED: EventType.FAILED,
    TaskStatus.CANCELLED: EventType.CANCELLED,
    TaskStatus.SKIPPED: EventType.SKIPPED,
}
NEVER_QUEUED = frozenset({int(TaskStatus.PENDING), int(TaskStatus.BACKING_OFF), int(TaskStatus.SKIPPED)})
# A time-out *is* the failure: TIMED_OUT or SCHEDULING_TIMED_OUT stand alone, without FAILED (TO-6, TO-9).
FAILURES = frozenset({int(EventType.FAILED), int(EventType.TIMED_OUT), int(EventType.SCHEDULING_TIMED_OUT)})
SENTENCES: Mapping[int, str] = {
    EventType.QUEUED: "Waiting for a worker",
    EventType.ASSIGNED: "Assigned to a worker",
    EventType.SENT_TO_WORKER: "Sent to the worker",
    EventType.STARTED: "The worker started the task",
    EventType.FINISHED: "The task ended well",
    EventType.FAILED: "The task failed",
    EventType.CANCELLED: "The task was cancelled",
    EventType.SKIPPED: "The task was skipped",
    EventType.RETRYING: "The task will be tried again",
    EventType.REASSIGNED: "The worker was lost, the task goes to another",
    EventType.RETRIED_BY_USER: "Replayed by a user",
    EventType.TIMED_OUT: "The task exceeded its timeout",
    EventType.SLOT_RELEASED: "The task gave its slot back and runs on",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a timeline, wherever it was read."""

    at: int
    kind: int
    retry_count: int
    worker_key: int | None = None
    message: str = ""

    @property
    def place(self) -> tuple[int, int, int]:
        """What timelines are sorted by."""
        return self.at, self.retry_count, PLACE_IN_LIFE.get(self.kind, len(LIFE))


def timeline(task: TaskRow, rows: Iterable[EventRow], started_at: int | None) -> list[Happening]:
    """Everything that happened to a task, in order. `started_at`: the receipt of a live attempt, if there is one."""
    written = [Happening(row.at, row.type, row.retry_count, row.worker_key, row.message) for row in rows]
    told = {event.kind for event in written if event.retry_count == task.retry_count}
    if told & FAILURES:
        told |= FAILURES
    if task.assigned_at is None and task.queued_at < max((e.at for e in written if e.retry_count < task.retry_count), default=0):
        told.add(EventType.QUEUED)  # the column is still that of the attempt before: this one ended while it backed off
    derived = [event for event in from_columns(task, task.started_at or started_at) if event.kind not in told]
    return sorted(written + derived, key=lambda event: event.place)


def from_columns(task: TaskRow, started_at: int | None) -> Iterator[Happening]:
    """The normal life of the current attempt, as the row's columns have it."""
    attempt, worker = task.retry_count, task.worker_key
    if was_queued(task):
        yield Happening(task.queued_at, EventType.QUEUED, attempt)
    if task.assigned_at is not None:
        yield Happening(task.assigned_at, EventType.ASSIGNED, attempt, worker)
        if started_at is not None:
            yield Happening(task.assigned_at, EventType.SENT_TO_WORKER, attempt, worker)
            yield Happening(started_at, EventType.STARTED, attempt, worker)
    if task.finished_at is not None and task.status in ENDS:
        yield Happening(task.finished_at, ENDS[TaskStatus(task.status)], attempt, worker)


def was_queued(task: TaskRow) -> bool:
    """Whether this attempt ever stood in a queue: not when it was born ended, waits for parents, or backs off."""
    if task.assigned_at is not None:
        return True
    born_ended = task.finished_at is not None and task.finished_at <= task.queued_at
    return task.status not in NEVER_QUEUED and not born_ended


def by_task(rows: Iterable[EventRow]) -> dict[int, list[EventRow]]:
    """Event rows by the key of their task."""
    found: dict[int, list[EventRow]] = {}
    for row in rows:
        found.setdefault(row.task_key, []).append(row)
    return found


def worker_keys(tasks: Iterable[TaskRow], rows: Iterable[EventRow]) -> set[int]:
    """Every worker that a timeline mentions."""
    keys = {task.worker_key for task in tasks} | {row.worker_key for row in rows}
    return {key for key in keys if key is not None}


@dataclass(frozen=True, slots=True)
class Told:
    """What a timeline shows beside its events: the task, its shown name, its error, the workers by key."""

    task: TaskRow
    name: str
    error: str | None
    workers: Mapping[int, WorkerRow]


def shown_event(told: Told, event: Happening, number: int) -> TaskEvent:
    """One event. Failures carry the error text; that of the last attempt is the task's own."""
    worker = None if event.worker_key is None else told.workers.get(event.worker_key)
    is_last = event.retry_count == told.task.retry_count
    error = (told.error if is_last else None) or event.message or None
    return TaskEvent(
        id=number,
        task_id=told.task.id,
        timestamp=moment(event.at),
        event_type=EventType(event.kind).name,
        message=event.message or SENTENCES.get(event.kind, ""),
        error_message=error if event.kind in FAILURES else None,
        worker_id=None if worker is None else worker.id,
        task_display_name=told.name,
        retry_count=event.retry_count,
        attempt=event.retry_count + 1,
    )


def merged(parts: Iterable[tuple[Told, Sequence[Happening]]]) -> list[TaskEvent]:
    """The timelines of several tasks as one, by instant; within one instant a task's own order stays."""
    mixed = [(event, told) for told, events in parts for event in events]
    mixed.sort(key=lambda pair: pair[0].at)
    return [shown_event(told, event, number) for number, (event, told) in enumerate(mixed, start=1)]
