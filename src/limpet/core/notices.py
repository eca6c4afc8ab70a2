"""REQUEUED_NO_WORKER: the timeline says why a task waits (OB-9, OB-13).

A task that no registered worker could ever take says so at once. One that only waits its turn says so after
`waiting_notice_after_us`, so that a busy queue does not write a row for every task that passes through it.
"""

from __future__ import annotations

from itertools import islice

from limpet.core.gates import Group, waiting_tasks
from limpet.core.queue import SchedulingClass
from limpet.core.reasons import Why, why_waiting
from limpet.core.records import TaskRun
from limpet.core.rows import EventType, TaskStatus
from limpet.core.state import State
from limpet.core.timers import Due

NOTICES_MAX = 1_000  # tasks of one class that get a notice in one step; the first in its order


def for_newcomers(state: State) -> None:
    """After placing: tasks that came in this step and still wait."""
    hopeless: dict[int, Why] = {}
    for task in state.queued_now.values():
        cls = state.queue_of(task)
        if task.status is not TaskStatus.QUEUED:
            continue
        if cls is None:
            _watch_gate(state, task)
            continue
        if not cls.pool.capable_count:
            if cls.id not in hopeless:
                hopeless[cls.id] = why_waiting(state, task, state.now)
            _say(state, task, hopeless[cls.id])
        _watch(state, cls, state.settings.waiting_notice_after_us)


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


def _watch(state: State, where: SchedulingClass | Group, after_us: int) -> None:
    if not where.noted:
        where.noted = True
        state.timers.arm(state.now + after_us, Due.NOTICE, where)


def review(state: State, where: SchedulingClass | Group) -> None:
    """Tasks still wait there some time later: those that owe a reason say it, and the place is watched on."""
    where.noted = False
    waiting = _tasks_in(where)
    if not waiting:
        return
    owing = [task for task in waiting if _is_owed(state, task)]
    if owing:
        why = why_waiting(state, owing[0], state.now)
        for task in owing:
            if task.noted_reason != why.reason or _is_stale(state, task):
                _say(state, task, why)
    _watch(state, where, state.settings.waiting_notice_after_us)


def _tasks_in(where: SchedulingClass | Group) -> list[TaskRun]:
    """Some of the tasks that wait there, roughly the first in order."""
    if isinstance(where, SchedulingClass):
        return where.tasks(NOTICES_MAX)
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
    state.event(task, EventType.REQUEUED_NO_WORKER, why.text[:1].upper() + why.text[1:] + ".")
