"""The trace that a run belongs to, as its metadata name it (W9.3, the W3C's Trace Context).

A trigger without a valid `traceparent` gets one made from its run's id. It is not stored: whoever reads the run's metadata
sees the same one, and children carry it on, because workers hand their metadata down.
"""

from __future__ import annotations

import re

import orjson

from limpet.edges import json_text

KEY = "traceparent"
_VALID = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_QUOTED = json_text.quoted(KEY)


def traced(metadata: bytes | None, run_id: str) -> bytes:
    """The metadata of a run, a JSON object, with its `traceparent`; one that is there and valid is kept."""
    text = metadata or json_text.EMPTY_OBJECT
    if _QUOTED in text and _is_valid(orjson.loads(text).get(KEY)):
        return text
    return json_text.with_members(text, {KEY: traceparent(run_id)})


def traceparent(run_id: str) -> str:
    """Of a run that nobody put into a trace: its id is the trace's, the id's second half the span's."""
    digits = run_id.replace("-", "")
    return f"00-{digits}-{digits[16:]}-01"


def _is_valid(value: object) -> bool:
    return isinstance(value, str) and _VALID.fullmatch(value) is not None
