"""The assertions: they hold, they fail, and they say what the engine says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from limpet.testing import EmbeddedEngine, FakeWorker, Reason
from tests.testing.wire import Wire, task

MakeWorker = Callable[..., FakeWorker]
SHORT_S = 0.2  # patience of an assertion that is to fail


@dataclass
class Reference:
    """What an SDK returns of a started run."""

    workflow_run_id: str


def failure_of(assertion: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion()
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


@pytest.fixture
def engine(limpet_engine: EmbeddedEngine, wire: Wire) -> EmbeddedEngine:
    """With the workflow `plain` of one task, `chain` of two."""
    wire.put("plain", task("a"))
    wire.put("chain", task("a"), task("b", "a"))
    return limpet_engine


def test_a_run_is_named_by_its_id_or_a_reference(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("plain")
    start = worker.work({"answer": 42})
    for name in (run, Reference(run), start):
        assert engine.wait_until_ended(name).outputs == {"a": {"answer": 42}}
        engine.assert_ran_on(name, worker)
    assert start.task == "a"
    assert start.task_run_id == engine.run(run).tasks["a"].id


def test_a_worker_is_named_by_itself_its_name_or_its_id(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("plain")
    worker.work()
    for name in (worker, "w1", worker.id):
        assert engine.assert_ran_on(run, name).workers == {"w1"}


def test_assert_ran_on_fails_with_every_task_and_its_worker(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    first, second = fake_worker("w1", ["w:a"]), fake_worker("w2", ["w:b"])
    run = wire.trigger("chain")
    first.work()
    second.work()
    text = failure_of(lambda: engine.assert_ran_on(run, first))
    assert "expected all tasks on w1" in text
    assert "a: COMPLETED, attempt 1, worker w1" in text
    assert "b: COMPLETED, attempt 1, worker w2" in text


def test_assert_same_worker(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    first, second = fake_worker("w1", ["w:a"], slots=2), fake_worker("w2", ["w:b"])
    runs = [wire.trigger("plain"), wire.trigger("plain"), wire.trigger("chain")]
    for worker in (first, first, first, second):
        worker.work()
    engine.assert_same_worker(*runs[:2])
    assert "got 2" in failure_of(lambda: engine.assert_same_worker(*runs))


def test_assert_order(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    worker = fake_worker("w1", ["w:a"], slots=1)
    first = wire.trigger("plain", priority=1)
    later, urgent = wire.trigger("plain", priority=1), wire.trigger("plain", priority=3)
    for _ in range(3):
        worker.work()
    engine.assert_order(first, urgent, later)
    text = failure_of(lambda: engine.assert_order(first, later, urgent))
    assert text.index(urgent) < text.index(later)


def test_assert_waiting_for_any_reason_or_one(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    run = wire.trigger("plain")
    engine.assert_waiting(run)
    engine.assert_waiting(run, because="no_worker_for_action")
    engine.assert_waiting(run, because=Reason.NO_WORKER_FOR_ACTION)
    with pytest.raises(ValueError, match="no_such_reason"):
        engine.assert_waiting(run, because="no_such_reason")


def test_a_failing_assert_waiting_prints_why_everything_waits(
    engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker
) -> None:
    worker = fake_worker("w1", ["w:a"], slots=1)
    wire.trigger("plain")
    run, other = wire.trigger("plain"), wire.trigger("plain")
    text = failure_of(lambda: engine.assert_waiting(run, because="pin_busy", within_s=SHORT_S))
    assert f"run {run}: a task waits because of pin_busy" in text
    assert "a: QUEUED, attempt 1, worker nobody; not now, no_free_slot: no free slots (need 1 on one worker" in text
    assert "start another worker" in text
    assert f"tasks that wait:\n  {other}: not now, no_free_slot" in text
    assert "no_free_slot" in failure_of(lambda: worker.next_cancel(SHORT_S))


def test_assert_waiting_fails_at_once_when_the_run_has_ended(engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("plain")
    worker.fail(worker.next_start(), "broken on purpose")
    engine.wait_until_ended(run)
    text = failure_of(lambda: engine.assert_waiting(run, within_s=3600))
    assert "a: FAILED, attempt 1, worker w1; error: broken on purpose" in text


def test_a_run_that_does_not_exist_fails_at_once(engine: EmbeddedEngine) -> None:
    assert "there is no run" in failure_of(lambda: engine.wait_until_ended("01a20aa4-d36e-7d9a-8f0f-d48580a07332", within_s=3600))


async def test_the_twins_leave_the_event_loop_of_the_test_alone(
    engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker
) -> None:
    worker = fake_worker("w1", ["w:a"])
    waiting = wire.trigger("plain")
    waits = asyncio.create_task(engine.aio_wait_until_ended(waiting))
    ran = asyncio.create_task(engine.aio_assert_ran_on(waiting, worker))
    await engine.aio_assert_order(waiting)
    await asyncio.to_thread(worker.work)
    assert (await waits).has_ended
    await ran
    await engine.aio_assert_same_worker(waiting)
    lonely = await asyncio.to_thread(wire.trigger, "chain")
    await asyncio.to_thread(worker.work)
    await engine.aio_assert_waiting(lonely, because="no_worker_for_action")


async def test_a_blocking_call_that_fails_inside_a_loop_names_its_twin(engine: EmbeddedEngine, wire: Wire) -> None:
    run = wire.trigger("plain")
    assert "await the twin" in failure_of(lambda: engine.wait_until_ended(run, within_s=SHORT_S))
