"""What a task tells never hurts it: chunks and lines that the engine refuses, records that nobody wants (W14.3, W14.5, W14.7)."""

from __future__ import annotations

import logging
from typing import Any

import grpc
import pytest

from limpet import Context, EmptyModel, Limpet
from limpet.contracts.dispatcher_pb2 import STEP_EVENT_TYPE_COMPLETED
from tests.sdk.scripted_engine import ScriptedEngine, start_action


async def refused(request: Any, context: grpc.aio.ServicerContext) -> None:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no room for that")


@pytest.mark.parametrize("is_async", [True, False])
async def test_W14_3_a_chunk_that_cannot_be_sent_is_logged_and_the_task_goes_on(
    client: Limpet, scripted: ScriptedEngine, caplog: pytest.LogCaptureFixture, is_async: bool
) -> None:
    scripted.answers["PutStreamEvent"] = refused

    async def talk(input: EmptyModel, ctx: Context) -> None:
        await ctx.aio_put_stream("lost")

    def talk_in_a_thread(input: EmptyModel, ctx: Context) -> None:
        ctx.put_stream("lost")

    task = client.task(name="talk")(talk if is_async else talk_in_a_thread)
    async with client.worker("w", workflows=[task]):
        await scripted.send(start_action("talk:talk"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    assert "A stream chunk of task run task-1 could not be sent." in caplog.text


@pytest.mark.parametrize("is_async", [True, False])
async def test_W14_7_lines_that_cannot_be_stored_leave_the_task_alone(
    client: Limpet, scripted: ScriptedEngine, is_async: bool
) -> None:
    scripted.answers["PutLog"] = refused

    async def talk(input: EmptyModel, ctx: Context) -> None:
        ctx.log("lost")

    def talk_in_a_thread(input: EmptyModel, ctx: Context) -> None:
        ctx.log("lost")

    task = client.task(name="talk")(talk if is_async else talk_in_a_thread)
    async with client.worker("w", workflows=[task]):
        await scripted.send(start_action("talk:talk"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        await scripted.called("PutLog", 1)


async def test_W14_5_records_are_not_captured_where_that_is_turned_off(client: Limpet, scripted: ScriptedEngine) -> None:
    client.config.disable_log_capture = True

    @client.task()
    async def talk(input: EmptyModel, ctx: Context) -> None:
        logging.getLogger("shop").error("not captured")
        ctx.log("said on purpose")

    async with client.worker("w", workflows=[talk]):
        await scripted.send(start_action("talk:talk"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        await scripted.called("PutLog", 1)
    assert [line.message for line in scripted.requests("PutLog")] == [b"said on purpose"]


async def test_W14_5_a_long_line_is_cut_before_it_is_sent(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    async def talk(input: EmptyModel, ctx: Context) -> None:
        ctx.log("x" * 10_001)

    async with client.worker("w", workflows=[talk]):
        await scripted.send(start_action("talk:talk"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        (line,) = await scripted.called("PutLog", 1)
    assert len(line.message) == 10_000
