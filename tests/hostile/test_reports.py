"""T-DUP-EVENT and T-LATE-RESULT: reports doubled, late, out of order, about nothing, by the wrong one (R24, R32)."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire

from .house import House, Worker, report_about, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

STARTED, COMPLETED = wire.STEP_EVENT_TYPE_STARTED, wire.STEP_EVENT_TYPE_COMPLETED
FAILED, CANCELLED = wire.STEP_EVENT_TYPE_FAILED, wire.STEP_EVENT_TYPE_CANCELLED
REPORT = "/Dispatcher/SendStepActionEvent"
Status = admin.RunStatus


async def stale(house: House) -> dict[str, float]:
    """Stale reports by cause."""
    name = "limpet_stale_reports_total,"
    return {key.removeprefix(name): value for key, value in (await house.metrics()).items() if key.startswith(name)}


async def status_of_run(house: House, run_id: str) -> Any:
    return (await house.details(run_id)).status


async def started_run(house: House, **options: Any) -> tuple[str, Worker, wire.AssignedAction]:
    """A run, its worker, and the start that the worker has acknowledged."""
    name = house.name("w")
    await house.workflow(name, task(name, **options))
    worker = await house.worker(name)
    run_id = await house.trigger(name)
    start = await worker.start()
    await worker.report(start, STARTED)
    return run_id, worker, start


@pytest.mark.parametrize("kind", [STARTED, COMPLETED, FAILED, CANCELLED, wire.STEP_EVENT_TYPE_ACKNOWLEDGED, 0, 77])
async def test_R32_a_report_about_nothing_is_OK_and_counted(house: House, kind: Any) -> None:
    counts: list[dict[str, Any]] = [{}, {"retry_count": 0}, {"retry_count": -1}, {"retry_count": 2**31 - 1}]
    says_something = kind in (STARTED, COMPLETED, FAILED, CANCELLED)
    for task_run_id in ("018f0000-0000-7000-8000-000000000000", "not-an-id", "", "x" * 10_000):
        before = sum((await stale(house)).values())
        for retry_count in counts:
            event = wire.StepActionEvent(task_run_external_id=task_run_id, event_type=kind, event_payload=b"\xff", **retry_count)
            assert await house.call(REPORT, event)
        assert sum((await stale(house)).values()) - before == (len(counts) if says_something else 0)


async def test_T_DUP_EVENT_every_report_three_times_counts_once(house: House) -> None:
    run_id, worker, start = await started_run(house, retries=2)
    for _ in range(3):
        await worker.report(start, STARTED)
    for _ in range(3):
        await worker.report(start, FAILED, b"first try")
    second = await worker.start()
    assert second.retry_count == 1, "three reports of one failure are one retry"
    for _ in range(3):
        await worker.report(second, COMPLETED, b'{"n": 1}')
    for payload in (b'{"n": 2}', b"\xff"):
        await worker.report(second, COMPLETED, payload)
    await worker.report(second, FAILED, b"too late")
    await worker.report(second, CANCELLED)
    details = await house.details(run_id)
    assert details.status == Status.COMPLETED
    assert [one.output for one in details.task_runs.values()] == [b'{"n": 1}']
    await worker.leave()


async def test_T_LATE_RESULT_of_a_superseded_attempt_is_dropped(house: House) -> None:
    run_id, worker, first = await started_run(house, retries=1)
    await worker.report(first, FAILED, b"once")
    second = await worker.start()
    before = await stale(house)
    await worker.report(first, COMPLETED, b'{"from": "the first"}')
    assert (await stale(house))["superseded attempt"] - before.get("superseded attempt", 0) == 1
    assert await status_of_run(house, run_id) == Status.RUNNING
    await worker.report(second, COMPLETED, b'{"from": "the second"}')
    assert [one.output for one in (await house.details(run_id)).task_runs.values()] == [b'{"from": "the second"}']
    await worker.leave()


async def test_R24_a_start_of_a_superseded_attempt_is_told_to_stop(house: House) -> None:
    _, worker, first = await started_run(house, retries=1)
    await worker.report(first, FAILED, b"once")
    second = await worker.start()
    await worker.report(first, STARTED)
    cancel = await worker.start()
    assert (cancel.action_type, cancel.retry_count) == (wire.CANCEL_STEP_RUN, 0)
    assert cancel.task_run_external_id == second.task_run_external_id
    await worker.report(second, COMPLETED)
    await worker.leave()


async def test_T_DUP_EVENT_an_attempt_that_was_never_made_decides_nothing(house: House) -> None:
    run_id, worker, start = await started_run(house)
    for retry_count in (1, 5, -1, 2**31 - 1):
        for kind in (STARTED, COMPLETED, FAILED, CANCELLED):
            await worker.report(start, kind, b"{}", retry_count=retry_count)
    assert await status_of_run(house, run_id) == Status.RUNNING
    await worker.report(start, COMPLETED)
    assert await status_of_run(house, run_id) == Status.COMPLETED
    await worker.leave()


async def test_R24_only_the_id_of_another_registered_worker_makes_a_report_stale(house: House) -> None:
    other = await house.worker("something-else")
    for worker_id, counts in (("the worker's name", True), ("", True), ("x" * 5000, True), (other.id, False)):
        run_id, worker, start = await started_run(house)
        await worker.report(start, COMPLETED, b'{"n": 1}', worker_id=worker_id)
        assert await status_of_run(house, run_id) == (Status.COMPLETED if counts else Status.RUNNING), worker_id[:20]
        await worker.report(start, COMPLETED, b'{"n": 2}')
        assert await status_of_run(house, run_id) == Status.COMPLETED
        await worker.leave()
    assert (await stale(house))["another worker's attempt"] >= 1
    await other.leave()


async def test_T9_nothing_said_about_a_cancelled_attempt_changes_it(house: House) -> None:
    run_id, worker, start = await started_run(house, retries=3)
    await house.call("/v1.AdminService/CancelTasks", admin.CancelTasksRequest(external_ids=[run_id]))
    assert (await worker.start()).action_type == wire.CANCEL_STEP_RUN
    for kind in (STARTED, COMPLETED, FAILED, CANCELLED):
        await worker.report(start, kind, b'{"n": 1}')
    assert await status_of_run(house, run_id) == Status.CANCELLED
    await worker.leave()


async def test_reports_before_the_receipt_and_in_the_wrong_order_are_understood(house: House) -> None:
    """The outcome overtakes STARTED: the outcome proves the start, and the late receipt means nothing."""
    name = await house.workflow(house.name("w"))
    worker = await house.worker(name)
    run_id = await house.trigger(name)
    start = await worker.start()
    await worker.report(start, COMPLETED, b'{"n": 1}')
    await worker.report(start, STARTED)
    assert await status_of_run(house, run_id) == Status.COMPLETED
    await worker.leave()


async def test_an_extreme_pause_between_attempts_is_bounded_and_can_be_cancelled(house: House) -> None:
    for pause_ms in (-(2**63), -1, 2**63 - 1):
        run_id, worker, start = await started_run(house, retries=1)
        event = report_about(start, FAILED, b"later", worker_id=worker.id, retry_after_ms=pause_ms)
        await house.call(REPORT, event)
        if pause_ms < 0:
            assert (await worker.start()).retry_count == 1, "a pause below zero is none"
        await house.call("/v1.AdminService/CancelTasks", admin.CancelTasksRequest(external_ids=[run_id]))
        assert await status_of_run(house, run_id) == Status.CANCELLED, "L8: whatever state it is in"
        await worker.leave()
