"""Events and filters with our client and our worker on a real engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from limpet import BulkPushEventWithMetadata, ClientConfig, Context, DefaultFilter, EmptyModel, Limpet, PushEventOptions
from limpet.clients.rest.models import V1TaskStatus, V1UpdateFilterRequest
from limpet.sdk.rest.exceptions import BadRequestException, NotFoundException
from limpet.testing.embedded import EmbeddedEngine

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@dataclass
class Seen:
    """What a run knew of its event."""

    input: dict[str, Any]
    metadata: dict[str, Any]
    event_id: str | None
    event_key: str | None
    by_event: bool
    filter_payload: dict[str, Any]
    priority: int | None
    traceparent: str | None


@dataclass
class World:
    """A client whose worker carries `any`, on order:* , and `some`, with a declared filter."""

    client: Limpet
    any: Any
    some: Any
    seen: asyncio.Queue[Seen]

    async def next(self) -> Seen:
        return await asyncio.wait_for(self.seen.get(), 20)


def remembered(input: EmptyModel, ctx: Context) -> Seen:
    metadata = {key: value for key, value in ctx.additional_metadata.items() if key != "traceparent"}
    return Seen(
        input.model_dump(), metadata, ctx.triggering_event_id, ctx.triggering_event_key,
        ctx.was_triggered_by_event, dict(ctx.filter_payload), ctx.priority, ctx.additional_metadata.get("traceparent"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as running:
        yield running


@pytest.fixture
async def world(engine: EmbeddedEngine) -> AsyncIterator[World]:
    client = Limpet(config=ClientConfig(token=engine.token, host_port=engine.grpc_address, server_url=engine.http_url))
    seen: asyncio.Queue[Seen] = asyncio.Queue()

    @client.task(name="any-order", on_events=["order:*", "order:created"])
    async def any_order(input: EmptyModel, ctx: Context) -> None:
        await seen.put(remembered(input, ctx))

    @client.task(
        name="some-invoices",
        on_events=["invoice"],
        default_filters=[DefaultFilter(expression="input.sum >= payload.least", scope="eu", payload={"least": 10})],
    )
    async def some_invoices(input: EmptyModel, ctx: Context) -> None:
        await seen.put(remembered(input, ctx))

    async with client.worker("events", slots=50, workflows=[any_order, some_invoices]):
        yield World(client, any_order, some_invoices, seen)


async def test_B50_F5_11_F5_13_an_event_starts_a_run_that_knows_it(world: World) -> None:
    event = world.client.event.push("order:created", {"n": 1}, additional_metadata={"customer": "42"}, priority=3)
    seen = await world.next()
    assert seen.input == {"n": 1}
    assert (seen.event_id, seen.event_key, seen.by_event) == (event.event_id, "order:created", True)
    assert seen.traceparent  # of its own, because the event names none (W9.3)
    assert seen.metadata == {
        "customer": "42", "hatchet__event_id": event.event_id, "hatchet__event_key": "order:created"
    }  # fmt: skip
    assert (seen.priority, seen.filter_payload) == (3, {})
    assert abs(event.seen_at - datetime.now(UTC)) < timedelta(minutes=1)
    runs = await world.client.runs.aio_list(triggering_event_external_id=event.event_id)
    assert [row.workflow_name for row in runs.rows] == ["any-order"]
    assert runs.rows[0].workflow_run_external_id in [
        run.workflow_run_id for run in world.client.event.get(event.event_id).triggered_runs or []
    ]
    await world.any.aio_run(EmptyModel())
    direct = await world.next()
    assert (direct.event_id, direct.event_key, direct.by_event) == (None, None, False)


async def test_B58_B63_F5_19_a_declared_filter_decides_and_its_payload_arrives(world: World) -> None:
    push = world.client.event.aio_push
    await push("invoice", {"sum": 9}, scope="eu")
    await push("invoice", {"sum": 12}, scope="us")
    await push("invoice", {"sum": 13})
    last = await push("invoice", {"sum": 11}, scope="eu")
    seen = await world.next()
    assert (seen.input, seen.filter_payload, seen.event_id) == ({"sum": 11}, {"least": 10}, last.event_id)
    assert world.seen.empty()


async def test_B53_B61_many_events_are_pushed_in_order_and_start_a_run_each(world: World) -> None:
    events = [BulkPushEventWithMetadata(key=f"order:{n}", payload={"n": n}, scope="ab"[n % 2]) for n in range(40)]
    pushed = await world.client.event.aio_bulk_push(events)
    assert [event.key for event in pushed] == [event.key for event in events]
    assert sorted([(await world.next()).input["n"] for _ in events]) == list(range(40))
    assert world.seen.empty()
    assert world.client.event.bulk_push([]) == []


async def test_B68_F5_23_events_are_listed_with_what_they_started(world: World) -> None:
    client, marks = world.client, {"batch": "B68"}
    first = client.event.push("order:listed", {"n": 1}, PushEventOptions(additional_metadata=marks, scope="s"))
    second = client.event.push("silent", {"n": 2}, additional_metadata={**marks, "x": 1}, scope="t")
    await world.next()
    listed = await client.event.aio_list(additional_metadata=marks)
    assert [row.metadata.id for row in listed.rows or []] == [second.event_id, first.event_id]
    row = (client.event.list(keys=["order:listed"], scopes=["s"]).rows or [])[0]
    assert (row.key, row.payload, row.scope, row.additional_metadata) == ("order:listed", {"n": 1}, "s", marks)
    assert len(row.triggered_runs or []) == 1
    assert sum(row.workflow_run_summary.model_dump().values()) == 1

    def found(**query: Any) -> list[str]:
        return [row.key for row in client.event.list(additional_metadata=marks, **query).rows or []]

    assert found(event_ids=[first.event_id]) == found(workflow_ids=[world.any.id]) == ["order:listed"]
    assert found(since=datetime.now(UTC) + timedelta(hours=1)) == found(workflow_run_statuses=[V1TaskStatus.FAILED]) == []
    assert found(until=datetime.now(UTC) + timedelta(hours=1), limit=1, offset=1) == ["order:listed"]
    assert await client.event.aio_get(second.event_id) == client.event.get(second.event_id)
    with pytest.raises(NotFoundException):
        client.event.get(UNKNOWN)


async def test_B60_B64_B65_filters_by_calls(world: World) -> None:
    client = world.client
    one = world.any.create_filter("input.n > payload.min", "calls", {"min": 1})
    two = await world.any.aio_create_filter("false", "calls")
    assert (one.workflow_id, one.scope, one.payload, one.is_declarative) == (world.any.id, "calls", {"min": 1}, False)
    assert client.filters.get(one.metadata.id) == one == await client.filters.aio_get(one.metadata.id)
    assert client.filters.list(scopes=["calls"], workflow_ids=[world.any.id]).rows == [two, one]
    assert (await client.filters.aio_list(limit=1, offset=1, scopes=["calls"])).rows == [one]
    client.event.push("order:x", {"n": 1}, scope="calls")
    changed = client.filters.update(two.metadata.id, V1UpdateFilterRequest(expression="input.n == 1"))
    assert (changed.expression, changed.scope, changed.payload) == ("input.n == 1", "calls", {})
    assert await client.filters.aio_update(two.metadata.id, V1UpdateFilterRequest(payload={"two": 2}))
    client.event.push("order:x", {"n": 1}, scope="calls")
    assert (await world.next()).filter_payload == {"two": 2}
    client.filters.delete(two.metadata.id)
    assert (await client.filters.aio_delete(one.metadata.id)).metadata.id == one.metadata.id
    client.event.push("order:x", {"n": 7})
    assert (await world.next()).input == {"n": 7}
    for call in (client.filters.get, client.filters.delete):
        with pytest.raises(NotFoundException):
            call(one.metadata.id)
    with pytest.raises(BadRequestException, match="scope"):
        client.filters.create(world.any.id, "true", "")


async def test_a_task_that_pushes_is_named_in_the_events_metadata(world: World) -> None:
    client = world.client

    @client.task(name="pusher")
    def pusher(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"event": client.event.push("order:from-task", {}).event_id, "run": ctx.workflow_run_id}

    async with client.worker("pusher", workflows=[pusher]):
        result = await pusher.aio_run()
    metadata = client.event.get(result["event"]).additional_metadata or {}
    assert metadata["hatchet__source_workflow_run_id"] == result["run"]
    assert (await world.next()).metadata["hatchet__source_workflow_run_id"] == result["run"]


async def test_F5_3_W1_2_a_namespace_stands_before_event_keys(engine: EmbeddedEngine, world: World) -> None:
    config = ClientConfig(token=engine.token, host_port=engine.grpc_address, server_url=engine.http_url, namespace="Shop")
    named = Limpet(config=config)
    assert named.event.push("order:x", {}).key == "shop_order:x"
    assert named.event.push("order:named", {}, PushEventOptions(namespace="")).key == "order:named"
    assert (await world.next()).event_key == "order:named"
    assert [row.key for row in named.event.list(keys=["order:x"]).rows or []] == ["shop_order:x"]


def test_what_cannot_be_pushed_is_refused_before_any_call(offline: Limpet) -> None:
    with pytest.raises(ValueError, match="priority"):
        offline.event.push("k", {}, priority=4)
    with pytest.raises(TypeError):
        offline.event.push("k", {"x": object()})
