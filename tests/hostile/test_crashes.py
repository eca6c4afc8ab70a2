"""The engine's process is killed under load, again and again, while our own client, a whole fleet and its callers go on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from limpet import ClientConfig, ClientTLSConfig, Context, Limpet, TenacityConfig
from limpet.contracts import trigger_pb2 as triggers
from limpet.store.sqlite.maintenance import check
from tests.compatibility.processes import EngineProcess

from .fleet import Fleet
from .house import Callers, task

pytestmark = pytest.mark.timeout(300)  # some 15 s each on a quiet machine; what they wait for is bounded on its own

SEED = 20_261_127  # of the moments at which it is killed
KILLS = 5
CALLERS = 40  # twice as many as there are slots, so that some runs always wait
RUNS_BETWEEN_KILLS = (20, 80)  # executions, until the next one
SLOTS = 20
TRIES = 50  # of a trigger: a busy machine may need longer for a restart than the everyday five tries last
FLEET = 200
FLEET_BYTES_MAX = 250 * 1024 * 1024  # of the engine's process, two thirds of it the interpreter and its libraries


class Numbered(BaseModel):
    number: int = 0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """On a file; killed and started on the same ports. What is not confirmed is given up sooner than in everyday life."""
    process = EngineProcess(tmp_path, settings={"receipt_grace_after_load": "4s"})
    process.start()
    yield process
    process.stop()


class Story:
    """What was asked, answered and executed: the client's side of the history, to be held against the store."""

    def __init__(self, engine: EngineProcess) -> None:
        config = ClientConfig(
            token=engine.token,
            host_port=f"127.0.0.1:{engine.grpc_port}",
            server_url=f"http://127.0.0.1:{engine.http_port}",
            tls_config=ClientTLSConfig(strategy="none"),
            tenacity=TenacityConfig(max_attempts=TRIES),
        )
        self.client = Limpet(config=config)
        self.acknowledged: list[str] = []
        self.executed: list[tuple[str, int]] = []  # run and retry count, in the order of starts
        self.goes_on = True
        self._changed = asyncio.Event()
        chance = random.Random(SEED)

        @self.client.task(name="noted", input_validator=Numbered)
        async def noted(input: Numbered, ctx: Context) -> dict[str, Any]:
            self.executed.append((ctx.workflow_run_id, ctx.retry_count))
            self._changed.set()
            await asyncio.sleep(chance.random() / 5)  # what the task does; a kill meets it at any point
            return {"number": input.number}

        self.task = noted

    async def call(self, first: int) -> None:
        """Trigger and wait for the result, one after the other, for as long as the story goes on."""
        number = first
        while self.goes_on:
            reference = await self.task.aio_run(Numbered(number=number), wait_for_result=False)
            self.acknowledged.append(reference.workflow_run_id)
            assert await reference.aio_result() == {"number": number}
            number += CALLERS

    async def executions(self, count: int) -> None:
        """Return once so many have begun."""
        while len(self.executed) < count:
            self._changed.clear()
            await self._changed.wait()


async def test_T_KILL_ENGINE_five_kills_under_load_lose_nothing_and_repeat_nothing_confirmed(engine: EngineProcess) -> None:
    """D1, E2, T12: every acknowledged run ends well and says so; what ran twice had not been confirmed before the kill."""
    story, chance = Story(engine), random.Random(SEED)
    async with story.client.worker("steady", slots=SLOTS, workflows=[story.task]), asyncio.TaskGroup() as callers:
        for number in range(CALLERS):
            callers.create_task(story.call(number))
        for _ in range(KILLS):
            await story.executions(len(story.executed) + chance.randint(*RUNS_BETWEEN_KILLS))
            await asyncio.to_thread(engine.kill)
            await asyncio.to_thread(engine.start)
        story.goes_on = False
    assert {run for run, _ in story.executed} >= set(story.acknowledged)
    repeated = Counter(run for run, _ in story.executed)
    for run_id in [run for run, times in repeated.items() if times > 1]:
        assert superseded_without_receipt(engine, run_id) == repeated[run_id] - 1, f"run {run_id} was confirmed and ran again"
    await asyncio.to_thread(engine.stop)
    assert check(engine.folder / "engine.db") == []


def superseded_without_receipt(engine: EngineProcess, run_id: str) -> int:
    """Attempts before the last that no STARTED event proves to have been confirmed."""
    rows = engine.get(f"/api/v1/stable/workflow-runs/{run_id}/task-events")["rows"]
    confirmed = {row["retryCount"] for row in rows if row["eventType"] == "STARTED"}
    last = max(row["retryCount"] for row in rows)
    return len(set(range(last)) - confirmed)


@pytest.fixture
async def fleet(engine: EngineProcess) -> AsyncIterator[Fleet]:
    """Two hundred workers, all of them listening."""
    async with Callers(f"127.0.0.1:{engine.grpc_port}", f"http://127.0.0.1:{engine.http_port}", engine.token) as callers:
        await callers.workflow("herded", task("herded"))
        one = Fleet(callers, "herded", FLEET)
        await one.join()
        await one.all_back()
        yield one
        await asyncio.to_thread(engine.kill)  # streams that we cancel go on ending in gRPC's threads, after our event loop
        await one.until(lambda listening: not listening)
        await one.leave()


async def test_T_HERD_two_hundred_workers_are_back_in_time_after_a_kill(engine: EngineProcess, fleet: Fleet) -> None:
    await asyncio.to_thread(engine.kill)
    await fleet.until(lambda listening: not listening)
    await asyncio.to_thread(engine.start)
    await fleet.all_back()
    items = [triggers.TriggerWorkflowRequest(name="herded") for _ in range(FLEET)]
    for item in items:
        await fleet.callers.call("/WorkflowService/TriggerWorkflow", item)
    starts = [await fleet.started.get() for _ in items]
    assert len({start.workflow_run_id for start in starts}) == FLEET
    assert fleet.late == []
    assert engine.process is not None
    assert psutil.Process(engine.process.pid).memory_info().rss < FLEET_BYTES_MAX
