"""What a client may not say: refused by the real server, in a sentence, and nothing is made of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from grpc import StatusCode

from limpet.testing import EmbeddedEngine, FakeWorker
from tests.testing.wire import Label, Trigger, Wire, bulk, task, workflow

TRIGGER = "/WorkflowService/TriggerWorkflow"
BULK = "/WorkflowService/BulkTriggerWorkflow"
PUT = "/v1.AdminService/PutWorkflow"
GREATER_THAN = 2


def test_AC21_a_desired_worker_must_be_a_uuid(wire: Wire, limpet_engine: EmbeddedEngine) -> None:
    wire.put("plain", task("a"))
    code, text = wire.refused(TRIGGER, Trigger(name="plain", input=b"{}", desired_worker_id="abc"))
    assert code is StatusCode.INVALID_ARGUMENT
    assert "must be a valid UUID" in text
    assert limpet_engine.explain_waiting() == "no other task waits"


@pytest.mark.parametrize("priority", [0, 4])
def test_AC29_a_priority_outside_its_range_starts_nothing(wire: Wire, limpet_engine: EmbeddedEngine, priority: int) -> None:
    wire.put("plain", task("a"))
    bad = Trigger(name="plain", input=b"{}", priority=priority)
    good = Trigger(name="plain", input=b"{}", priority=1)
    for path, request in ((TRIGGER, bad), (BULK, bulk(good, bad, good))):
        code, text = wire.refused(path, request)
        assert code is StatusCode.INVALID_ARGUMENT
        assert f"priority must be between 1 and 3, got {priority}" in text
    assert limpet_engine.explain_waiting() == "no other task waits"


def test_AC48_a_label_beyond_32_bits_does_not_fit_a_message(fake_worker: Callable[..., FakeWorker]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        fake_worker("w1", ["w:a"], labels={"memory": 3_000_000_000})


@pytest.mark.parametrize(("other", "winner"), [(99, "bare"), (101, "heavy")])
def test_AC48_a_weight_that_is_left_out_is_100(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: Callable[..., FakeWorker], other: int, winner: str
) -> None:
    workers = {name: fake_worker(name, ["w:a"], labels={name: 1}) for name in ("bare", "heavy")}
    wire.put("weighed", task("a", labels={"bare": Label(int_value=1), "heavy": Label(int_value=1, weight=other)}))
    run = wire.trigger("weighed")
    workers[winner].work()
    limpet_engine.assert_ran_on(run, winner)


@pytest.mark.parametrize("duration", ["42", "-30s", "1d", "5 s"])
@pytest.mark.parametrize("field", ["timeout", "schedule_timeout"])
def test_AC68_durations_of_another_form_are_rejected(wire: Wire, duration: str, field: str) -> None:
    code, text = wire.refused(PUT, workflow("timed", task("a", **{field: duration})))
    assert code is StatusCode.INVALID_ARGUMENT
    assert duration in text


@pytest.mark.parametrize("duration", ["1h30m", "1.5h", "500ms", ".5s"])
def test_AC68_durations_of_this_form_are_accepted(wire: Wire, duration: str) -> None:
    wire.put("timed", task("a", timeout=duration, schedule_timeout=duration))


def test_AC89_a_required_order_of_texts_is_rejected(wire: Wire) -> None:
    version = {"version": Label(str_value="1.2", required=True, comparator=GREATER_THAN)}
    wire.put("plain", task("a"))
    for path, request in (
        (PUT, workflow("versioned", task("a", labels=version))),
        (TRIGGER, Trigger(name="plain", input=b"{}", desired_worker_labels=version)),
    ):
        code, text = wire.refused(path, request)
        assert code is StatusCode.INVALID_ARGUMENT
        assert "version" in text


def test_AC89_a_wished_order_of_texts_never_scores(
    wire: Wire, limpet_engine: EmbeddedEngine, fake_worker: Callable[..., FakeWorker]
) -> None:
    fake_worker("newer", ["w:a"], labels={"version": "1.3"})
    cheap = fake_worker("cheap", ["w:a"], labels={"cheap": "yes"})
    labels = {
        "version": Label(str_value="1.2", weight=1000, comparator=GREATER_THAN),
        "cheap": Label(str_value="yes", weight=1),
    }
    wire.put("versioned", task("a", labels=labels))
    run = wire.trigger("versioned")
    cheap.work()
    limpet_engine.assert_ran_on(run, cheap)
