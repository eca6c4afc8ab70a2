"""The rate limits of a tenant in memory, and the taps behind which tasks wait for their units (decision 0022).

Laws:
1. Memory holds the limits that unfinished runs name, and some that were used lately; the others stay in the store (S2). A
   limit that a step turns out to need is marked unread, and the next step begins with asking for it (R52).
2. What is spent goes into the rows of the commit that assigns the task (R23).
3. A closed tap's bucket cannot give its units now; whatever changes that opens it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from limpet.core.buckets import Bucket, Held, Level
from limpet.core.decision import Changes
from limpet.core.ids import Instant, TenantNo
from limpet.core.lanes import Lane, Tap
from limpet.core.queue import SchedulingClass
from limpet.core.rate_definitions import Demand
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rate_windows import RateWindow
from limpet.core.records import Order

TapName = tuple[int, int]  # class id, units
Spent = tuple[tuple[Bucket, Level], ...]
"""What a plan has taken: the buckets, and how full they were before."""


class Rates:
    """One owner: `State`."""

    def __init__(self, idle_max: int) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.unread: dict[str, Bucket] = {}
        self.held: Held = Held()
        self._idle: dict[str, Bucket] = {}  # named by no unfinished run; the one that was used last stands last
        self._idle_max = idle_max
        self._taps: dict[str, dict[TapName, Tap]] = {}
        self._changed: dict[str, Bucket] = {}
        self._dropped: list[int] = []
        self._born: set[int] = set()
        self._declared: dict[str, tuple[int, RateWindow]] = {}

    # The step under way

    def begin(self, found: Mapping[str, RateLimitRow | None]) -> list[Bucket]:
        """Start a step with what the store knew of the limits it was asked for; those that were read by this."""
        self._changed.clear()
        self._dropped.clear()
        self._born.clear()
        self._declared.clear()
        return [self._read(name, found[name]) for name in sorted(found) if not self.is_read(name)]

    def _read(self, name: str, row: RateLimitRow | None) -> Bucket:
        bucket = self.bucket(name)
        self.unread.pop(name, None)
        bucket.is_read = True
        if row is not None:
            bucket.restore(row)
        return bucket

    def is_read(self, name: str) -> bool:
        """Whether memory knows what the store knows of the limit."""
        bucket = self.buckets.get(name)
        return bucket is not None and bucket.is_read

    def missing(self, names: Iterable[str]) -> Iterator[str]:
        """Those of the names that the store must be asked for."""
        return (name for name in names if not self.is_read(name))

    def changed(self, bucket: Bucket) -> None:
        """Its row must be written."""
        self._changed[bucket.name] = bucket

    def collect(self, changes: Changes, tenant_no: TenantNo) -> None:
        """Turn what changed into rows; then forget what memory has too much of."""
        if self._changed:
            changes.rate_limits += [bucket.row(tenant_no) for bucket in self._changed.values() if bucket.exists]
        changes.rate_limits_dropped += self._dropped
        self._forget_idle()

    # Buckets

    def bucket(self, name: str) -> Bucket:
        """By name; one that memory lacks is read before the next step."""
        bucket = self.buckets.get(name)
        if bucket is None:
            bucket = self.buckets[name] = self.unread[name] = self._idle[name] = Bucket(name, self.held)
        return bucket

    def create(self, bucket: Bucket, key: int, limit: int, window: RateWindow, now: Instant) -> None:
        """A limit that did not exist."""
        bucket.set(limit, window, now)
        bucket.key, bucket.created_at = key, now
        self._born.add(key)
        self.changed(bucket)

    def drop(self, bucket: Bucket) -> None:
        """The limit exists no longer."""
        assert bucket.key is not None
        if bucket.key not in self._born:
            self._dropped.append(bucket.key)
        bucket.key, bucket.paused_until = None, None
        bucket.level = Level(0, Instant(0), None)

    def declare(self, name: str, limit: int, window: RateWindow) -> tuple[int, RateWindow]:
        """What tasks of one step want a limit to be, together: the smaller limit, the longer window (F4.9)."""
        known = self._declared.get(name)
        if known is not None:
            limit, window = min(limit, known[0]), max(window, known[1])
        self._declared[name] = (limit, window)
        return limit, window

    def hold(self, names: Iterable[str]) -> None:
        """An unfinished run names these limits: they stay in memory."""
        for name in names:
            bucket = self.bucket(name)
            bucket.uses += 1
            self._idle.pop(name, None)

    def let_go(self, names: Iterable[str]) -> None:
        """The run has ended."""
        for name in names:
            bucket = self.buckets[name]
            bucket.uses -= 1
            if not bucket.uses:
                self._idle[name] = bucket

    def _forget_idle(self) -> None:
        while len(self._idle) > self._idle_max:
            name = next(iter(self._idle))
            del self._idle[name], self.buckets[name]
            self.unread.pop(name, None)

    # Lanes and taps

    def lane_for(self, cls: SchedulingClass, demand: Demand) -> Lane:
        """Where tasks of the class with that demand stand."""
        if not demand:
            return cls.plain
        lane = cls.lanes.get(demand)
        if lane is None:
            lane = cls.lanes[demand] = Lane(cls.id, demand)
            name, units = demand[0]
            self._tap(cls, name, units).join(lane)
        return lane

    def left(self, cls: SchedulingClass, lane: Lane) -> None:
        """A task has left the lane; an empty one is forgotten."""
        if lane.tap is not None and not lane.size:
            del cls.lanes[lane.demand]
            self._quit(lane, lane.tap)

    def short(self, demand: Demand, now: Instant) -> tuple[Bucket, int] | None:
        """The first limit that cannot give its units now, and those; None: all can (F4.11)."""
        for name, units in demand:
            bucket = self.buckets[name]
            if not bucket.gives(units, now):
                return bucket, units
        return None

    def close(self, cls: SchedulingClass, lane: Lane, bucket: Bucket, units: int) -> Tap | None:
        """The first task of the lane cannot have its units: it waits behind that bucket's tap. The tap, if it was open."""
        tap = self._tap(cls, bucket.name, units)
        if lane.tap is not tap:
            assert lane.tap is not None
            self._quit(lane, lane.tap)
            tap.join(lane)
        if not tap.is_open:
            return None
        tap.close()
        bucket.is_awaited = True
        return tap

    def open(self, tap: Tap) -> None:
        """Its lanes may be placed again."""
        tap.open()
        self._review(tap.bucket)

    def open_fitting(self, bucket: Bucket, now: Instant) -> list[Tap]:
        """The bucket has more than before: the taps that this opens."""
        closed = [tap for tap in self.taps_of(bucket) if not tap.is_open]
        opened = [tap for tap in closed if bucket.gives(tap.units, now)]
        for tap in opened:
            tap.open()
        self._review(bucket)
        return opened

    def taps_of(self, bucket: Bucket) -> list[Tap]:
        """Where tasks wait that want its units."""
        return list(self._taps.get(bucket.name, {}).values())

    def waiting_before(self, bucket: Bucket, order: Order, limit: int) -> int:
        """How many tasks before that order wait because the bucket has not their units, counted up to `limit`."""
        closed = (tap for tap in self.taps_of(bucket) if not tap.is_open)
        entries = (entry for tap in closed for lane in tap.lanes.members() for entry in lane.entries())
        return sum(1 for _ in islice((None for other, _ in entries if other < order), limit))

    def take(self, demand: Demand, now: Instant) -> Spent:
        """Spend the units of one attempt, all of them (F4.10)."""
        return tuple((bucket, bucket.take(units, now)) for name, units in demand for bucket in (self.buckets[name],))

    def give_back(self, spent: Spent) -> None:
        """Undo a `take`; the last one first."""
        for bucket, level in spent:
            bucket.level = level

    def _tap(self, cls: SchedulingClass, name: str, units: int) -> Tap:
        taps = self._taps.setdefault(name, {})
        tap = taps.get((cls.id, units))
        if tap is None:
            tap = taps[cls.id, units] = Tap(cls.id, self.buckets[name], units, cls.taps)
        return tap

    def _quit(self, lane: Lane, tap: Tap) -> None:
        """An empty tap is forgotten."""
        tap.quit(lane)
        if tap.size:
            return
        name = tap.bucket.name
        tap.close()
        del self._taps[name][tap.class_id, tap.units]
        if not self._taps[name]:
            del self._taps[name]
        self._review(tap.bucket)

    def _review(self, bucket: Bucket) -> None:
        bucket.is_awaited = any(not tap.is_open for tap in self._taps.get(bucket.name, {}).values())
