"""Where tasks wait that take units of rate limits: in lanes, behind taps.

A *lane* holds the tasks of one scheduling class that want the same units of the same limits; they are interchangeable but
for their order. A *tap* is where lanes of one class draw one number of units from one bucket. A lane stands behind the tap
of the bucket that last had too few for it; a tap without enough units is closed, and costs nothing until it opens again.
So a hundred thousand tasks that wait for one key are one lane behind one closed tap, and a hundred thousand keys that have
their units are one class: what waits for a worker is looked at once (F10.2, PR-16).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

from limpet.core.buckets import Bucket
from limpet.core.rate_definitions import Demand
from limpet.core.records import Order, TaskRun

SWEEP_MIN = 64  # stale heap entries below this number are not worth a pass

Head = tuple[Order, TaskRun]


class Standing(Protocol):
    """What may stand in a front: where, under which order, and by which entry; all set by the front."""

    front: object
    standing: Order | None
    entry: int

    def head(self) -> Head | None: ...


M = TypeVar("M", bound=Standing)


class Front(Generic[M]):
    """The first of several heads. Each member has one entry that counts."""

    __slots__ = ("_entries", "_heap", "_sweep_at")

    def __init__(self) -> None:
        self._heap: list[tuple[Order, int, M]] = []
        self._entries = 0
        self._sweep_at = SWEEP_MIN

    def stand(self, member: M) -> None:
        """The member stands here now, where its head deserves; one without a head stands nowhere."""
        head = member.head()
        self._entries += 1
        member.front, member.standing, member.entry = self, None if head is None else head[0], self._entries
        if head is not None:
            heappush(self._heap, (head[0], self._entries, member))
            if len(self._heap) > self._sweep_at:
                self._sweep()

    def leave(self, member: M) -> None:
        """The member stands nowhere; its entry goes when it is met."""
        member.front = member.standing = None

    def first(self) -> tuple[Head, M] | None:
        """The member with the first head."""
        while self._heap:
            order, entry, member = self._heap[0]
            if not self._counts(entry, member):
                heappop(self._heap)
                continue
            head = member.head()
            if head is not None and head[0] == order:
                return head, member
            heappop(self._heap)
            self.stand(member)
        return None

    def members(self) -> Iterator[M]:
        """Everybody who stands here, roughly the first in order."""
        return (member for _, entry, member in list(self._heap) if self._counts(entry, member))

    def _counts(self, entry: int, member: M) -> bool:
        return member.front is self and member.entry == entry

    def _sweep(self) -> None:
        self._heap = [each for each in self._heap if self._counts(each[1], each[2])]
        heapify(self._heap)
        self._sweep_at = max(SWEEP_MIN, 2 * len(self._heap))


class Lane:
    """Tasks of one class with one demand, in order. Those without any are the class's plain lane, which has no tap."""

    __slots__ = ("_heap", "class_id", "demand", "entry", "front", "size", "standing", "tap")

    def __init__(self, class_id: int, demand: Demand = ()) -> None:
        self.class_id: int = class_id
        self.demand: Demand = demand
        self.size: int = 0
        self.tap: Tap | None = None
        self.front: object = None
        self.standing: Order | None = None
        self.entry: int = 0
        self._heap: list[tuple[Order, int, TaskRun]] = []

    def head(self) -> Head | None:
        """The first task and its order."""
        while self._heap:
            order, ticket, task = self._heap[0]
            if self._stands(task, ticket):
                return order, task
            heappop(self._heap)
        return None

    def _stands(self, task: TaskRun, ticket: int) -> bool:
        """Whether a heap entry still means its task: tickets are unique in one class, not over all of them."""
        return task.ticket == ticket and task.in_queue and task.class_id == self.class_id

    def entries(self) -> Iterator[Head]:
        """Its tasks, roughly the first in order."""
        return ((order, task) for order, ticket, task in self._heap if self._stands(task, ticket))

    def push(self, order: Order, task: TaskRun, ticket: int) -> None:
        task.ticket, task.in_queue, task.class_id = ticket, True, self.class_id
        self.size += 1
        if self.tap is not None:
            self.tap.count(1)
        heappush(self._heap, (order, ticket, task))

    def drop(self, task: TaskRun) -> None:
        """Take the task out; its heap entry goes when it is met, or in a sweep once most are stale."""
        assert task.in_queue
        assert task.class_id == self.class_id
        task.in_queue = False
        self.size -= 1
        if self.tap is not None:
            self.tap.count(-1)
        if len(self._heap) > 2 * self.size + SWEEP_MIN:
            self._heap = [entry for entry in self._heap if self._stands(entry[2], entry[1])]
            heapify(self._heap)


class Tap:
    """Where lanes of one class draw `units` from a bucket. Closed: the bucket cannot give them now.

    open_taps: the front of its class, in which it stands while it is open
    noted:     whether a timer stands for the notices of those who wait at it
    waiting:   tasks of its lanes
    """

    __slots__ = (
        "bucket", "class_id", "entry", "front", "is_open", "lanes", "noted", "open_taps", "size", "standing", "units", "waiting",
    )  # fmt: skip

    def __init__(self, class_id: int, bucket: Bucket, units: int, open_taps: Front[Tap]) -> None:
        self.class_id: int = class_id
        self.bucket: Bucket = bucket
        self.units: int = units
        self.open_taps: Front[Tap] = open_taps
        self.lanes: Front[Lane] = Front()
        self.size: int = 0  # lanes
        self.waiting: int = 0
        self.is_open: bool = True
        self.noted: bool = False
        self.front: object = None
        self.standing: Order | None = None
        self.entry: int = 0

    def head(self) -> Head | None:
        """The first task of all its lanes."""
        first = self.lanes.first()
        return None if first is None else first[0]

    def tasks(self) -> Iterator[TaskRun]:
        """Those who wait at it, roughly the first in order."""
        return (task for lane in self.lanes.members() for _, task in lane.entries())

    def join(self, lane: Lane) -> None:
        """The lane stands behind this tap from now on."""
        lane.tap = self
        self.size += 1
        self.count(lane.size)
        self.lanes.stand(lane)
        self._stand_up()

    def quit(self, lane: Lane) -> None:
        """The lane goes elsewhere, or is empty."""
        assert lane.tap is self
        lane.tap = None
        self.size -= 1
        self.count(-lane.size)
        self.lanes.leave(lane)

    def advanced(self, lane: Lane, order: Order) -> None:
        """A task with that order has joined the lane: it may be the first now."""
        if lane.standing is None or order < lane.standing:
            self.lanes.stand(lane)
            self._stand_up()

    def count(self, tasks: int) -> None:
        """So many more tasks stand here, or fewer; behind a closed tap they wait for its bucket."""
        self.waiting += tasks
        if not self.is_open:
            self.bucket.holds(tasks)

    def open(self) -> None:
        if not self.is_open:
            self.bucket.holds(-self.waiting)
        self.is_open = True
        self._stand_up()

    def close(self) -> None:
        if self.is_open:
            self.bucket.holds(self.waiting)
        self.is_open = False
        self.open_taps.leave(self)

    def _stand_up(self) -> None:
        """Into its class's front, if it is open and better than it stands there."""
        head = self.head() if self.is_open else None
        if head is not None and (self.standing is None or head[0] < self.standing):
            self.open_taps.stand(self)
