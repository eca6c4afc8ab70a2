"""Conditions with our own client: sleeps, events and outputs; waiting, skipping, cancelling (A19 to A38, W5.14 to W5.18)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from limpet import (
    Condition,
    Context,
    EmptyModel,
    Limpet,
    OrGroup,
    ParentCondition,
    RunStatus,
    SleepCondition,
    UserEventCondition,
    V1TaskStatus,
    or_,
)
from limpet.sdk.run_reference import WorkflowRunRef
from limpet.testing.embedded import EmbeddedEngine

SKIPPED = {"skipped": True}


class Number(BaseModel):
    number: int = 0


async def waiting(engine: EmbeddedEngine, run: WorkflowRunRef[Any]) -> None:
    """A task of the run awaits its conditions."""
    await engine.aio_assert_waiting(run, because="condition_unmet")


def lone(client: Limpet, *wait_for: Condition | OrGroup) -> Any:
    """A workflow of one task that waits, and returns what it has waited for."""
    workflow = client.workflow(name="lone")

    @workflow.task(wait_for=list(wait_for))
    async def waits(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return dict(ctx.trigger_data)

    return workflow


async def test_A19_W5_16_a_task_sleeps_and_is_told_how_long(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    nap = limpet_client.workflow(name="nap")

    @nap.task()
    async def start(input: EmptyModel, ctx: Context) -> None: ...

    @nap.task(parents=[start], wait_for=[SleepCondition(timedelta(minutes=10), readable_data_key="nap")])
    async def after(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return dict(ctx.trigger_data)

    async with limpet_client.worker("w", workflows=[nap]):
        run = await nap.aio_run_no_wait()
        await waiting(limpet_engine, run)
        await limpet_engine.aio_advance(600)
        assert (await run.aio_result())["after"] == {"nap": {"sleep_duration": "600s"}}


async def test_A22_A37_W5_14_an_event_in_time_ends_the_wait(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    """Before the hour is over, and only when its payload says so; whatever its scope is."""
    ship = lone(limpet_client, or_(SleepCondition("1h"), UserEventCondition("order:paid", "input.id == 1")))
    async with limpet_client.worker("w", workflows=[ship]):
        run = await ship.aio_run_no_wait()
        await waiting(limpet_engine, run)
        await limpet_client.event.aio_push("order:paid", {"id": 2})
        await waiting(limpet_engine, run)
        await limpet_client.event.aio_push("order:paid", {"id": 1, "by": "card"}, scope="anything")
        assert await run.aio_result() == {"waits": {"order:paid": {"id": 1, "by": "card"}}}


async def test_W5_14_a_condition_with_a_scope_hears_no_other_event(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    ship = lone(limpet_client, UserEventCondition("order:paid", scope="eu"))
    async with limpet_client.worker("w", workflows=[ship]):
        run = await ship.aio_run_no_wait()
        await waiting(limpet_engine, run)
        for scope in (None, "us", "eu"):
            await limpet_client.event.aio_push("order:paid", {"scope": scope}, scope=scope)
        assert await run.aio_result() == {"waits": {"order:paid": {"scope": "eu"}}}


async def test_W11_13_a_condition_that_looks_back_hears_what_was_pushed_before(limpet_client: Limpet) -> None:
    await limpet_client.event.aio_push("order:paid", {"id": 2})
    await limpet_client.event.aio_push("order:paid", {"id": 1})
    since = datetime.now(UTC) - timedelta(minutes=5)
    ship = lone(limpet_client, UserEventCondition("order:paid", "input.id == 2", consider_events_since=since))
    async with limpet_client.worker("w", workflows=[ship]):
        run = await ship.aio_run_no_wait()
        assert await run.aio_result() == {"waits": {"order:paid": {"id": 2}}}


@pytest.mark.parametrize("number", [7, 2])
async def test_A24_A25_A28_W5_18_branches_by_the_output_of_a_parent(limpet_client: Limpet, number: int) -> None:
    branches = limpet_client.workflow(name="branches", input_validator=Number)

    @branches.task()
    async def draw(input: Number, ctx: Context) -> Number:
        return Number(number=input.number)

    @branches.task(parents=[draw], skip_if=[ParentCondition(draw, "output.number > 5")])
    async def small(input: Number, ctx: Context) -> dict[str, str]:
        return {"was": "small"}

    @branches.task(parents=[draw], skip_if=[ParentCondition(draw, "output.number <= 5")])
    async def big(input: Number, ctx: Context) -> dict[str, str]:
        return {"was": "big"}

    @branches.task(parents=[small, big])
    async def join(input: Number, ctx: Context) -> dict[str, str]:
        return ctx.task_output(big) if ctx.was_skipped(small) else ctx.task_output(small)

    async with limpet_client.worker("w", workflows=[branches]):
        result = await branches.aio_run(Number(number=number))
    ran, skipped = ("big", "small") if number > 5 else ("small", "big")
    assert result == {"draw": {"number": number}, ran: {"was": ran}, skipped: SKIPPED, "join": {"was": ran}}


async def test_A29_A34_A35_the_sleep_wins_the_race(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    race = limpet_client.workflow(name="race")
    never = [UserEventCondition("never")]

    @race.task(wait_for=never, skip_if=[SleepCondition("12s")])
    async def skipped(input: EmptyModel, ctx: Context) -> None: ...

    @race.task(wait_for=never, cancel_if=[or_(UserEventCondition("never:either"), SleepCondition("20s"))])
    async def cancelled(input: EmptyModel, ctx: Context) -> None: ...

    @race.task(parents=[cancelled])
    async def below(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[race]):
        run = await race.aio_run_no_wait()
        await limpet_engine.aio_advance(12)
        details = await limpet_client.runs.aio_get_details(run.workflow_run_id)
        assert details.task_runs["skipped"].status is V1TaskStatus.COMPLETED
        assert details.task_runs["skipped"].output == SKIPPED
        await limpet_engine.aio_advance(8)
        assert await run.aio_result() == {"skipped": SKIPPED}
        details = await limpet_client.runs.aio_get_details(run.workflow_run_id)
        assert details.status is RunStatus.CANCELLED
        assert details.task_runs["below"].status is V1TaskStatus.CANCELLED


async def test_W5_6_the_timeline_says_why_a_task_can_never_run(limpet_client: Limpet) -> None:
    picky = limpet_client.workflow(name="picky")

    @picky.task()
    async def draw(input: EmptyModel, ctx: Context) -> Number:
        return Number(number=1)

    @picky.task(parents=[draw], wait_for=[ParentCondition(draw, "output.colour == 'red'")])
    async def red(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[picky]):
        run = await picky.aio_run_no_wait()
        assert await run.aio_result() == {"draw": {"number": 1}}
        page = await limpet_client.runs.aio_get(run.workflow_run_id)
    [text] = [event.message for event in page.task_events if event.event_type.value == "CANCELLED"]
    assert text.startswith("Wait condition unsatisfiable: the output of draw where output.colour == 'red'.")
    assert "colour" in text.partition("Not evaluated")[2]


async def test_W1_2_the_namespace_stands_before_awaited_events_too(limpet_engine: EmbeddedEngine, limpet_client: Limpet) -> None:
    named = Limpet(config=limpet_client.config.model_copy(update={"namespace": "team_"}))
    waits = lone(named, UserEventCondition("go"))
    async with named.worker("w", workflows=[waits]):
        run = await waits.aio_run_no_wait()
        await waiting(limpet_engine, run)
        await limpet_client.event.aio_push("go", {})
        await waiting(limpet_engine, run)
        await named.event.aio_push("go", {"n": 1})
        assert await run.aio_result() == {"waits": {"go": {"n": 1}}}


async def test_W12_5_a_replay_waits_anew(limpet_client: Limpet, limpet_engine: EmbeddedEngine) -> None:
    slow = lone(limpet_client, SleepCondition("5s"))
    async with limpet_client.worker("w", workflows=[slow]):
        run = await slow.aio_run_no_wait()
        await limpet_engine.aio_advance(5)
        await run.aio_result()
        await limpet_client.runs.aio_replay(run.workflow_run_id)
        await waiting(limpet_engine, run)
        await limpet_engine.aio_advance(5)
        assert await run.aio_result() == {"waits": {"sleep:5s": {"sleep_duration": "5s"}}}
