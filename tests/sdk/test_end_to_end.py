"""Our client and our worker on a real engine in this process: the seed's code, and each feature once."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from limpet import (
    BulkCancelReplayOpts,
    ClientConfig,
    Context,
    EmptyModel,
    FailedTaskRunExceptionGroup,
    Limpet,
    NonRetryableException,
    TriggerWorkflowOptions,
    V1TaskStatus,
)
from limpet.sdk.rest.exceptions import NotFoundException
from limpet.testing.embedded import EmbeddedEngine

ATTEMPTS: list[int] = []
GATE = threading.Event()


class Number(BaseModel):
    n: int


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as running:
        yield running


@pytest.fixture
def live(engine: EmbeddedEngine) -> Limpet:
    config = ClientConfig(token=engine.token, host_port=engine.grpc_address, server_url=engine.http_url)
    return Limpet(config=config)


@pytest.fixture
def seed(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    sys.modules.pop("tests.sdk.seed_workflows", None)
    return importlib.import_module("tests.sdk.seed_workflows")


@pytest.fixture
async def seed_workers(seed: Any) -> AsyncIterator[dict[str, str]]:
    """Two workers of the seed; ids by label."""
    foo = seed.hatchet.worker("foo-worker", slots=10, workflows=seed.WORKFLOWS, labels={"affinity": "foo"})
    bar = seed.hatchet.worker("bar-worker", slots=10, workflows=seed.WORKFLOWS, labels={"affinity": "bar"})
    async with foo, bar:
        yield {"foo": str(foo.id), "bar": str(bar.id)}


async def test_AC17_the_seeds_sticky_run_and_its_child_share_a_worker(seed: Any, seed_workers: dict[str, str]) -> None:
    for _ in range(5):  # one after the other: SOFT may go elsewhere when the pinned worker is full
        result = await seed.sticky_workflow.aio_run()
        workers = {result["step1a"]["worker"], result["step1b"]["worker"], *result["step2"].values()}
        assert len(workers) == 1
        assert workers <= set(seed_workers.values())


async def test_the_seeds_priorities(seed: Any, seed_workers: dict[str, str]) -> None:
    options = TriggerWorkflowOptions(priority=3)
    assert (await seed.urgent_task.aio_run())["priority"] == 3
    assert (await seed.high_priority_workflow.aio_run())["important"]["priority"] == 3
    assert (await seed.my_task.aio_run())["priority"] == 1
    assert (await asyncio.to_thread(seed.my_task.run, options=options))["priority"] == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_AC37_the_seeds_label_chooses_the_worker(seed: Any, seed_workers: dict[str, str]) -> None:
    options = TriggerWorkflowOptions(desired_worker_label=seed.FOO_ONLY)
    results = await asyncio.gather(*(seed.my_task.aio_run(options=options) for _ in range(6)))
    assert {result["worker"] for result in results} == {seed_workers["foo"]}


async def test_W2_5_all_call_shapes_give_the_same_validated_output(live: Limpet) -> None:
    @live.task(name="double", input_validator=Number)
    async def double(input: Number, ctx: Context) -> Number:
        return Number(n=input.n * 2)

    def sync_shapes() -> list[Number]:
        item = double.create_bulk_run_item(Number(n=2))
        return [
            double.run(Number(n=2)),
            double.run(Number(n=2), wait_for_result=False).result(),
            double.run_no_wait(Number(n=2)).result(),
            *double.run_many([item]),
            *(ref.result() for ref in double.run_many([item], wait_for_result=False)),
            *(ref.result() for ref in double.run_many_no_wait([item])),
        ]

    item = double.create_bulk_run_item(Number(n=2))
    async with live.worker("w", workflows=[double]):
        shapes = [
            await double.aio_run(Number(n=2)),
            await (await double.aio_run(Number(n=2), wait_for_result=False)).aio_result(),
            await (await double.aio_run_no_wait(Number(n=2))).aio_result(),
            *await double.aio_run_many([item]),
            *[await ref.aio_result() for ref in await double.aio_run_many([item], wait_for_result=False)],
            *[await ref.aio_result() for ref in await double.aio_run_many_no_wait([item])],
            *await asyncio.to_thread(sync_shapes),
        ]
        run_id = (await double.aio_run_no_wait(Number(n=2))).workflow_run_id
        shapes += [await double.aio_get_result(run_id)]
        stub = live.stubs.task(name="double", input_validator=Number, output_validator=Number)
        shapes += [await stub.aio_run(Number(n=2))]
    assert shapes == [Number(n=4)] * 14


async def test_a_dag_passes_outputs_and_runs_its_last_tasks(live: Limpet) -> None:
    good, bad = live.workflow(name="good", input_validator=Number), live.workflow(name="bad")
    seen: dict[str, Any] = {}

    @good.task()
    def first(input: Number, ctx: Context) -> Number:
        return Number(n=input.n + 1)

    @good.task(parents=[first])
    async def second(input: Number, ctx: Context) -> Number:
        return Number(n=ctx.task_output(first).n * 10)

    @good.on_success_task()
    async def done(input: Number, ctx: Context) -> None:
        seen["success"] = True

    @bad.task()
    def broken(input: EmptyModel, ctx: Context) -> None:
        raise NonRetryableException("broken on purpose")

    @bad.on_failure_task()
    def mend(input: EmptyModel, ctx: Context) -> None:
        seen["error"] = ctx.get_task_run_error(broken)

    async with live.worker("w", workflows=[good, bad]):
        assert await good.aio_run(Number(n=1)) == {"first": {"n": 2}, "second": {"n": 20}}
        with pytest.raises(FailedTaskRunExceptionGroup, match="broken on purpose"):
            await bad.aio_run()
    assert seen["success"] is True
    assert (seen["error"].exc, seen["error"].exc_type) == ("broken on purpose", "NonRetryableException")


async def test_retries_then_success(live: Limpet) -> None:
    ATTEMPTS.clear()

    @live.task(retries=2)
    def flaky(input: EmptyModel, ctx: Context) -> dict[str, int]:
        ATTEMPTS.append(ctx.attempt_number)
        if ctx.retry_count < 2:
            raise ValueError("not yet")
        return {"attempts": ctx.attempt_number}

    async with live.worker("w", workflows=[flaky]):
        assert await flaky.aio_run() == {"attempts": 3}
    assert ATTEMPTS == [1, 2, 3]


async def test_W10_children_by_index_and_key(live: Limpet) -> None:
    @live.task()
    async def leaf(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"run": ctx.workflow_run_id, "index": ctx.child_index, "key": ctx.child_key, "a": ctx.additional_metadata["a"]}

    @live.task()
    def spawn(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {
            "plain": [leaf.run(), leaf.run()],
            "keyed": [leaf.run(child_key="k"), leaf.run(child_key="k")],
        }

    async with live.worker("w", workflows=[leaf, spawn]):
        result = await spawn.aio_run(additional_metadata={"a": "inherited"})
    assert [child["index"] for child in result["plain"]] == [0, 1]
    assert {child["key"] for child in result["keyed"]} == {"k"}
    assert len({child["run"] for child in result["keyed"]}) == 1
    assert {child["a"] for child in result["plain"]} == {"inherited"}


async def test_cancel_status_replay_and_lists(live: Limpet) -> None:
    GATE.clear()

    @live.task(name="gated")
    async def gated(input: EmptyModel, ctx: Context) -> dict[str, int]:
        if not GATE.is_set():
            await asyncio.Event().wait()
        return {"retry_count": ctx.retry_count}

    async with live.worker("w", workflows=[gated]) as worker:
        ref = await gated.aio_run(wait_for_result=False)
        await live.runs.aio_cancel(ref.workflow_run_id)
        assert await live.runs.get_run_ref(ref.workflow_run_id).aio_result() == {}
        assert await live.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.CANCELLED
        GATE.set()
        await live.runs.aio_bulk_replay(BulkCancelReplayOpts(ids=[ref.workflow_run_id]))
        assert (await ref.aio_result())["retry_count"] == 1
        details = await live.runs.aio_get_details(ref.workflow_run_id)
        assert (details.done, details.task_runs["gated"].output) == (True, {"retry_count": 1})
        assert [row.status for row in await gated.aio_list_runs()] == [V1TaskStatus.COMPLETED]
        assert [row.name for row in (await live.workers.aio_list()).rows or [] if row.metadata.id == worker.id] == ["w"]
        assert "gated" in {row.name for row in (await live.workflows.aio_list()).rows or []}
    with pytest.raises(NotFoundException):
        await live.runs.aio_get("0190bbbb-0000-7000-8000-00000000ffff")


async def test_logs_and_chunks_come_back(live: Limpet) -> None:
    heard = asyncio.Event()

    @live.task()
    async def talk(input: EmptyModel, ctx: Context) -> dict[str, str]:
        while not heard.is_set():  # chunks before the first subscriber are dropped
            await ctx.aio_put_stream("anybody?")
        ctx.log("hello")
        for text in ("a", "b", "c"):
            await ctx.aio_put_stream(text)
        return {"task": ctx.task_run_id}

    chunks = []
    async with live.worker("w", workflows=[talk]):
        ref = await talk.aio_run(wait_for_result=False)
        async for chunk in live.runs.subscribe_to_stream(ref.workflow_run_id):
            heard.set()
            chunks.append(chunk)
        output = await ref.aio_result()
    assert [chunk for chunk in chunks if chunk != "anybody?"] == ["a", "b", "c"]
    lines = await live.logs.aio_list(output["task"])
    assert [line.message for line in lines.rows or []] == ["hello"]
