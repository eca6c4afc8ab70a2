"""Crons and scheduled runs with the official client: declared, made by calls, started in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hatchet_sdk import Hatchet

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import EngineProcess, WorkerProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.workflows import Doubled, Number, build

pytestmark = pytest.mark.compat


worker = worker_for_all("timed", {"slots": 50})


def ticks(engine: EngineProcess, number: int) -> list[dict[str, Any]]:
    lines = journal.read(engine.client_environment()["JOURNAL"])
    return [line for line in lines if line["kind"] == "ticker" and line["number"] == number]


def call(engine: EngineProcess, hatchet: Hatchet, method: str, path: str, body: Any = None) -> httpx.Response:
    """A call of the wire that the client has no method for."""
    url = f"{hatchet.config.server_url}/api/v1/tenants/{hatchet.config.tenant_id}/workflows/{path}"
    return httpx.request(method, url, json=body or {}, headers={"Authorization": f"Bearer {hatchet.config.token}"})


async def result_of(hatchet: Hatchet, run_id: str) -> Any:
    return await asyncio.to_thread(wait_for, f"run {run_id}", lambda: ended(hatchet, run_id))


def ended(hatchet: Hatchet, run_id: str) -> Any:
    run = hatchet.runs.get(run_id).run
    return run.output if run.status.value == "COMPLETED" else None


def test_B70_a_cron_of_each_second_runs_with_its_input(engine: EngineProcess) -> None:
    wait_for("three ticks", lambda: len(ticks(engine, 7)) >= 3)
    found = [tick["metadata"] for tick in ticks(engine, 7)]
    assert {one["hatchet__cron_expression"] for one in found} == {"* * * * * *"}
    slots = [datetime.fromisoformat(one["hatchet__cron_scheduled_at"]) for one in found]
    assert len(set(slots)) == len(slots)
    assert all(later - earlier >= timedelta(seconds=1) for earlier, later in zip(sorted(slots), sorted(slots)[1:], strict=False))


async def test_B72_B74_crons_by_calls_and_the_declared_one_triggered_now(engine: EngineProcess, hatchet: Hatchet) -> None:
    ticker = build(hatchet)["ticker"]
    made = await ticker.aio_create_cron("nightly", "0 3 * * *", Number(number=21), additional_metadata={"made": "here"})
    assert (await hatchet.cron.aio_get(made.metadata.id)).cron == "0 3 * * *"
    listed = await hatchet.cron.aio_list(cron_name="nightly", additional_metadata={"made": "here"})
    assert [row.metadata.id for row in listed.rows or []] == [made.metadata.id]
    assert await hatchet.cron.aio_delete(made.metadata.id) is None
    with pytest.raises(Exception, match="404"):
        await hatchet.cron.aio_get(made.metadata.id)
    (declared,) = [
        row for row in (await hatchet.cron.aio_list(workflow_id=ticker.id)).rows or [] if row.method.value == "DEFAULT"
    ]
    assert declared.input == {"number": 7, "seconds": 0.0}
    run_id = call(engine, hatchet, "POST", f"crons/{declared.metadata.id}").json()["workflowRunId"]
    assert (await result_of(hatchet, run_id)) == {"value": 14}
    assert call(engine, hatchet, "PATCH", f"crons/{declared.metadata.id}", {"enabled": False}).status_code == 204
    await asyncio.to_thread(wait_for, "the switch", lambda: not hatchet.cron.get(declared.metadata.id).enabled)


async def test_B71_B73_what_is_refused(hatchet: Hatchet) -> None:
    ticker = build(hatchet)["ticker"]
    with pytest.raises(ValueError):
        await ticker.aio_create_cron("bad", "* * *")
    made = await hatchet.cron.aio_create("ticker", "twice", "@hourly", {"number": 1}, {})
    with pytest.raises(Exception, match="already"):
        await hatchet.cron.aio_create("ticker", "twice", "@hourly", {"number": 1}, {})
    await hatchet.cron.aio_delete(made.metadata.id)


async def test_B79_B80_runs_start_at_their_times_with_what_was_given(engine: EngineProcess, hatchet: Hatchet) -> None:
    ticker = build(hatchet)["ticker"]
    at = datetime.now(UTC) + timedelta(seconds=2)
    version = await ticker.aio_schedule(at, Number(number=100), additional_metadata={"who": "me"}, priority=3)
    assert len(version.scheduled_workflows) == 1
    await ticker.aio_schedule(datetime.now(UTC) - timedelta(hours=1), Number(number=101))
    await asyncio.to_thread(wait_for, "the past one", lambda: ticks(engine, 101))
    assert not ticks(engine, 100) or datetime.now(UTC) >= at
    await asyncio.to_thread(wait_for, "its time", lambda: ticks(engine, 100))
    assert datetime.now(UTC) >= at
    (tick,) = ticks(engine, 100)
    assert (tick["priority"], tick["metadata"]["who"]) == (3, "me")


async def test_B81_to_B87_scheduled_runs_are_moved_triggered_and_deleted(engine: EngineProcess, hatchet: Hatchet) -> None:
    far = datetime.now(UTC) + timedelta(hours=1)
    made = [await hatchet.scheduled.aio_create("ticker", far, {"number": n}, {"group": "g"}) for n in range(200, 204)]
    ids = [row.metadata.id for row in made]
    assert made[0].trigger_at == far
    listed = await hatchet.scheduled.aio_list(additional_metadata={"group": "g"})
    assert [row.metadata.id for row in listed.rows or []] == ids[::-1]
    await hatchet.scheduled.aio_update(ids[0], datetime.now(UTC))
    await asyncio.to_thread(wait_for, "the moved one", lambda: ticks(engine, 200))
    for wanted in (hatchet.scheduled.aio_get, hatchet.scheduled.aio_delete):
        with pytest.raises(Exception, match="404"):
            await wanted(ids[0])
    run_id = call(engine, hatchet, "POST", f"scheduled/{ids[1]}").json()["workflowRunId"]
    assert (await result_of(hatchet, run_id)) == {"value": 402}
    moved = await hatchet.scheduled.aio_bulk_update([(ids[2], far + timedelta(hours=1)), (ids[0], far)])
    assert (moved.updated_ids, len(moved.errors)) == ([ids[2]], 1)
    gone = await hatchet.scheduled.aio_bulk_delete(scheduled_ids=[ids[2], ids[0]])
    assert (gone.deleted_ids, len(gone.errors)) == ([ids[2]], 1)
    assert (await hatchet.scheduled.aio_bulk_delete(additional_metadata={"group": "g"})).deleted_ids == [ids[3]]
    assert not (await hatchet.scheduled.aio_list(additional_metadata={"group": "g"})).rows


async def test_B83_a_scheduled_run_is_a_run_like_any_other(hatchet: Hatchet) -> None:
    assert await build(hatchet)["ticker"].aio_run(Number(number=4)) == Doubled(value=8)


def test_B88_what_was_due_while_the_engine_was_dead_runs_once(
    own_engine: EngineProcess, workers: Callable[..., WorkerProcess]
) -> None:
    from tests.compatibility.conftest import client_of

    workers(own_engine, "late")
    hatchet = client_of(own_engine)
    hatchet.scheduled.create("ticker", datetime.now(UTC) + timedelta(seconds=1.5), {"number": 300}, {})
    own_engine.kill()
    due = datetime.now(UTC) + timedelta(seconds=2)
    wait_for("the instant to pass", lambda: datetime.now(UTC) > due)
    own_engine.start()
    wait_for("the late run", lambda: ticks(own_engine, 300))
    assert len(ticks(own_engine, 300)) == 1
    assert not hatchet.scheduled.list().rows
