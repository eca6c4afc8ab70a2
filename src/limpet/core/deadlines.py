"""What time alone brings. An entry of the timers only says where to look; what is due is read from the subject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from limpet.core import attempts, awaiting, fleet, notices, pauses, rate_limits, reports, runs
from limpet.core.ids import SECOND_US, Instant
from limpet.core.lifecycle import Cause
from limpet.core.queue import LEVEL_MAX_AGED, order_of
from limpet.core.reasons import why_waiting
from limpet.core.records import Run, TaskRun, Worker
from limpet.core.rows import EventType, RunStatus, TaskStatus
from limpet.core.state import State
from limpet.core.timers import Due


def pass_time(state: State) -> None:
    """Handle what is due, at most `due_batch_max` entries (R53)."""
    for at, due, subject in state.timers.due(state.now, state.settings.due_batch_max):
        if due is Due.ATTEMPT:
            _attempt(state, subject, at)
        else:
            _HANDLERS[due](state, subject)
    state.timers.sweep(_holds)


def _schedule(state: State, task: TaskRun) -> None:
    """A waiting task's schedule deadline (TO-6, TO-7)."""
    deadline = task.due_by
    if task.status is not TaskStatus.QUEUED or deadline is None or deadline > state.now:
        return
    waited = f"{task.definition.schedule_timeout_us / SECOND_US:g}s"
    waits = task.in_queue or state.gates.waits_for(task) is not None  # else it was set aside when its time was up
    why = why_waiting(state, task, state.now).text if waits else "not placed in time"
    text = f"Scheduling timed out after {waited}: {why}."
    state.event(task, EventType.SCHEDULING_TIMED_OUT, text)
    attempts.end(state, task, Cause.UNPLACEABLE, error=text)
    runs.follow(state, task.run, [task])


def _backoff(state: State, task: TaskRun) -> None:
    if task.status is TaskStatus.BACKING_OFF and task.not_before is not None and task.not_before <= state.now:
        attempts.back_off_over(state, task)
        reports.after_requeue(state, task)


def _attempt(state: State, task: TaskRun, at: int) -> None:
    """A live attempt's receipt or execution deadline; armed again for whichever comes next."""
    if not task.status.is_live or task.execution_deadline is None or at != task.next_look:
        return
    if task.execution_deadline <= state.now:
        if attempts.time_out(state, task):
            runs.follow(state, task.run, [task])
        else:
            reports.after_requeue(state, task)
        return
    if task.status is TaskStatus.ASSIGNED and task.confirm_by is not None and task.confirm_by <= state.now:
        fleet.unconfirmed(state, task)
    if task.status.is_live and task.next_look == at:
        attempts.look_again(state, task)


def _silence(state: State, worker: Worker) -> None:
    fleet.silence(state, worker)


def _pin(state: State, run: Run) -> None:
    """The grace of a HARD run's lost worker may be over (ST-20)."""
    if run.status.is_terminal:
        return
    runs.fail_doomed(state, run)


def _hold(state: State, worker: Worker) -> None:
    """The end of a hold; its task may hold again after as long a pause, so that neither side starves (SL-6)."""
    hold = worker.hold
    if hold is None or hold.until > state.now:
        state.stir(worker)  # a pause is over: the heavy task may hold again
        return
    worker.hold = None
    hold.task.holds = None
    hold.task.hold_not_before = Instant(state.now + state.settings.slot_hold_us)
    state.timers.arm(hold.task.hold_not_before, Due.HOLD, worker)
    state.stir(worker)


def _notice(state: State, subject: Any) -> None:
    notices.review(state, subject)


def _age(state: State, task: TaskRun) -> None:
    """The task has waited another interval: it moves up in its queue (PR-15)."""
    if task.in_queue and task.status is TaskStatus.QUEUED:
        state.leave_class(task)
        state.join_class(task, order_of(task, state.now, state.settings))
        watch_age(state, task)


def watch_age(state: State, task: TaskRun) -> None:
    """Arm the task's next move up, if ageing is on and it has a level to gain."""
    interval = state.settings.priority_age_us
    if interval > 0 and task.level < LEVEL_MAX_AGED:
        steps = (state.now - task.queued_at) // interval + 1
        if task.level + steps <= LEVEL_MAX_AGED:
            state.timers.arm(task.queued_at + steps * interval, Due.AGE, task)


def _forget(state: State, worker: Worker) -> None:
    fleet.forget(state, worker)


_HANDLERS: dict[Due, Callable[[State, Any], None]] = {
    Due.SCHEDULE: _schedule,
    Due.BACKOFF: _backoff,
    Due.SILENCE: _silence,
    Due.PIN: _pin,
    Due.HOLD: _hold,
    Due.NOTICE: _notice,
    Due.AGE: _age,
    Due.FORGET: _forget,
    Due.REFILL: rate_limits.refill,
    Due.CONDITION: awaiting.sleep_over,
    Due.PARKED: pauses.expire,
}


def _holds(due: Due, subject: Any) -> bool:
    """Whether an entry may still mean something; for the sweep."""
    if due is Due.SCHEDULE:
        return subject.status is TaskStatus.QUEUED
    if due is Due.BACKOFF:
        return subject.status is TaskStatus.BACKING_OFF
    if due is Due.ATTEMPT:
        return bool(subject.status.is_live)
    if due is Due.CONDITION:
        return bool(subject.is_armed)
    if due is Due.AGE:
        return bool(subject.in_queue)
    if due is Due.REFILL:
        return subject.watched_at is not None
    if due is Due.PARKED:
        return bool(subject.parked)
    return due is not Due.PIN or subject.status is not RunStatus.COMPLETED
