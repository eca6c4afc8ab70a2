"""Crons and scheduled runs with our client and our worker on a real engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from limpet import ClientConfig, Context, Limpet
from limpet.sdk.features.cron import check_expression
from limpet.sdk.features.scheduled import in_utc
from limpet.sdk.rest.crons import CronWorkflowsOrderByField, WorkflowRunOrderByDirection
from limpet.sdk.rest.exceptions import BadRequestException, ForbiddenException, NotFoundException
from limpet.sdk.rest.scheduled import ScheduledRunStatus, ScheduledWorkflowsBulkUpdateItem, ScheduledWorkflowsOrderByField
from limpet.testing.embedded import EmbeddedEngine

FAR = datetime.now(UTC) + timedelta(hours=1)


class Number(BaseModel):
    n: int


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as running:
        yield running


@pytest.fixture
def live(engine: EmbeddedEngine) -> Limpet:
    return Limpet(config=ClientConfig(token=engine.token, host_port=engine.grpc_address, server_url=engine.http_url))


@pytest.fixture
async def timed(live: Limpet) -> AsyncIterator[Any]:
    """A task with a cron of each second; `seen` gets every run's number, priority and metadata."""
    seen: asyncio.Queue[tuple[int, int | None, dict[str, Any]]] = asyncio.Queue()

    @live.task(name="timed", on_crons=["* * * * * *"], cron_input=Number(n=7), input_validator=Number)
    async def timed(input: Number, ctx: Context) -> Number:
        await seen.put((input.n, ctx.priority, dict(ctx.additional_metadata or {})))
        return input

    timed.seen = seen
    async with live.worker("timed", slots=10, workflows=[timed]):
        yield timed


async def seen(timed: Any, number: int) -> tuple[int | None, dict[str, Any]]:
    """What the first run with that number had."""
    while True:
        found, priority, metadata = await asyncio.wait_for(timed.seen.get(), 20)
        if found == number:
            return priority, metadata


async def test_B70_a_declared_cron_runs_with_its_input(timed: Any) -> None:
    _, metadata = await seen(timed, 7)
    assert metadata["hatchet__cron_expression"] == "* * * * * *"
    assert metadata["hatchet__cron_scheduled_at"].endswith("Z")


async def test_B72_B73_crons_by_calls(live: Limpet, timed: Any) -> None:
    made = timed.create_cron("nightly", "@daily", Number(n=1), additional_metadata={"made": "here"}, priority=2)
    assert (made.cron, made.name, made.input, made.priority, made.enabled) == ("@daily", "nightly", {"n": 1}, 2, True)
    second = await timed.aio_create_cron("weekly", "0 0 * * 0", Number(n=1))
    assert live.cron.get(made.metadata.id) == made == await live.cron.aio_get(made.metadata.id)
    rows = live.cron.list(
        workflow_name="timed", order_by_field=CronWorkflowsOrderByField.NAME, order_by_direction=WorkflowRunOrderByDirection.ASC
    ).rows
    assert [row.name for row in rows or []] == [None, "nightly", "weekly"]
    assert (await live.cron.aio_list(additional_metadata={"made": "here"}, limit=5, offset=0)).rows == [made]
    with pytest.raises(BadRequestException, match="already"):
        live.cron.create("timed", "nightly", "@daily", {"n": 1}, {})
    with pytest.raises(ForbiddenException, match="declared"):
        live.cron.delete((rows or [])[0].metadata.id)
    live.cron.delete(made.metadata.id)
    await live.cron.aio_delete(second.metadata.id)
    with pytest.raises(NotFoundException):
        await live.cron.aio_get(made.metadata.id)


async def test_B79_B80_a_run_starts_at_its_time_with_what_was_given(timed: Any) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1)
    version = timed.schedule(at, Number(n=100), additional_metadata={"who": "me"}, priority=3)
    assert len(version.scheduled_workflows) == 1
    priority, metadata = await seen(timed, 100)
    assert datetime.now(UTC) >= at
    assert (priority, metadata["who"]) == (3, "me")
    await timed.aio_schedule(datetime.now(UTC) - timedelta(days=1), Number(n=101))
    await seen(timed, 101)


