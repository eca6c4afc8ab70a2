"""Running task functions without an engine (W18.5), with dependencies (W18.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from limpet import Context, Depends, EmptyModel, Limpet
from limpet.exceptions import InvalidDependencyError

left: list[str] = []


class Order(BaseModel):
    n: int


def plain(input: Any, ctx: Context) -> int:
    return 1


async def awaited(input: Any, ctx: Context, base: Annotated[int, Depends(plain)]) -> int:
    return base + 1


@contextmanager
def managed(input: Any, ctx: Context) -> Iterator[str]:
    yield "managed"
    left.append("managed")


@asynccontextmanager
async def managed_async(input: Any, ctx: Context) -> AsyncIterator[str]:
    yield "managed_async"
    left.append("managed_async")


One = Annotated[int, Depends(plain)]


def too_few(input: Any) -> int:
    return 1


def test_a_sync_task(offline: Limpet) -> None:
    @offline.task(input_validator=Order, retries=2)
    def show(input: Order, ctx: Context, one: One) -> dict[str, Any]:
        return {
            "n": input.n,
            "one": one,
            "attempt": (ctx.attempt_number, ctx.max_attempts),
            "names": (ctx.task_name, ctx.workflow_name),
            "metadata": ctx.additional_metadata,
            "lifespan": ctx.lifespan,
        }

    result = show.mock_run(Order(n=3), additional_metadata={"a": 1}, retry_count=1, lifespan="state")
    assert result == {
        "n": 3,
        "one": 1,
        "attempt": (2, 3),
        "names": ("show", "show"),
        "metadata": {"a": 1},
        "lifespan": "state",
    }


async def test_an_async_task_with_all_kinds_of_dependencies(offline: Limpet) -> None:
    left.clear()

    @offline.task()
    async def use(
        input: EmptyModel,
        ctx: Context,
        a: Annotated[int, Depends(awaited)],
        b: Annotated[str, Depends(managed)],
        c: Annotated[str, Depends(managed_async)],
    ) -> dict[str, Any]:
        assert not left
        return {"a": a, "b": b, "c": c}

    assert await use.aio_mock_run() == {"a": 2, "b": "managed", "c": "managed_async"}
    assert left == ["managed_async", "managed"]
    left.clear()
    assert await use.aio_mock_run(dependencies={"a": 9, "b": "x", "c": "y"}) == {"a": 9, "b": "x", "c": "y"}


async def test_the_wrong_flavour_is_a_type_error(offline: Limpet) -> None:
    @offline.task()
    def sync(input: EmptyModel, ctx: Context) -> None: ...

    @offline.task(name="other")
    async def asynchronous(input: EmptyModel, ctx: Context) -> None: ...

    with pytest.raises(TypeError, match="mock_run"):
        await sync.aio_mock_run()
    with pytest.raises(TypeError, match="aio_mock_run"):
        asynchronous.mock_run()


def test_outputs_of_parents(offline: Limpet) -> None:
    workflow = offline.workflow(name="w")

    @workflow.task()
    def first(input: EmptyModel, ctx: Context) -> Order:
        return Order(n=1)

    @workflow.task()
    def skipped(input: EmptyModel, ctx: Context) -> Order:
        return Order(n=1)

    @workflow.task(parents=[first, skipped])
    def second(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        with pytest.raises(ValueError, match="skipped"):
            ctx.task_output(skipped)
        with pytest.raises(ValueError, match="parent"):
            ctx.task_output(second)
        return {"n": ctx.task_output(first).n, "skipped": ctx.was_skipped(skipped)}

    outputs = {"first": {"n": 5}, "skipped": {"skipped": True}}
    assert second.mock_run(parent_outputs=outputs) == {"n": 5, "skipped": True}


def test_bad_dependencies_are_refused_at_the_declaration(offline: Limpet) -> None:
    def bad(input: EmptyModel, ctx: Context, x: Annotated[int, Depends(too_few)]) -> None: ...

    with pytest.raises(InvalidDependencyError, match="too_few"):
        offline.task()(bad)

    def loop_a(input: Any, ctx: Context, other: Any = None) -> int:
        return 1

    loop_a.__annotations__["other"] = Annotated[int, Depends(loop_a)]
    with pytest.raises(InvalidDependencyError, match="cycle"):
        offline.task(name="t")(loop_a)


def test_annotations_that_cannot_be_resolved_are_not_overlooked(offline: Limpet) -> None:
    def hidden(input: Any, ctx: Context) -> int:
        return 1

    def task(input: EmptyModel, ctx: Context, x: Annotated[int, Depends(hidden)]) -> None: ...

    with pytest.raises(InvalidDependencyError, match="module level"):
        offline.task(name="t")(task)


def test_a_mock_context_answers_everything(offline: Limpet) -> None:
    @offline.task()
    def talk(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        ctx.log("line")
        ctx.put_stream("chunk")
        ctx.refresh_timeout("5s")
        ctx.release_slot()
        ctx.upsert_worker_labels({"a": 1})
        ctx.cancel()
        return {"cancelled": ctx.is_cancelled, "labels": ctx.worker_labels}

    assert talk.mock_run() == {"cancelled": True, "labels": {"a": 1}}
