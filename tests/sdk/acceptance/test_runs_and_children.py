"""Failures, bulk starts, children, cancellation, chunks and logs: A44, A51 to A59, A87, A88, A95, A96, A119."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import grpc
import pytest
from pydantic import BaseModel

from limpet import (
    Context,
    EmptyModel,
    FailedTaskRunExceptionGroup,
    Limpet,
    NonRetryableException,
    TriggerWorkflowOptions,
    V1TaskStatus,
)
from limpet.sdk.rest.runs import V1TaskSummary

BULK = 2_500
CHUNKS = [f"chunk {number} " * 3 for number in range(35)]


class Number(BaseModel):
    n: int


async def children_of(live: Limpet, task_run_id: str) -> list[V1TaskSummary]:
    return (await live.runs.aio_list(parent_task_external_id=task_run_id)).rows


async def test_A44_a_task_that_must_not_be_retried_fails_once(limpet_client: Limpet) -> None:
    workflow = limpet_client.workflow(name="three")

    @workflow.task(retries=1)
    def final(input: EmptyModel, ctx: Context) -> None:
        raise NonRetryableException("never again")

    @workflow.task(retries=1)
    async def wrong(input: EmptyModel, ctx: Context) -> None:
        raise TypeError("again")

    @workflow.task(retries=1)
    async def good(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[workflow]):
        ref = await workflow.aio_run_no_wait()
        with pytest.raises(FailedTaskRunExceptionGroup) as caught:
            await ref.aio_result()
        events = (await limpet_client.runs.aio_get(ref.workflow_run_id)).task_events
    assert {error.exc_type for error in caught.value.exceptions} == {"NonRetryableException", "TypeError"}
    assert len(caught.value.exceptions) == 2
    counts = Counter(event.event_type.value for event in events)
    assert (counts["FAILED"], counts["RETRYING"]) == (3, 1)


class Bare(Exception):
    def __str__(self) -> str:
        return ""


@pytest.mark.parametrize("error", [Exception(), ValueError(""), Bare("hidden"), AssertionError(), KeyError()], ids=repr)
async def test_A51_an_exception_without_a_text_still_says_something(limpet_client: Limpet, error: Exception) -> None:
    @limpet_client.task()
    async def broken(input: EmptyModel, ctx: Context) -> None:
        raise error

    async with limpet_client.worker("w", workflows=[broken]):
        with pytest.raises(FailedTaskRunExceptionGroup) as caught:
            await broken.aio_run()
    [failed] = caught.value.exceptions
    assert failed.exc_type == type(error).__name__
    assert failed.serialize(include_metadata=False)


@pytest.mark.parametrize("is_async", [True, False])
async def test_A52_failures_stand_in_the_list_when_asked_for(limpet_client: Limpet, is_async: bool) -> None:
    @limpet_client.task(input_validator=Number)
    async def odd(input: Number, ctx: Context) -> Number:
        if input.n % 2 == 0:
            raise ValueError(f"{input.n} is even")
        return input

    items = [odd.create_bulk_run_item(Number(n=n)) for n in range(10)]
    async with limpet_client.worker("w", workflows=[odd]):
        if is_async:
            results = await odd.aio_run_many(items, return_exceptions=True)
        else:
            results = await asyncio.to_thread(odd.run_many, items, return_exceptions=True)
    assert results[1::2] == [Number(n=n) for n in range(1, 10, 2)]
    assert [f"{n} is even" in str(results[n]) for n in range(0, 10, 2)] == [True] * 5


async def test_A53_a_bulk_of_2500_gives_its_references_in_order(limpet_client: Limpet) -> None:
    @limpet_client.task(input_validator=Number)
    async def same(input: Number, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[same]):
        pass  # registered; nobody runs them
    refs = await same.aio_run_many_no_wait([same.create_bulk_run_item(Number(n=n)) for n in range(BULK)])
    assert len({ref.workflow_run_id for ref in refs}) == BULK
    for n in (0, 1, 999, 1_000, 1_999, 2_000, BULK - 1):  # around the borders of the messages
        stored = (await limpet_client.runs.aio_get(refs[n].workflow_run_id)).run.input
        assert stored.get("input", stored) == {"n": n}


async def test_A54_an_unknown_name_is_refused(limpet_client: Limpet) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await limpet_client.stubs.workflow(name="nobody").aio_run_no_wait()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_A55_A57_children_carry_their_parents_metadata_and_a_key_names_one_child(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def leaf(input: EmptyModel, ctx: Context) -> None: ...

    @limpet_client.task()
    async def spawn(input: EmptyModel, ctx: Context) -> dict[str, str]:
        for key in ("a", "b", "a"):
            await leaf.aio_run(child_key=key)
        return {"task": ctx.task_run_id}

    async with limpet_client.worker("w", workflows=[leaf, spawn]):
        output = await spawn.aio_run(additional_metadata={"who": "parent"})
        children = await children_of(limpet_client, output["task"])
    assert [(child.additional_metadata or {}).get("who") for child in children] == ["parent", "parent"]


async def test_A58_A59_children_of_tasks_in_a_graph_do_not_collide(limpet_client: Limpet) -> None:
    graph = limpet_client.workflow(name="graph")

    @limpet_client.task()
    async def leaf(input: EmptyModel, ctx: Context) -> None: ...

    @graph.task()
    async def root(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        refs = [await leaf.aio_run_no_wait(options=TriggerWorkflowOptions(child_index=index)) for index in range(4)]
        return {"task": ctx.task_run_id, "children": [ref.workflow_run_id for ref in refs]}

    async def one(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        await leaf.aio_run()
        return {"task": ctx.task_run_id}

    graph.task(name="left", parents=[root])(one)
    graph.task(name="right", parents=[root])(one)
    graph.task(name="last", parents=[root])(one)
    async with limpet_client.worker("w", workflows=[leaf, graph]):
        outputs = await graph.aio_run()
        found = {name: await children_of(limpet_client, output["task"]) for name, output in outputs.items()}
    assert len(outputs) == 4
    assert len(set(outputs["root"]["children"]) - {output["task"] for output in outputs.values()}) == 4
    assert {name: len(children) for name, children in found.items()} == {"root": 4, "left": 1, "right": 1, "last": 1}


async def test_A87_a_task_that_cancels_itself_ends_without_output_and_error(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def gives_up(input: EmptyModel, ctx: Context) -> dict[str, int]:
        await ctx.aio_cancel()
        await asyncio.Event().wait()
        return {"n": 1}

    async with limpet_client.worker("w", workflows=[gives_up]):
        ref = await gives_up.aio_run_no_wait()
        await ref.aio_result()
        run = (await limpet_client.runs.aio_get(ref.workflow_run_id)).run
    assert (run.status, run.output, run.error_message or "") == (V1TaskStatus.CANCELLED, {}, "")


async def test_A88_a_sync_task_that_asks_now_and_then_stops(limpet_client: Limpet) -> None:
    works, stopped = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @limpet_client.task()
    def polls(input: EmptyModel, ctx: Context) -> None:
        loop.call_soon_threadsafe(works.set)
        while not ctx.is_cancelled:
            time.sleep(0.005)  # between the steps of a user's work
        loop.call_soon_threadsafe(stopped.set)

    async with limpet_client.worker("w", workflows=[polls]):
        ref = await polls.aio_run_no_wait()
        await works.wait()
        await limpet_client.runs.aio_cancel(ref.workflow_run_id)
        await asyncio.wait_for(stopped.wait(), 10)
        assert await limpet_client.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.CANCELLED


async def test_A95_chunks_arrive_complete_and_in_order(limpet_client: Limpet) -> None:
    heard = asyncio.Event()

    @limpet_client.task()
    async def talk(input: EmptyModel, ctx: Context) -> None:
        while not heard.is_set():  # chunks before the first subscriber are dropped
            await ctx.aio_put_stream("?")
        for chunk in CHUNKS:
            await ctx.aio_put_stream(chunk)

    chunks = []
    async with limpet_client.worker("w", workflows=[talk]):
        ref = await talk.aio_run_no_wait()
        async with asyncio.timeout(10):
            async for chunk in limpet_client.runs.subscribe_to_stream(ref.workflow_run_id):
                heard.set()
                chunks.append(chunk)
    assert [chunk for chunk in chunks if chunk != "?"] == CHUNKS


async def test_A96_log_lines_of_a_sync_task_come_with_level_and_retry_count(limpet_client: Limpet) -> None:
    @limpet_client.task(retries=1)
    def writes(input: EmptyModel, ctx: Context) -> dict[str, str]:
        for number in range(12):
            ctx.log(f"line {ctx.retry_count * 12 + number}")
        if ctx.retry_count == 0:
            raise ValueError("once more")
        return {"task": ctx.task_run_id}

    async with limpet_client.worker("w", workflows=[writes]):
        output = await writes.aio_run()
    rows = (await limpet_client.logs.aio_list(output["task"])).rows or []
    assert [row.message for row in rows] == [f"line {number}" for number in range(24)]
    assert {row.level for row in rows} == {"INFO"}
    assert [row.retry_count for row in rows] == [0] * 12 + [1] * 12


async def test_A119_the_reference_of_a_replayed_run_gives_the_new_result(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def counts(input: EmptyModel, ctx: Context) -> dict[str, int]:
        return {"retry_count": ctx.retry_count}

    async with limpet_client.worker("w", workflows=[counts]):
        ref = await counts.aio_run_no_wait()
        assert await ref.aio_result() == {"retry_count": 0}
        await limpet_client.runs.aio_replay(ref.workflow_run_id)
        assert await ref.aio_result() == {"retry_count": 1}
