"""The life of a task's attempts: queued, placed, confirmed, ended, tried again. Every status change of a task is here.

Each function tells one story and leaves the state consistent: slots released once (W3), receipts folded, rows marked.
What follows for the rest of the run is told to `runs.advance` by the caller.
"""

from __future__ import annotations

from limpet.core import parking, pins, rate_limits, retry, waiting
from limpet.core.assignment import Placement
from limpet.core.condition_rows import Seen
from limpet.core.conditions import Condition
from limpet.core.decision import CancelTask, PayloadRef, StartTask, TaskChanged
from limpet.core.gates import next_gate
from limpet.core.ids import Instant
from limpet.core.lifecycle import Cause, after
from limpet.core.queue import LEVEL_INTERNAL, order_of
from limpet.core.records import Run, TaskRun, Worker
from limpet.core.rows import SKIPPED_OUTPUT, EventType, PinState, TaskStatus
from limpet.core.settings import RetryPriority
from limpet.core.slots import give_back
from limpet.core.state import State
from limpet.core.timers import Due

CANCELS_MISSED_MAX = 1_000  # cancels kept for a worker without a stream; older ones go first
MISSED_HEARTBEAT = "The worker showed no sign of life for {seconds} seconds"


def move(state: State, task: TaskRun, cause: Cause) -> None:
    """Change the status, by the table."""
    task.status = after(task.status, cause)
    state.task_changed(task)


# Waiting


def enqueue(state: State, task: TaskRun) -> None:
    """The task is QUEUED by now: on its way to a worker, which may begin with a gate."""
    task.queued_at = state.now
    task.not_before = None
    task.noted_at = task.noted_reason = None
    line_up(state, task)


def line_up(state: State, task: TaskRun) -> None:
    """Before the next gate that has not admitted the task, else into its queue; its schedule clock starts (TO-4)."""
    task.schedule_deadline = Instant(state.now + task.definition.schedule_timeout_us)
    state.task_changed(task)
    stand(state, task)


def stand(state: State, task: TaskRun) -> None:
    """Where the waiting task belongs now: held by a pause, before a gate, or in its queue."""
    state.queued_now[task.key] = task
    if parking.holds(task.run):
        parking.park(state, task)
    elif task.run.keys and (ahead := next_gate(task)) is not None:
        state.gates.wait(*ahead)
    else:
        if task.definition.rate_limits:
            rate_limits.declare(state, task)
        class_id = task.class_id
        state.join_class(task, order_of(task, state.now, state.settings))
        if task.class_id != class_id:
            state.task_changed(task)


def delay(state: State, task: TaskRun, until: Instant) -> None:
    """The task, BACKING_OFF by now, comes back at that instant."""
    task.not_before = until
    task.schedule_deadline = None
    state.timers.arm(until, Due.BACKOFF, task)


def leave_gates(state: State, task: TaskRun) -> None:
    """Whatever admitted the task, or made it wait, is free of it (F2.11, C4)."""
    if task.stage or task.at_gate:
        state.gates.leave(task)


def leave_queue(state: State, task: TaskRun) -> None:
    """Out of the queue, wherever it stands; what it had kept on a worker is free for others."""
    if task.in_queue:
        state.leave_class(task)
    if task.is_parked:
        parking.leave(task)
    state.overdue.pop(task.key, None)
    release_hold(state, task)
    if task.schedule_deadline is not None:
        state.timers.forget_one()


def release_hold(state: State, task: TaskRun) -> None:
    """Give up the units kept for the task (SL-6)."""
    if task.holds is not None:
        task.holds.hold = None
        state.stir(task.holds)
        task.holds = None


# Placed


