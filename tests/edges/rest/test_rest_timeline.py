"""Timelines: columns of the task's row and event rows become one story."""

from __future__ import annotations

from limpet.core.ids import SECOND_US
from limpet.core.rows import EventRow, EventType, TaskRow, TaskStatus, WorkerRow
from limpet.edges.rest.schemas import TaskEvent
from limpet.edges.rest.timeline import LIFE, Told, merged, timeline

from .world import NOW, plain_task

E = EventType


def row(status: TaskStatus, **columns: object) -> TaskRow:
    return plain_task(7, "t", 1, 5, 0, status, NOW)._replace(**columns)


def event(
    kind: EventType, seconds: float, retry_count: int = 0, message: str = "", worker: int | None = None, key: int = 1
) -> EventRow:
    return EventRow(key, 1, 7, retry_count, NOW + int(seconds * SECOND_US), kind, worker, message)


def story(task: TaskRow, *rows: EventRow, receipt: int | None = None) -> list[str]:
    """Event names, with the attempt behind those that are not of the first."""
    return [f"{E(each.kind).name}({each.retry_count})" for each in timeline(task, rows, receipt)]


def shown(task: TaskRow, *rows: EventRow, error: str | None = None) -> list[TaskEvent]:
    workers = {3: WorkerRow(3, "worker-3", 1, "north", b"", b"", b"", b"", 0, None, 0, None, None)}
    return merged([(Told(task, "name", error, workers), timeline(task, rows, None))])


def test_OB8_success() -> None:
    assert story(row(TaskStatus.COMPLETED)) == ["QUEUED(0)", "ASSIGNED(0)", "SENT_TO_WORKER(0)", "STARTED(0)", "FINISHED(0)"]


def test_an_assignment_without_receipt_was_not_sent_as_far_as_we_know() -> None:
    assert story(row(TaskStatus.ASSIGNED)) == ["QUEUED(0)", "ASSIGNED(0)"]


def test_a_receipt_tells_the_start_of_a_live_attempt() -> None:
    task = row(TaskStatus.ASSIGNED)
    assert story(task, receipt=NOW + 2 * SECOND_US) == ["QUEUED(0)", "ASSIGNED(0)", "SENT_TO_WORKER(0)", "STARTED(0)"]


def test_OB9_no_worker() -> None:
    assert story(row(TaskStatus.QUEUED), event(E.REQUEUED_NO_WORKER, 5)) == ["QUEUED(0)", "REQUEUED_NO_WORKER(0)"]


def test_OB10_a_retry_tells_both_attempts() -> None:
    task = row(TaskStatus.ASSIGNED, retry_count=1, queued_at=NOW + 4 * SECOND_US, assigned_at=NOW + 5 * SECOND_US)
    closed = [event(E.QUEUED, 0), event(E.ASSIGNED, 1), event(E.SENT_TO_WORKER, 1), event(E.STARTED, 2), event(E.FAILED, 4)]
    assert story(task, *closed, event(E.RETRYING, 4, 1)) == [
        "QUEUED(0)",
        "ASSIGNED(0)",
        "SENT_TO_WORKER(0)",
        "STARTED(0)",
        "FAILED(0)",
        "RETRYING(1)",
        "QUEUED(1)",
        "ASSIGNED(1)",
    ]


def test_RT4_a_task_that_backs_off_is_not_queued_yet() -> None:
    task = row(TaskStatus.BACKING_OFF, retry_count=1)
    assert story(task, event(E.QUEUED, 0), event(E.FAILED, 1), event(E.RETRYING, 1, 1)) == [
        "QUEUED(0)",
        "FAILED(0)",
        "RETRYING(1)",
    ]


def test_a_task_that_is_cancelled_while_it_backs_off_was_not_queued_again() -> None:
    task = row(TaskStatus.CANCELLED, retry_count=1, assigned_at=None, finished_at=NOW + 9 * SECOND_US)
    closed = [event(E.QUEUED, 0), event(E.ASSIGNED, 1), event(E.FAILED, 2), event(E.RETRYING, 2, 1)]
    assert story(task, *closed) == ["QUEUED(0)", "ASSIGNED(0)", "FAILED(0)", "RETRYING(1)", "CANCELLED(1)"]


def test_OB11_a_lost_worker() -> None:
    task = row(TaskStatus.ASSIGNED, retry_count=1, queued_at=NOW + 30 * SECOND_US, assigned_at=NOW + 31 * SECOND_US)
    closed = [event(E.QUEUED, 0), event(E.ASSIGNED, 1), event(E.STARTED, 2), event(E.REASSIGNED, 30)]
    assert story(task, *closed)[-4:] == ["STARTED(0)", "REASSIGNED(0)", "QUEUED(1)", "ASSIGNED(1)"]


def test_TO9_a_timeout_is_the_failure_and_carries_its_text() -> None:
    events = shown(row(TaskStatus.FAILED), event(E.TIMED_OUT, 3), error="Task exceeded timeout of 60s")
    assert [each.event_type for each in events] == ["QUEUED", "ASSIGNED", "SENT_TO_WORKER", "STARTED", "TIMED_OUT"]
    assert events[-1].error_message == "Task exceeded timeout of 60s"


def test_TO6_a_schedule_timeout_stands_alone() -> None:
    task = row(TaskStatus.FAILED, assigned_at=None, started_at=None)
    assert story(task, event(E.SCHEDULING_TIMED_OUT, 4)) == ["QUEUED(0)", "SCHEDULING_TIMED_OUT(0)"]


def test_a_column_does_not_repeat_what_a_row_tells() -> None:
    task = row(TaskStatus.CANCELLED)
    assert story(task, event(E.QUEUED, 0, message="rank 3"), event(E.CANCELLED, 4, message="by ann")) == [
        "QUEUED(0)",
        "CANCELLED(0)",
    ]


def test_W4_5_a_task_that_was_born_ended_was_never_queued() -> None:
    assert story(row(TaskStatus.CANCELLED, finished_at=NOW)) == ["CANCELLED(0)"]
    assert story(row(TaskStatus.SKIPPED)) == ["SKIPPED(0)"]


def test_a_task_that_waits_for_parents_after_a_replay_is_not_queued() -> None:
    assert story(row(TaskStatus.PENDING, retry_count=1), event(E.RETRIED_BY_USER, 9, 1)) == ["RETRIED_BY_USER(1)"]


def test_OB12_events_carry_the_worker_and_the_numbers_of_their_attempt() -> None:
    events = shown(row(TaskStatus.COMPLETED, worker_key=3))
    assert [each.worker_id for each in events] == [None, *["worker-3"] * 4]
    assert {(each.retry_count, each.attempt) for each in events} == {(0, 1)}


def test_a_forgotten_worker_leaves_no_name() -> None:
    assert shown(row(TaskStatus.COMPLETED, worker_key=99))[1].worker_id is None


def test_an_older_failure_keeps_its_own_text() -> None:
    task = row(TaskStatus.FAILED, retry_count=1)
    events = shown(task, event(E.FAILED, 1, message="first"), event(E.RETRYING, 1, 1), error="second")
    assert [each.error_message for each in events if each.event_type == "FAILED"] == ["first", "second"]


def test_OB1_every_event_type_has_a_place_in_the_order_of_life() -> None:
    assert set(LIFE) == set(EventType)
