"""Gates: what a run or a task passes before its action's queue, one for each concurrency limit (A-0.3, decision 0018).

A group is one value of one limit's key: who is admitted, and who waits, in order. Limits that are shared have their groups
together (decision 0028). Groups exist while somebody is in them; who is in them follows from the `stage` of runs and tasks,
so they are rebuilt on load and never stored (R4).

Laws:
1. An admission belongs to a run or task that has not ended, and ends with it or with its back-off (C4, F2.11).
2. Whoever wants in is judged by the limit of its own workflow's version, and by the number of runs that its run has brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from limpet.core.definitions import Gate, LimitStrategy
from limpet.core.ids import VersionKey
from limpet.core.queue import LEVEL_INTERNAL
from limpet.core.records import LimitKey, Run, SizedKey, TaskRun, UnusableKey
from limpet.core.rows import TaskStatus

Subject = Run | TaskRun
"""Who passes a gate: a run for all its tasks, or a task."""

Rank = tuple[int, int, int]
"""The place of a subject among all that want the same key, best first. Made by `rank_of`."""

Waiting = dict[int, tuple[Rank, Subject]]
"""Who waits, by row key."""

GroupName = tuple[VersionKey | str, int, str]
"""Version, number of the gate, key; of a shared limit its name, `SHARED`, key."""

SHARED = -1


def run_of(subject: Subject) -> Run:
    return subject if isinstance(subject, Run) else subject.run


def gates_of(subject: Subject) -> tuple[Gate, ...]:
    """The gates that the subject passes, in order."""
    definition = run_of(subject).definition
    return definition.run_gates if isinstance(subject, Run) else definition.task_gates[subject.step]


def text_of(key: LimitKey) -> str:
    """The key itself, of one that could be computed."""
    assert not isinstance(key, UnusableKey), f"there is no key: {key.error}"
    return key.key if isinstance(key, SizedKey) else key


def size_of(subject: Subject, gate: Gate) -> int:
    """How many may be in once the subject is."""
    key = run_of(subject).keys[gate.number]
    return key.max_runs if isinstance(key, SizedKey) else gate.limit.max_runs


def name_of(subject: Subject, gate: Gate) -> GroupName:
    """The group that the subject belongs to at that gate."""
    run = run_of(subject)
    key = text_of(run.keys[gate.number])
    return (gate.limit.name, SHARED, key) if gate.limit.is_shared else (run.version.key, gate.number, key)


def gate_before(subject: Subject) -> Gate:
    """The gate at which the subject waits."""
    return gates_of(subject)[subject.stage]


def next_gate(task: TaskRun) -> tuple[Subject, Gate] | None:
    """The gate before which the task stands, and who must pass it; None: the way to its queue is free.

    The on-failure task is not held by the gates of its run (F2.5, W6.6).
    """
    run, definition = task.run, task.run.definition
    if run.stage < len(definition.run_gates) and task.step != definition.on_failure_step:
        return run, definition.run_gates[run.stage]
    own = definition.task_gates[task.step]
    return (task, own[task.stage]) if task.stage < len(own) else None


def unusable_key(task: TaskRun) -> str | None:
    """Why the task fails at birth: a key of a gate on its way could not be computed (F2.8)."""
    definition, keys = task.run.definition, task.run.keys
    ahead = definition.task_gates[task.step]
    if task.step != definition.on_failure_step:
        ahead = (*definition.run_gates, *ahead)
    return next((key.error for gate in ahead if isinstance(key := keys[gate.number], UnusableKey)), None)


def rank_of(gate: Gate, subject: Subject, *, admitted: bool = False) -> Rank:
    """The place among those that want the same key (PR-17, F2.25 to F2.28).

    gate:     by whose rule: its own, or that of another one who wants in
    admitted: as one that is in, whose rank is its declared priority: level 4 is a place in line, not importance
    """
    newest_first = gate.limit.strategy is LimitStrategy.CANCEL_IN_PROGRESS
    age = -subject.key if newest_first else subject.key
    if gate.of_run and gate.limit.strategy is not LimitStrategy.GROUP_ROUND_ROBIN:
        return (0, 0, age)  # by arrival alone (F2.27)
    priority = run_of(subject).priority
    level = priority if admitted or isinstance(subject, Run) else subject.level
    return (-level, -priority if level >= LEVEL_INTERNAL else 0, age)


class Pile:
    """Those of a group that wait in one order, best first. An entry counts as long as the group knows its rank."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[Rank, int]] = []

    def push(self, rank: Rank, key: int) -> None:
        heappush(self._heap, (rank, key))

    def first(self, waiting: Waiting) -> tuple[Rank, Subject] | None:
        """The best of them."""
        while self._heap:
            rank, key = self._heap[0]
            found = waiting.get(key)
            if found is not None and found[0] == rank:
                return found
            heappop(self._heap)
        return None

    def sweep(self, waiting: Waiting) -> None:
        """Out with stale entries, once most are."""
        if len(self._heap) > 2 * len(waiting) + 64:
            self._heap = list(dict.fromkeys(one for one in self._heap if one[1] in waiting and waiting[one[1]][0] == one[0]))
            heapify(self._heap)