def start(state: State, placement: Placement) -> None:
    """Commit the task to its worker: one atomic step with slots, units, pin and clock (A-0.10), then the start (A-0.11)."""
    task, worker, run = placement.task, placement.worker, placement.task.run
    release_hold(state, task)
    for bucket, _ in placement.spent:
        state.rates.changed(bucket)
        rate_limits.watch(state, bucket)  # who waits for more than it ever has does not keep it from being filled again
    move(state, task, Cause.PLACED)
    task.worker, task.session = worker, worker.sessions[-1]
    task.assigned_at = state.now
    task.confirm_by = Instant(state.now + state.settings.receipt_timeout_us)
    task.execution_deadline = Instant(state.now + task.definition.execution_timeout_us)
    task.slots_released = False
    task.avoid = None
    worker.tasks[task.key] = task
    look_again(state, task)
    if run.started_at is None:
        run.started_at = state.now
        state.run_changed(run)
        if state.settings.depth_first:  # the run's other waiting tasks stand further ahead now
            state.reclassify(run, state.now)
    state.deliveries.append(start_message(state, task, worker))


def look_again(state: State, task: TaskRun) -> None:
    """Watch the live attempt's next date: its receipt while it lacks one, its execution deadline."""
    assert task.execution_deadline is not None
    receipt_due = task.confirm_by if task.status is TaskStatus.ASSIGNED else None
    at = task.execution_deadline if receipt_due is None else min(receipt_due, task.execution_deadline)
    task.next_look = at
    state.timers.arm(at, Due.ATTEMPT, task)


def start_message(state: State, task: TaskRun, worker: Worker) -> StartTask:
    """What the worker is sent; payloads are named here and read by the loop."""
    run, definition = task.run, task.definition
    parents = [run.tasks[step] for step in run.definition.parent_steps[task.step]]
    failed: tuple[PayloadRef, ...] = ()
    if task.step == run.definition.on_failure_step:
        failed = tuple(
            PayloadRef(other.key, other.definition.name, is_error=True, created_at=other.created_at)
            for other in run.tasks.values()
            if other.status is TaskStatus.FAILED
        )
    return StartTask(
        worker.id,
        task.key,
        task.id,
        run.key,
        run.id,
        definition.action_id,
        definition.name,
        task.retry_count,
        run.priority,
        run.version.workflow.id,
        run.version.id,
        run.metadata,
        task.created_at,
        PayloadRef(run.key, "input", of_run=True, created_at=run.created_at),
        tuple(
            PayloadRef(
                p.key, p.definition.name, data=SKIPPED_OUTPUT if p.status is TaskStatus.SKIPPED else None, created_at=p.created_at
            )
            for p in parents
        ),
        tuple(_trigger_ref(one, seen) for one, seen in waiting.data_of(state, task)),
        failed,
        run.parent_run_id,
        run.child_index,
        run.child_key,
        run.source,
    )


def _trigger_ref(condition: Condition, seen: Seen | None) -> PayloadRef:
    """What satisfied the condition: an event's payload, or how long the sleep was."""
    if seen is None:
        return PayloadRef(0, condition.data_key, data=b'{"sleep_duration":"%b"}' % _seconds(condition.sleep_us).encode())
    assert seen.event_key is not None, f"the condition {condition.data_key} was met by nothing"
    return PayloadRef(seen.event_key, condition.data_key, of_event=True)


def confirm(state: State, task: TaskRun) -> None:
    """The receipt came (R26). A second one is harmless (WK-22)."""
    if task.status is not TaskStatus.ASSIGNED:
        return
    task.status = after(task.status, Cause.CONFIRMED)  # the receipt row tells it; the task's row stays as it is
    task.started_at = state.now
    task.confirm_by = None
    task.orphaned_by_engine = False
    state.confirmed(task)
    tell_watchers(state, task)


def release_slots(state: State, task: TaskRun) -> None:
    """The attempt's units are free at once (SL-9); ownership stays with the worker until it ends (SL-11)."""
    if task.slots_released or task.worker is None:
        return
    task.slots_released = True
    give_back(task.worker, task.definition.slot_requests)
    state.stir(task.worker)


def _detach(state: State, task: TaskRun) -> None:
    """The attempt is over, whichever way."""
    release_slots(state, task)
    if task.worker is not None:
        task.worker.tasks.pop(task.key, None)
        state.timers.forget_one()
    state.fold_receipt(task)
    task.confirm_by = None
    task.orphaned_by_engine = False


