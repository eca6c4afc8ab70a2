"""Rate limits with our own client: static and computed keys, put, pause, list, delete (B35 to B49)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from pydantic import BaseModel

from limpet import Context, Limpet, RateLimit, RateLimitDuration
from limpet.clients.rest.models import RateLimitOrderByDirection, RateLimitOrderByField
from limpet.sdk.exceptions import FailedTaskRunExceptionGroup
from limpet.testing.embedded import EmbeddedEngine

MINUTE, DAY = RateLimitDuration.MINUTE, RateLimitDuration.DAY


class Job(BaseModel):
    user: Any = "ada"
    units: Any = 1
    size: Any = 1


def declare(client: Limpet, name: str, *limits: RateLimit, **options: Any) -> Any:
    @client.task(name=name, input_validator=Job, rate_limits=list(limits), **options)
    async def task(input: Job, ctx: Context) -> dict[str, str]:
        return {"user": str(input.user)}

    return task


async def statuses(client: Limpet, references: list[Any]) -> list[str]:
    return [(await client.runs.aio_get_status(one.workflow_run_id)).value for one in references]


async def test_B36_B41_B42_units_are_spent_shown_and_changed(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    limits = limpet_client.rate_limits
    await limits.aio_put("api", 10, MINUTE)
    six, five = (declare(limpet_client, f"take{n}", RateLimit(static_key="api", units=n)) for n in (6, 5))

    async def shown() -> tuple[int, int, str]:
        [row] = (await limits.aio_list(search="api")).rows or []
        return row.value, row.limit_value, row.window

    assert await shown() == (10, 10, "1 MINUTE")
    async with limpet_client.worker("w", workflows=[six, five]):
        await six.aio_run(Job())
        waiting = await five.aio_run_no_wait(Job())
        assert await shown() == (4, 10, "1 MINUTE")
        explained = await asyncio.to_thread(limpet_engine.explain, waiting)
        assert explained.reason == "rate_limited"
        await limits.aio_put("api", 3, DAY)
        assert await shown() == (3, 3, "1 DAY")
        await limits.aio_put("api", 5, MINUTE)
        assert await shown() == (3, 5, "1 MINUTE")
        await limpet_engine.aio_advance(61)
        assert await waiting.aio_result() == {"user": "ada"}


async def test_B43_B45_a_computed_key_with_computed_units(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    limit = RateLimit(dynamic_key="'user-' + input.user", units="input.units", limit="input.size", duration=MINUTE)
    task = declare(limpet_client, "personal", limit)
    async with limpet_client.worker("w", workflows=[task]):
        first = await task.aio_run_no_wait(Job(units=3, size=5))
        second = await task.aio_run_no_wait(Job(units=3, size=5))
        assert await task.aio_run(Job(user="bob", units=5, size=5)) == {"user": "bob"}
        assert await first.aio_result() == {"user": "ada"}
        assert await statuses(limpet_client, [second]) == ["QUEUED"]
        rows = (await limpet_client.rate_limits.aio_list(order_by_field=RateLimitOrderByField.KEY)).rows or []
        assert [(row.key, row.value, row.limit_value) for row in rows] == [("user-ada", 2, 5), ("user-bob", 0, 5)]
        await limpet_engine.aio_advance(61)
        assert await second.aio_result() == {"user": "ada"}


@pytest.mark.parametrize("job", [Job(user=7), Job(units="many"), Job(size=-1)])
async def test_B44_another_type_fails_the_task(limpet_client: Limpet, job: Job) -> None:
    task = declare(
        limpet_client, "personal", RateLimit(dynamic_key="input.user", units="input.units", limit="input.size"), retries=3
    )
    async with limpet_client.worker("w", workflows=[task]):
        with pytest.raises(FailedTaskRunExceptionGroup, match="failed to parse step expression"):
            await task.aio_run(job)


async def test_B46_a_rate_limit_that_cannot_be_meant(limpet_client: Limpet) -> None:
    for wrong in (
        {"static_key": "a", "dynamic_key": "b", "limit": 1},
        {"dynamic_key": "b"},
        {"dynamic_key": "b", "limit": 0},
        {},
    ):
        with pytest.raises(ValueError):
            RateLimit(**wrong)
    task = declare(limpet_client, "bad", RateLimit(dynamic_key="input.", limit=1))
    with pytest.raises(grpc.RpcError) as refused:
        async with limpet_client.worker("w", workflows=[task]):
            pass
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


async def test_B38_B39_a_key_that_is_set_later(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    task = declare(limpet_client, "late", RateLimit(static_key="later"), schedule_timeout=timedelta(seconds=30))
    async with limpet_client.worker("w", workflows=[task]):
        timed_out = await task.aio_run_no_wait(Job())
        await limpet_engine.aio_advance(31)
        with pytest.raises(FailedTaskRunExceptionGroup, match="nobody has set the rate limit 'later'"):
            await timed_out.aio_result()
        waiting = await task.aio_run_no_wait(Job())
        await limpet_client.rate_limits.aio_put("later", 1)
        assert await waiting.aio_result() == {"user": "ada"}


async def test_a_task_pauses_the_limit_it_runs_under(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    until = datetime.now(UTC) + timedelta(days=400)
    paused: list[datetime] = []

    @limpet_client.task(name="careful", rate_limits=[RateLimit(static_key="api")])
    async def careful(input: Job, ctx: Context) -> None:
        paused.append(await ctx.aio_pause_rate_limit("api", until))

    await limpet_client.rate_limits.aio_put("api", 10)
    async with limpet_client.worker("w", workflows=[careful]):
        await careful.aio_run(Job())
        second = await careful.aio_run_no_wait(Job())
        assert paused == [until]
        [row] = (await limpet_client.rate_limits.aio_list()).rows or []
        assert row.paused_until == until
        assert (await asyncio.to_thread(limpet_engine.explain, second)).reason == "rate_limit_paused"
        await limpet_client.rate_limits.aio_pause("api", datetime.now(UTC) - timedelta(days=400))
        await second.aio_result()


async def test_B49_the_sync_calls_search_order_pause_and_delete(limpet_client: Limpet) -> None:
    limits = limpet_client.rate_limits

    def all_calls() -> list[list[str]]:
        for number, key in enumerate(("a2", "a1", "b1")):
            limits.put(key, number + 1, DAY)
        until = datetime.now(UTC) + timedelta(days=400)
        assert limits.pause("a1", until) == until
        descending = RateLimitOrderByDirection.DESC
        found = [
            limits.list(search="a", order_by_field=RateLimitOrderByField.KEY),
            limits.list(order_by_field=RateLimitOrderByField.LIMITVALUE, order_by_direction=descending, limit=2),
            limits.list(order_by_field=RateLimitOrderByField.VALUE, offset=1),
        ]
        limits.delete("a1")
        return [[row.key for row in page.rows or []] for page in [*found, limits.list()]]

    assert await asyncio.to_thread(all_calls) == [["a1", "a2"], ["b1", "a1"], ["a1", "b1"], ["a2", "b1"]]
    with pytest.raises(grpc.RpcError):
        await limits.aio_pause("nobody", datetime.now(UTC))
