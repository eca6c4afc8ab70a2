"""One rate limit as it stands in memory: how many units are left, and when they are back (flow control section 4c).

Laws:
1. A window begins with the first unit taken from a full bucket, and when it ends all units are back: none carry over.
   So in any span as long as a window at most twice the limit is taken, and after a pause as long exactly the limit (F4.16).
2. While tasks wait for a bucket, only its timer fills it again, so that those who wait are served before those who come.
"""

from __future__ import annotations

from typing import NamedTuple

from limpet.core.ids import Instant, TenantNo
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rate_windows import RateWindow, window_end


class Level(NamedTuple):
    """How full a bucket is; what a plan changes, and gives back when it is undone."""

    value: int
    refilled_at: Instant
    refill_at: Instant | None


class Held:
    """How many tasks wait for units of any rate limit of a tenant; kept by its buckets, so that nobody has to count."""

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks: int = 0


class Bucket:
    """A rate limit by name, also one that does not exist. Mutated by `Rates` only.

    key:        of its row; None: there is none
    is_read:    whether the store has been asked for it
    uses:       unfinished runs that name it
    is_awaited: whether tasks wait because it cannot give them their units
    watched_at: the timer entry that counts
    waiting:    tasks that wait because it cannot give them their units
    """

    __slots__ = (
        "created_at", "held", "is_awaited", "is_read", "key", "level", "limit", "name", "paused_until", "uses", "waiting",
        "watched_at", "window",
    )  # fmt: skip

    def __init__(self, name: str, held: Held) -> None:
        self.name: str = name
        self.held: Held = held
        self.key: int | None = None
        self.is_read: bool = False
        self.limit: int = 0
        self.window: RateWindow = RateWindow.MINUTE
        self.level: Level = Level(0, Instant(0), None)
        self.paused_until: Instant | None = None
        self.created_at: Instant = Instant(0)
        self.uses: int = 0
        self.is_awaited: bool = False
        self.watched_at: Instant | None = None
        self.waiting: int = 0

    @property
    def exists(self) -> bool:
        return self.key is not None

    @property
    def value(self) -> int:
        """Units that are left."""
        return self.level.value

    def holds(self, tasks: int) -> None:
        """So many more tasks wait for it, or fewer."""
        self.waiting += tasks
        self.held.tasks += tasks

    def is_paused(self, now: Instant) -> bool:
        return self.paused_until is not None and (self.is_awaited or self.paused_until > now)

    def gives(self, units: int, now: Instant) -> bool:
        """Whether that many units may be taken now."""
        if not self.is_awaited:
            self.refill_if_due(now)
        return self.exists and not self.is_paused(now) and self.level.value >= units

    def pass_time(self, now: Instant) -> None:
        """What its timer brings: the end of a pause, and of a window."""
        if self.paused_until is not None and self.paused_until <= now:
            self.paused_until = None
        self.refill_if_due(now)

    def refill_if_due(self, now: Instant) -> None:
        """All units are back when the window is over (F4.12)."""
        due = self.level.refill_at
        if due is not None and due <= now:
            self.level = Level(self.limit, due, None)

    def take(self, units: int, now: Instant) -> Level:
        """Spend the units; the level before. More than are left is a bug and asserts."""
        before = self.level
        assert 0 <= units <= before.value, f"rate limit {self.name!r} has {before.value} units left, {units} are taken"
        if units and before.refill_at is None:
            self.level = Level(before.value - units, now, window_end(self.window, now))
        else:
            self.level = before._replace(value=before.value - units)
        return before

    def set(self, limit: int, window: RateWindow, now: Instant) -> bool:
        """Another limit and window, at once; what is left never grows by that (F4.2). Returns whether anything changed."""
        if self.exists and (limit, window) == (self.limit, self.window):
            return False
        self.refill_if_due(now)
        left = min(self.level.value, limit) if self.exists else limit
        begins = self.level.refilled_at if self.level.refill_at is not None else now
        self.limit, self.window = limit, window
        self.level = Level(left, begins, None if left == limit else window_end(window, begins))
        return True

    def next_at(self, now: Instant) -> Instant | None:
        """When time alone lets those who wait go on; None: never."""
        return self.paused_until if self.is_paused(now) else self.level.refill_at

    def restore(self, row: RateLimitRow) -> None:
        """What the store knows."""
        self.key, self.is_read = row.key, True
        self.limit, self.window = row.limit_value, RateWindow(row.window_unit)
        refill_at = None if row.refill_at is None else Instant(row.refill_at)
        self.level = Level(row.value, Instant(row.refilled_at), refill_at)
        self.paused_until = None if row.paused_until is None else Instant(row.paused_until)
        self.created_at = Instant(row.created_at)

    def row(self, tenant_no: TenantNo) -> RateLimitRow:
        """As it is stored."""
        assert self.key is not None
        value, refilled_at, refill_at = self.level
        return RateLimitRow(
            self.key, tenant_no, self.name, self.limit, value, self.window, refilled_at, refill_at, self.paused_until,
            self.created_at,
        )  # fmt: skip
