"""The order of waiting tasks: scheduling classes, and inside each the lanes of `core.lanes`.

A scheduling class is everything that decides where a task may go: action, labels, slots, pin. Tasks of one class
are interchangeable but for their order, so a class whose first task has no place is blocked as a whole: 500
blocked tasks cost one look (PR-16, R39). What tasks take of rate limits decides when, not where, so it parts a class into
lanes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

from limpet.core.definitions import DesiredLabel
from limpet.core.ids import ActionId, ClassId, Instant
from limpet.core.lanes import Front, Head, Lane, Tap
from limpet.core.placement import Pool
from limpet.core.rate_definitions import Demand
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
    """Tasks that may go to the same places, in order. Mutated by `State` only.

    pin:   the worker they belong to; `hard`: nowhere else
    plain: those that take no units of a rate limit; lanes: the others, by what they take
    taps:  the open ones, through which lanes may be placed now
    noted: whether a timer stands for its notices
    """

    __slots__ = ("_tickets", "hard", "id", "key", "lanes", "noted", "pin", "plain", "pool", "size", "taps")

    def __init__(self, key: ClassKey, pool: Pool) -> None:
        self.key: ClassKey = key
        self.id: ClassId = class_id_of(key)
        self.pin: str | None = key[4]
        self.hard: bool = key[5]
        self.pool: Pool = pool
        self.size: int = 0
        self.noted: bool = False
        self.plain: Lane = Lane(self.id)
        self.lanes: dict[Demand, Lane] = {}
        self.taps: Front[Tap] = Front()
        self._tickets = 0

    @property
    def request(self) -> Request:
        return self.key[2]

    def head(self) -> Head | None:
        """The first task that no closed tap holds, and its order."""
        plain = self.plain.head()
        if not self.lanes or (limited := self.taps.first()) is None:
            return plain
        return limited[0] if plain is None or limited[0][0] < plain[0] else plain

    def lane_of(self, task: TaskRun) -> Lane:
        """The lane that the task stands in."""
        return self.lanes[task.demand] if task.demand else self.plain

    def tasks(self, limit: int) -> list[TaskRun]:
        """Some of the tasks that no closed tap holds, roughly the first in order."""
        return [task for _, task in islice(self._entries(), limit)]

    def before(self, order: Order, limit: int) -> int:
        """How many tasks that no closed tap holds stand before that order, counted up to `limit`."""
        return sum(1 for _ in islice((None for other, _ in self._entries() if other < order), limit))

    def _entries(self) -> Iterator[Head]:
        yield from self.plain.entries()
        for tap in self.taps.members():
            for lane in tap.lanes.members():
                yield from lane.entries()

    def push(self, order: Order, task: TaskRun, lane: Lane) -> None:
        self._tickets += 1  # never twice in this class: a run that comes back from the store has other objects for its tasks
        self.size += 1
        lane.push(order, task, self._tickets)
        if lane.tap is not None:
            lane.tap.advanced(lane, order)

    def drop(self, task: TaskRun) -> Lane:
        """Take the task out of its lane."""
        lane = self.lane_of(task)
        lane.drop(task)
        self.size -= 1
        return lane


def base_labels(run: Run, step: int) -> tuple[DesiredLabel, ...]:
    """The label set in force: the trigger's if it gave any, else the definition's (LB-14, LB-15)."""
    return run.desired_labels or run.definition.steps[step].desired_labels
