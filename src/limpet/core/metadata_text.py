"""A value of metadata as filters compare it (W9.4): stores and edges must say the same."""

from __future__ import annotations

import orjson


def text_of(value: object) -> str:
    """A text as it is, anything else as its JSON."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return ""  # it nests deeper than can be written; no filter means such a value
