"""Injected values, and task functions run without an engine: A115, A117."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, TypeAlias

import pytest
from pydantic import BaseModel

from limpet import Context, Depends, EmptyModel, Limpet, Standalone, Task

CLOSED: list[str] = []


class Number(BaseModel):
    n: int


def plain(input: Any, ctx: Context) -> str:
    return "plain"


async def awaited(input: Any, ctx: Context) -> str:
    return "awaited"


@contextmanager
def managed(input: Any, ctx: Context) -> Iterator[str]:
    yield "managed"
    CLOSED.append("managed")


@asynccontextmanager
async def async_managed(input: Any, ctx: Context) -> AsyncIterator[str]:
    yield "async managed"
    CLOSED.append("async managed")


def nested(input: Any, ctx: Context, inner: Annotated[str, Depends(plain)]) -> str:
    return f"nested {inner}"


Alias: TypeAlias = Annotated[str, Depends(nested)]


async def in_async(
    input: EmptyModel,
    ctx: Context,
    a: Annotated[str, Depends(plain)],
    b: Annotated[str, Depends(awaited)],
    c: Annotated[str, Depends(managed)],
    d: Annotated[str, Depends(async_managed)],
    e: Alias,
) -> dict[str, Any]:
    return {"values": [a, b, c, d, e], "open": not CLOSED}


def in_sync(
    input: EmptyModel,
    ctx: Context,
    a: Annotated[str, Depends(plain)],
    b: Annotated[str, Depends(awaited)],
    c: Annotated[str, Depends(managed)],
    d: Annotated[str, Depends(async_managed)],
    e: Alias,
) -> dict[str, Any]:
    return {"values": [a, b, c, d, e], "open": not CLOSED}


EXPECTED = {"values": ["plain", "awaited", "managed", "async managed", "nested plain"], "open": True}


async def test_A115_values_are_injected_into_every_kind_of_task_and_managers_are_closed(limpet_client: Limpet) -> None:
    async_one = limpet_client.task(name="async_one")(in_async)
    sync_one = limpet_client.task(name="sync_one")(in_sync)
    graph = limpet_client.workflow(name="graph")
    graph.task(name="inside")(in_async)
    results: list[Any] = []
    async with limpet_client.worker("w", workflows=[async_one, sync_one, graph]):
        for declared in (async_one, sync_one, graph):
            CLOSED.clear()
            results.append(await declared.aio_run())
            assert CLOSED == ["async managed", "managed"]  # in reverse order, before the outcome is reported
    assert results == [EXPECTED, EXPECTED, {"inside": EXPECTED}]


def echo(input: Any, ctx: Context) -> dict[str, Any]:
    return {
        "input": input.model_dump() if isinstance(input, BaseModel) else input,
        "metadata": dict(ctx.additional_metadata),
        "retry_count": ctx.retry_count,
        "lifespan": ctx.lifespan,
    }


async def aio_echo(input: Any, ctx: Context) -> dict[str, Any]:
    return echo(input, ctx)


GIVEN: dict[str, Any] = {"additional_metadata": {"who": "test"}, "retry_count": 2, "lifespan": {"db": "fake"}}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("shape", ["standalone", "validated", "dict", "in a workflow"])
async def test_A117_a_mock_run_hands_over_all_that_is_given(limpet_client: Limpet, shape: str, is_async: bool) -> None:
    fn: Any = aio_echo if is_async else echo
    value: Any = {"validated": Number(n=1), "dict": {"n": 1}}.get(shape, EmptyModel.model_validate({"n": 1}))
    validator: Any = {"validated": Number, "dict": dict}.get(shape)
    task: Task[Any, Any] | Standalone[Any, Any]
    if shape == "in a workflow":
        task = limpet_client.workflow(name="w").task(name="t")(fn)
    else:
        task = limpet_client.task(name="t", input_validator=validator)(fn)
    output = await task.aio_mock_run(value, **GIVEN) if is_async else task.mock_run(value, **GIVEN)
    assert output == {"input": {"n": 1}, "metadata": {"who": "test"}, "retry_count": 2, "lifespan": {"db": "fake"}}


def test_A117_a_mock_run_hands_over_outputs_of_parents(limpet_client: Limpet) -> None:
    workflow = limpet_client.workflow(name="w")

    @workflow.task()
    def first(input: EmptyModel, ctx: Context) -> Number: ...  # type: ignore[empty-body]

    @workflow.task(parents=[first])
    def second(input: EmptyModel, ctx: Context) -> dict[str, int]:
        return {"n": ctx.task_output(first).n}

    assert second.mock_run(parent_outputs={"first": {"n": 7}}) == {"n": 7}
