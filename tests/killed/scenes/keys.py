"""Idempotency keys and paused workflows: held and paused as long as it was said, whoever lives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from limpet.contracts import admin_pb2 as admin
from limpet.contracts.status_pb2 import Status
from limpet.contracts.trigger_pb2 import TriggerWorkflowRequest
from limpet.edges.grpc.translate.collisions import TRAILER
from tests.killed.place import HOUR_S, Place, lasting
from tests.killed.scenes.clock import HALF, schedule

Scene = AsyncIterator[None]
MILLI = 1_000


def held_for(name: str, seconds: float, method: admin.IdempotencyMethod = admin.TTL) -> admin.IdempotencyConfig:
    """The key of the workflow, whatever the input."""
    return admin.IdempotencyConfig(expression=f"'{name}'", ttl_ms=int(seconds * MILLI), method=method)


async def holder(place: Place, name: str) -> str:
    """The run that a trigger is told of instead of its own."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place.calls.call("/WorkflowService/TriggerWorkflow", TriggerWorkflowRequest(name=name))
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    (detail,) = Status.FromString(dict(caught.value.trailing_metadata() or ())[TRAILER]).details
    return admin.IdempotencyCollisionError.FromString(detail.value).existing_run_external_id


async def I1_W16_1_a_key_is_held_for_its_time_and_no_longer(place: Place) -> Scene:
    for name, seconds in (("held-long", 3 * HOUR_S), ("held-short", HALF)):
        await place.workflow(name, idempotency=held_for(name, seconds))
    runs = {name: await place.calls.trigger(name) for name in ("held-long", "held-short")}
    yield
    assert await holder(place, "held-long") == runs["held-long"]
    anew = await place.calls.trigger("held-short")
    yield
    assert [await holder(place, name) for name in runs] == [runs["held-long"], anew]
    yield
    assert [len(place.truth.of(name)) for name in runs] == [1, 2]


async def I1_W16_2_a_key_that_lasts_as_long_as_its_run_is_free_when_it_has_ended(place: Place) -> Scene:
    hands = await place.hands("held-by-run")
    await place.workflow("held-by-run", idempotency=held_for("held-by-run", 9 * HOUR_S, admin.STATUS))
    for _ in range(2):
        run = await place.calls.trigger("held-by-run")
        start = await hands.next("held-by-run")
        yield
        assert await holder(place, "held-by-run") == run
        await hands.done(start)
    await hands.has_all()
    yield
    assert place.truth.ended("held-by-run") == ["COMPLETED"] * 2


async def pause(place: Place, name: str, action: str, seconds: float = 0) -> None:
    terms = {f"pausedWorkflow{what}RunQueueBehavior": "DROP" for what in ("Cron", "Scheduled")}
    body = {"action": action} | ({} if action == "unpause" else {"pausedWorkflowQueueTTL": f"{seconds:g}s", **terms})
    await place.rest("PATCH", f"/workflows/{place.workflows[name]}", {"pause": body})


async def W15_5_A98_a_pause_lasts_and_what_waits_for_its_end_goes_on(place: Place) -> Scene:
    """What had no more time to wait is cancelled, and the clock starts nothing that a pause is to drop."""
    hands = await place.hands("paused", "paused-short")
    for name, seconds in (("paused", 9 * HOUR_S), ("paused-short", HALF)):
        await place.workflow(name, lasting(name))
        await pause(place, name, "pause", seconds)
    waits, short = [await place.calls.trigger(name) for name in ("paused", "paused-short")]
    dropped = await schedule(place, "paused", HALF, "dropped")
    yield
    await place.ends_as(short, "CANCELLED")
    await place.answers(404, dropped)
    await hands.has_all()
    yield
    await hands.has_all()
    await pause(place, "paused", "unpause")
    start = await hands.next("paused")
    assert start.workflow_run_id == waits
    await hands.done(start)
    yield
    assert [place.truth.ended(name) for name in ("paused", "paused-short")] == [["COMPLETED"], ["CANCELLED"]]


SCENES = (
    I1_W16_1_a_key_is_held_for_its_time_and_no_longer,
    I1_W16_2_a_key_that_lasts_as_long_as_its_run_is_free_when_it_has_ended,
    W15_5_A98_a_pause_lasts_and_what_waits_for_its_end_goes_on,
)
