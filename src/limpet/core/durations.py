"""Duration texts as they stand on the wire and in definitions: `1h30m`, `500ms`, `1.5h` (TO-1).

Laws:
1. Whole microseconds throughout, never a float: a fraction of a microsecond is cut off.
2. What `format_duration` writes, `parse_duration` reads back as the same number.
"""

from __future__ import annotations

import re

from limpet.core.errors import InvalidArgument

UNITS_US = {"h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000}  # the largest first, as they are written
DURATION_TEXT_MAX = 64  # a dozen components fit; it bounds the integers that are made of the digits
DURATION_MAX_US = 100 * 365 * 24 * 3_600_000_000  # a century; instants stay far below what a store's integers hold
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|s|m|h)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str, what: str = "duration") -> int:
    """Microseconds of a text like `1h30m`; components add up. Raises InvalidArgument with a sentence about `what`."""
    if len(text) > DURATION_TEXT_MAX or not _WHOLE.fullmatch(text):
        raise InvalidArgument(f"{what} {text[:DURATION_TEXT_MAX]!r} is not usable; write numbers with ms, s, m or h, as in 1h30m")
    total = sum(_component_us(number, unit) for number, unit in _PART.findall(text))
    if total > DURATION_MAX_US:
        raise InvalidArgument(f"{what} {text!r} is too long; at most {format_duration(DURATION_MAX_US)}")
    return total


def format_duration(us: int) -> str:
    """The shortest usual text: `2s`, `1h30m`, `500ms`, `1.5ms`; `0s` for nothing. `us` must not be negative."""
    assert us >= 0, us
    text = ""
    for unit, size in UNITS_US.items():
        count, us = divmod(us, size)
        if unit == "ms" and us:
            text += f"{count}.{us:03d}".rstrip("0") + "ms"
        elif count:
            text += f"{count}{unit}"
    return text or "0s"


def _component_us(number: str, unit: str) -> int:
    whole, _, fraction = number.partition(".")
    size, denominator = UNITS_US[unit], int("1" + "0" * len(fraction))
    return int(whole or "0") * size + int(fraction or "0") * size // denominator