# Ended


def end(state: State, task: TaskRun, cause: Cause, *, output: bytes = b"", error: str | None = None) -> None:
    """The task ends for good, from wherever it was."""
    if task.status.is_live:
        _detach(state, task)
    else:
        leave_queue(state, task)
        waiting.give_up(state, task)
    leave_gates(state, task)
    move(state, task, cause)
    task.finished_at = state.now
    task.not_before = None
    task.output, task.output_bytes, task.error = output, len(output), error
    if task.status is TaskStatus.COMPLETED:
        pins.bind(state, task)
    tell_watchers(state, task)


def send_cancel(state: State, worker: Worker, task: TaskRun, retry_count: int) -> None:
    """Tell the worker to stop an attempt; without a stream, when it is back (CN-2)."""
    message = CancelTask(worker.id, task.id, task.run.id, task.definition.action_id, task.definition.name, retry_count)
    if worker.sessions:
        state.deliveries.append(message)
    elif worker.gone_at is None:
        worker.missed.append(message)
        del worker.missed[:-CANCELS_MISSED_MAX]


def cancel(state: State, task: TaskRun, *, why: str = "") -> None:
    """Cancel for good, whatever state it is in (L8). The engine finishes it itself: clients send no event (CN-2).

    why: a sentence for the timeline, when it was not a person who asked for it
    """
    worker = task.worker if task.status.is_live else None
    if why:
        state.event(task, EventType.CANCELLED, why, worker=worker)
    end(state, task, Cause.CANCEL)
    if worker is not None:
        send_cancel(state, worker, task, task.retry_count)


# Tried again


def fail(
    state: State,
    task: TaskRun,
    error: str,
    *,
    retryable: bool,
    retry_after_us: int | None = None,
    ended_as: EventType = EventType.FAILED,
) -> bool:
    """The attempt failed in the user's code or ran out of time. Returns whether that was final (RT-1, RT-2)."""
    definition = task.definition
    if not retryable or task.app_retries >= definition.retries:
        end(state, task, Cause.FAILED_FOR_GOOD, error=error)
        return True
    pause = retry.backoff_us(definition, task.app_retries + 1) if retry_after_us is None else retry_after_us
    _record_attempt(state, task, ended_as, error)
    _detach(state, task)
    move(state, task, Cause.RETRIED_LATER if pause else Cause.RETRIED)
    _next_attempt(task)
    task.app_retries += 1
    task.level = _requeue_level(state, task)
    wait = f", in {_seconds(pause)}" if pause else ""
    state.event(task, EventType.RETRYING, f"Retry {task.app_retries} of {definition.retries}{wait}.")
    if pause:
        leave_gates(state, task)
        delay(state, task, Instant(state.now + pause))
    else:
        enqueue(state, task)
    return False


def take_back(
    state: State, task: TaskRun, kind: EventType, message: str, *, engines_fault: bool = False, delayed: bool = False
) -> bool:
    """An internal retry: worker or delivery lost (WK-20, WK-21, WK-24). Returns whether the task ended by it (WK-25).

    engines_fault: raises the attempt number, but no counter (R28)
    """
    settings = state.settings
    lasted = state.now - task.started_at if task.started_at is not None else 0
    if lasted > settings.internal_retry_forgiven_after_us:
        task.internal_retries = 0
    if not engines_fault and task.internal_retries >= settings.internal_retries_max:
        _record_attempt(state, task, kind, message, final=True)
        end(
            state,
            task,
            Cause.FAILED_FOR_GOOD,
            error=f"Task reached its maximum reassignment count of {settings.internal_retries_max}. Last cause: {message}",
        )
        return True
    _record_attempt(state, task, kind, message)
    _detach(state, task)
    pause = retry.undeliverable_delay_us(task.internal_retries, settings) if delayed else 0
    move(state, task, Cause.TAKEN_BACK_LATER if pause else Cause.TAKEN_BACK)
    _next_attempt(task)
    task.internal_retries += not engines_fault
    task.level = LEVEL_INTERNAL
    if pause:
        delay(state, task, Instant(state.now + pause))
    else:
        enqueue(state, task)
    return False


