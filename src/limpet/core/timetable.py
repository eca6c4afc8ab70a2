"""What a core remembers of its crons and scheduled runs: when the first is due. The rows themselves stay in the store.

Laws:
1. Memory holds one instant, however much is planned (R53). When it has come, the step asks the store for what is due; the
   rows live for that step, are changed here, and go back as rows of the same commit as the runs they start (I3).
2. `due_at` may be too early, which costs one look-up, and is never too late.
"""

from __future__ import annotations

from limpet.core.clock_starts import KEYS_WAIT_US, STARTS_AT_ONCE_MAX
from limpet.core.decision import Changes
from limpet.core.ids import Instant
from limpet.core.limits_view import StartAsked
from limpet.core.timetable_rows import CronRow, ScheduleRow, TimetableFound, TimetableNeeds, earliest


class Timetable:
    """One owner: `State`.

    loaded_at:   since when this core can see what is due (F6.6)
    asked_until: until when an edge may take to compute keys; meanwhile nothing that is due is looked up
    found:       the rows of the step under way, by id, as they stand by now
    asked:       the starts of the step under way that wait for keys
    started:     ids of scheduled runs that have started in the step under way
    """

    due_at: int | None
    loaded_at: Instant
    found: TimetableFound

    def __init__(self, due_at: int | None, loaded_at: Instant) -> None:
        self.due_at, self.loaded_at = due_at, loaded_at
        self.asked_until: Instant | None = None
        self.begin(TimetableFound())

    def begin(self, found: TimetableFound) -> None:
        """Start a step with the rows it needs."""
        self.found = found
        self._crons: dict[int, CronRow | None] = {}
        self._schedules: dict[int, ScheduleRow | None] = {}
        self._born: set[int] = set()
        self._left: list[int] = []
        self.asked: list[StartAsked] = []
        self.started: set[str] = set()

    def ask(self, needs: TimetableNeeds, now: Instant, limit: int) -> None:
        """Ask for what is due, if anything may be."""
        if self.wake_at is not None and self.wake_at <= now:
            needs.due_until, needs.due_max = now, limit

    @property
    def wake_at(self) -> Instant | None:
        """When time alone brings something: not before an edge has had its time to answer."""
        if self.due_at is None:
            return None
        return Instant(self.due_at if self.asked_until is None else max(self.due_at, self.asked_until))

    def want_keys(self, start: StartAsked, now: Instant) -> None:
        """The row stays due. An edge computes the keys of a batch; the rest is asked for when they have come."""
        assert start.due_at is not None
        self._left.append(start.due_at)
        is_waiting = self.asked_until is not None and now < self.asked_until
        if not is_waiting and len(self.asked) < STARTS_AT_ONCE_MAX:
            self.asked.append(start)

    def close_asking(self, now: Instant) -> tuple[StartAsked, ...]:
        """What the step asks for; from now on the answer is waited for."""
        if self.asked:
            self.asked_until = Instant(now + KEYS_WAIT_US)
        return tuple(self.asked)

    def put_cron(self, row: CronRow, *, is_new: bool = False) -> None:
        """The cron as it stands from now on."""
        self.found.crons[row.id] = row
        self._crons[row.key] = row
        if is_new:
            self._born.add(row.key)

    def drop_cron(self, row: CronRow) -> None:
        self.found.crons.pop(row.id, None)
        self._crons[row.key] = None

    def put_schedule(self, row: ScheduleRow, *, is_new: bool = False) -> None:
        """The scheduled run as it stands from now on."""
        self.found.schedules[row.id] = row
        self._schedules[row.key] = row
        if is_new:
            self._born.add(row.key)

    def drop_schedule(self, row: ScheduleRow) -> None:
        self.found.schedules.pop(row.id, None)
        self._schedules[row.key] = None

    def collect(self, changes: Changes) -> None:
        """Turn what changed into rows; what came and went within the step leaves none."""
        if not self._crons and not self._schedules and self.found.read_until is None:
            return
        changes.crons += [row for row in self._crons.values() if row is not None]
        changes.schedules += [row for row in self._schedules.values() if row is not None]
        changes.crons_dropped += [key for key, row in self._crons.items() if row is None and key not in self._born]
        changes.schedules_dropped += [key for key, row in self._schedules.items() if row is None and key not in self._born]
        known = self.due_at if self.found.read_until is None else self.found.next_at
        due = (*(row.next_at for row in self._crons.values() if row), *(row.at for row in self._schedules.values() if row))
        self.due_at = earliest(known, *due, *self._left)
