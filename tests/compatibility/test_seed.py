"""The seed document's workflows, with the official client, workers in processes of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest
from hatchet_sdk import Hatchet, TriggerWorkflowOptions
from hatchet_sdk.labels import DesiredWorkerLabel

from tests.compatibility.conftest import client_of
from tests.compatibility.processes import EngineProcess, WorkerProcess
from tests.compatibility.programs import journal
from tests.compatibility.programs.workflows import Number, build

ROUNDS = int(os.environ.get("PRIORITY_ROUNDS", "20"))
ROUNDS_POSTGRES = 5  # the order is the core's; the store has no say in it

pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def pair(engine: EngineProcess) -> Callable[[], None]:
    """Two equal workers with labels, for the whole module."""
    started = [
        WorkerProcess(engine, "first", {"slots": 100, "labels": {"affinity": "foo", "zone": "a", "memory": 512}}),
        WorkerProcess(engine, "second", {"slots": 100, "labels": {"affinity": "bar", "zone": "b", "memory": 256}}),
    ]
    for worker in started:
        worker.start()
    yield started
    for worker in started:
        worker.stop()


@pytest.mark.parametrize("strategy", ["Soft", "Hard"])
async def test_AC01_AC02_AC17_all_tasks_of_a_sticky_run_and_its_child_share_a_worker(
    pair, hatchet: Hatchet, strategy: str
) -> None:
    both = {worker.id for worker in pair}  # waits until both are active
    workflow = build(hatchet)[f"Sticky{strategy}Workflow"]
    results = await asyncio.gather(*(workflow.aio_run() for _ in range(20)))
    for result in results:
        places = {result["step1a"]["worker"], result["step1b"]["worker"], result["step2"]["worker"], result["step2"]["child"]}
        assert len(places) == 1
    assert {result["step1a"]["worker"] for result in results} == both


async def test_AC37_a_label_at_run_time_routes_the_run(pair, hatchet: Hatchet) -> None:
    first, second = pair
    anywhere = build(hatchet)["anywhere"]
    for value, worker in (("foo", first), ("bar", second)):
        options = TriggerWorkflowOptions(desired_worker_label={"affinity": DesiredWorkerLabel(value=value, required=True)})
        results = [await anywhere.aio_run(options=options) for _ in range(5)]
        assert {result["worker"] for result in results} == {worker.id}


async def test_labels_at_definition_time_route_the_task(pair, hatchet: Hatchet) -> None:
    labelled = build(hatchet)["labelled"]
    results = await asyncio.gather(*(labelled.aio_run() for _ in range(10)))
    assert {result["worker"] for result in results} == {pair[0].id}
    assert results[0]["labels"]["zone"] == "a"


async def test_AC46_a_label_set_inside_a_task_attracts_a_waiting_task(pair, engine: EngineProcess, hatchet: Hatchet) -> None:
    workflows = build(hatchet)
    wanted = TriggerWorkflowOptions(desired_worker_label={"model": DesiredWorkerLabel(value="v2", required=True)})
    waiting = await workflows["anywhere"].aio_run_no_wait(options=wanted)
    changed = await workflows["relabel"].aio_run()
    result = await waiting.aio_result()
    assert result["worker"] == changed["worker"]
    row = next(row for row in engine.workers() if row["metadata"]["id"] == changed["worker"])
    assert {"affinity", "zone", "memory", "model"} == {label["key"] for label in row["labels"]}


async def test_AC25_AC27_priority_is_strict_over_queues_with_one_slot(
    engine: EngineProcess, workers: Callable[..., WorkerProcess], hatchet: Hatchet, pair
) -> None:
    """One slot, held by a first task; then a mix of levels in two queues starts strictly in order, first in first out inside."""
    for worker in pair:
        await asyncio.to_thread(worker.stop)
    workflows = build(hatchet)
    single = await asyncio.to_thread(workers, engine, "single", slots=1, only=["urgent", "ordinary", "sleeper"])
    for round_number in range(min(ROUNDS, ROUNDS_POSTGRES) if "://" in str(engine.store) else ROUNDS):
        base = 1_000 * (round_number + 1)
        holder = await workflows["sleeper"].aio_run(Number(number=base, seconds=60), wait_for_result=False)
        levels = [1, 3, None, 2, 3, 1, 2, None, 1, 3, 2, None, 3, 1, 2, 2, 1, 3, None, 1]
        references = []
        for index, level in enumerate(levels):
            task = workflows["urgent" if level is None else "ordinary"]
            options = TriggerWorkflowOptions(priority=level) if level is not None else TriggerWorkflowOptions()
            number = Number(number=base + index, seconds=0.0)
            references.append(await task.aio_run(number, options=options, wait_for_result=False))
        await hatchet.runs.aio_cancel(holder.workflow_run_id)  # only now, however long all of that took
        await asyncio.gather(*(reference.aio_result() for reference in references))
        lines = [
            line
            for line in journal.read(engine.client_environment()["JOURNAL"])
            if line["kind"] == "priority" and base <= line["number"] < base + 1_000
        ]
        expected = sorted(range(len(levels)), key=lambda i: (-(levels[i] or 3), i))
        assert [line["number"] - base for line in lines] == expected
        assert [line["priority"] for line in lines] == [levels[i] or 3 for i in expected]
    assert single.row() is not None


def test_the_client_names_the_engine_version_it_met(engine: EngineProcess) -> None:
    client = client_of(engine)
    assert asyncio.run(client.aio_get_engine_version()).startswith("v0.")
