"""The same post again is a replay, not a second event (X20). What tells is the store: a post's event is named by its signature.

A signature over a time is never made twice by an honest sender, so it names one event for good. Another is the same for the
same body, so it names an event of the span of ten minutes in which it came; that of the span before counts while it is
younger than that.
"""

from __future__ import annotations

from hashlib import sha256

KEPT_S = 600.0  # twice what a signed time may be off [X20]


def request_ids(webhook_id: str, signature: str, now_s: float, *, is_timed: bool) -> tuple[str, ...]:
    """What a post that comes now is called, and what the same one would have been called in the last ten minutes."""
    if is_timed:
        return (_name(webhook_id, signature),)
    span = int(now_s // KEPT_S)
    return _name(webhook_id, signature, span), _name(webhook_id, signature, span - 1)


def _name(*parts: object) -> str:
    return "webhook " + sha256("\n".join(map(str, parts)).encode()).hexdigest()
