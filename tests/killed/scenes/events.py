"""Events: pushed, awaited, posted to webhooks. What was answered counts once, and a stream of pushes goes on through all lives."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator

import grpc.aio
import httpx

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import conditions_pb2 as conditions
from limpet.contracts import events_pb2 as wire
from limpet.contracts.stubs import EventsServiceStub
from limpet.store.api import EventRecord
from tests.hostile.house import MINE
from tests.killed.place import Place, lasting
from tests.killed.scenes.limits import limited

Scene = AsyncIterator[None]
HOOKS = "/stable/tenants/{tenant}/webhooks"
SECRET = "s3cret"
KEYS, AT_ONCE = 3, 2
AGAIN_S = 0.02


async def push(place: Place, key: str, payload: str = "{}", **more: str) -> str:
    """The event's id."""
    event = await place.calls.call("/EventsService/Push", wire.PushEventRequest(key=key, payload=payload, **more))
    return str(event.event_id)


def named(place: Place, prefix: str) -> list[EventRecord]:
    return [one for one in place.truth.pushed if one.event.name.startswith(prefix)]


async def E1_events_that_were_answered_start_each_of_their_runs_once(place: Place) -> Scene:
    """In the first life nobody works, so every start happens later; filters hold from their answer on."""
    for name in ("left", "right"):
        await place.workflow(name, event_triggers=["both:*"], default_filters=filters_of(name))
    pushed = [await push(place, f"both:{number}", json.dumps({"n": number}), scope="s") for number in range(6)]
    yield
    hands = await place.hands("left", "right")
    hands.finishes_everything()
    await hands.has_finished(9)
    pushed.append(await push(place, "both:6", '{"n": 6}', scope="s"))
    yield
    await hands.has_finished(11)
    await hands.has_all()
    yield
    events = named(place, "both:")
    assert sorted(one.event.id for one in events) == sorted(pushed)
    assert Counter(len(one.runs) for one in events) == {2: 4, 1: 3}  # those of an even number pass the filter of `right`
    assert set(place.truth.ended("left") + place.truth.ended("right")) == {"COMPLETED"}


def filters_of(name: str) -> list[admin.DefaultFilter]:
    return [admin.DefaultFilter(expression="int(input.n) % 2 == 0", scope="s", payload=b"{}")] if name == "right" else []


async def E1_W5_2_an_event_counts_for_whoever_waited_for_it_before_the_kill(place: Place) -> Scene:
    hands = await place.hands("awaits")
    await place.workflow("awaits", lasting("awaits", conditions=awaiting("one", "two")))
    await push(place, "two", '{"early": true}')  # before there was anybody to hear it
    run = await place.calls.trigger("awaits")
    await push(place, "one", '{"n": 1}')
    yield
    await hands.has_all()
    stopped = await place.calls.trigger("awaits")
    yield
    await push(place, "two", '{"n": 2}')
    start = await hands.next("awaits")
    assert start.workflow_run_id == run
    heard = start.action_payload.decode()
    assert '"n":1' in heard.replace(" ", "")
    assert '"n":2' in heard.replace(" ", "")
    await hands.done(start)
    await hands.has_all()
    await push(place, "stop")
    await place.ends_as(stopped, "CANCELLED")
    yield
    assert place.truth.ended("awaits") == ["COMPLETED", "CANCELLED"]


def awaiting(*keys: str) -> conditions.TaskConditions:
    """All of these events, unless `stop` comes first."""
    wanted = [(key, conditions.QUEUE) for key in keys] + [("stop", conditions.CANCEL)]
    return conditions.TaskConditions(user_event_conditions=[
        conditions.UserEventMatchCondition(
            base=conditions.BaseMatchCondition(readable_data_key=key, action=action, or_group_id=key), user_event_key=key
        )
        for key, action in wanted
    ])  # fmt: skip


