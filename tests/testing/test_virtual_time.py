"""Time that passes at once: what it brings comes in order, and who is connected stays alive."""

from __future__ import annotations

from collections.abc import Callable

from limpet import Context, EmptyModel, Limpet
from limpet.testing import EmbeddedEngine, FakeWorker, Reason
from tests.testing.wire import Wire, task

MakeWorker = Callable[..., FakeWorker]


def test_a_schedule_timeout_of_five_minutes_happens_at_once_and_says_why(wire: Wire, limpet_engine: EmbeddedEngine) -> None:
    wire.put("plain", task("a", schedule_timeout="5m"))
    run = wire.trigger("plain")
    limpet_engine.advance(290)
    limpet_engine.assert_waiting(run, because=Reason.NO_WORKER_FOR_ACTION)
    limpet_engine.advance(10)
    error = limpet_engine.wait_until_ended(run).tasks["a"].error or ""
    assert error.startswith("Scheduling timed out after 300s: no worker registers w:a")


def test_RT3_back_offs_fall_due_one_after_the_other(wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    wire.put("flaky", task("a", retries=3, backoff_factor=20.0, backoff_max_seconds=30))
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("flaky")
    for attempt, delay_s in ((1, 20), (2, 30), (3, 30)):
        start = worker.next_start()
        assert start.attempt == attempt
        worker.fail(start)
        limpet_engine.advance(delay_s - 5)
        limpet_engine.assert_waiting(run, because=Reason.BACKING_OFF)
        limpet_engine.advance(5)
    worker.fail(worker.next_start(), "the last one")
    assert limpet_engine.wait_until_ended(run).tasks["a"].error == "the last one"


def test_an_execution_timeout_cancels_the_attempt(wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    wire.put("slow", task("a", timeout="1h"))
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("slow")
    start = worker.next_start()
    limpet_engine.advance(3_500)
    worker.refresh_timeout(start, "10m")
    limpet_engine.advance(600)
    assert limpet_engine.run(run).tasks["a"].status == "RUNNING"
    limpet_engine.advance(200)
    assert worker.next_cancel().task_run_id == start.task_run_id
    assert limpet_engine.wait_until_ended(run).status == "FAILED"


def test_due_dates_come_in_order_within_one_jump(wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    for name, seconds in (("late", 90), ("early", 30), ("middle", 60)):
        wire.put(name, task("never", schedule_timeout=f"{seconds}s"), on_failure_task=task(f"after-{name}"))
    worker = fake_worker("w1", ["w:after-late", "w:after-early", "w:after-middle"])
    for name in ("late", "early", "middle"):
        wire.trigger(name)
    limpet_engine.advance(100)
    assert [worker.work().task for _ in range(3)] == ["after-early", "after-middle", "after-late"]


def test_a_connected_worker_outlives_a_week_and_a_disconnected_one_does_not(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("plain", task("a"))
    kept, cut = fake_worker("kept", ["w:a"]), fake_worker("cut", ["w:b"])
    cut.cut_stream()
    limpet_engine.advance(7 * 86_400)
    assert [worker.name for worker in limpet_engine.workers() if worker.lost_at is None] == ["kept"]
    run = wire.trigger("plain")
    kept.work()
    limpet_engine.assert_ran_on(run, kept)


async def test_a_start_on_its_way_to_a_real_worker_is_confirmed_before_time_goes_on(
    limpet_engine: EmbeddedEngine, limpet_client: Limpet
) -> None:
    @limpet_client.task(name="jumped", execution_timeout="24h")
    async def jumped(input: EmptyModel, ctx: Context) -> dict:
        return {"attempt": ctx.attempt_number}

    async with limpet_client.worker("real", workflows=[jumped]):
        references = [await jumped.aio_run(EmptyModel(), wait_for_result=False) for _ in range(20)]
        await limpet_engine.aio_advance(3_600)
        for reference in references:
            ended = await limpet_engine.aio_wait_until_ended(reference)
            assert ended.outputs == {"jumped": {"attempt": 1}}


def test_a_worker_that_never_confirms_is_found_out(wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    wire.put("plain", task("a"))
    deaf = fake_worker("deaf", ["w:a"], confirms=False)
    run = wire.trigger("plain")
    deaf.next_start()
    limpet_engine.advance(40)
    limpet_engine.assert_waiting(run, because=Reason.WORKERS_DISCONNECTED)
