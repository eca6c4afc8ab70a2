"""Pushed events over gRPC: checked, filtered at the edge, handed to the core as one input, evaluated again when it must be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import grpc
import orjson
import pytest

from limpet.contracts import events_pb2 as wire
from limpet.core.errors import LimitReached, SubscriptionsChanged
from limpet.core.event_inputs import EventsPushed
from limpet.core.event_rows import PushedEventRow
from limpet.core.limits_view import LimitsView
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.edges.events import EVALUATIONS_INLINE_MAX, FAILURES_MAX, TRIES_MAX, NewEvent, push, run_metadata

from .conftest import MINE, Edge, status_of
from .fake_door import AT, TENANT, FakeDoor

S = grpc.StatusCode
EVENT = NewEvent("order:created", b'{"n":2}', b'{"m":"x"}', scope="s")


def door_with(*candidates: Candidate, **replies: Any) -> FakeDoor:
    """A door that stores whatever it is given."""

    async def take(item: EventsPushed) -> tuple[PushedEventRow, ...]:
        return tuple(
            PushedEventRow(n, one.id, 1, one.name, one.payload, len(one.payload), one.metadata, one.priority, one.scope, None, AT)
            for n, one in enumerate(item.events)
        )

    return FakeDoor(replies={EventsPushed: take}, subscribed={(EVENT.name, EVENT.scope): candidates})


def filtered(expression: str, stamp: int = 2, payload: bytes = b"{}") -> Candidate:
    return Candidate(stamp, "F", f"filter-{stamp}", expression, payload)


async def taken(door: FakeDoor, *events: NewEvent, **values: Any) -> EventsPushed:
    """What the core was handed for these events."""
    await push(door, TENANT, events or [EVENT], Settings(), **values)
    item = door.submitted[-1][1]
    assert isinstance(item, EventsPushed)
    return item


async def test_F5_1_an_event_is_stored_and_answered_with_what_it_was(edge: Edge) -> None:
    edge.door.replies = door_with().replies
    request = wire.PushEventRequest(
        key="order:created", payload='{"n": 1}', additional_metadata='{"m": 1}', priority=3, scope="s"
    )
    answer = await edge.events.Push(request, metadata=MINE)
    (event,) = edge.door.submitted[-1][1].events
    assert (event.name, event.payload, event.metadata) == ("order:created", b'{"n": 1}', b'{"m": 1}')
    assert (event.priority, event.scope) == (3, "s")
    assert (answer.tenant_id, answer.event_id, answer.key, answer.payload) == (TENANT, event.id, "order:created", '{"n": 1}')
    assert (answer.additional_metadata, answer.scope) == ('{"m": 1}', "s")
    assert answer.event_timestamp.seconds == AT // 1_000_000


async def test_B53_F5_2_several_events_are_answered_in_order(edge: Edge) -> None:
    edge.door.replies = door_with().replies
    request = wire.BulkPushEventRequest(events=[wire.PushEventRequest(key=f"k{n}") for n in range(3)])
    answer = await edge.events.BulkPush(request, metadata=MINE)
    assert [one.key for one in answer.events] == ["k0", "k1", "k2"]
    assert len({one.event_id for one in answer.events}) == 3
    assert len(edge.door.submitted) == 1


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"key": ""}, "event key"), ({"payload": "[1]"}, "payload must be a JSON object"), ({"payload": "{"}, "not valid JSON"),
        ({"payload": '{"a":"\\u0000"}'}, "NUL"), ({"additional_metadata": "[]"}, "additional metadata must be"),
        ({"scope": "x" * 256}, "event scope"),
    ],
)  # fmt: skip
async def test_B51_F5_1_what_is_no_event_is_refused(edge: Edge, fields: dict[str, Any], what: str) -> None:
    request = wire.PushEventRequest(**{"key": "k", **fields})
    code, details = await status_of(edge.events.Push(request, metadata=MINE))
    assert (code, what in details) == (S.INVALID_ARGUMENT, True), details
    bulk = wire.BulkPushEventRequest(events=[wire.PushEventRequest(key="k"), request])
    code, details = await status_of(edge.events.BulkPush(bulk, metadata=MINE))
    assert (code, details.startswith("item 1: ")) == (S.INVALID_ARGUMENT, True), details
    assert not edge.door.submitted


@pytest.mark.parametrize("count", [0, 1001])
async def test_B52_a_bulk_has_1_to_1000_events(edge: Edge, count: int) -> None:
    request = wire.BulkPushEventRequest(events=[wire.PushEventRequest(key="k")] * count)
    code, details = await status_of(edge.events.BulkPush(request, metadata=MINE))
    assert (code, "bulk_items_max" in details) == (S.INVALID_ARGUMENT, True)


async def test_F5_4_replay_of_an_event_is_not_there(edge: Edge) -> None:
    code, details = await status_of(edge.events.ReplaySingleEvent(wire.ReplayEventRequest(event_id="x"), metadata=MINE))
    assert (code, "push the event again" in details) == (S.UNIMPLEMENTED, True)


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("input.n == 2.0", True), ("input.n > payload.min", True), ("additional_metadata.m == 'y'", False),
        ("event_key == 'order:created' && size(event_id) == 36", True), ("input.n > 2.0", False),
    ],
)  # fmt: skip
async def test_B63_F5_19_filters_see_the_event_and_their_own_payload(expression: str, passes: bool) -> None:
    item = await taken(door_with(filtered(expression, payload=b'{"min":1}')))
    assert [start.stamp for start in item.events[0].starts] == ([2] if passes else [])
    assert item.events[0].considered == (2,)
    assert item.events[0].failures == ()


@pytest.mark.parametrize("expression", ["input.missing == 1", "", "input.n", "nothing.like == 1", "1 +"])
async def test_B62_F5_20_without_an_answer_no_run_starts_and_the_push_goes_on(expression: str) -> None:
    (event,) = (await taken(door_with(filtered(expression), Candidate(5, "W")))).events
    assert [start.stamp for start in event.starts] == [5]
    assert event.considered == (2, 5)
    ((failure,), about) = (event.failures, event.failures[0].about)
    assert (about, bool(failure.message)) == ("filter-2", True)


async def test_failures_of_one_push_are_recorded_up_to_a_bound() -> None:
    item = await taken(door_with(filtered("input.missing")), *[EVENT] * (FAILURES_MAX + 10))
    assert sum(len(event.failures) for event in item.events) == FAILURES_MAX
    assert len(item.events) == FAILURES_MAX + 10


async def test_many_filters_are_evaluated_beside_the_loop_with_the_same_answers() -> None:
    count = EVALUATIONS_INLINE_MAX + 5
    candidates = [filtered(f"input.n == {n}.0", stamp=n) for n in range(count)]
    item = await taken(door_with(*candidates))
    assert [start.stamp for start in item.events[0].starts] == [2]
    assert item.events[0].considered == tuple(range(count))


async def test_R52_when_others_are_in_force_everything_is_evaluated_again() -> None:
    door = door_with(filtered("false"))
    take = door.replies[EventsPushed]

    async def changing(item: EventsPushed) -> Any:
        door.subscribed[EVENT.name, EVENT.scope] = (filtered("true", stamp=9),)
        door.replies[EventsPushed] = take
        raise SubscriptionsChanged(EVENT.name)

    door.replies[EventsPushed] = changing
    await push(door, TENANT, [EVENT], Settings())
    first, second = (item.events[0] for _, item in door.submitted if isinstance(item, EventsPushed))
    assert ([one.stamp for one in first.starts], [one.stamp for one in second.starts]) == ([], [9])
    assert first.id == second.id


async def test_R52_what_changes_all_the_time_is_given_up(edge: Edge) -> None:
    edge.door.replies[EventsPushed] = SubscriptionsChanged("k")
    code, details = await status_of(edge.events.Push(wire.PushEventRequest(key="k"), metadata=MINE))
    assert (code, "call again" in details) == (S.ABORTED, True)
    assert len(edge.door.submitted) == TRIES_MAX


async def test_F5_11_metadata_of_runs_tells_the_event_and_nothing_that_only_engines_write() -> None:
    given = {"m": 1, "hatchet__event_id": "forged", "hatchet__other": 1, "hatchet__source_step_run_id": "t"}
    made = orjson.loads(run_metadata(NewEvent("k", metadata=orjson.dumps(given)), "id"))
    assert made == {"m": 1, "hatchet__source_step_run_id": "t", "hatchet__event_id": "id", "hatchet__event_key": "k"}
    (event,) = (await taken(door_with(Candidate(5, "W")))).events
    assert orjson.loads(event.starts[0].metadata) == {
        "m": "x", "hatchet__event_id": event.id, "hatchet__event_key": EVENT.name
    }  # fmt: skip
    assert event.metadata == EVENT.metadata


async def test_keys_of_concurrency_limits_are_computed_from_the_payload() -> None:
    door = door_with(Candidate(5, "W"))
    door.expressions["W"] = LimitsView("v", ("string(input.n)", "additional_metadata.hatchet__event_key"))
    (event,) = (await taken(door)).events
    assert event.starts[0].keys is not None
    assert (event.starts[0].keys.version_id, event.starts[0].keys.keys) == ("v", ("2", EVENT.name))


async def test_I5_a_repeated_call_names_the_same_events() -> None:
    door = door_with()
    first, again, other = [await taken(door, EVENT, EVENT, request_id=one) for one in ("a", "a", "b")]
    assert [event.id for event in first.events] == [event.id for event in again.events]
    assert len({event.id for item in (first, other) for event in item.events}) == 4
    assert [item.is_repeatable for item in (first, again, other)] == [True] * 3
    fresh = await taken(door)
    assert not fresh.is_repeatable
    assert str(UUID(fresh.events[0].id)) == fresh.events[0].id


async def test_one_push_considers_so_many_runs() -> None:
    with pytest.raises(LimitReached, match="event_runs_max"):
        await push(door_with(*(Candidate(n, "W") for n in range(3))), TENANT, [EVENT], Settings(event_runs_max=2))
