"""Idempotency keys with the unmodified official client: both methods, single and bulk, over retries and a killed engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hatchet_sdk import (
    BulkTriggerIdempotencyCollisionError,
    Hatchet,
    IdempotencyCollisionError,
    ScheduleTriggerWorkflowOptions,
)

from tests.compatibility.conftest import client_of, worker_for_all
from tests.compatibility.processes import EngineProcess, WorkerProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.keyed import Order, build_keyed

pytestmark = pytest.mark.compat


worker = worker_for_all("keyed", {"slots": 50, "program": "keyed"})


async def start(task: Any, order: Order) -> str:
    return str((await task.aio_run(order, wait_for_result=False)).workflow_run_id)


async def holder(task: Any, order: Order) -> str:
    """The run that a trigger collides with."""
    with pytest.raises(IdempotencyCollisionError) as caught:
        await task.aio_run(order, wait_for_result=False)
    return caught.value.existing_run_external_id


async def began(engine: EngineProcess, id: str, attempt: int = 0) -> None:
    def look() -> bool:
        lines = journal.read(engine.client_environment()["JOURNAL"])
        return any(line.get("id") == id and line.get("attempt") == attempt for line in lines)

    await asyncio.to_thread(wait_for, f"attempt {attempt} of {id}", look)


async def test_A100_A101_a_time_to_live_counts_from_the_accepted_trigger(hatchet: Hatchet) -> None:
    tasks = build_keyed(hatchet)
    first = await start(tasks["KeyedTtl"], Order(id="a100"))
    assert await holder(tasks["KeyedTtl"], Order(id="a100")) == first
    assert await holder(tasks["KeyedOther"], Order(id="a100")) == first, "W16.2"
    short = await start(tasks["KeyedShort"], Order(id="a101"))
    await asyncio.sleep(1.2)
    assert await holder(tasks["KeyedShort"], Order(id="a101")) == short
    await asyncio.sleep(1.2)
    assert await start(tasks["KeyedShort"], Order(id="a101")) != short


async def test_A102_A103_A104_a_status_key_is_held_until_the_end(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_keyed(hatchet)["KeyedStatus"]
    running = await task.aio_run(Order(id="a102", seconds=0.5), wait_for_result=False)
    failing = await task.aio_run(Order(id="a103", fails=True), wait_for_result=False)
    assert await holder(task, Order(id="a102")) == running.workflow_run_id
    await began(engine, "a103", 1)
    assert await holder(task, Order(id="a103")) == failing.workflow_run_id
    assert await running.aio_result() == {"attempt": 0}
    assert await task.aio_run(Order(id="a102")) == {"attempt": 0}, "free when the result is seen"
    with pytest.raises(Exception, match="no money"):
        await failing.aio_result()
    assert await task.aio_run(Order(id="a103")) == {"attempt": 0}
    cancelled = await start(task, Order(id="a104", seconds=30))
    await hatchet.runs.aio_cancel(cancelled)
    await task.aio_run(Order(id="a104"))


async def test_A105_of_equal_keys_in_a_bulk_one_wins(hatchet: Hatchet) -> None:
    task = build_keyed(hatchet)["KeyedTtl"]
    items = [task.create_bulk_run_item(Order(id=one)) for one in ("x105", "x105", "y105")]
    with pytest.raises(BulkTriggerIdempotencyCollisionError) as caught:
        await task.aio_run_many(items, wait_for_result=False)
    assert len(caught.value.successful_workflow_run_external_ids) == 2
    (collision,) = caught.value.collisions
    assert collision.existing_run_external_id == caught.value.successful_workflow_run_external_ids[0]


async def test_W16_8_what_gives_no_key_is_refused(hatchet: Hatchet) -> None:
    with pytest.raises(Exception, match="must not begin with hatchet_internal_"):
        await start(build_keyed(hatchet)["KeyedTtl"], Order(id="hatchet_internal_x"))


async def test_I1_keys_outlive_a_killed_engine(own_engine: EngineProcess, workers: Callable[..., WorkerProcess]) -> None:
    workers(own_engine, "keyed", slots=5, program="keyed")
    client = client_of(own_engine)
    tasks = build_keyed(client)
    held = await start(tasks["KeyedTtl"], Order(id="k"))
    running = await tasks["KeyedStatus"].aio_run(Order(id="s", seconds=3), wait_for_result=False)
    await began(own_engine, "s")
    own_engine.kill()
    await asyncio.to_thread(own_engine.start)
    assert await holder(tasks["KeyedTtl"], Order(id="k")) == held
    assert await holder(tasks["KeyedStatus"], Order(id="s")) == running.workflow_run_id
    assert await running.aio_result() == {"attempt": 0}
    await start(tasks["KeyedStatus"], Order(id="s"))


async def test_the_clock_starts_workflows_with_limits_and_keys_and_collisions_are_silent(
    engine: EngineProcess, hatchet: Hatchet
) -> None:
    task = build_keyed(hatchet)["Clocked"]

    def lines(id: str) -> list[dict[str, Any]]:
        found = journal.read(engine.client_environment()["JOURNAL"])
        return [line for line in found if line["kind"] == "clocked" and line["id"] == id]

    await asyncio.to_thread(wait_for, "two ticks", lambda: len(lines("tick")) >= 2)
    slots = [line["metadata"]["hatchet__cron_scheduled_at"] for line in lines("tick")]
    assert len(set(slots)) == len(slots)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    for id in ("one", "two"):
        await task.aio_schedule(soon, Order(id=id), ScheduleTriggerWorkflowOptions(additional_metadata={"order": "W16.7"}))
    await asyncio.to_thread(wait_for, "both are gone", lambda: not hatchet.scheduled.list(workflow_id=task.id).rows)
    await asyncio.to_thread(wait_for, "one has run", lambda: lines("one") or lines("two"))
    assert len(lines("one") + lines("two")) == 1