class Group:
    """One value of a limit's key. Mutated by `Gates` only.

    held:      who is admitted, by row key
    waiting:   who waits, by row key, with the rank; between steps only those whose strategy makes them wait
    served_at: a row key of the moment of the last admission; 0: not known
    noted:     whether a timer stands for its notices
    """

    __slots__ = ("_comers", "_line", "held", "name", "noted", "number", "served_at", "waiting")

    def __init__(self, name: GroupName, number: int) -> None:
        self.name: GroupName = name
        self.number: int = number
        self.held: dict[int, Subject] = {}
        self.waiting: Waiting = {}
        self.served_at: int = 0
        self.noted: bool = False
        self._line: Pile = Pile()
        self._comers: Pile = Pile()  # whose strategies do not wait

    @property
    def key(self) -> str:
        return self.name[2]

    def has_room(self, subject: Subject) -> bool:
        """Whether the limit of the subject, which waits, lets it in beside those who are."""
        return len(self.held) < size_of(subject, gate_before(subject))

    def first(self) -> tuple[Rank, Subject] | None:
        """Who is judged next: the head of the line, unless it must wait and there is somebody who does not."""
        head = self._line.first(self.waiting)
        if head is not None and self.has_room(head[1]):
            return head
        return self._comers.first(self.waiting) or head

    def head(self) -> Subject | None:
        """The first in line."""
        found = self._line.first(self.waiting)
        return None if found is None else found[1]

    def loser_to(self, subject: Subject) -> Subject:
        """Who gives way when the subject would replace those it outranks: the least of them, or itself (F2.26).

        It does when as many as its limit allows stand before it. With equal priority it outranks those who are older.
        """
        gate = gate_before(subject)
        rank = rank_of(gate, subject)
        ranked = sorted(((rank_of(gate, one, admitted=True), one) for one in self.held.values()), key=lambda pair: pair[0])
        stay = sum(other < rank for other, _ in ranked)
        return subject if stay >= size_of(subject, gate) else ranked[-1][1]

    def ahead_of(self, subject: Subject) -> int:
        """How many of those that wait stand before that one."""
        rank, _ = self.waiting[subject.key]
        return sum(other < rank for other, _ in self.waiting.values())

    def push(self, subject: Subject) -> None:
        gate = gate_before(subject)
        rank = rank_of(gate, subject)
        self.waiting[subject.key] = (rank, subject)
        pile = self._line if gate.limit.strategy is LimitStrategy.GROUP_ROUND_ROBIN else self._comers
        pile.push(rank, subject.key)

    def drop(self, subject: Subject) -> None:
        """Out of those that wait; its entry goes when it is met, or in a sweep."""
        del self.waiting[subject.key]
        self._line.sweep(self.waiting)
        self._comers.sweep(self.waiting)


