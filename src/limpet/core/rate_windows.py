"""The length of a rate limit's window, and when one that begins at an instant ends: arithmetic of the calendar, never a clock."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from limpet.core.ids import SECOND_US, Instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS_A_YEAR = 12


class RateWindow(IntEnum):
    """How long a rate limit's window is. Numbers as on the wire."""

    SECOND = 0
    MINUTE = 1
    HOUR = 2
    DAY = 3
    WEEK = 4
    MONTH = 5
    YEAR = 6


FIXED_US = {
    RateWindow.SECOND: SECOND_US,
    RateWindow.MINUTE: 60 * SECOND_US,
    RateWindow.HOUR: 3_600 * SECOND_US,
    RateWindow.DAY: 86_400 * SECOND_US,
    RateWindow.WEEK: 7 * 86_400 * SECOND_US,
}


def window_end(window: RateWindow, start: Instant) -> Instant:
    """The end of a window that begins at `start`.

    Months and years are those of the calendar in UTC (F4.13); a day that the month does not have is its last one.
    """
    length = FIXED_US.get(window)
    if length is not None:
        return Instant(start + length)
    begins = EPOCH + timedelta(microseconds=start)
    months = begins.month + (1 if window is RateWindow.MONTH else MONTHS_A_YEAR)
    year, month = begins.year + (months - 1) // MONTHS_A_YEAR, (months - 1) % MONTHS_A_YEAR + 1
    ends = begins.replace(year=year, month=month, day=min(begins.day, monthrange(year, month)[1]))
    return Instant((ends - EPOCH) // timedelta(microseconds=1))
