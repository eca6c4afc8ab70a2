"""Durations as users write them and as the wire carries them.

On the wire a duration is one or more `<number><unit>` parts, units ms, s, m, h (W2.12). A `timedelta` becomes the
largest whole unit; what is no whole second goes as milliseconds, because a value cut down to `0h` would expire at
once (TO-2).
"""

from __future__ import annotations

import math
import re
from datetime import timedelta

Duration = timedelta | str

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def duration_text(duration: Duration, *, what: str = "a duration") -> str:
    """The wire text of a duration that must be longer than nothing.

    what:   the name of the option, for the error sentence
    errors: ValueError when the duration is zero, negative, or a text in no known form
    """
    if isinstance(duration, str):
        if parse_duration(duration, what=what) <= timedelta(0):
            raise ValueError(f"{what} is {duration!r}, but it must be longer than zero.")
        return duration
    if duration <= timedelta(0):
        raise ValueError(f"{what} is {duration!r}, but it must be longer than zero.")
    return _text_of_ms(max(1, math.ceil(duration / timedelta(milliseconds=1))))


def parse_duration(text: str, *, what: str = "a duration") -> timedelta:
    """The duration of a wire text such as `90s`, `1h30m` or `500ms`. Raises ValueError for any other form."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{what} is {text!r}; write a number and a unit (ms, s, m, h), for example '90s' or '1h30m'.")
    return timedelta(milliseconds=sum(float(number) * _UNIT_MS[unit] for number, unit in _PART.findall(text)))


def as_timedelta(duration: Duration, *, what: str = "a duration") -> timedelta:
    """A timedelta, whatever form the user chose."""
    return parse_duration(duration, what=what) if isinstance(duration, str) else duration


def _text_of_ms(total_ms: int) -> str:
    for unit in ("h", "m", "s"):
        if total_ms % _UNIT_MS[unit] == 0:
            return f"{total_ms // _UNIT_MS[unit]}{unit}"
    return f"{total_ms}ms"
