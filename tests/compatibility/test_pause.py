"""Paused workflows with the unmodified official client: what waits, what is given up, what the clock starts (A97 to A99)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hatchet_sdk import Hatchet

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import wait_for
from tests.compatibility.programs.keyed import Order, build_keyed

pytestmark = pytest.mark.compat


worker = worker_for_all("keyed", {"slots": 50, "program": "keyed"})


async def until(hatchet: Hatchet, run: str, status: str) -> None:
    await asyncio.to_thread(wait_for, f"run is {status}", lambda: hatchet.runs.get_status(run).value == status)


async def runs_of(hatchet: Hatchet, task: Any) -> int:
    since = datetime.now(UTC) - timedelta(minutes=10)
    return len((await hatchet.runs.aio_list(workflow_ids=[task.id], since=since)).rows)


async def test_A97_A98_A99_what_waits_is_cancelled_or_goes_on_and_the_clock_starts_nothing(hatchet: Hatchet) -> None:
    tasks = build_keyed(hatchet)
    short, long, drop = tasks["PausedShort"], tasks["PausedLong"], tasks["PausedDrop"]
    await asyncio.to_thread(wait_for, "the cron ticks", lambda: hatchet.runs.list(workflow_ids=[drop.id]).rows)
    assert (await short.aio_pause(timedelta(seconds=1))).is_paused
    await long.aio_pause(timedelta(minutes=10))
    terms = {"paused_workflow_cron_run_queue_behavior": "DROP", "paused_workflow_scheduled_run_queue_behavior": "DROP"}
    shown = await drop.aio_pause(timedelta(minutes=10), **terms)
    assert shown.paused_workflow_cron_run_queue_behavior.value == "DROP"
    before = await runs_of(hatchet, drop)
    await drop.aio_schedule(datetime.now(UTC) + timedelta(seconds=1), Order())
    given_up = await short.aio_run(Order(), wait_for_result=False)
    waits = await long.aio_run(Order(id="patient"), wait_for_result=False)
    await until(hatchet, given_up.workflow_run_id, "CANCELLED")
    await asyncio.sleep(2)
    assert hatchet.runs.get_status(waits.workflow_run_id).value == "QUEUED"
    assert await runs_of(hatchet, drop) == before
    await long.aio_unpause()
    assert await waits.aio_result() == {"id": "patient"}
    assert not (await drop.aio_unpause()).is_paused
    await asyncio.to_thread(wait_for, "the cron goes on", lambda: len(hatchet.runs.list(workflow_ids=[drop.id]).rows) > before)
