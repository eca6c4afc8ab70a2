"""Workflows with concurrency limits, as users of the official client write them. Every task writes when it begins and ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from hatchet_sdk import ConcurrencyExpression, ConcurrencyLimitStrategy, Context, Hatchet
from pydantic import BaseModel

from tests.compatibility.programs import journal

ROBIN = ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN
PROGRESS = ConcurrencyLimitStrategy.CANCEL_IN_PROGRESS
NEWEST = ConcurrencyLimitStrategy.CANCEL_NEWEST


class Job(BaseModel):
    """A numbered run of a group."""

    number: int = 0
    group: str = "all"
    digit: str = "0"
    most: int = 1
    seconds: float = 0.1


def limit(expression: str, max_runs: int | str, strategy: ConcurrencyLimitStrategy) -> ConcurrencyExpression:
    return ConcurrencyExpression(expression=expression, max_runs=max_runs, limit_strategy=strategy)


def shared(expression: str, max_runs: int, strategy: ConcurrencyLimitStrategy) -> ConcurrencyExpression:
    return ConcurrencyExpression(
        expression=expression, max_runs=max_runs, limit_strategy=strategy, name="shared-line", is_tenant_scoped=True
    )  # fmt: skip


async def work(name: str, input: Job) -> dict[str, int]:
    """Sleep, and say so before and after."""
    journal.write("begun", task=name, **input.model_dump())
    await asyncio.sleep(input.seconds)
    journal.write("ended", task=name, **input.model_dump())
    return {"number": input.number}


def build_limited(hatchet: Hatchet) -> dict[str, Any]:
    """By name."""
    tasks = {
        "two_at_a_time": {"concurrency": 2},
        "newest_wins": {"concurrency": limit("'constant'", 1, PROGRESS)},
        "first_wins": {"concurrency": limit("'constant'", 1, NEWEST)},
        "by_group": {"concurrency": limit("input.group", 1, ROBIN)},
        "two_limits": {"concurrency": [limit("input.digit", 8, ROBIN), limit("input.group", 3, ROBIN)]},
        "too_slow": {
            "concurrency": [limit("input.digit", 1, ROBIN), limit("input.group", 1, ROBIN)],
            "execution_timeout": timedelta(seconds=1),
        },
        "shares": {"concurrency": shared("input.group", 1, ROBIN)},
        "shares_too": {"concurrency": shared("input.digit", 1, ROBIN)},
        "sized": {"concurrency": limit("input.group", "input.most", ROBIN)},
        "no_such_key": {"concurrency": limit("input.missing", 1, ROBIN), "retries": 3},
    }
    found = {name: _task(hatchet, name, options) for name, options in tasks.items()}
    return found | _graphs(hatchet)


def _task(hatchet: Hatchet, name: str, options: dict[str, Any]) -> Any:
    @hatchet.task(name=name, input_validator=Job, **options)
    async def task(input: Job, ctx: Context) -> dict[str, int]:
        return await work(name, input)

    return task


def _graphs(hatchet: Hatchet) -> dict[str, Any]:
    limits = [limit("input.digit", 8, ROBIN), limit("input.group", 3, ROBIN)]
    whole = hatchet.workflow(name="WholeLimited", input_validator=Job, concurrency=limits)

    @whole.task()
    async def first(input: Job, ctx: Context) -> dict[str, int]:
        return await work("first", input)

    @whole.task(parents=[first])
    async def second(input: Job, ctx: Context) -> dict[str, int]:
        return await work("second", input)

    burst = hatchet.workflow(
        name="Burst", input_validator=Job, concurrency=[limit("input.group", 1, PROGRESS), limit("input.digit", 5, ROBIN)]
    )

    @burst.task()
    async def step1(input: Job, ctx: Context) -> dict[str, int]:
        return await work("step1", input)

    @burst.task(parents=[step1])
    async def step2(input: Job, ctx: Context) -> dict[str, int]:
        return await work("step2", input)

    @burst.task(parents=[step2])
    async def step3(input: Job, ctx: Context) -> dict[str, int]:
        return await work("step3", input)

    @burst.task(parents=[step3])
    async def step4(input: Job, ctx: Context) -> dict[str, int]:
        return await work("step4", input)

    sharing = hatchet.workflow(name="SharesAsWhole", input_validator=Job, concurrency=[shared("input.group", 1, ROBIN)])

    @sharing.task()
    async def shares_first(input: Job, ctx: Context) -> dict[str, int]:
        return await work("shares_first", input)

    @sharing.task(parents=[shares_first])
    async def shares_last(input: Job, ctx: Context) -> dict[str, int]:
        return await work("shares_last", input)

    return {one.name: one for one in (whole, burst, sharing)}
