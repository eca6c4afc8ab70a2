"""What a worker shows on a terminal: its own lines where nobody set up logging, and where a task failed."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from limpet import ClientConfig, Context, EmptyModel, EngineNotFoundError, Limpet, TenacityConfig
from limpet.contracts import dispatcher_pb2
from limpet.contracts.dispatcher_pb2 import STEP_EVENT_TYPE_COMPLETED, STEP_EVENT_TYPE_FAILED
from limpet.sdk._worker.console import lines_on_console
from limpet.sdk._worker.logs import LogSender, TaskLogHandler
from limpet.sdk._worker.watchdog import LoopWatchdog
from tests.sdk.scripted_engine import ScriptedEngine, start_action, worker_id
from tests.sdk.test_signals import worker_process


@contextmanager
def program_with(*handlers: logging.Handler) -> Iterator[None]:
    """A program whose root logger has these handlers alone; those of pytest, and levels that others set, are away meanwhile."""
    root, package = logging.getLogger(), logging.getLogger("limpet")
    kept, root.handlers[:], level = root.handlers[:], handlers, package.level
    package.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        root.handlers[:] = kept
        package.setLevel(level)


async def test_a_program_without_logging_sees_its_worker_begin_and_end(scripted: ScriptedEngine) -> None:
    async with worker_process(scripted, stderr=asyncio.subprocess.PIPE) as process:
        await scripted.send(start_action("brief:brief"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        process.send_signal(signal.SIGTERM)
        _, written = await asyncio.wait_for(process.communicate(), 10)
    text = written.decode()
    assert f"info    Worker w is ready, as {worker_id(1)}: tasks brief:brief, endless:endless; slots default 100.\n" in text
    assert "Worker w drains" in text
    assert text.endswith("Worker w has left.\n")


def test_lines_go_to_the_console_while_the_worker_runs_and_no_longer(capsys: pytest.CaptureFixture[str]) -> None:
    inner = logging.getLogger("limpet.sdk.worker")
    with program_with():
        with lines_on_console():
            inner.info("it begins")
            inner.debug("a detail")
        inner.info("after the end")
    assert [line.split(maxsplit=1)[1] for line in capsys.readouterr().err.splitlines()] == ["info    it begins"]


def test_a_program_with_logging_of_its_own_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    with program_with(logging.NullHandler()), lines_on_console():
        logging.getLogger("limpet.sdk.worker").warning("heard by its handler")
        assert logging.getLogger("limpet").handlers == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("has_own_handler", [False, True])
def test_capturing_logs_does_not_end_what_python_prints_without_handlers(
    client: Limpet, capsys: pytest.CaptureFixture[str], has_own_handler: bool
) -> None:
    program = logging.getLogger("a_program")
    program.handlers[:] = [logging.NullHandler()] if has_own_handler else []
    with program_with(TaskLogHandler(LogSender(client._calls.transport, 1))):
        program.warning("the disk is nearly full")
        program.info("as usual")
    assert capsys.readouterr().err == ("" if has_own_handler else "the disk is nearly full\n")


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_W7_14_the_traceback_begins_where_the_task_does(
    client: Limpet, scripted: ScriptedEngine, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def broken(input: EmptyModel, ctx: Context) -> None:
        raise ValueError("no such customer")

    async def broken_too(input: EmptyModel, ctx: Context) -> None:
        raise ValueError("no such customer")

    task = client.task(name="broken")(broken if kind == "sync" else broken_too)
    async with client.worker("w", workflows=[task]):
        await scripted.send(start_action("broken:broken", retry_count=2))
        [failed] = await scripted.event(STEP_EVENT_TYPE_FAILED)
    lines = failed.event_payload.decode().splitlines()
    assert lines[:2] == ["ValueError: no such customer", "Traceback (most recent call last):"]
    assert lines[2].startswith(f'  File "{__file__}"')
    assert "limpet/sdk" not in failed.event_payload.decode()
    [line] = [record.getMessage() for record in caplog.records if "Task broken failed" in record.getMessage()]
    assert line.startswith("Task broken failed (run task-1, attempt 3).\nTraceback")
    assert line.endswith("ValueError: no such customer")


async def test_a_failure_of_our_own_keeps_its_last_frame(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task()
    def listed(input: EmptyModel, ctx: Context) -> Any:
        return [1, 2]

    async with client.worker("w", workflows=[listed]):
        await scripted.send(start_action("listed:listed"))
        [failed] = await scripted.event(STEP_EVENT_TYPE_FAILED)
    assert failed.event_payload.decode().count("  File ") == 1


async def test_a_worker_says_where_no_engine_answers() -> None:
    config = ClientConfig(host_port="127.0.0.1:9", server_url="http://127.0.0.1:9", tenacity=TenacityConfig(max_attempts=1))
    client = Limpet(config=config)

    @client.task()
    def work(input: EmptyModel, ctx: Context) -> None: ...

    with pytest.raises(EngineNotFoundError, match=r"'w' cannot start: no engine answers at 127\.0\.0\.1:9 \(.+\)\. Start one"):
        await client.worker("w", workflows=[work]).aio_start()


async def test_a_refusal_at_the_start_stays_what_it_is(client: Limpet, scripted: ScriptedEngine) -> None:
    async def refuse(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "slots: 0 is not usable")

    scripted.answers["Register"] = refuse

    @client.task()
    def work(input: EmptyModel, ctx: Context) -> None: ...

    with pytest.raises(grpc.RpcError, match="slots: 0 is not usable"):
        await client.worker("w", workflows=[work]).aio_start()


async def test_an_outage_of_heartbeats_is_said_once_and_its_end(
    client: Limpet, scripted: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "limpet")
    beats = 0

    async def away_at_first(request: Any, context: grpc.aio.ServicerContext) -> Any:
        nonlocal beats
        beats += 1
        if beats <= 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return dispatcher_pb2.HeartbeatResponse()

    scripted.answers["Heartbeat"] = away_at_first

    @client.task()
    def work(input: EmptyModel, ctx: Context) -> None: ...

    worker = client.worker("w", workflows=[work])
    worker._heartbeat_interval_s = 0.01
    async with worker:
        await scripted.called("Heartbeat", 6)
    said = [record.getMessage() for record in caplog.records if record.name.endswith("heartbeat")]
    assert said == [
        "The engine does not hear this worker's heartbeats (UNAVAILABLE); they go on.",
        "The engine hears this worker again.",
    ]


async def test_the_warning_of_a_blocked_loop_shows_the_users_lines_alone(
    client: Limpet, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("limpet.sdk._worker.session.LoopWatchdog", lambda loop: LoopWatchdog(loop, blocked_after_s=0.05))
    warned = threading.Event()
    monkeypatch.setattr(LoopWatchdog, "_warn", announcing(LoopWatchdog._warn, warned))

    @client.task()
    async def greedy(input: EmptyModel, ctx: Context) -> None:
        assert warned.wait(10)

    async with client.worker("w", workflows=[greedy]):
        await scripted.send(start_action("greedy:greedy"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
    [text] = [record.getMessage() for record in caplog.records if "blocked" in record.getMessage()][:1]
    assert "task 'greedy'" in text
    assert f'File "{__file__}"' in text
    assert "limpet/sdk" not in text


def announcing(warn: Any, warned: threading.Event) -> Any:
    """The method, and then a sign that it was called."""

    def both(self: LoopWatchdog) -> None:
        warn(self)
        warned.set()

    return both
