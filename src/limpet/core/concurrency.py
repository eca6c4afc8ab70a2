"""Concurrency: who passes a gate, who waits before it, who is cancelled at it (flow control section 2, decision 0018).

`settle` serves all groups in which something happened until nothing moves: the best waiting one of a group with room
is admitted; of a full one, the strategy decides. Between groups the higher priority is served first, then the one
that was served longest ago (C2). It runs after the inputs of a step and again when placing has ended tasks, so
between steps nobody waits before a gate that would let them in.
"""

from __future__ import annotations

from heapq import heappop, heappush

from limpet.core import attempts, gates, runs
from limpet.core.definitions import LimitStrategy
from limpet.core.gates import Group, Subject
from limpet.core.records import Run, TaskRun
from limpet.core.state import State

Turn = tuple[int, int, int]  # level of the first in line, last served, age of the group


def settle(state: State) -> bool:
    """Serve every group that has stirred. Returns whether anybody moved."""
    if not state.gates.stirred:
        return False
    moved, line = False, Line()
    while state.gates.stirred or line.heap:
        for group in state.gates.take_stirred():
            line.join(group)
        first = line.pop()
        if first is not None and _serve(state, first):
            moved = True
            line.join(first)
    return moved


class Line:
    """Groups in the order in which they are served; each stands in it once."""

    def __init__(self) -> None:
        self.heap: list[Turn] = []
        self._standing: dict[int, tuple[Turn, Group]] = {}

    def join(self, group: Group) -> None:
        """Take the place that the group deserves now, if anybody in it waits."""
        turn = _turn_of(group)
        known = self._standing.get(group.number)
        if turn is not None and (known is None or known[0] != turn):
            self._standing[group.number] = (turn, group)
            heappush(self.heap, turn)

    def pop(self) -> Group | None:
        """The first group; None: the first entry did not hold any more."""
        if not self.heap:
            return None
        turn = heappop(self.heap)
        known, group = self._standing.get(turn[2], (None, None))
        if known != turn or group is None:
            return None
        del self._standing[turn[2]]
        if _turn_of(group) == turn:
            return group
        self.join(group)
        return None


def _turn_of(group: Group) -> Turn | None:
    """When the group is served among all; None: nobody in it waits."""
    first = group.first()
    return None if first is None else (first[0][0], group.served_at, group.number)


def _serve(state: State, group: Group) -> bool:
    """Decide about the first in line. Returns whether anything changed."""
    first = group.first()
    assert first is not None
    rank, subject = first
    if isinstance(subject, TaskRun) and _is_overdue(state, subject):
        state.gates.set_aside(subject)
        return True
    if group.has_room:
        _admit(state, group, subject)
        return True
    if group.gate.limit.strategy is LimitStrategy.GROUP_ROUND_ROBIN:
        return False
    loser = subject
    if group.gate.limit.strategy is LimitStrategy.CANCEL_IN_PROGRESS:
        worst, holder = group.worst_held()
        loser = holder if rank < worst else subject  # equal priority: the newer one (F2.26)
    _cancel(state, group, loser)
    return True


def _is_overdue(state: State, task: TaskRun) -> bool:
    """Past its schedule deadline a task is not let in any more; it ends when its deadline is handled (T11, R53)."""
    due_by = task.due_by
    if due_by is None or due_by > state.now:
        return False
    state.overdue[task.key] = task
    return True


def _admit(state: State, group: Group, subject: Subject) -> None:
    """Let the subject in. From here its place in the queue counts (PR-18); its schedule clock starts anew (TO-4)."""
    state.gates.admit(group, subject, state.key())
    if isinstance(subject, Run):
        state.run_changed(subject)
    for task in list(gates.waiting_tasks(subject)):
        if _is_overdue(state, task):
            continue
        task.enqueue_key = state.key()
        state.timers.forget_one()
        attempts.line_up(state, task)


def _cancel(state: State, group: Group, loser: Subject) -> None:
    """The strategy decides against the subject; a run goes with all its tasks (F2.20, F2.21)."""
    run = gates.run_of(loser)
    tasks = list(run.tasks.values()) if isinstance(loser, Run) else [loser]
    runs.cancel_tasks(state, run, tasks, why=_sentence(group))


def _sentence(group: Group) -> str:
    limit = group.gate.limit
    cause = "another took its place" if limit.strategy is LimitStrategy.CANCEL_IN_PROGRESS else "the key was full"
    return f"Cancelled by the concurrency limit {group.described}: {cause}."
