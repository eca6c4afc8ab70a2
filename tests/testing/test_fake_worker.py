"""What a FakeWorker can do beside taking starts, each with the effect it has on the engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from limpet.testing import EmbeddedEngine, FakeWorker, Reason
from tests.testing.wire import Label, Wire, task

HARD = 1
MakeWorker = Callable[..., FakeWorker]


def test_it_registers_what_the_test_says(limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    worker = fake_worker("w1", ["w:a", "w:b"], slots={"default": 2, "gpu": 1}, labels={"zone": "north", "memory": 64})
    [view] = limpet_engine.workers()
    assert (view.worker_id, view.name, view.actions) == (worker.id, "w1", ("w:a", "w:b"))
    assert {slot.slot_type: slot.total for slot in view.slots} == {"default": 2, "gpu": 1}
    assert dict(view.labels) == {"zone": "north", "memory": 64}
    assert view.stream_open


def test_AC46_a_label_set_inside_a_task_brings_the_next_one(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("any", task("a"))
    wire.put("versioned", task("b", labels={"model": Label(str_value="v2", required=True)}))
    worker = fake_worker("w1", ["w:a", "w:b"], labels={"zone": "north"})
    wire.trigger("any")
    running = worker.next_start()
    run = wire.trigger("versioned")
    limpet_engine.assert_waiting(run, because=Reason.NO_LABEL_MATCH)
    worker.set_labels(model="v2")
    worker.work()
    limpet_engine.assert_ran_on(run, worker)
    worker.complete(running)
    assert dict(limpet_engine.workers()[0].labels) == {"zone": "north", "model": "v2"}


def test_AC55_a_released_slot_takes_the_next_task(wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"], slots=1)
    first, second = wire.trigger("plain"), wire.trigger("plain")
    start = worker.next_start()
    limpet_engine.assert_waiting(second, because=Reason.NO_FREE_SLOT)
    worker.release_slot(start)
    assert worker.work().workflow_run_id == second
    assert limpet_engine.run(first).tasks["a"].status == "RUNNING"
    worker.complete(start)
    limpet_engine.assert_same_worker(first, second)


def test_AC07_a_hard_run_fails_as_soon_as_its_worker_has_left(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("pinned", task("a"), task("b", "a"), sticky=HARD)
    worker = fake_worker("w1", ["w:a", "w:b"])
    run = wire.trigger("pinned")
    start = worker.next_start()
    worker.cut_stream()
    worker.complete(start)
    limpet_engine.assert_waiting(run)
    worker.leave()
    assert "w1" in (limpet_engine.wait_until_ended(run).tasks["b"].error or "")


def test_a_failure_that_is_not_retryable_ends_the_task(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("retried", task("a", retries=3))
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("retried")
    worker.fail(worker.next_start(), "no use", retryable=False)
    ended = limpet_engine.wait_until_ended(run)
    assert (ended.status, ended.tasks["a"].attempt, ended.tasks["a"].error) == ("FAILED", 1, "no use")


def test_a_start_carries_input_and_parents(limpet_engine: EmbeddedEngine, wire: Wire, fake_worker: MakeWorker) -> None:
    wire.put("chain", task("a"), task("b", "a"))
    worker = fake_worker("w1", ["w:a", "w:b"])
    wire.trigger("chain")
    first = worker.work({"n": 1})
    second = worker.next_start()
    assert (first.task, first.input, first.parents, first.attempt) == ("a", {}, {}, 1)
    assert (second.task, second.parents, second.workflow_run_id) == ("b", {"a": {"n": 1}}, first.workflow_run_id)


def test_a_worker_that_is_killed_says_nothing(wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("plain")
    worker.next_start()
    worker.close()
    worker.close()
    limpet_engine.advance(20)
    assert limpet_engine.run(run).tasks["a"].worker == "w1"
    limpet_engine.advance(20)
    limpet_engine.assert_waiting(run, because=Reason.WORKERS_DISCONNECTED)


def test_a_stream_that_is_refused_fails_the_test(fake_worker: MakeWorker) -> None:
    worker = fake_worker("w1", ["w:a"], listens=False)
    worker.id = "01a20aa4-d36e-7d9a-8f0f-d48580a07332"
    with pytest.raises(AssertionError, match="worker w1 could not listen: StatusCode"):
        worker.listen()
