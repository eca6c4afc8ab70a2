"""What a core remembers of its crons and scheduled runs: when the first is due. The rows themselves stay in the store.

Laws:
1. Memory holds one instant, however much is planned (R53). When it has come, the step asks the store for what is due; the
   rows live for that step, are changed here, and go back as rows of the same commit as the runs they start (I3).
2. `due_at` may be too early, which costs one look-up, and is never too late.
"""

from __future__ import annotations

from limpet.core.decision import Changes
from limpet.core.ids import Instant
from limpet.core.timetable_rows import CronRow, ScheduleRow, TimetableFound, TimetableNeeds, earliest


class Timetable:
    """One owner: `State`.

    loaded_at: since when this core can see what is due (F6.6)
    found:     the rows of the step under way, by id, as they stand by now
    """

    due_at: int | None
    loaded_at: Instant
    found: TimetableFound

    def __init__(self, due_at: int | None, loaded_at: Instant) -> None:
        self.due_at, self.loaded_at = due_at, loaded_at
        self.begin(TimetableFound())

    def begin(self, found: TimetableFound) -> None:
        """Start a step with the rows it needs."""
        self.found = found
        self._crons: dict[int, CronRow | None] = {}
        self._schedules: dict[int, ScheduleRow | None] = {}
        self._born: set[int] = set()

    def ask(self, needs: TimetableNeeds, now: Instant, limit: int) -> None:
        """Ask for what is due, if anything may be."""
        if self.due_at is not None and self.due_at <= now:
            needs.due_until, needs.due_max = now, limit

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
        self.due_at = earliest(known, *due)