def back_off_over(state: State, task: TaskRun) -> None:
    """The delay before a retry has passed."""
    move(state, task, Cause.DELAY_OVER)
    enqueue(state, task)


def time_out(state: State, task: TaskRun) -> bool:
    """The execution deadline passed: an app failure, and the worker is told to stop (TO-9)."""
    worker, retry_count = task.worker, task.retry_count
    limit = _seconds(task.definition.execution_timeout_us)
    text = f"Task exceeded timeout of {limit}"
    final = fail(state, task, text, retryable=True, ended_as=EventType.TIMED_OUT)
    if final:
        state.event(task, EventType.TIMED_OUT, text, worker=worker)
    if worker is not None:
        send_cancel(state, worker, task, retry_count)
        if task.run.sticky is None and not final:
            task.avoid = worker.key
    return final


def _next_attempt(task: TaskRun) -> None:
    task.retry_count += 1
    task.worker = task.session = task.assigned_at = task.execution_deadline = task.started_at = None
    task.slots_released = False


def reopen(state: State, task: TaskRun) -> None:
    """A replay: a new attempt with all counters at zero (RT-6)."""
    _record_attempt(state, task, _END_EVENT[task.status], task.error or "")
    move(state, task, Cause.REPLAY)
    _next_attempt(task)
    task.app_retries = task.internal_retries = 0
    task.level = LEVEL_INTERNAL if state.settings.retry_priority is RetryPriority.UPSTREAM else task.run.priority
    task.finished_at = task.error = task.output = None
    task.output_bytes = 0
    state.event(task, EventType.RETRIED_BY_USER, "Replayed.")


def _requeue_level(state: State, task: TaskRun) -> int:
    return LEVEL_INTERNAL if state.settings.retry_priority is RetryPriority.UPSTREAM else task.run.priority


# Telling


_END_EVENT = {
    TaskStatus.COMPLETED: EventType.FINISHED,
    TaskStatus.FAILED: EventType.FAILED,
    TaskStatus.CANCELLED: EventType.CANCELLED,
    TaskStatus.SKIPPED: EventType.SKIPPED,
}


def _record_attempt(state: State, task: TaskRun, kind: EventType, message: str, *, final: bool = False) -> None:
    """Keep what the columns tell of an attempt that is about to be superseded (or, `final`, only how it was lost)."""
    worker = task.worker
    if not final and (task.assigned_at is not None or kind is EventType.FAILED):  # else it never was in a queue
        state.event(task, EventType.QUEUED, at=task.queued_at)
        if task.assigned_at is not None:
            state.event(task, EventType.ASSIGNED, at=task.assigned_at, worker=worker)
            if kind is not EventType.COULD_NOT_SEND_TO_WORKER:
                state.event(task, EventType.SENT_TO_WORKER, at=task.assigned_at, worker=worker)
        if task.started_at is not None:
            state.event(task, EventType.STARTED, at=task.started_at, worker=worker)
    state.event(task, kind, message, worker=worker, at=task.finished_at)


def tell_watchers(state: State, task: TaskRun) -> None:
    """Whoever watches the run's events hears of the task's status."""
    state.deliveries.append(TaskChanged(task.run.id, task.id, task.status, task.retry_count, task.definition.retries, state.now))


def take_back_pin(state: State, run: Run, worker: Worker) -> None:
    """The start never reached the worker: a TENTATIVE pin to it is cleared, unless others of the run live there (ST-10)."""
    others = sum(task.run is run for task in worker.tasks.values())
    if run.pin_state is PinState.TENTATIVE and run.pin_worker_id == worker.id and others <= 1:
        state.set_pin(run, PinState.UNSET, None, None)
        state.reclassify(run, state.now)


def _seconds(us: int) -> str:
    """`2s`, `1.5s`: for people."""
    whole, rest = divmod(us, 1_000_000)
    return f"{whole}s" if not rest else f"{us / 1_000_000:g}s"
