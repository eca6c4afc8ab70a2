"""The order of waiting tasks: scheduling classes, and inside each a heap.

A scheduling class is everything that decides where a task may go: action, labels, slots, pin. Tasks of one class
are interchangeable but for their order, so a class whose first task has no place is blocked as a whole: 500
blocked tasks cost one look (PR-16, R39).
"""

from __future__ import annotations

from hashlib import blake2b
from heapq import heapify, heappop, heappush

from limpet.core.definitions import DesiredLabel
from limpet.core.ids import ActionId, ClassId, Instant
from limpet.core.placement import Pool
from limpet.core.records import Order, Run, TaskRun
from limpet.core.settings import Settings
from limpet.core.slots import Request

LEVEL_INTERNAL = 4  # ahead of all first attempts: what lost its place without its own doing (PR-21)
LEVEL_MAX_AGED = 3
NEVER_STARTED = (1 << 62) - 1

ClassKey = tuple[ActionId, tuple[DesiredLabel, ...], Request, frozenset[ActionId] | None, str | None, bool]


def order_of(task: TaskRun, now: Instant, settings: Settings) -> Order:
    """The place of a task among all that wait, smallest first.

    Level descending; inside level 4 declared priority descending; with `depth_first` the run that started first;
    then original enqueue order (PR-10, PR-11, PR-21).
    """
    level = aged_level(task, now, settings)
    declared = task.run.priority if level >= LEVEL_INTERNAL else 0
    started = 0
    if settings.depth_first:
        started = task.run.started_at if task.run.started_at is not None else NEVER_STARTED
    return (-level, -declared, started, task.enqueue_key)


def aged_level(task: TaskRun, now: Instant, settings: Settings) -> int:
    """The task's level plus one for each ageing interval it has waited, at most 3 (PR-15)."""
    if settings.priority_age_us <= 0 or task.level >= LEVEL_MAX_AGED:
        return task.level
    return min(LEVEL_MAX_AGED, task.level + (now - task.queued_at) // settings.priority_age_us)


def class_id_of(key: ClassKey) -> ClassId:
    """A stable 63-bit number for a class key: a stored column, the same in every process (R39)."""
    action, labels, request, whole, pin, hard = key
    text = repr((action, labels, request, sorted(whole) if whole else None, pin, hard))
    return ClassId(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1)


class SchedulingClass:
    """Tasks that may go to the same places, in order. Mutated by `Queues` only.

    pin:   the worker they belong to; `hard`: nowhere else
    noted: whether a timer stands for its notices
    """

    __slots__ = ("_heap", "_tickets", "hard", "id", "key", "noted", "pin", "pool", "size")

    def __init__(self, key: ClassKey, pool: Pool) -> None:
        self.key: ClassKey = key
        self.id: ClassId = class_id_of(key)
        self.pin: str | None = key[4]
        self.hard: bool = key[5]
        self.pool: Pool = pool
        self.size: int = 0
        self.noted: bool = False
        self._heap: list[tuple[Order, int, TaskRun]] = []
        self._tickets = 0

    @property
    def request(self) -> Request:
        return self.key[2]

    def head(self) -> tuple[Order, TaskRun] | None:
        """The first task and its order."""
        while self._heap:
            order, ticket, task = self._heap[0]
            if self._stands(task, ticket):
                return order, task
            heappop(self._heap)
        return None

    def _stands(self, task: TaskRun, ticket: int) -> bool:
        """Whether a heap entry still means its task: tickets are unique in one class, not over all of them."""
        return task.ticket == ticket and task.in_queue and task.class_id == self.id

    def tasks(self, limit: int) -> list[TaskRun]:
        """Some waiting tasks, roughly the first in order."""
        found = []
        for _, ticket, task in self._heap:
            if self._stands(task, ticket):
                found.append(task)
                if len(found) >= limit:
                    break
        return found

    def before(self, order: Order, limit: int) -> int:
        """How many of its tasks stand before that order, counted up to `limit`."""
        count = 0
        for other, ticket, task in self._heap:
            if other < order and self._stands(task, ticket):
                count += 1
                if count >= limit:
                    break
        return count

    def push(self, order: Order, task: TaskRun) -> None:
        self._tickets += 1  # never twice in this heap: a run that comes back from the store has other objects for its tasks
        task.ticket = self._tickets
        task.in_queue, task.class_id = True, self.id
        self.size += 1
        heappush(self._heap, (order, task.ticket, task))

    def drop(self, task: TaskRun) -> None:
        """Take the task out; its heap entry goes when it is met, or in a sweep once most are stale."""
        assert task.in_queue
        assert task.class_id == self.id
        task.in_queue = False
        self.size -= 1
        if len(self._heap) > 2 * self.size + 64:
            self._heap = [entry for entry in self._heap if self._stands(entry[2], entry[1])]
            heapify(self._heap)


def base_labels(run: Run, step: int) -> tuple[DesiredLabel, ...]:
    """The label set in force: the trigger's if it gave any, else the definition's (LB-14, LB-15)."""
    return run.desired_labels or run.definition.steps[step].desired_labels
