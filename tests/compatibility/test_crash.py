"""Crashes, with the official client: nothing acknowledged is lost, and nothing confirmed runs twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from tests.compatibility.conftest import client_of
from tests.compatibility.processes import EngineProcess, WorkerProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.workflows import Number, build

pytestmark = [pytest.mark.compat, pytest.mark.timeout(240)]


def lines_of(engine: EngineProcess, kind: str) -> list[dict]:
    return [line for line in journal.read(engine.client_environment()["JOURNAL"]) if line["kind"] == kind]


def finished(engine: EngineProcess, run_ids: list[str]) -> bool:
    """Whether every run reads COMPLETED."""
    return all(engine.get(f"/api/v1/stable/workflow-runs/{run_id}/status") == "COMPLETED" for run_id in run_ids)


async def test_AC78_engine_killed_while_tasks_run_loses_and_doubles_nothing(
    own_engine: EngineProcess, workers: Callable[..., WorkerProcess]
) -> None:
    """The tasks outlast the restart: outcomes that are under way while the client rebuilds its channel are dropped by it."""
    await asyncio.to_thread(workers, own_engine, "survivor", slots=200)
    sleeper = build(client_of(own_engine))["sleeper"]
    items = [sleeper.create_bulk_run_item(Number(number=n, seconds=8)) for n in range(100)]
    references = await sleeper.aio_run_many(items, wait_for_result=False)
    await asyncio.to_thread(wait_for, "all tasks have started", lambda: len(lines_of(own_engine, "sleeper")) >= 100)
    waits = [asyncio.create_task(reference.aio_result()) for reference in references]
    await asyncio.to_thread(own_engine.kill)
    await asyncio.to_thread(own_engine.start)
    results = await asyncio.wait_for(asyncio.gather(*waits), 120)
    assert len(results) == 100
    starts = Counter(line["number"] for line in lines_of(own_engine, "sleeper"))
    assert set(starts) == set(range(100))
    assert max(starts.values()) == 1, "a task whose STARTED was acknowledged ran twice"


async def test_engine_killed_under_triggers_keeps_every_acknowledged_run(
    own_engine: EngineProcess, workers: Callable[..., WorkerProcess]
) -> None:
    """The task has a retry, because the client drops outcomes that are under way while it rebuilds its channel."""
    await asyncio.to_thread(workers, own_engine, "steady", slots=50)
    patient = build(client_of(own_engine))["patient"]
    acknowledged: list[str] = []

    async def trigger(numbers: range) -> None:
        for number in numbers:
            reference = await patient.aio_run(Number(number=number), wait_for_result=False)
            acknowledged.append(reference.workflow_run_id)

    callers = [asyncio.create_task(trigger(range(n * 100, n * 100 + 60))) for n in range(5)]
    for crash in range(1, 3):
        await asyncio.to_thread(wait_for, "some runs are acknowledged", lambda c=crash: len(acknowledged) >= 60 * c)
        await asyncio.to_thread(own_engine.kill)
        await asyncio.to_thread(own_engine.start)
    await asyncio.gather(*callers)
    assert len(acknowledged) == 300
    await asyncio.to_thread(wait_for, "every acknowledged run is COMPLETED", lambda: finished(own_engine, acknowledged), 90)


async def test_AC13_A49_T_KILL_WORKER_tasks_of_a_killed_worker_run_elsewhere(
    tmp_path, workers: Callable[..., WorkerProcess]
) -> None:
    engine = EngineProcess(tmp_path, settings={"worker_lost_after": "8s", "worker_assignable": "6s"})
    engine.start()
    try:
        first = await asyncio.to_thread(workers, engine, "doomed", slots=20)
        sleeper = build(client_of(engine))["sleeper"]
        items = [sleeper.create_bulk_run_item(Number(number=n, seconds=1.5)) for n in range(10)]
        references = await sleeper.aio_run_many(items, wait_for_result=False)
        await asyncio.to_thread(wait_for, "all tasks have started", lambda: len(lines_of(engine, "sleeper")) >= 10)
        await asyncio.to_thread(first.kill)
        second = await asyncio.to_thread(workers, engine, "heir", slots=20)
        await asyncio.wait_for(asyncio.gather(*(reference.aio_result() for reference in references)), 60)
        done = lines_of(engine, "sleeper done")
        assert {line["worker"] for line in done} == {second.id}
        assert sorted(line["number"] for line in done) == list(range(10))
        assert {line["retry"] for line in done} == {1}
    finally:
        engine.stop()


@pytest.mark.parametrize("waits_count", [1_500, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_thousands_of_waits_on_one_stream_are_all_answered_after_a_crash(
    own_engine: EngineProcess, workers: Callable[..., WorkerProcess], waits_count: int
) -> None:
    """The client drops outcomes that are under way while it rebuilds its channel (observed with 1.43.1, some dozens
    of 5,000), so the task has a retry: the engine then runs those again after their timeout."""
    await asyncio.to_thread(workers, own_engine, "busy", slots=100)
    patient = build(client_of(own_engine))["patient"]
    items = [patient.create_bulk_run_item(Number(number=n)) for n in range(waits_count)]
    references = await patient.aio_run_many(items, wait_for_result=False)
    waits = [asyncio.create_task(reference.aio_result()) for reference in references]
    await asyncio.to_thread(wait_for, "some have run", lambda: len(lines_of(own_engine, "patient")) > waits_count // 5)
    await asyncio.to_thread(own_engine.kill)
    await asyncio.to_thread(own_engine.start)
    results = await asyncio.wait_for(asyncio.gather(*waits), 200)
    assert [result.value for result in results] == [2 * n for n in range(waits_count)]
