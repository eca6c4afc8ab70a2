"""Tasks with rate limits, as users of the official client write them. Every task writes when it begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hatchet_sdk import Context, Hatchet, RateLimit, RateLimitDuration
from pydantic import BaseModel

from tests.compatibility.programs import journal

MINUTE = RateLimitDuration.MINUTE
PAUSE = timedelta(days=1)


class Job(BaseModel):
    """A numbered run of a user."""

    number: int = 0
    user: Any = "ada"
    units: int = 1


def build_metered(hatchet: Hatchet) -> dict[str, Any]:
    """By name."""
    found = {
        "per_second": _task(hatchet, "per_second", RateLimit(static_key="second")),
        "by_user": _task(hatchet, "by_user", RateLimit(dynamic_key="input.user", limit=1, duration=MINUTE)),
        "by_units": _task(hatchet, "by_units", RateLimit(dynamic_key="'units'", units="input.units", limit="5", duration=MINUTE)),
        "of_two": _task(hatchet, "of_two", RateLimit(static_key="plenty", units=2), RateLimit(static_key="single")),
        "never": _task(hatchet, "never", RateLimit(static_key="three", units=5), schedule_timeout=timedelta(seconds=1)),
        "unknown": _task(hatchet, "unknown", RateLimit(static_key="unknown"), schedule_timeout=timedelta(seconds=1)),
    }

    @hatchet.task(name="pauses", input_validator=Job, rate_limits=[RateLimit(static_key="paused")])
    async def pauses(input: Job, ctx: Context) -> dict[str, str]:
        until = await ctx.aio_pause_rate_limit("paused", datetime.now(UTC) + PAUSE)
        return {"until": until.isoformat()}

    return found | {"pauses": pauses}


def _task(hatchet: Hatchet, name: str, *limits: RateLimit, **options: Any) -> Any:
    @hatchet.task(name=name, input_validator=Job, rate_limits=list(limits), **options)
    async def task(input: Job, ctx: Context) -> dict[str, int]:
        journal.write("begun", task=name, **input.model_dump())
        return {"number": input.number}

    return task
