"""What goes into a task and what comes out of it: A02 to A09, A118."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, SerializationInfo, ValidationInfo, field_serializer, field_validator

from limpet import (
    Context,
    EmptyModel,
    FailedTaskRunExceptionGroup,
    Limpet,
    V1TaskStatus,
    is_in_hatchet_serialization_context,
)
from tests.sdk.acceptance.call_shapes import SHAPES, all_outputs


@dataclass
class Order:
    item: str
    count: int


@dataclass
class Bill:
    total: int


class Number(BaseModel):
    n: int


class Sealed(BaseModel):
    """Its text is encoded wherever it leaves the process, and nowhere else."""

    text: str

    @field_serializer("text")
    def _encode(self, text: str, info: SerializationInfo) -> str:
        return base64.b64encode(text.encode()).decode() if is_in_hatchet_serialization_context(info.context) else text

    @field_validator("text")
    @classmethod
    def _decode(cls, text: str, info: ValidationInfo) -> str:
        return base64.b64decode(text).decode() if is_in_hatchet_serialization_context(info.context) else text


async def failure_of(live: Limpet, task: Any) -> str:
    """The one error of a run of this task, which has to fail."""
    ref = await task.aio_run_no_wait()
    with pytest.raises(FailedTaskRunExceptionGroup) as caught:
        await ref.aio_result()
    assert await live.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.FAILED
    [error] = caught.value.exceptions
    return f"{error.exc_type}: {error.exc}"


async def test_A02_a_dict_goes_in_and_out_by_every_call_shape(limpet_client: Limpet) -> None:
    @limpet_client.task(input_validator=dict)
    async def twice(input: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return {"type": type(input).__name__, "n": input["n"] * 2}

    async with limpet_client.worker("w", workflows=[twice]):
        assert await all_outputs(twice, {"n": 2}) == [{"type": "dict", "n": 4}] * SHAPES


async def test_A03_a_dataclass_goes_in_and_out_by_every_call_shape(limpet_client: Limpet) -> None:
    @limpet_client.task(input_validator=Order)
    def bill(input: Order, ctx: Context) -> Bill:
        assert isinstance(input, Order)
        return Bill(total=input.count * len(input.item))

    async with limpet_client.worker("w", workflows=[bill]):
        assert await all_outputs(bill, Order("pea", 3)) == [Bill(total=9)] * SHAPES


async def test_A04_without_a_validator_the_task_sees_every_field(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def echo(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"type": type(input).__name__, **input.model_dump()}

    async with limpet_client.worker("w", workflows=[echo]):
        output = await echo.aio_run(EmptyModel.model_validate({"a": 1, "b": {"c": [2]}}))
    assert output == {"type": "EmptyModel", "a": 1, "b": {"c": [2]}}


async def test_A05_an_input_that_does_not_validate_fails_the_run(limpet_client: Limpet) -> None:
    @limpet_client.task(input_validator=Number)
    async def strict(input: Number, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[strict]):
        created = await limpet_client.runs.aio_create("strict", {"n": "x"})
        ref = limpet_client.runs.get_run_ref(created.run.metadata.id)
        with pytest.raises(FailedTaskRunExceptionGroup, match="ValidationError") as caught:
            await ref.aio_result()
        assert await limpet_client.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.FAILED
    assert "valid integer" in caught.value.exceptions[0].exc


async def test_A06_an_output_that_is_a_list_fails_the_run(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def listing(input: EmptyModel, ctx: Context) -> Any:
        return [1, 2]

    async with limpet_client.worker("w", workflows=[listing]):
        error = await failure_of(limpet_client, listing)
    assert error.startswith("IllegalTaskOutputError: ")
    assert "list" in error


async def test_A07_a_task_that_returns_nothing_completes(limpet_client: Limpet) -> None:
    workflow = limpet_client.workflow(name="silent")

    @workflow.task()
    def sync_one(input: EmptyModel, ctx: Context) -> None: ...

    @workflow.task()
    async def async_one(input: EmptyModel, ctx: Context) -> None: ...

    @limpet_client.task()
    async def alone(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[workflow, alone]):
        ref = await workflow.aio_run_no_wait()
        assert not any((await ref.aio_result()).values())
        assert await limpet_client.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.COMPLETED
        assert await alone.aio_run() == EmptyModel()


async def test_A08_a_nul_character_in_the_output_fails_the_run_and_is_named(limpet_client: Limpet) -> None:
    @limpet_client.task()
    async def nul(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"text": "a\u0000b"}

    async with limpet_client.worker("w", workflows=[nul]):
        error = await failure_of(limpet_client, nul)
    assert error.startswith("IllegalTaskOutputError: ")
    assert "NUL" in error


async def test_A09_a_serialiser_of_the_user_encodes_what_is_stored_and_decodes_what_a_child_reads(limpet_client: Limpet) -> None:
    workflow = limpet_client.workflow(name="sealed", input_validator=Sealed)
    read: list[str] = []

    @workflow.task()
    async def first(input: Sealed, ctx: Context) -> Sealed:
        read.append(input.text)
        return Sealed(text="answer")

    @workflow.task(parents=[first])
    def second(input: Sealed, ctx: Context) -> Sealed:
        read.append(ctx.task_output(first).text)
        return Sealed(text="end")

    async with limpet_client.worker("w", workflows=[workflow]):
        ref = await workflow.aio_run_no_wait(Sealed(text="question"))
        result = await ref.aio_result()
        details = await limpet_client.runs.aio_get(ref.workflow_run_id)
    assert read == ["question", "answer"]
    encoded = {name: {"text": base64.b64encode(text).decode()} for name, text in [("first", b"answer"), ("second", b"end")]}
    assert result == encoded
    assert base64.b64encode(b"question").decode() in str(details.run.input)


async def test_A118_a_stub_of_a_task_that_lives_elsewhere_gives_the_typed_result(limpet_client: Limpet) -> None:
    @limpet_client.task(name="far_away", input_validator=Number)
    async def implementation(input: Number, ctx: Context) -> dict[str, int]:
        return {"n": input.n + 1}

    stub = limpet_client.stubs.task(name="far_away", input_validator=Number, output_validator=Number)
    async with limpet_client.worker("w", workflows=[implementation]):
        assert await stub.aio_run(Number(n=1)) == Number(n=2)
        assert await all_outputs(stub, Number(n=2)) == [Number(n=3)] * SHAPES
