"""What users of the official client do every day: results, failures, retries, bulk, children, cancellation, graphs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest
from hatchet_sdk import Hatchet
from hatchet_sdk.exceptions import FailedTaskRunExceptionGroup

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import EngineProcess, WorkerProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.workflows import Doubled, Number, build

pytestmark = pytest.mark.compat


worker = worker_for_all("everyday", {"slots": 50})


def lines_of(engine: EngineProcess, kind: str) -> list[dict]:
    return [line for line in journal.read(engine.client_environment()["JOURNAL"]) if line["kind"] == kind]


async def test_a_task_returns_its_validated_output(hatchet: Hatchet) -> None:
    assert await build(hatchet)["double"].aio_run(Number(number=21)) == Doubled(value=42)


def test_the_synchronous_forms_return_the_same(hatchet: Hatchet) -> None:
    double = build(hatchet)["double"]
    assert double.run(Number(number=3)) == Doubled(value=6)
    assert double.run(Number(number=4), wait_for_result=False).result() == Doubled(value=8)
    assert [r.value for r in double.run_many([double.create_bulk_run_item(Number(number=n)) for n in range(3)])] == [0, 2, 4]


async def test_A53_a_bulk_of_2500_comes_back_in_order(hatchet: Hatchet) -> None:
    double = build(hatchet)["double"]
    items = [double.create_bulk_run_item(Number(number=n)) for n in range(2_500)]
    references = await double.aio_run_many(items, wait_for_result=False)
    assert len({reference.workflow_run_id for reference in references}) == 2_500
    results = await asyncio.gather(*(reference.aio_result() for reference in references[:50]))
    assert [result.value for result in results] == [2 * n for n in range(50)]


async def test_children_run_and_return(hatchet: Hatchet) -> None:
    assert await build(hatchet)["parent"].aio_run(Number(number=10)) == {"sum": 90}


async def test_a_failed_attempt_is_retried(hatchet: Hatchet) -> None:
    assert await build(hatchet)["fails_once"].aio_run() == {"attempt": 2}


async def test_A44_a_non_retryable_failure_ends_at_once(engine: EngineProcess, hatchet: Hatchet) -> None:
    with pytest.raises(FailedTaskRunExceptionGroup, match="no use in trying again"):
        await build(hatchet)["fails_for_good"].aio_run()
    assert [line["retry"] for line in lines_of(engine, "fails_for_good")] == [0]


async def test_A01_a_graph_joins_its_branches_after_a_retry(hatchet: Hatchet) -> None:
    result = await build(hatchet)["Graph"].aio_run(Number(number=1))
    assert result == {"left": {"value": 2}, "right": {"value": 3}, "join": {"value": 5}}


async def test_A39_the_on_failure_task_runs_and_the_run_stays_failed(engine: EngineProcess, hatchet: Hatchet) -> None:
    with pytest.raises(FailedTaskRunExceptionGroup, match="broken on purpose"):
        await build(hatchet)["Broken"].aio_run()
    lines = await asyncio.to_thread(wait_for, "the on-failure task ran", lambda: lines_of(engine, "mend"))
    assert lines[0]["errors"] == ["breaks"]


async def test_AC74_a_running_task_is_cancelled_at_once(engine: EngineProcess, hatchet: Hatchet) -> None:
    sleeper = build(hatchet)["sleeper"]
    reference = await sleeper.aio_run(Number(number=7_001, seconds=60), wait_for_result=False)
    await asyncio.to_thread(
        wait_for, "the task runs", lambda: [line for line in lines_of(engine, "sleeper") if line["number"] == 7_001]
    )
    await hatchet.runs.aio_cancel(reference.workflow_run_id)
    details = await asyncio.to_thread(hatchet.runs.get_details, reference.workflow_run_id)
    assert details.status.name == "CANCELLED"
    assert not [line for line in lines_of(engine, "sleeper done") if line["number"] == 7_001]


async def test_a_lifespan_reaches_its_tasks(hatchet: Hatchet) -> None:
    assert await build(hatchet)["lifespan"].aio_run() == {"pool": "open"}


async def test_AC59_A50_a_stopped_worker_finishes_its_task_first(
    engine: EngineProcess, hatchet: Hatchet, worker: WorkerProcess, workers: Callable[..., WorkerProcess]
) -> None:
    sleeper = build(hatchet)["sleeper"]
    reference = await sleeper.aio_run(Number(number=7_002, seconds=4), wait_for_result=False)
    await asyncio.to_thread(
        wait_for, "the task runs", lambda: [line for line in lines_of(engine, "sleeper") if line["number"] == 7_002]
    )
    second = await asyncio.to_thread(workers, engine, "standby", slots=5)
    assert worker.process is not None
    worker.process.send_signal(signal.SIGTERM)
    await reference.aio_result()
    await asyncio.to_thread(worker.process.wait, 30)
    runs = [line for line in lines_of(engine, "sleeper") if line["number"] == 7_002]
    assert [line["retry"] for line in runs] == [0]
    assert runs[0]["worker"] != second.id
    assert [line["kind"] for line in lines_of(engine, "lifespan left")]
