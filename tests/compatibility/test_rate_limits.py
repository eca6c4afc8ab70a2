"""Rate limits with the unmodified official client: put, list, pause, static and dynamic keys, timeouts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hatchet_sdk import BulkCancelReplayOpts, Hatchet, RateLimit, RateLimitDuration
from hatchet_sdk.clients.rest.models.rate_limit_order_by_direction import RateLimitOrderByDirection
from hatchet_sdk.clients.rest.models.rate_limit_order_by_field import RateLimitOrderByField

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import EngineProcess
from tests.compatibility.programs import journal
from tests.compatibility.programs.metered import PAUSE, Job, build_metered

pytestmark = pytest.mark.compat
SECOND, MINUTE = RateLimitDuration.SECOND, RateLimitDuration.MINUTE


worker = worker_for_all("metered", {"slots": 50, "program": "metered"})


async def start(task: Any, *jobs: Job) -> list[Any]:
    return [await task.aio_run(job, wait_for_result=False) for job in jobs]


def units(hatchet: Hatchet, key: str) -> tuple[int, int]:
    """Left, and in all."""
    [row] = [row for row in hatchet.rate_limits.list(search=key).rows or [] if row.key == key]
    return row.value, row.limit_value


def events_of(hatchet: Hatchet, run: Any) -> list[str]:
    return [event.event_type.value for event in hatchet.runs.get(run.workflow_run_id).task_events]


async def test_B35_six_tasks_under_a_limit_of_two_a_second_take_two_seconds(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_metered(hatchet)["per_second"]
    await hatchet.rate_limits.aio_put("second", 2, SECOND)
    await task.aio_run_many([task.create_bulk_run_item(Job(number=number)) for number in range(6)])
    lines = [line for line in journal.read(engine.client_environment()["JOURNAL"]) if line.get("task") == "per_second"]
    begun = sorted(line["at"] for line in lines)
    assert len(begun) == 6
    assert begun[-1] - begun[0] >= 1.9  # a body may begin a little later than its assignment
    assert all(later - earlier >= 0.9 for earlier, later in zip(begun, begun[2:], strict=False))


async def test_B37_B43_B45_what_waits_for_units_is_queued_and_says_so(hatchet: Hatchet) -> None:
    tasks = build_metered(hatchet)
    ada, again, bob = await start(tasks["by_user"], Job(number=1), Job(number=2), Job(number=3, user="bob"))
    assert (await ada.aio_result(), await bob.aio_result()) == ({"number": 1}, {"number": 3})
    three, four = await start(tasks["by_units"], Job(number=4, units=3), Job(number=5, units=3))
    assert await three.aio_result() == {"number": 4}
    for key, limit in (("plenty", 10), ("single", 1)):
        await hatchet.rate_limits.aio_put(key, limit, MINUTE)
    one, two = await start(tasks["of_two"], Job(number=6), Job(number=7))
    assert await one.aio_result() == {"number": 6}
    for waiting in (again, four, two):
        assert (await hatchet.runs.aio_get_status(waiting.workflow_run_id)).value == "QUEUED"
        assert "REQUEUED_RATE_LIMIT" in await asyncio.to_thread(events_of, hatchet, waiting)
    assert await asyncio.to_thread(units, hatchet, "units") == (2, 5)
    assert await asyncio.to_thread(units, hatchet, "plenty") == (8, 10)
    assert await asyncio.to_thread(units, hatchet, "single") == (0, 1)
    await hatchet.runs.aio_bulk_cancel(BulkCancelReplayOpts(ids=[run.workflow_run_id for run in (again, four, two)]))


async def test_B38_B40_units_that_never_come_end_in_the_schedule_timeout(hatchet: Hatchet) -> None:
    tasks = build_metered(hatchet)
    await hatchet.rate_limits.aio_put("three", 3, SECOND)
    runs = [*await start(tasks["never"], Job()), *await start(tasks["unknown"], Job())]
    for run, words in zip(runs, ("has 3 units in all, 5 are needed", "nobody has set the rate limit 'unknown'"), strict=True):
        with pytest.raises(Exception, match=words):
            await run.aio_result()
        assert "SCHEDULING_TIMED_OUT" in await asyncio.to_thread(events_of, hatchet, run)


async def test_B44_a_key_that_is_no_text_fails_the_task(hatchet: Hatchet) -> None:
    [run] = await start(build_metered(hatchet)["by_user"], Job(user=7))
    with pytest.raises(Exception, match="failed to parse step expression"):
        await run.aio_result()


async def test_a_task_pauses_its_limit_and_somebody_ends_the_pause(hatchet: Hatchet) -> None:
    task = build_metered(hatchet)["pauses"]
    await hatchet.rate_limits.aio_put("paused", 9, MINUTE)
    [first] = await start(task, Job())
    until = datetime.fromisoformat((await first.aio_result())["until"])
    assert until - datetime.now(UTC) > PAUSE - timedelta(minutes=1)
    [second] = await start(task, Job())
    assert (await hatchet.runs.aio_get_status(second.workflow_run_id)).value == "QUEUED"
    [row] = (await hatchet.rate_limits.aio_list(search="paused")).rows or []
    assert row.paused_until is not None
    assert abs(row.paused_until - until) < timedelta(milliseconds=1)
    await hatchet.rate_limits.aio_pause("paused", datetime.now(UTC) - PAUSE)
    await second.aio_result()


def test_B41_B42_B49_limits_are_put_changed_searched_and_ordered(hatchet: Hatchet) -> None:
    for key, limit in (("zz-a2", 5), ("zz-a1", 9), ("zz-b1", 7)):
        hatchet.rate_limits.put(key, limit, MINUTE)
    hatchet.rate_limits.put("zz-a1", 3, MINUTE)
    assert units(hatchet, "zz-a1") == (3, 3)

    def keys(**wanted: Any) -> list[str]:
        return [row.key for row in hatchet.rate_limits.list(**wanted).rows or []]

    assert keys(search="zz-a", order_by_field=RateLimitOrderByField.KEY) == ["zz-a1", "zz-a2"]
    descending = RateLimitOrderByDirection.DESC
    assert keys(search="zz-", order_by_field=RateLimitOrderByField.LIMITVALUE, order_by_direction=descending)[0] == "zz-b1"
    assert keys(search="zz-", order_by_field=RateLimitOrderByField.VALUE, limit=1, offset=1) == ["zz-a2"]
    [row] = hatchet.rate_limits.list(search="zz-b1").rows or []
    assert (row.window, row.tenant_id) == ("1 MINUTE", hatchet.config.tenant_id)


def test_B46_a_limit_without_a_key_is_refused_at_registration(hatchet: Hatchet, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="both"):
        RateLimit(static_key="a", dynamic_key="b")
    with pytest.raises(ValueError, match="limit"):
        RateLimit(dynamic_key="input.user")

    @hatchet.task(name="nameless", rate_limits=[RateLimit()])
    async def nameless(input: Any, ctx: Any) -> None: ...

    with pytest.raises(SystemExit):  # the client logs the refusal and ends its process
        hatchet.worker("nameless-worker").register_workflow(nameless)
    assert "INVALID_ARGUMENT" in caplog.text
    assert "a rate limit needs a key" in caplog.text
