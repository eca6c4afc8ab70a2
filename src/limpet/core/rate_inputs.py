"""What can happen to rate limits, in the past tense; the laws of `core.inputs` hold here too."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.ids import Instant
from limpet.core.rate_windows import RateWindow


@dataclass(frozen=True, slots=True)
class RateLimitPut:
    """Somebody set a rate limit: a new one, or another limit and window for one that exists (F4.1, F4.2). Reply: None."""

    name: str
    limit: int
    window: RateWindow


@dataclass(frozen=True, slots=True)
class RateLimitPaused:
    """No unit is given until then; an instant that has passed ends a pause. Reply: until when it is paused, or `NotFound`.

    Of two pauses the later end counts: two tasks may both have been told to wait.
    """

    name: str
    until: Instant


@dataclass(frozen=True, slots=True)
class RateLimitDeleted:
    """Reply: None, or `NotFound`. Tasks that wait for it go on waiting, unless they set it themselves (F4.8)."""

    name: str


RateLimitInput = RateLimitPut | RateLimitPaused | RateLimitDeleted
