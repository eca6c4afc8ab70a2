"""Worker processes that are told to end: AC-59, AC-60, A116."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from limpet import Limpet, V1TaskStatus
from limpet.testing.embedded import EmbeddedEngine

PROGRAM = Path(__file__).with_name("leaving_program.py")
PATIENCE_S = 10.0
HANDED_OVER_WITHIN_S = 5.0  # AC-60


@asynccontextmanager
async def worker_process(engine: EmbeddedEngine, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), name, env=os.environ | engine.environment, stdin=pipe, stdout=pipe
    )
    try:
        await engine.aio_call(engine.engine.pulse.until, lambda: _listens(engine, name), PATIENCE_S)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _listens(engine: EmbeddedEngine, name: str) -> bool | None:
    return any(worker.name == name and worker.stream_open for worker in engine.engine.workers(engine.tenant_id)) or None


async def _is_paused(engine: EmbeddedEngine, name: str) -> bool | None:
    return any(worker.name == name and worker.paused for worker in engine.engine.workers(engine.tenant_id)) or None


async def until_paused(engine: EmbeddedEngine, name: str) -> None:
    await engine.aio_call(engine.engine.pulse.until, lambda: _is_paused(engine, name), PATIENCE_S)


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode().strip()


async def release(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go on\n")
    await process.stdin.drain()


async def test_AC59_A116_a_worker_that_is_told_to_end_finishes_its_task_first(
    limpet_client: Limpet, limpet_engine: EmbeddedEngine
) -> None:
    """Forty seconds pass while an idle worker stands by; the lifespan is cleaned up after the task."""
    async with worker_process(limpet_engine, "w1") as first:
        ref = await limpet_client.stubs.workflow(name="held").aio_run_no_wait()
        assert await next_line(first) == "running"
        async with worker_process(limpet_engine, "w2"):
            first.send_signal(signal.SIGTERM)
            await until_paused(limpet_engine, "w1")
            await limpet_engine.aio_advance(40)
            await release(first)
            assert await ref.aio_result() == {"held": {"answer": 42, "attempt": 1, "retry_count": 0}}
            assert [await next_line(first) for _ in range(3)] == ["ended", "cleaned up", "start returned"]
            assert await asyncio.wait_for(first.wait(), PATIENCE_S) == 0
            await limpet_engine.aio_assert_ran_on(ref, "w1")


async def test_AC60_a_second_signal_ends_the_process_and_hands_its_task_over(
    limpet_client: Limpet, limpet_engine: EmbeddedEngine
) -> None:
    async with worker_process(limpet_engine, "w1") as first:
        ref = await limpet_client.stubs.workflow(name="held").aio_run_no_wait()
        assert await next_line(first) == "running"
        async with worker_process(limpet_engine, "w2") as second:
            first.send_signal(signal.SIGTERM)
            await until_paused(limpet_engine, "w1")
            first.send_signal(signal.SIGTERM)
            async with asyncio.timeout(HANDED_OVER_WITHIN_S):
                assert await next_line(second) == "running"
            assert await asyncio.wait_for(first.wait(), PATIENCE_S) == 1
            await release(second)
            result = await ref.aio_result()
            await limpet_engine.aio_assert_ran_on(ref, "w2")
            assert result["held"]["attempt"] == 2
            assert await limpet_client.runs.aio_get_status(ref.workflow_run_id) is V1TaskStatus.COMPLETED
