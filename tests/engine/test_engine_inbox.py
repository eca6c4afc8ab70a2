"""The inbox: order, turns and bounds (P7, R43)."""

from __future__ import annotations

import asyncio

import pytest
from engine_faults import Fault
from engine_house import House, MakeHouse, verb

from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.errors import LimitReached, StoreUnavailable
from limpet.core.ids import ActionId, TenantNo
from limpet.core.inputs import (
    Input,
    RunsTriggered,
    StreamClosed,
    TaskCompleted,
    TaskFailed,
    Trigger,
    WorkerSeen,
    WorkflowPut,
)
from limpet.engine.inbox import ENTRY_BYTES, Inbox, size_of
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings

A, B, C = TenantNo(1), TenantNo(2), TenantNo(3)


def inbox_with(**settings: int) -> Inbox:
    return Inbox(EngineSettings(**settings))  # type: ignore[arg-type]


def put(inbox: Inbox, tenant: TenantNo, *items: Input) -> None:
    for item in items:
        inbox.put(tenant, item, asyncio.get_running_loop().create_future())


def bulk(count: int) -> RunsTriggered:
    return RunsTriggered((Trigger("w"),) * count)


def turns(inbox: Inbox, count: int) -> list[list[tuple[int, int]]]:
    return [[(portion.tenant_no, len(portion.entries)) for portion in inbox.take()] for _ in range(count)]


async def test_P7_lanes_are_served_in_turn_and_nobody_twice_in_one() -> None:
    inbox = inbox_with(tenant_turn_max=3, input_batch_max=7)
    put(inbox, A, *[bulk(1)] * 8)
    put(inbox, B, *[bulk(1)] * 2)
    put(inbox, C, *[bulk(1)] * 4)
    assert turns(inbox, 4) == [[(A, 3), (B, 2), (C, 2)], [(A, 3), (C, 2)], [(A, 2)], []]
    assert (len(inbox), inbox.size) == (0, 0)


async def test_P7_a_bulk_call_counts_as_its_items() -> None:
    inbox = inbox_with(tenant_turn_max=200, input_batch_max=500)
    put(inbox, A, bulk(150), bulk(150), bulk(1))
    put(inbox, B, bulk(1))
    assert turns(inbox, 2) == [[(A, 2), (B, 1)], [(A, 1)]]


async def test_a_turn_ends_when_its_payloads_are_large_enough() -> None:
    inbox = inbox_with(tenant_turn_bytes_max=5_000)
    put(inbox, A, *[TaskCompleted("t", 0, "w", b"x" * 4_000)] * 4)
    assert turns(inbox, 2) == [[(A, 2)], [(A, 2)]]


async def test_order_within_a_tenant_is_kept() -> None:
    inbox = inbox_with(tenant_turn_max=2)
    put(inbox, A, *[verb("fact", str(n)) for n in range(5)])
    taken = [entry.item for _ in range(3) for portion in inbox.take() for entry in portion.entries]
    assert taken == [verb("fact", str(n)) for n in range(5)]


async def test_R43_a_full_inbox_refuses_with_its_numbers() -> None:
    inbox = inbox_with(inbox_items_max=2)
    put(inbox, A, bulk(1), bulk(1))
    with pytest.raises(LimitReached, match=r"inbox is full \(2 of 2 inputs"):
        put(inbox, B, bulk(1))
    inbox.take()
    put(inbox, B, bulk(1))


async def test_R43_bytes_are_bounded_too() -> None:
    inbox = inbox_with(inbox_bytes_max=10_000)
    put(inbox, A, TaskCompleted("t", 0, "w", b"x" * 8_000))
    with pytest.raises(LimitReached, match="of 10000 bytes"):
        put(inbox, A, TaskCompleted("t", 0, "w", b"x" * 2_000))
    put(inbox, A, TaskCompleted("t", 0, "w", b"x" * 200))


async def test_P7_one_tenant_cannot_fill_the_inbox_of_all() -> None:
    inbox = inbox_with(tenant_inbox_items_max=2, tenant_inbox_bytes_max=10_000)
    put(inbox, A, bulk(1), bulk(1))
    with pytest.raises(LimitReached, match="this tenant's share"):
        put(inbox, A, bulk(1))
    put(inbox, B, bulk(1))
    with pytest.raises(LimitReached, match="this tenant's share"):
        put(inbox, B, TaskCompleted("t", 0, "w", b"x" * 10_000))


