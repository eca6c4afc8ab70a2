"""Instants as protobuf timestamps."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from limpet.core.ids import SECOND_US

LAST_SECOND = 253_402_300_799  # the end of the year 9999, where timestamps end


def timestamp(at: int) -> Timestamp:
    """Microseconds as a timestamp."""
    seconds, rest = divmod(at, SECOND_US)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def instant(stamp: Timestamp) -> int | None:
    """Microseconds; None when it lies outside the years 1970 to 9999."""
    if not 0 <= stamp.seconds <= LAST_SECOND or not 0 <= stamp.nanos < 1_000_000_000:
        return None
    return stamp.seconds * SECOND_US + stamp.nanos // 1000
