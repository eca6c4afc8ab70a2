"""Workflows with idempotency keys, as users of the official client write them, and some that are paused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from hatchet_sdk import (
    ConcurrencyExpression,
    ConcurrencyLimitStrategy,
    Context,
    Hatchet,
    StatusBasedIdempotencyConfig,
    TTLBasedIdempotencyConfig,
)
from pydantic import BaseModel

from tests.compatibility.programs import journal

TTL = TTLBasedIdempotencyConfig(key_expression="input.id", ttl=timedelta(seconds=60))
SHORT = TTLBasedIdempotencyConfig(key_expression="input.id", ttl=timedelta(seconds=2))
STATUS = StatusBasedIdempotencyConfig(key_expression="input.id", fallback_ttl=timedelta(seconds=60))


class Order(BaseModel):
    """What a run is about; runs of one id share a key."""

    id: str = "1"
    seconds: float = 0.0
    fails: bool = False


def build_keyed(hatchet: Hatchet) -> dict[str, Any]:
    """By name."""
    rules = {"KeyedTtl": TTL, "KeyedShort": SHORT, "KeyedStatus": STATUS, "KeyedOther": TTL}
    tasks = {name: _task(hatchet, name, rule) for name, rule in rules.items()}
    tasks["Clocked"] = _clocked(hatchet)
    return tasks | {name: _plain(hatchet, name) for name in ("PausedShort", "PausedLong", "PausedDrop")}


def _clocked(hatchet: Hatchet) -> Any:
    """Each second a run, and one at a time for each id; one run for each slot, as its metadata tells the slot."""
    one_per_id = ConcurrencyExpression(
        expression="input.id", max_runs=1, limit_strategy=ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN
    )
    rule = TTLBasedIdempotencyConfig(
        key_expression="has(additional_metadata.order) ? additional_metadata.order : workflow_run_id", ttl=timedelta(seconds=60)
    )

    @hatchet.task(
        name="Clocked", input_validator=Order, on_crons=["* * * * * *"], cron_input=Order(id="tick"), concurrency=one_per_id,
        idempotency=rule,
    )  # fmt: skip
    async def task(input: Order, ctx: Context) -> dict[str, str]:
        journal.write("clocked", id=input.id, metadata=ctx.additional_metadata)
        return {"id": input.id}

    return task


def _plain(hatchet: Hatchet, name: str) -> Any:
    @hatchet.task(name=name, input_validator=Order, on_crons=["* * * * * *"] if name == "PausedDrop" else [])
    async def task(input: Order, ctx: Context) -> dict[str, str]:
        return {"id": input.id}

    return task


def _task(hatchet: Hatchet, name: str, rule: Any) -> Any:
    @hatchet.task(name=name, input_validator=Order, idempotency=rule, retries=2, backoff_factor=2.0, backoff_max_seconds=1)
    async def task(input: Order, ctx: Context) -> dict[str, int]:
        journal.write("keyed", task=name, attempt=ctx.retry_count, **input.model_dump())
        await asyncio.sleep(input.seconds)
        if input.fails:
            raise RuntimeError("no money")
        return {"attempt": ctx.retry_count}

    return task
