"""Spans of time as people type them: `90s`, `1h30m`, `7d`, `250ms`."""

from __future__ import annotations

import re

from limpet.cli.exits import Misuse

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def milliseconds(text: str) -> int:
    """The span in milliseconds. Raises Misuse with an example when it is none."""
    compact = text.strip().lower().replace(" ", "")
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise Misuse(f"'{text}' is not a span of time.", "Write a number and a unit, for example 90s, 15m, 1h30m or 7d.")
    return round(sum(float(number) * MILLISECONDS[unit] for number, unit in parts))
