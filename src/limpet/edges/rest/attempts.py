"""A task as it was in an earlier attempt: told by the event rows of that attempt, which are written when it closes."""

from __future__ import annotations

from collections.abc import Sequence

from limpet.core.errors import NotFound
from limpet.core.rows import EventRow, EventType, TaskRow
from limpet.edges.rest.answers import duration_ms, moment_or_none
from limpet.edges.rest.payloads import EMPTY
from limpet.edges.rest.schemas import TaskStatusName, TaskSummary

# The highest of an attempt's events says how it ended (OB-2, OB-3); one that was taken away never ended.
ENDINGS = (
    (frozenset({EventType.FINISHED, EventType.SKIPPED}), TaskStatusName.COMPLETED),
    (frozenset({EventType.FAILED, EventType.TIMED_OUT, EventType.SCHEDULING_TIMED_OUT}), TaskStatusName.FAILED),
    (frozenset({EventType.CANCELLED}), TaskStatusName.CANCELLED),
    (frozenset({EventType.ASSIGNED, EventType.SENT_TO_WORKER, EventType.STARTED}), TaskStatusName.RUNNING),
)


def checked_attempt(task: TaskRow, attempt: int) -> int:
    """The retry_count of an attempt, which counts from 1. Raises NotFound for one that never was."""
    if not 1 <= attempt <= task.retry_count + 1:
        raise NotFound("attempt", f"{attempt} of task {task.id}", f"it has {task.retry_count + 1}")
    return attempt - 1


def in_attempt(current: TaskSummary, rows: Sequence[EventRow], retry_count: int) -> TaskSummary:
    """The summary of an older attempt; outputs are kept of the last one only."""
    own = [row for row in rows if row.retry_count == retry_count]
    kinds = {EventType(row.type) for row in own}
    status = next((name for types, name in ENDINGS if types & kinds), TaskStatusName.QUEUED)
    ended = [row for row in own if EventType(row.type) in ENDINGS[0][0] | ENDINGS[1][0] | ENDINGS[2][0]]
    started_at = next((row.at for row in own if row.type == EventType.STARTED), None)
    finished_at = ended[-1].at if ended else None
    failed = status is TaskStatusName.FAILED
    return current.model_copy(
        update={
            "retry_count": retry_count,
            "attempt": retry_count + 1,
            "status": status,
            "started_at": moment_or_none(started_at),
            "finished_at": moment_or_none(finished_at),
            "duration": duration_ms(started_at, finished_at),
            "error_message": (ended[-1].message or None) if failed else None,
            "output": EMPTY,
            "waits_for": None,
        }
    )