async def test_B81_to_B87_scheduled_runs_are_moved_and_deleted(live: Limpet, timed: Any) -> None:
    planned = live.scheduled
    one = planned.create("timed", FAR, {"n": 200}, {"group": "g"})
    two = await planned.aio_create("timed", FAR, {"n": 201}, {"group": "g"})
    three = timed.schedule(FAR, Number(n=202)).scheduled_workflows[0].id
    assert planned.get(one.metadata.id) == one == await planned.aio_get(one.metadata.id)
    listed = planned.list(
        additional_metadata={"group": "g"}, statuses=[ScheduledRunStatus.SCHEDULED],
        order_by_field=ScheduledWorkflowsOrderByField.CREATEDAT, order_by_direction=WorkflowRunOrderByDirection.ASC,
    )  # fmt: skip
    assert listed.rows == [one, two]
    assert (await planned.aio_list(statuses=[ScheduledRunStatus.SUCCEEDED])).rows == []
    assert planned.update(three, FAR + timedelta(hours=1)).trigger_at == FAR + timedelta(hours=1)
    await planned.aio_update(one.metadata.id, datetime.now(UTC))
    await seen(timed, 200)
    with pytest.raises(NotFoundException):
        planned.get(one.metadata.id)
    moves = [ScheduledWorkflowsBulkUpdateItem(id=three, trigger_at=FAR)]
    assert planned.bulk_update(moves).updated_ids == [three]
    assert (await planned.aio_bulk_update([(one.metadata.id, FAR)])).errors[0].id == one.metadata.id
    assert planned.bulk_delete(scheduled_ids=[three]).deleted_ids == [three]
    assert (await planned.aio_bulk_delete(additional_metadata={"group": "g"})).deleted_ids == [two.metadata.id]
    last = timed.schedule(FAR, Number(n=203)).scheduled_workflows[0].id
    planned.delete(last)
    with pytest.raises(NotFoundException):
        await planned.aio_delete(last)


async def test_F7_7_a_run_that_is_planned_inside_a_task_names_its_parent(live: Limpet, timed: Any) -> None:
    @live.task(name="planner")
    async def planner(input: Any, ctx: Context) -> dict[str, str]:
        await timed.aio_schedule(FAR, Number(n=300))
        return {"run": ctx.workflow_run_id}

    async with live.worker("planner", workflows=[planner]):
        run_id = (await planner.aio_run())["run"]
    (row,) = live.scheduled.list(parent_workflow_run_id=run_id).rows or []
    assert (row.additional_metadata or {})["hatchet__parent_workflow_run_id"] == run_id
    assert live.scheduled.bulk_delete(parent_workflow_run_id=run_id).deleted_ids == [row.metadata.id]


@pytest.mark.parametrize("expression", ["* * *", "", "MON * * * *", "1/2 * * * *", "@reboot", "TZ=UTC * * * * *", "a * * * *"])
def test_B71_F6_3_an_expression_that_cannot_be_read_makes_no_call(offline: Limpet, expression: str) -> None:
    with pytest.raises(ValueError, match="Cron expression"):
        offline.cron.create("timed", "n", expression, {}, {})


def test_F6_3_what_may_be_said() -> None:
    for expression in ("@daily", "* * * * *", "*/5 1-3 1,2 * 0", "0 0 0 1 1 *"):
        assert check_expression(f" {expression} ") == expression


def test_F7_1_times_are_sent_in_utc_and_a_naive_one_warns() -> None:
    with pytest.warns(UserWarning, match="no time zone"):
        assert in_utc(datetime(2026, 1, 1)) == datetime(2026, 1, 1, tzinfo=UTC)


def test_bulk_calls_have_bounds_and_take_ids_or_a_filter(offline: Limpet) -> None:
    with pytest.raises(ValueError, match="only one of them"):
        offline.scheduled.bulk_delete()
    with pytest.raises(ValueError, match="only one of them"):
        offline.scheduled.bulk_delete(scheduled_ids=["x"], workflow_id="y")
    with pytest.raises(ValueError, match="1 to 500"):
        offline.scheduled.bulk_delete(scheduled_ids=["x"] * 501)
    with pytest.raises(ValueError, match="1 to 500"):
        offline.scheduled.bulk_update([])
    with pytest.warns(UserWarning, match="statuses"), pytest.raises(ValueError):
        offline.scheduled.bulk_delete(statuses=[ScheduledRunStatus.SCHEDULED])
