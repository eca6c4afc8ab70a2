"""Workers that stumble, over the real protocol: late and doubled reports, lost streams, wrong names, silence."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from grpc import StatusCode

from limpet.testing import EmbeddedEngine, FakeWorker, Reason
from tests.testing.wire import Wire, task

HARD = 1
MakeWorker = Callable[..., FakeWorker]
Get = Callable[[str], Any]


def events_of(rest: Get, run: str) -> list[tuple[str, str, int]]:
    """(task run id, event type, retry_count) of a run's timeline, oldest first."""
    rows = rest(f"stable/workflow-runs/{run}")["taskEvents"]
    rows.sort(key=lambda row: (row["timestamp"], row["id"]))
    return [(row["taskId"], row["eventType"], row.get("retryCount", 0)) for row in rows]


def kinds_of(rest: Get, run: str) -> list[str]:
    return [kind for _, kind, _ in events_of(rest, run)]


def test_AC10_a_hard_run_waits_for_its_worker_that_lost_its_stream(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("pinned", task("a"), task("b", "a"), sticky=HARD)
    first, other = fake_worker("first", ["w:a", "w:b"]), fake_worker("other", ["w:a", "w:b"])
    run = wire.trigger("pinned")
    here = first if limpet_engine.run(run).workers == {"first"} else other
    start = here.next_start()
    here.cut_stream()
    here.complete(start)
    limpet_engine.advance(8)
    limpet_engine.assert_waiting(run, because=Reason.PIN_DISCONNECTED)
    here.listen()
    here.work()
    limpet_engine.assert_ran_on(run, here)


def test_AC58_a_worker_that_never_listens_gets_nothing(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("mute", ["w:a"], listens=False)
    run = wire.trigger("plain")
    limpet_engine.assert_waiting(run, because=Reason.WORKERS_DISCONNECTED)
    assert limpet_engine.run(run).status == "QUEUED"
    worker.listen()
    worker.work()
    limpet_engine.assert_ran_on(run, worker)


def test_AC61_a_short_loss_of_the_stream_leaves_the_task_where_it_is(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, rest: Get
) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("plain")
    start = worker.next_start()
    fake_worker("idle", ["w:a"])
    worker.cut_stream()
    limpet_engine.advance(5)
    worker.listen()
    worker.complete(start, {"attempt": start.attempt})
    assert limpet_engine.assert_ran_on(run, worker).outputs == {"a": {"attempt": 1}}
    assert "REASSIGNED" not in kinds_of(rest, run)


def test_AC63_late_and_doubled_outcomes_change_nothing(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, rest: Get
) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"])
    cancelled = wire.trigger("plain")
    late = worker.next_start()
    wire.cancel(cancelled)
    worker.complete(late)
    assert worker.next_cancel().workflow_run_id == cancelled
    assert limpet_engine.run(cancelled).status == "CANCELLED"
    assert "FINISHED" not in kinds_of(rest, cancelled)

    doubled = wire.trigger("plain")
    start = worker.next_start()
    worker.complete(start, {"said": "once"})
    worker.complete(start, {"said": "twice"})
    assert limpet_engine.wait_until_ended(doubled).outputs == {"a": {"said": "once"}}
    assert kinds_of(rest, doubled).count("FINISHED") == 1


def test_AC64_a_start_without_receipt_goes_back_soon_after_its_stream(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"], confirms=False)
    run = wire.trigger("plain")
    assert worker.next_start().attempt == 1
    worker.cut_stream()
    limpet_engine.advance(3)
    assert limpet_engine.run(run).tasks["a"].status == "ASSIGNED"
    limpet_engine.advance(3)
    limpet_engine.assert_waiting(run, because=Reason.WORKERS_DISCONNECTED)
    worker.listen()
    again = worker.work()
    assert again.attempt == 2
    assert limpet_engine.wait_until_ended(run).status == "COMPLETED"


def test_AC66_a_heartbeat_tells_a_worker_what_it_is_to_the_engine(wire: Wire, fake_worker: MakeWorker) -> None:
    worker = fake_worker("mute", ["w:a"], listens=False)
    assert wire.heartbeat(worker.id)[0] is StatusCode.FAILED_PRECONDITION
    assert wire.heartbeat(str(uuid.uuid4()))[0] is StatusCode.NOT_FOUND
    worker.listen()
    worker.heartbeat()


def test_AC95b_a_name_in_place_of_the_id_counts_and_another_workers_id_does_not(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("plain", task("a"))
    worker, other = fake_worker("w1", ["w:a"]), fake_worker("w2", ["w:b"])
    run = wire.trigger("plain")
    start = worker.next_start()
    completed = 2
    worker.report(start, completed, '{"by": "other"}', worker_id=other.id)
    assert limpet_engine.run(run).tasks["a"].status == "RUNNING"
    worker.report(start, completed, '{"by": "name"}', worker_id=worker.name)
    assert limpet_engine.wait_until_ended(run).outputs == {"a": {"by": "name"}}


def test_AC96_of_two_streams_the_newer_serves_on_when_the_older_ends(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, rest: Get
) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"])
    worker.listen()
    worker.cut_stream(0)
    rows = rest(f"tenants/{limpet_engine.tenant_id}/worker")["rows"]
    assert [row["status"] for row in rows] == ["ACTIVE"]
    runs = [wire.trigger("plain"), wire.trigger("plain")]
    assert [worker.work().workflow_run_id for _ in runs] == runs  # a start that came twice would be the second of them


def test_AC62_a_frozen_worker_loses_its_task_and_says_nothing_more_about_it(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker
) -> None:
    wire.put("chain", task("a"), task("b", "a"))
    frozen = fake_worker("frozen", ["w:a"])
    run = wire.trigger("chain")
    start = frozen.next_start()
    second = fake_worker("second", ["w:a", "w:b"])
    frozen.fall_silent()
    limpet_engine.advance(45)
    again = second.next_start()
    assert again.message.retry_count == 1
    frozen.complete(start, {"by": "frozen"})
    assert limpet_engine.run(run).tasks["a"].status == "RUNNING"
    second.complete(again, {"by": "second"})
    frozen.complete(start, {"by": "frozen"})
    assert second.work({}).parents == {"a": {"by": "second"}}
    assert limpet_engine.assert_ran_on(run, second).status == "COMPLETED"
