"""Concurrency limits with our own client: every spelling, both levels, and expressions tried out (B01 to B16, W7.15)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from limpet import (
    CELFailure,
    CELSuccess,
    ConcurrencyExpression,
    ConcurrencyLimitStrategy,
    Context,
    FailedTaskRunExceptionGroup,
    Limpet,
    V1TaskStatus,
)
from limpet.testing.embedded import EmbeddedEngine


class Job(BaseModel):
    group: str = "all"


def limit(expression: str, strategy: str, max_runs: int = 1) -> ConcurrencyExpression:
    return ConcurrencyExpression(
        expression=expression, max_runs=max_runs, limit_strategy=ConcurrencyLimitStrategy[strategy]
    )  # fmt: skip


class Crowd:
    """How many are in at once."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}

    async def visit(self, group: str) -> None:
        """Let everybody else come in who may, then leave."""
        self.now[group] = self.now.get(group, 0) + 1
        self.most[group] = max(self.most.get(group, 0), self.now[group])
        await asyncio.sleep(0)
        self.now[group] -= 1


@pytest.mark.parametrize(
    ("concurrency", "most"),
    [
        (2, {"all": 2}),
        (limit("input.group", "GROUP_ROUND_ROBIN"), {"all": 1}),
        ([limit("'one'", "GROUP_ROUND_ROBIN", 3), limit("input.group", "GROUP_ROUND_ROBIN")], {"all": 1}),
    ],
)
@pytest.mark.parametrize("of_task", [True, False])
async def test_B07_B16_F2_2_every_spelling_is_held(
    limpet_client: Limpet, concurrency: Any, most: dict[str, int], of_task: bool
) -> None:
    crowd = Crowd()
    listed = concurrency if isinstance(concurrency, int | list) else [concurrency]
    work = limpet_client.workflow(name="work", input_validator=Job, concurrency=None if of_task else concurrency)

    @work.task(concurrency=listed if of_task else None)
    async def visit(input: Job, ctx: Context) -> None:
        await crowd.visit(input.group)

    async with limpet_client.worker("w", slots=20, workflows=[work]):
        await work.aio_run_many([work.create_bulk_run_item(Job()) for _ in range(8)])
    assert all(crowd.most[group] <= number for group, number in most.items())


async def test_workflows_share_a_limit_by_its_name_and_runs_bring_their_number(
    limpet_client: Limpet, limpet_engine: EmbeddedEngine
) -> None:
    may_end = asyncio.Event()

    def declare(name: str) -> Any:
        shared = ConcurrencyExpression(
            name="api", expression="input.group", max_runs="size(input.group)", is_tenant_scoped=True,
            limit_strategy=ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN,
        )  # fmt: skip

        @limpet_client.task(name=name, input_validator=Job, concurrency=shared)
        async def task(input: Job, ctx: Context) -> None:
            await may_end.wait()

        return task

    one, two = declare("one"), declare("two")
    async with limpet_client.worker("w", slots=20, workflows=[one, two]):
        first = [await task.aio_run_no_wait(Job(group="ab")) for task in (one, two)]
        waiting = await one.aio_run_no_wait(Job(group="ab"))
        explained = await asyncio.to_thread(limpet_engine.explain, waiting)
        assert "api: input.group = 'ab' (2 at a time, GROUP_ROUND_ROBIN, shared by name) is full" in explained.text
        assert "of workflow two" in explained.text
        with pytest.raises(FailedTaskRunExceptionGroup, match=r"\(size\(input.group\)\): it must give a whole number of runs"):
            await one.aio_run(Job(group=""))
        may_end.set()
        for reference in (*first, waiting):
            await reference.aio_result()


async def test_B12_B13_the_strategies_that_cancel(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    may_end, running = asyncio.Event(), asyncio.Event()
    flagged: list[bool] = []

    def declare(name: str, strategy: str) -> Any:
        @limpet_client.task(name=name, concurrency=limit("'k'", strategy))
        async def task(input: Job, ctx: Context) -> None:
            running.set()
            try:
                await may_end.wait()
            finally:
                flagged.append(ctx.exit_flag)

        return task

    newest, first = declare("newest", "CANCEL_IN_PROGRESS"), declare("first", "CANCEL_NEWEST")
    async with limpet_client.worker("w", slots=20, workflows=[newest, first]):
        old = await newest.aio_run_no_wait()
        await running.wait()
        new = await newest.aio_run_no_wait()
        holder = await first.aio_run_no_wait()
        arrival = await first.aio_run_no_wait()
        with pytest.raises(ValueError, match="cancelled"):
            await asyncio.to_thread(old.result)
        with pytest.raises(ValueError, match="cancelled"):
            await asyncio.to_thread(arrival.result)
        may_end.set()
        await new.aio_result()
        await holder.aio_result()
        statuses = [await limpet_client.runs.aio_get_status(ref.workflow_run_id) for ref in (old, new, holder, arrival)]
    done, cancelled = V1TaskStatus.COMPLETED, V1TaskStatus.CANCELLED
    assert statuses == [cancelled, done, done, cancelled]
    assert flagged[0] is True


async def test_B09_W7_15_a_key_that_cannot_be_computed_fails_the_run(limpet_client: Limpet) -> None:
    @limpet_client.task(concurrency=limit("input.missing", "GROUP_ROUND_ROBIN"), retries=3)
    async def never(input: Job, ctx: Context) -> None:
        raise AssertionError("it must not run")

    async with limpet_client.worker("w", workflows=[never]):
        with pytest.raises(FailedTaskRunExceptionGroup, match=r"failed to parse step expression \(input.missing\)"):
            await never.aio_run()


async def test_B04_an_expression_that_does_not_compile_stops_the_worker_with_its_sentence(limpet_client: Limpet) -> None:
    @limpet_client.task(concurrency=limit("input.", "GROUP_ROUND_ROBIN"))
    async def wrong(input: Job, ctx: Context) -> None: ...

    with pytest.raises(Exception, match=r"concurrency expression 'input\.' cannot be used"):
        async with limpet_client.worker("w", workflows=[wrong]):
            pass


async def test_B01_B02_B03_an_expression_is_tried_out(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    cel = limpet_client.cel
    assert (await cel.aio_debug("input.n > payload.min", {"n": 3}, filter_payload={"min": 2})).result == CELSuccess(output=True)
    assert (await asyncio.to_thread(cel.debug, "additional_metadata.a == 'x'", {}, {"a": "y"})).result == CELSuccess(output=False)
    for wrong in ("input.missing > 1", "'a text'", "input."):
        assert isinstance((await cel.aio_debug(wrong, {})).result, CELFailure)
