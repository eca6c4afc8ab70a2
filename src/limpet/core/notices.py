"""REQUEUED_NO_WORKER and REQUEUED_RATE_LIMIT: the timeline says why a task waits (OB-9, OB-13, F4.14).

A task that no registered worker could ever take, or that comes upon a rate limit without its units, says so at once. One
that only waits its turn says so after `waiting_notice_after_us`, so that a busy queue does not write a row for every task
that passes through it.
"""

from __future__ import annotations

from itertools import islice

from limpet.core.gates import Group, waiting_tasks
from limpet.core.lanes import Lane, Tap
from limpet.core.queue import SchedulingClass
from limpet.core.reasons import RATE_REASONS, Why, why_waiting
from limpet.core.records import TaskRun
from limpet.core.rows import EventType, TaskStatus
from limpet.core.state import State
from limpet.core.timers import Due

Place = SchedulingClass | Group | Tap
NOTICES_MAX = 1_000  # tasks of one class that get a notice in one step; the first in its order


def for_newcomers(state: State) -> None:
    """After placing: tasks that came in this step and still wait."""
    known: dict[Lane, Why] = {}
    for task in state.queued_now.values():
        cls = state.queue_of(task)
        if task.status is not TaskStatus.QUEUED:
            continue
        if cls is None:
            _watch_gate(state, task)
            continue
        lane = cls.lane_of(task)
        if not cls.pool.capable_count or (lane.tap is not None and not lane.tap.is_open):
            if lane not in known:
                known[lane] = why_waiting(state, task, state.now)
            _say(state, task, known[lane])
        _watch(state, cls, state.settings.waiting_notice_after_us)


def watch_tap(state: State, tap: Tap) -> None:
    """A rate limit has too few units from now on: those who wait there owe a reason later, if they wait on."""
    _watch(state, tap, state.settings.waiting_notice_after_us)


def watch(state: State, task: TaskRun) -> None:
    """The task waits since before a load: it owes a reason later, not at once, because it may have said it already."""
    cls = state.queue_of(task)
    if cls is not None:
        _watch(state, cls, state.settings.waiting_notice_after_us)
    else:
        _watch_gate(state, task)


def _watch_gate(state: State, task: TaskRun) -> None:
    group = state.gates.waits_for(task)
    if group is not None:
        _watch(state, group, state.settings.waiting_notice_after_us)


def _watch(state: State, where: Place, after_us: int) -> None:
    if not where.noted:
        where.noted = True
        state.timers.arm(state.now + after_us, Due.NOTICE, where)


def review(state: State, where: Place) -> None:
    """Tasks still wait there some time later: those that owe a reason say it, and the place is watched on."""
    where.noted = False
    waiting = _tasks_in(where)
    if not waiting and not (isinstance(where, SchedulingClass) and where.size):
        return
    owing = [task for task in waiting if _is_owed(state, task)]
    if owing:
        why = why_waiting(state, owing[0], state.now)
        for task in owing:
            if task.noted_reason != why.reason or _is_stale(state, task):
                _say(state, task, why)
    _watch(state, where, state.settings.waiting_notice_after_us)


def _tasks_in(where: Place) -> list[TaskRun]:
    """Some of the tasks that wait there, roughly the first in order; none at an open tap, they are in their class."""
    if isinstance(where, SchedulingClass):
        return where.tasks(NOTICES_MAX)
    if isinstance(where, Tap):
        return [] if where.is_open else list(islice(where.tasks(), NOTICES_MAX))
    subjects = [subject for _, subject in islice(where.waiting.values(), NOTICES_MAX)]
    return [task for subject in subjects for task in waiting_tasks(subject)]


def _is_owed(state: State, task: TaskRun) -> bool:
    """Waited long enough for a first word, or since the last word for another."""
    if task.noted_at is None:
        return state.now - task.queued_at >= state.settings.waiting_notice_after_us
    return state.now - task.noted_at >= state.settings.waiting_notice_changed_us


def _is_stale(state: State, task: TaskRun) -> bool:
    return task.noted_at is None or state.now - task.noted_at >= state.settings.waiting_notice_repeat_us


def _say(state: State, task: TaskRun, why: Why) -> None:
    task.noted_at, task.noted_reason = state.now, why.reason
    kind = EventType.REQUEUED_RATE_LIMIT if why.reason in RATE_REASONS else EventType.REQUEUED_NO_WORKER
    state.event(task, kind, why.text[:1].upper() + why.text[1:] + ".")
