"""Where and when tasks run, and what a definition may say about it: AC-20, 28, 31, 53, 55, 71, 98."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from limpet import Context, EmptyModel, FailedTaskRunExceptionGroup, Limpet, StickyStrategy, TriggerWorkflowOptions, V1TaskStatus
from limpet.testing.embedded import EmbeddedEngine

STICKY = TriggerWorkflowOptions(sticky=True)


async def test_AC20_a_sticky_child_that_cannot_follow_is_refused_and_starts_nothing(limpet_client: Limpet) -> None:
    """The child declares no strategy; or it is not registered on this worker; by every way to start it."""
    loose = limpet_client.workflow(name="loose")
    elsewhere = limpet_client.workflow(name="elsewhere", sticky=StickyStrategy.SOFT)
    fitting = limpet_client.workflow(name="fitting", sticky=StickyStrategy.SOFT)

    def leaf(input: EmptyModel, ctx: Context) -> None: ...

    for workflow in (loose, elsewhere, fitting):
        workflow.task()(leaf)
    refused: list[str] = []

    @limpet_client.task()
    async def spawn(input: EmptyModel, ctx: Context) -> dict[str, int]:
        bulk = [fitting.create_bulk_run_item(options=STICKY)]
        for child in (loose, elsewhere, limpet_client.stubs.workflow(name="elsewhere")):
            items = [*bulk, child.create_bulk_run_item(sticky=True)]
            for start in (
                partial(child.aio_run_no_wait, options=STICKY),
                partial(child.aio_run, sticky=True),
                partial(child.aio_run_many_no_wait, items),
            ):
                with pytest.raises(ValueError, match=f"'{child.name}'") as caught:
                    await start()
                refused.append(str(caught.value))
        return {"refused": len(refused)}

    here = limpet_client.worker("here", workflows=[spawn, loose, fitting])
    there = limpet_client.worker("there", workflows=[elsewhere])
    async with here, there:
        assert await spawn.aio_run() == {"refused": 9}
        runs = [row for workflow in (loose, elsewhere, fitting) for row in await workflow.aio_list_runs()]
    assert runs == []
    assert all("sticky strategy" in text for text in refused[:3])
    assert all("not registered on this worker" in text for text in refused[3:])


async def test_AC28_the_priority_of_the_trigger_wins_over_the_default(limpet_client: Limpet) -> None:
    @limpet_client.task(default_priority=3)
    async def important(input: EmptyModel, ctx: Context) -> dict[str, int | None]:
        return {"priority": ctx.priority}

    async with limpet_client.worker("w", workflows=[important]):
        assert await important.aio_run(priority=1) == {"priority": 1}
        assert await important.aio_run(options=TriggerWorkflowOptions(priority=1)) == {"priority": 1}
        assert await important.aio_run() == {"priority": 3}


async def test_AC31_a_child_does_not_inherit_its_parents_priority(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def child(input: EmptyModel, ctx: Context) -> dict[str, int | None]:
        return {"priority": ctx.priority}

    @limpet_client.task()
    async def parent(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"own": ctx.priority, "child": (await child.aio_run())["priority"]}

    async with limpet_client.worker("w", workflows=[child, parent]):
        assert await parent.aio_run(priority=3) == {"own": 3, "child": 1}


@pytest.mark.parametrize("cost", [0, -1])
def test_AC53_a_task_takes_at_least_one_slot(limpet_client: Limpet, cost: int) -> None:
    with pytest.raises(ValueError, match="slot_cost"):

        @limpet_client.task(slot_cost=cost)
        def alone(input: EmptyModel, ctx: Context) -> None: ...

    workflow = limpet_client.workflow(name="w")
    with pytest.raises(ValueError, match="slot_cost"):
        workflow.task(slot_cost=cost)(lambda input, ctx: None)
    assert workflow.tasks == []


@pytest.mark.parametrize("is_async", [True, False])
async def test_AC55_a_released_slot_is_used_while_its_task_runs(
    limpet_client: Limpet, limpet_engine: EmbeddedEngine, is_async: bool
) -> None:
    may_end = asyncio.Event()

    @limpet_client.task()
    async def generous(input: EmptyModel, ctx: Context) -> None:
        await (ctx.aio_release_slot() if is_async else asyncio.to_thread(ctx.release_slot))
        await may_end.wait()

    @limpet_client.task()
    async def next_one(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", slots=1, workflows=[generous, next_one]):
        first = await generous.aio_run_no_wait()
        second = await next_one.aio_run_no_wait()
        await second.aio_result()
        while_it_runs = await limpet_client.runs.aio_get(first.workflow_run_id)
        assert while_it_runs.run.status is V1TaskStatus.RUNNING
        assert "SLOT_RELEASED" in {event.event_type for event in while_it_runs.task_events}
        may_end.set()
        await first.aio_result()
        for ref in (first, second):
            assert await limpet_client.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.COMPLETED


@pytest.mark.parametrize("refreshes", [True, False])
async def test_AC71_a_refreshed_timeout_ends_later(limpet_client: Limpet, limpet_engine: EmbeddedEngine, refreshes: bool) -> None:
    """The task that does not refresh is the counter-check: five seconds are too long for it."""
    is_working, may_end = asyncio.Event(), asyncio.Event()

    @limpet_client.task(execution_timeout=timedelta(seconds=4))
    async def slow(input: EmptyModel, ctx: Context) -> dict[str, bool]:
        if refreshes:
            await ctx.aio_refresh_timeout(timedelta(seconds=10))
        is_working.set()
        await may_end.wait()
        return {"done": True}

    async with limpet_client.worker("w", workflows=[slow]):
        ref = await slow.aio_run_no_wait()
        await is_working.wait()
        await limpet_engine.aio_advance(5)
        if refreshes:
            may_end.set()
            assert await ref.aio_result() == {"done": True}
        else:
            with pytest.raises(FailedTaskRunExceptionGroup):
                await ref.aio_result()
            may_end.set()
        details = await limpet_client.runs.aio_get(ref.workflow_run_id)
    kinds = {event.event_type.value for event in details.task_events}
    assert details.run.status is (V1TaskStatus.COMPLETED if refreshes else V1TaskStatus.FAILED)
    assert kinds & {"TIMEOUT_REFRESHED", "TIMED_OUT"} == {"TIMEOUT_REFRESHED" if refreshes else "TIMED_OUT"}


async def test_AC98_a_timeout_below_a_second_is_kept(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    is_working, may_end = asyncio.Event(), asyncio.Event()

    @limpet_client.task(execution_timeout=timedelta(milliseconds=500))
    async def hasty(input: EmptyModel, ctx: Context) -> None:
        is_working.set()
        await may_end.wait()

    [declared] = hasty.to_proto().tasks
    assert declared.timeout == "500ms"
    async with limpet_client.worker("w", workflows=[hasty]):
        ref = await hasty.aio_run_no_wait()
        await is_working.wait()
        await limpet_engine.aio_advance(0.5)
        with pytest.raises(FailedTaskRunExceptionGroup):
            await ref.aio_result()
        may_end.set()


def test_AC98_a_timeout_of_nothing_is_refused(limpet_client: Limpet) -> None:
    with pytest.raises(ValueError, match="execution_timeout"):

        @limpet_client.task(execution_timeout=timedelta(0))
        def never(input: EmptyModel, ctx: Context) -> None: ...
