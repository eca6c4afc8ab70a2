"""Timelines of eventful runs, read as an official client reads them: its models parse every answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest
from hatchet_sdk import Hatchet
from hatchet_sdk.clients.rest.models.v1_task_event import V1TaskEvent

from limpet.testing import EmbeddedEngine, FakeWorker, Reason
from tests.testing.wire import Label, Wire, task

HARD = 1
LESS_THAN = 4
MakeWorker = Callable[..., FakeWorker]


@pytest.fixture
def hatchet(hatchet_environment: dict[str, str]) -> Iterator[Hatchet]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield Hatchet()


def timeline(hatchet: Hatchet, engine: EmbeddedEngine, run: str, name: str) -> list[V1TaskEvent]:
    """Events of one task of a run, oldest first."""
    task_id = engine.run(run).tasks[name].id
    events = hatchet.runs.get(run).task_events
    return sorted((event for event in events if event.task_id == task_id), key=lambda event: (event.timestamp, event.id))


def kinds(events: list[V1TaskEvent]) -> list[str]:
    return [event.event_type.value for event in events]


def test_AC77_the_happy_path_in_order_with_the_worker_on_its_events(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, hatchet: Hatchet
) -> None:
    wire.put("plain", task("a"))
    worker = fake_worker("w1", ["w:a"])
    run = wire.trigger("plain")
    worker.work()
    limpet_engine.wait_until_ended(run)
    events = timeline(hatchet, limpet_engine, run, "a")
    assert kinds(events) == ["QUEUED", "ASSIGNED", "SENT_TO_WORKER", "STARTED", "FINISHED"]
    assert [event.worker_id for event in events] == [None, worker.id, worker.id, worker.id, worker.id]


def test_AC79_AC06_a_hard_run_fails_when_its_worker_stays_away(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, hatchet: Hatchet
) -> None:
    wire.put("pinned", task("a"), task("b", "a"), sticky=HARD)
    first = fake_worker("first", ["w:a", "w:b"])
    run = wire.trigger("pinned")
    start = first.next_start()
    second = fake_worker("second", ["w:a", "w:b"])
    first.cut_stream()
    first.complete(start)
    first.close()
    limpet_engine.advance(50)
    limpet_engine.assert_waiting(run, because=Reason.PIN_DISCONNECTED)
    limpet_engine.advance(15)
    ended = limpet_engine.wait_until_ended(run)
    assert ended.tasks["b"].status == "FAILED"
    events = timeline(hatchet, limpet_engine, run, "b")
    assert kinds(events)[-1] == "FAILED"
    assert second.id not in {event.worker_id for event in events}
    assert "first" in (ended.tasks["b"].error or "")
    assert "HARD" in (ended.tasks["b"].error or "")


def test_AC79_AC38_a_label_that_nobody_has_times_out_with_its_name(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, hatchet: Hatchet
) -> None:
    labels = {"memory": Label(int_value=256, required=True, comparator=LESS_THAN)}
    wire.put("small", task("a", labels=labels, schedule_timeout="3s"))
    fake_worker("w1", ["w:a"], labels={"memory": 512})
    run = wire.trigger("small")
    limpet_engine.assert_waiting(run, because="no_label_match")
    limpet_engine.advance(3)
    assert limpet_engine.wait_until_ended(run).status == "FAILED"
    events = timeline(hatchet, limpet_engine, run, "a")
    assert kinds(events) == ["QUEUED", "REQUEUED_NO_WORKER", "SCHEDULING_TIMED_OUT"]
    assert all("memory" in (event.message or "") for event in events[1:])


def test_AC79_AC62_a_lost_worker_shows_as_reassigned(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, hatchet: Hatchet
) -> None:
    wire.put("plain", task("a"))
    frozen = fake_worker("frozen", ["w:a"])
    run = wire.trigger("plain")
    frozen.next_start()
    second = fake_worker("second", ["w:a"])
    frozen.fall_silent()
    limpet_engine.advance(45)
    second.work()
    limpet_engine.assert_ran_on(run, second)
    events = timeline(hatchet, limpet_engine, run, "a")
    attempts = [(event.event_type.value, event.retry_count) for event in events if event.event_type.value != "QUEUED"]
    assert [one for one in attempts if one[1] == 0] == [
        ("ASSIGNED", 0), ("SENT_TO_WORKER", 0), ("STARTED", 0), ("REASSIGNED", 0),
    ]  # fmt: skip
    assert [one for one in attempts if one[1] == 1] == [
        ("ASSIGNED", 1), ("SENT_TO_WORKER", 1), ("STARTED", 1), ("FINISHED", 1),
    ]  # fmt: skip


def test_AC79_AC69_nobody_for_the_task_and_the_on_failure_task_runs(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: MakeWorker, hatchet: Hatchet
) -> None:
    wire.put("guarded", task("a", schedule_timeout="2s"), on_failure_task=task("mend"))
    mender = fake_worker("mender", ["w:mend"])
    run = wire.trigger("guarded")
    limpet_engine.assert_waiting(run, because=Reason.NO_WORKER_FOR_ACTION)
    limpet_engine.advance(2)
    mender.work()
    ended = limpet_engine.wait_until_ended(run)
    assert (ended.status, ended.tasks["mend"].status) == ("FAILED", "COMPLETED")
    assert kinds(timeline(hatchet, limpet_engine, run, "a"))[-1] == "SCHEDULING_TIMED_OUT"
    assert kinds(timeline(hatchet, limpet_engine, run, "mend"))[-1] == "FINISHED"
    assert hatchet.runs.get_details(run).status.name == "FAILED"
    assert hatchet.runs.get(run).run.status.value == "FAILED"