async def E1_I5_pushes_that_are_repeated_until_somebody_answers_count_once(place: Place) -> Scene:
    """A stream of events through every kill; the tasks of their runs share a limit for each of some keys."""
    hands = await place.hands("stream")
    hands.finishes_everything()
    keys = limited(f"string(int(input.n) % {KEYS})", AT_ONCE)
    await place.workflow("stream", lasting("stream", concurrency=[keys]), event_triggers=["stream"])
    answered: list[str] = []
    pushing = asyncio.create_task(push_on(place, answered))
    await hands.has_finished(5)
    for _ in range(2):
        yield
        await hands.has_finished(hands.finished + 5)
    pushing.cancel()
    await asyncio.wait([pushing])
    await hands.has_finished(len(answered))
    yield
    found = named(place, "stream")
    numbers = Counter(json.loads(one.payload or b"")["n"] for one in found)
    assert set(numbers.values()) == {1}
    assert {one.event.id for one in found} >= set(answered)
    assert {len(one.runs) for one in found} == {1}
    assert most_at_once(place) <= AT_ONCE


async def push_on(place: Place, answered: list[str]) -> None:
    """One after the other, each under a request id, again and again until it is answered."""
    stub, number = EventsServiceStub(place.patient), 0
    while True:
        metadata = (*place.calls.credentials(), ("limpet-request-id", f"push-{number}"))
        request = wire.PushEventRequest(key="stream", payload=json.dumps({"n": number}))
        try:
            answered.append((await stub.Push(request, metadata=metadata, wait_for_ready=True)).event_id)
            number += 1
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(AGAIN_S)


def most_at_once(place: Place) -> int:
    """Tasks of one key between their assignment and their end, as the store has it."""
    most = 0
    for key in range(KEYS):
        of_key = [one for one in place.truth.of("stream") if json.loads(one.run.input or b"")["n"] % KEYS == key]
        tasks = [task for one in of_key for task in one.tasks if task.assigned_at]
        changes = sorted(
            [(task.assigned_at, 1) for task in tasks] + [(task.finished_at, -1) for task in tasks if task.finished_at]
        )
        now = 0
        for _, change in changes:
            now += change
            most = max(most, now)
    return most


async def F8_18_X20_a_post_that_was_answered_is_one_event_and_its_replay_is_refused(place: Place) -> Scene:
    hands = await place.hands("paid")
    hands.finishes_everything()
    await place.workflow("paid", event_triggers=["paid:*"])
    signed = {"algorithm": "SHA256", "encoding": "HEX", "signatureHeaderName": "X-Signature", "signingSecret": SECRET}
    for name, source in (("stripe", "STRIPE"), ("shop", "GENERIC")):
        body = {"sourceName": source, "name": name, "eventKeyExpression": f"'paid:{name}'", "authType": "HMAC", "auth": signed}
        await place.rest("POST", HOOKS, body)
    old = stripe(place, 1)
    assert (await post(place, "stripe", *old)).status_code == 200
    yield
    await hands.has_finished(1)
    assert (await post(place, "stripe", *old)).status_code == 400, "an hour old"
    stamped, plain = stripe(place, 2), shop(3)
    assert [(await post(place, *one)).status_code for one in (("stripe", *stamped), ("shop", *plain))] == [200, 200]
    yield
    assert [(await post(place, *one)).status_code for one in (("stripe", *stamped), ("shop", *plain))] == [409, 409]
    assert (await post(place, "shop", plain[0], {"X-Signature": "0" * 64})).status_code == 403
    await hands.has_finished(3)
    await hands.has_all()
    yield
    assert sorted(one.event.name for one in named(place, "paid:")) == ["paid:shop", "paid:stripe", "paid:stripe"]
    assert place.truth.ended("paid") == ["COMPLETED"] * 3


Post = tuple[bytes, dict[str, str]]


def mac(text: bytes) -> str:
    return hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()


def stripe(place: Place, number: int) -> Post:
    """Signed with the time."""
    body, at = json.dumps({"n": number}).encode(), str(int(place.now()))
    return body, {"X-Signature": f"t={at},v1={mac(at.encode() + b'.' + body)}"}


def shop(number: int) -> Post:
    """Signed without."""
    body = json.dumps({"n": number}).encode()
    return body, {"X-Signature": mac(body)}


async def post(place: Place, name: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    path = f"/api/v1{HOOKS.replace('{tenant}', MINE)}/{name}"
    return await place.calls.http.post(path, content=body, headers={"content-type": "application/json", **headers})


SCENES = (
    E1_events_that_were_answered_start_each_of_their_runs_once,
    E1_W5_2_an_event_counts_for_whoever_waited_for_it_before_the_kill,
    E1_I5_pushes_that_are_repeated_until_somebody_answers_count_once,
    F8_18_X20_a_post_that_was_answered_is_one_event_and_its_replay_is_refused,
)
