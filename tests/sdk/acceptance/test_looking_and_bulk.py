"""Runs looked at while they happen, and many at once: A90 to A94, W12.8, W14.4."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import tenacity

from limpet import (
    BulkCancelReplayOpts,
    Context,
    DesiredWorkerLabel,
    EmptyModel,
    Limpet,
    RunFilter,
    V1TaskStatus,
)
from limpet.sdk.engine_calls import WorkflowRunDetail
from limpet.sdk.workflow import Workflow

REPLAYED = 201
SINCE = datetime.now(UTC) - timedelta(hours=1)
Condition = Callable[[WorkflowRunDetail], bool]


async def details_once(live: Limpet, run_id: str, holds: Condition) -> WorkflowRunDetail:
    """The details as soon as they are so; asked for again and again, as users do it."""
    async for attempt in tenacity.AsyncRetrying(wait=tenacity.wait_fixed(0.01), stop=tenacity.stop_after_delay(20)):
        with attempt:
            details = await live.runs.aio_get_details(run_id)
            assert holds(details), statuses(details)
    return details


def statuses(details: WorkflowRunDetail) -> dict[str, str]:
    return {name: task.status.value for name, task in details.task_runs.items()}


def mixed_workflow(live: Limpet, gate: asyncio.Event) -> Workflow[EmptyModel]:
    """Six tasks: of four roots one waits, one fails, one cancels itself; two follow."""
    mixed = live.workflow(name="mixed")

    @mixed.task()
    async def first(input: EmptyModel, ctx: Context) -> dict[str, int]:
        await gate.wait()
        return {"n": 1}

    @mixed.task()
    async def second(input: EmptyModel, ctx: Context) -> dict[str, int]:
        return {"n": 2}

    @mixed.task(parents=[first, second])
    async def third(input: EmptyModel, ctx: Context) -> dict[str, int]:
        return {"n": 3}

    @mixed.task(parents=[first, third])
    async def fourth(input: EmptyModel, ctx: Context) -> dict[str, int]:
        return {"n": 4}

    @mixed.task()
    async def fails(input: EmptyModel, ctx: Context) -> None:
        raise RuntimeError("broken on purpose")

    @mixed.task()
    async def gives_up(input: EmptyModel, ctx: Context) -> None:
        await ctx.aio_cancel()
        await asyncio.Event().wait()

    return mixed


async def test_A92_A93_details_of_a_mixed_run_early_and_at_its_end(limpet_client: Limpet) -> None:
    gate = asyncio.Event()
    mixed = mixed_workflow(limpet_client, gate)
    ended = {"second": "COMPLETED", "fails": "FAILED", "gives_up": "CANCELLED"}
    async with limpet_client.worker("w", workflows=[mixed]):
        ref = await mixed.aio_run(EmptyModel.model_validate({"seen": 1}), wait_for_result=False)
        early = await details_once(limpet_client, ref.workflow_run_id, lambda now: statuses(now) == {"first": "RUNNING", **ended})
        assert (early.status.value, early.done) == ("RUNNING", False)
        assert (early.input or {}).get("input", early.input) == {"seen": 1}
        gate.set()
        late = await details_once(limpet_client, ref.workflow_run_id, lambda now: now.done)
    assert late.status.value == "FAILED"
    assert statuses(late) == {**ended, "first": "COMPLETED", "third": "COMPLETED", "fourth": "COMPLETED"}
    assert {name for name, task in late.task_runs.items() if task.error} == {"fails"}
    assert {name for name, task in late.task_runs.items() if task.output} == {"first", "second", "third", "fourth"}


async def test_A94_a_run_reads_running_between_two_of_its_tasks(limpet_client: Limpet) -> None:
    pair = limpet_client.workflow(name="pair")

    @pair.task()
    async def ends(input: EmptyModel, ctx: Context) -> None: ...

    @pair.task(parents=[ends], desired_worker_labels=[DesiredWorkerLabel(key="planet", value="mars", required=True)])
    async def waits(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[pair]):
        ref = await pair.aio_run(wait_for_result=False)
        gap = await details_once(limpet_client, ref.workflow_run_id, lambda now: statuses(now).get("ends") == "COMPLETED")
    assert (gap.status.value, gap.done) == ("RUNNING", False)


async def test_A90_W12_9_a_bulk_replay_by_filter_completes_what_failed(limpet_client: Limpet) -> None:
    async def fails_first(input: EmptyModel, ctx: Context) -> None:
        if ctx.retry_count == 0:
            raise RuntimeError("the first time fails")

    tasks = [limpet_client.task(name=f"again{number}")(fails_first) for number in range(3)]
    mark = {"batch": "A90"}
    async with limpet_client.worker("w", workflows=tasks, slots=50):
        refs = []
        for task in tasks:
            items = [task.create_bulk_run_item(additional_metadata=mark) for _ in range(REPLAYED // 3)]
            refs += await task.aio_run_many(items, wait_for_result=False)
        await asyncio.gather(*(ref.aio_result() for ref in refs), return_exceptions=True)
        before = await limpet_client.runs.aio_list(since=SINCE, additional_metadata=mark, only_tasks=True, limit=1_000)
        assert Counter(row.status for row in before.rows) == {V1TaskStatus.FAILED: REPLAYED}
        wanted = RunFilter(since=SINCE, statuses=[V1TaskStatus.FAILED], additional_metadata=mark)
        await limpet_client.runs.aio_bulk_replay(BulkCancelReplayOpts(filters=wanted))
        await asyncio.gather(*(ref.aio_result() for ref in refs))
    after = await limpet_client.runs.aio_list(since=SINCE, additional_metadata=mark, only_tasks=True, limit=1_000)
    assert Counter(row.status for row in after.rows) == {V1TaskStatus.COMPLETED: REPLAYED}
    assert {row.metadata.id for row in after.rows} == {row.metadata.id for row in before.rows}
    assert all((row.retry_count or 0) >= 1 and (row.attempt or 0) >= 2 for row in after.rows)


def test_A91_ids_and_a_filter_together_are_refused() -> None:
    with pytest.raises(ValueError, match="only one of them"):
        BulkCancelReplayOpts(ids=["a"], filters=RunFilter(since=SINCE))


async def test_W12_8_a_bulk_cancel_by_filter_takes_what_waits_and_leaves_the_rest(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def stands(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[stands]):
        pass  # registered; nobody runs them
    marked = [await stands.aio_run(wait_for_result=False, additional_metadata={"batch": "W12"}) for _ in range(5)]
    other = await stands.aio_run(wait_for_result=False)
    await limpet_client.runs.aio_bulk_cancel_by_filters_with_pagination(
        sleep_time=0, chunk_size=2, since=SINCE, additional_metadata={"batch": "W12"}
    )
    found = [await limpet_client.runs.aio_get_status(ref.workflow_run_id) for ref in [*marked, other]]
    assert found == [V1TaskStatus.CANCELLED] * 5 + [V1TaskStatus.QUEUED]


async def test_W14_4_a_stream_of_all_runs_with_a_metadata_pair(limpet_client: Limpet) -> None:
    heard = asyncio.Event()

    @limpet_client.task()
    async def talks(input: EmptyModel, ctx: Context) -> None:
        while not heard.is_set():  # chunks before the first subscriber are dropped
            await ctx.aio_put_stream("?")
        await ctx.aio_put_stream("from " + str((ctx.additional_metadata or {}).get("who")))

    async with limpet_client.worker("w", workflows=[talks]):
        for who in ("one", "two"):
            await talks.aio_run(wait_for_result=False, additional_metadata={"room": "blue", "who": who})
        await talks.aio_run(wait_for_result=False, additional_metadata={"room": "red", "who": "nobody"})
        chunks = set()
        async with asyncio.timeout(20):
            async for event in limpet_client.runs.stream_by_additional_metadata("room", "blue"):
                heard.set()
                chunks.add(event.payload)
    assert {chunk for chunk in chunks if chunk.startswith("from")} == {"from one", "from two"}
