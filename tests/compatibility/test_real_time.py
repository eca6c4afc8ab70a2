"""Lost workers in real time, with every liveness constant at its default. By name: `make compat`, or `pytest -m slow`."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from hatchet_sdk import Hatchet

from tests.compatibility.conftest import client_of
from tests.compatibility.processes import EngineProcess, WorkerProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.workflows import Number, build

LOST_AFTER_S, GRACE_S, SLACK_S = 30.0, 30.0, 5.0  # defaults of the engine; AC-06 allows 65 s in all
HEARTBEAT_EVERY_S = 4.0
FROZEN_S = 45.0
TASK_S = 10.0  # long enough to be met by a signal

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(300)]
StartWorker = Callable[..., WorkerProcess]


def lines_of(engine: EngineProcess, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    lines = journal.read(engine.client_environment()["JOURNAL"])
    return [line for line in lines if line["kind"] == kind and all(line[name] == value for name, value in wanted.items())]


def status(engine: EngineProcess, run_id: str) -> str:
    return str(engine.get(f"/api/v1/stable/workflow-runs/{run_id}/status"))


async def waited(what: str, holds: Callable[[], Any], within_s: float = 60.0) -> Any:
    return await asyncio.to_thread(wait_for, what, holds, within_s)


async def test_AC06_AC13_AC62_lost_workers_at_default_settings(own_engine: EngineProcess, workers: StartWorker) -> None:
    """A worker that is killed and one that is frozen, side by side, because each takes half a minute to be missed."""
    hatchet = client_of(own_engine)
    await asyncio.gather(killed(own_engine, workers, hatchet), frozen(own_engine, workers, hatchet))


async def killed(engine: EngineProcess, workers: StartWorker, hatchet: Hatchet) -> None:
    """AC-06: a bound run fails once its worker stays away. AC-13: a run that has finished nothing yet moves."""
    doomed = await asyncio.to_thread(workers, engine, "doomed", only=["HardPair"])
    doomed_id, pair = doomed.id, build(hatchet)["HardPair"]
    moving = await pair.aio_run(Number(number=1, seconds=TASK_S), wait_for_result=False)
    bound = await pair.aio_run(Number(number=2, seconds=TASK_S), wait_for_result=False)
    await waited("the bound run's second task runs", lambda: lines_of(engine, "pair", number=2, task="second"))
    await waited("the other run's first task runs", lambda: lines_of(engine, "pair", number=1, task="first"))
    await asyncio.to_thread(doomed.kill)
    killed_at = time.time()
    heir = await asyncio.to_thread(workers, engine, "heir", only=["HardPair"])
    result = await moving.aio_result()
    assert result["first"]["worker"] == result["second"]["worker"] == heir.id
    (again,) = lines_of(engine, "pair", number=1, task="first", retry=1)
    assert LOST_AFTER_S - HEARTBEAT_EVERY_S - 1 <= again["at"] - killed_at <= LOST_AFTER_S + SLACK_S
    await waited("the bound run has failed", lambda: status(engine, bound.workflow_run_id) == "FAILED", 2 * GRACE_S)
    assert time.time() - killed_at <= LOST_AFTER_S + GRACE_S + SLACK_S
    assert {line["worker"] for line in lines_of(engine, "pair", number=2)} == {doomed_id}, "it never ran elsewhere"
    details = engine.get(f"/api/v1/stable/workflow-runs/{bound.workflow_run_id}")
    error = next(task["errorMessage"] for task in details["tasks"] if task["status"] == "FAILED")
    assert "HARD" in error
    assert "doomed" in error
    assert doomed_id in error


async def frozen(engine: EngineProcess, workers: StartWorker, hatchet: Hatchet) -> None:
    """AC-62, T-PAUSED-WORKER: its task goes elsewhere, and what it says when it wakes up changes nothing."""
    asleep = await asyncio.to_thread(workers, engine, "asleep", only=["sleeper"])
    asleep_id = asleep.id
    run = await build(hatchet)["sleeper"].aio_run(Number(number=1, seconds=TASK_S), wait_for_result=False)
    await waited("the task runs", lambda: lines_of(engine, "sleeper"))
    asleep.signal(signal.SIGSTOP)
    frozen_at = time.time()
    awake = await asyncio.to_thread(workers, engine, "awake", only=["sleeper"])
    assert (await run.aio_result()).value == 2
    (done,) = lines_of(engine, "sleeper done")
    assert (done["worker"], done["retry"]) == (awake.id, 1)
    (again,) = lines_of(engine, "sleeper", retry=1)
    assert LOST_AFTER_S - HEARTBEAT_EVERY_S - 1 <= again["at"] - frozen_at <= LOST_AFTER_S + SLACK_S
    await asyncio.sleep(frozen_at + FROZEN_S - time.time())
    asleep.signal(signal.SIGCONT)
    await waited("it goes on with what it had", lambda: lines_of(engine, "sleeper done", worker=asleep_id, retry=0))
    await waited("it is a worker again", asleep.row)
    events = engine.get(f"/api/v1/stable/workflow-runs/{run.workflow_run_id}/task-events")["rows"]
    assert [event["eventType"] for event in events].count("REASSIGNED") == 1
    assert [(event["eventType"], event["workerId"]) for event in events if event["eventType"] == "FINISHED"] == [
        ("FINISHED", awake.id)
    ]
    assert status(engine, run.workflow_run_id) == "COMPLETED"