async def test_signs_of_life_of_a_worker_are_one_input() -> None:
    inbox = inbox_with()
    for worker in ("a", "b", "a", "a"):
        assert inbox.put_notice(A, WorkerSeen(worker))
    assert len(inbox) == 2
    inbox.take()
    assert inbox.put_notice(A, WorkerSeen("a"))
    assert len(inbox) == 1


async def test_a_sign_of_life_that_is_taken_makes_room_for_the_next_of_that_worker() -> None:
    inbox = inbox_with(tenant_turn_max=1)
    for worker in ("a", "b"):
        inbox.put_notice(A, WorkerSeen(worker))
    inbox.take()
    inbox.put_notice(A, WorkerSeen("a"))
    inbox.put_notice(A, WorkerSeen("b"))
    assert len(inbox) == 2


async def test_notices_have_a_reserve_and_are_dropped_beyond_it() -> None:
    inbox = inbox_with(inbox_items_max=1, inbox_reserve_items=1)
    put(inbox, A, bulk(1))
    assert inbox.put_notice(A, StreamClosed("w", 1))
    assert not inbox.put_notice(A, StreamClosed("w", 2))
    assert not inbox.put_notice(A, WorkerSeen("w"))


async def test_the_time_waits_once() -> None:
    inbox = inbox_with()
    inbox.put_time(A)
    inbox.put_time(A)
    assert len(inbox) == 1
    inbox.take()
    inbox.put_time(A)
    assert len(inbox) == 1


def test_the_size_of_an_input_counts_its_payloads() -> None:
    task = TaskDefinition("t", ActionId("w:t"))
    assert size_of(WorkerSeen("w")) == ENTRY_BYTES
    assert size_of(TaskFailed("t", 0, "w", "x" * 10)) == ENTRY_BYTES + 10
    assert size_of(RunsTriggered((Trigger("w", b"12", b"3"),) * 2)) == 2 * (ENTRY_BYTES + 3)
    assert size_of(WorkflowPut(WorkflowDefinition("w", (task,), input_schema=b"1234"))) > ENTRY_BYTES + 4


async def test_R43_submit_says_that_the_inbox_is_full(make_house: MakeHouse) -> None:
    house = await make_house(inbox_items_max=2)
    gate = house.store.hold("commit")
    replies = [house.submit(verb("fact", "in hand"))]
    await house.store.reached["commit"].wait()
    replies += [house.submit(verb("fact", str(n))) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await house.say(verb("fact", "too much"))
    assert house.metric("limpet_refused_inputs_total") == 1
    gate.set()
    await asyncio.gather(*replies)
    assert await house.stored() == ["0", "1", "in hand"]


async def test_R35_during_an_outage_a_full_inbox_is_unavailability(make_house: MakeHouse) -> None:
    house = await make_house(inbox_items_max=1)
    house.store.will("commit", Fault.BUSY)
    replies = [house.submit(verb("fact", "in hand"))]
    await house.clock.until_awaited(house.clock.now() + 50_000)
    replies.append(house.submit(verb("fact", "waits")))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="the engine's store takes no commits right now, so nothing new is taken on"):
        await house.say(verb("fact", "too much"))
    house.engine.notify(DEFAULT_TENANT_ID, WorkerSeen("a worker that must not look dead"))
    await house.pass_pauses()
    await asyncio.gather(*replies)
    assert WorkerSeen("a worker that must not look dead") in house.core().log[-1]


async def test_notices_over_the_reserve_are_counted(make_house: MakeHouse) -> None:
    house = await make_house(inbox_items_max=0, inbox_reserve_items=1)
    for worker in ("a", "b", "c"):
        house.engine.notify(DEFAULT_TENANT_ID, WorkerSeen(worker))
    assert house.metric("limpet_dropped_notices_total") == 2


async def test_a_caller_that_left_does_not_disturb(house: House) -> None:
    gate = house.store.hold("commit")
    left = house.submit(verb("fact", "left"))
    await house.store.reached["commit"].wait()
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    gate.set()
    await house.say(verb("fact", "next"))
    assert await house.stored() == ["left", "next"], "P4: a call without an answer may still have taken effect"