class Gates:
    """All groups of a tenant, and which of them must be looked at. One owner: `State`."""

    def __init__(self) -> None:
        self.groups: dict[GroupName, Group] = {}
        self.stirred: dict[GroupName, Group] = {}
        self._made = 0

    def find(self, subject: Subject, gate: Gate) -> Group | None:
        """The group that the subject belongs to at that gate."""
        return self.groups.get(name_of(subject, gate))

    def waits_in(self, subject: Subject) -> Group | None:
        """The group the subject waits in; None: it does not wait at a gate."""
        return self.find(subject, gate_before(subject)) if subject.at_gate else None

    def waits_for(self, task: TaskRun) -> Group | None:
        """The group that keeps the task, or its run, from its queue; None: it does not wait before a gate."""
        ahead = next_gate(task) if task.run.keys and task.status is TaskStatus.QUEUED else None
        return self.waits_in(ahead[0]) if ahead is not None else None

    def wait(self, subject: Subject, gate: Gate) -> None:
        """The subject wants to pass the gate; a run may be told so by each of its tasks."""
        if subject.at_gate:
            return
        group = self._group(subject, gate)
        subject.at_gate = True
        group.push(subject)
        self.stirred[group.name] = group

    def admit(self, group: Group, subject: Subject, served_at: int) -> None:
        """The subject passes."""
        assert group.has_room(subject), f"{group.name} is full for {subject.id}"
        group.drop(subject)
        group.held[subject.key] = subject
        group.served_at = served_at
        subject.at_gate = False
        subject.stage += 1

    def restore(self, subject: Subject) -> None:
        """After a load: the subject was admitted as far as its stage says."""
        for gate in gates_of(subject)[: subject.stage]:
            group = self._group(subject, gate)
            group.held[subject.key] = subject
            served_at = subject.key if isinstance(subject, Run) else subject.enqueue_key
            group.served_at = max(group.served_at, served_at)

    def set_aside(self, subject: Subject) -> None:
        """It waits no longer; what it was admitted to before stays."""
        group = self.waits_in(subject)
        assert group is not None
        group.drop(subject)
        subject.at_gate = False
        self._changed(group)

    def leave(self, subject: Subject) -> None:
        """Gives up its place and all that it was admitted to (F10.3)."""
        if subject.at_gate:
            self.set_aside(subject)
        for gate in gates_of(subject)[: subject.stage]:
            group = self.groups[name_of(subject, gate)]
            del group.held[subject.key]
            self._changed(group)
        subject.stage = 0

    def take_stirred(self) -> list[Group]:
        """The groups in which something happened since the last time."""
        found = list(self.stirred.values())
        self.stirred.clear()
        return found

    def _group(self, subject: Subject, gate: Gate) -> Group:
        name = name_of(subject, gate)
        group = self.groups.get(name)
        if group is None:
            self._made += 1
            group = self.groups[name] = Group(name, self._made)
        return group

    def _changed(self, group: Group) -> None:
        """Somebody left: others may come in; an empty group is forgotten."""
        if group.held or group.waiting:
            self.stirred[group.name] = group
        else:
            self.groups.pop(group.name, None)
            self.stirred.pop(group.name, None)


def is_competing(run: Run) -> bool:
    """Whether a task of the run holds or awaits a place, or one is still to be created (F2.14).

    A task that waits out the delay before an app retry does neither.
    """
    definition = run.definition
    for step in range(len(definition.tasks)):
        task = run.tasks.get(step)
        if task is None or not (task.status.is_terminal or _has_given_up(task)):
            return True
    return False


def _has_given_up(task: TaskRun) -> bool:
    return task.status is TaskStatus.BACKING_OFF and task.level < LEVEL_INTERNAL


def waiting_tasks(subject: Subject) -> Iterator[TaskRun]:
    """The tasks that wait because the subject does."""
    if isinstance(subject, TaskRun):
        yield subject
        return
    rescue = subject.definition.on_failure_step
    for step in sorted(subject.tasks):
        if step != rescue and subject.tasks[step].status is TaskStatus.QUEUED:
            yield subject.tasks[step]
