"""Flow control in the soak, for either client: what is limited, awaited, started by events and at an instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

METERED_PER_S = 2  # more than is asked for, so that a line forms only after an outage
LIMITED_KEYS, LIMITED_AT_ONCE = 2, 2
LONGEST_SLEEP_S = 1.0
Body = Callable[..., Any]


class Names:
    """Of one client, so that both can work on one engine."""

    def __init__(self, kind: str) -> None:
        self.metered, self.heard, self.go = f"{kind}-metered", f"{kind}:heard", f"{kind}:go"


def build_flow(kind: str, sdk: Any, client: Any, order: type, body: Body, patient: dict[str, Any]) -> dict[str, Any]:
    """Workflows by their kind. `body` is what every task does, with the seconds that it takes."""
    names = Names(kind)

    def task(name: str, seconds: float = 0.0, **more: Any) -> Any:
        @client.task(name=f"{kind}-{name}", input_validator=order, **patient, **more)
        async def work(given: Any, ctx: Any) -> dict[str, Any]:
            return await body(ctx, given, seconds or given.seconds)

        return work

    key = sdk.ConcurrencyExpression(
        expression=f"string(int(input.number) % {LIMITED_KEYS})",
        max_runs=LIMITED_AT_ONCE,
        limit_strategy=sdk.ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN,
    )
    return {
        "metered": task("metered", 0.01, rate_limits=[sdk.RateLimit(static_key=names.metered)]),
        "limited": task("limited", concurrency=key),
        "heard": task("heard", 0.01, on_events=[names.heard]),
        "heard-too": task("heard-too", 0.01, on_events=[names.heard]),
        "later": task("later", 0.01),
        "waits": _waits(kind, sdk, client, order, body, patient),
    }


def _waits(kind: str, sdk: Any, client: Any, order: type, body: Body, patient: dict[str, Any]) -> Any:
    """Its first task waits for an event that is pushed after the trigger was acknowledged, its second sleeps."""
    graph = client.workflow(name=f"{kind}-waits", input_validator=order)

    @graph.task(wait_for=[sdk.UserEventCondition(event_key=Names(kind).go)], **patient)
    async def first(given: Any, ctx: Any) -> dict[str, Any]:
        return await body(ctx, given, 0.01)

    @graph.task(parents=[first], wait_for=[sdk.SleepCondition(timedelta(seconds=LONGEST_SLEEP_S))], **patient)
    async def second(given: Any, ctx: Any) -> dict[str, Any]:
        return await body(ctx, given, 0.01)

    return graph


async def put_limit(kind: str, sdk: Any, client: Any) -> None:
    """Until an engine has taken it."""
    while True:
        try:
            return await client.rate_limits.aio_put(Names(kind).metered, METERED_PER_S, sdk.RateLimitDuration.SECOND)
        except Exception:  # a fault may be under way already
            await asyncio.sleep(0.5)
