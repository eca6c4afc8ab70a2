"""Buffers of single streams (R43, R45)."""

from __future__ import annotations

import asyncio

import pytest

from limpet.edges.outbox import BUFFER_BYTES_MAX, BUFFER_ITEMS_MAX, EndCause, Outbox, StreamEnd, until_ended


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def box_with(patience_s: float = 5.0) -> tuple[Outbox[int], Clock, list[int]]:
    clock, slow = Clock(), [0]

    def count() -> None:
        slow[0] += 1

    return Outbox(patience_s=patience_s, clock=clock, on_slow=count), clock, slow


async def test_items_leave_in_the_order_they_came() -> None:
    box, _, _ = box_with()
    assert [box.put(number, 1) for number in range(3)] == [True] * 3
    taken = []
    while len(box) and await box.ready():
        taken.append(box.pop())
    assert taken == [0, 1, 2]


async def test_R45_a_reader_stuck_in_one_write_loses_its_stream_at_the_item_bound() -> None:
    box, clock, slow = box_with()
    box.put(0, 1)
    assert await box.ready()
    box.pop()
    clock.now += 5.0
    assert all(box.put(number, 1) for number in range(BUFFER_ITEMS_MAX))
    assert not box.put(1, 1)
    with pytest.raises(StreamEnd, match=r"not read for too long: 1000 messages"):
        await box.ready()
    assert (len(box), slow[0]) == (0, 1)


async def test_R45_and_at_the_byte_bound() -> None:
    box, clock, _ = box_with()
    box.put(0, 1)
    await box.ready()
    box.pop()
    clock.now += 5.0
    assert box.put(1, BUFFER_BYTES_MAX)
    assert not box.put(2, 1)


async def test_R45_a_burst_alone_makes_no_reader_slow() -> None:
    box, clock, slow = box_with()
    assert all(box.put(number, 3 * BUFFER_BYTES_MAX) for number in range(3 * BUFFER_ITEMS_MAX))
    clock.now += 4.9
    for _ in range(10):
        assert await box.ready()
        box.pop()
        clock.now += 4.9
    assert box.put(0, 1)
    assert slow[0] == 0


async def test_R45_one_message_larger_than_the_bound_is_taken() -> None:
    box, _, _ = box_with(patience_s=0)
    assert box.put(0, 4 * BUFFER_BYTES_MAX)
    assert not box.put(1, 1)


async def test_R45_a_stuck_stream_is_found_without_another_delivery() -> None:
    box, clock, slow = box_with()
    for number in range(2):
        box.put(number, 2 * BUFFER_BYTES_MAX)
    await box.ready()
    box.pop()
    box.check_pace()
    assert box.end_reason is None
    clock.now += 5.0
    box.check_pace()
    assert (box.end_reason is not None, slow[0]) == (True, 1)


async def test_a_finished_box_is_emptied_before_it_ends() -> None:
    box, _, _ = box_with()
    box.put(1, 1)
    box.finish()
    assert not box.put(2, 1)
    assert await box.ready()
    assert box.pop() == 1
    assert not await box.ready()
    assert box.is_finished


async def test_the_first_reason_of_an_end_stays() -> None:
    box, _, _ = box_with()
    box.end("revoked", EndCause.NOT_AUTHENTICATED)
    box.end("stopping")
    with pytest.raises(StreamEnd, match="revoked") as caught:
        await box.ready()
    assert caught.value.cause is EndCause.NOT_AUTHENTICATED
    assert not box.put(1, 1)


async def test_waiting_for_an_item_ends_with_the_time_and_loses_nothing() -> None:
    box, _, _ = box_with()
    assert not await box.ready(0)
    box.put(7, 1)
    assert await box.ready(0)
    assert box.pop() == 7


async def test_room_comes_back_when_the_reader_reads() -> None:
    box, _, _ = box_with()
    for number in range(2):
        box.put(number, BUFFER_BYTES_MAX)
    waiting = asyncio.create_task(box.room())
    await box.ready()
    box.pop()
    await waiting


async def test_an_end_stops_work_that_is_stuck() -> None:
    box, _, _ = box_with()
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def stuck() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    working = asyncio.create_task(until_ended(box, stuck()))
    await begun.wait()
    box.end("slow")
    with pytest.raises(StreamEnd, match="slow"):
        await working
    assert cancelled.is_set()


async def test_an_error_of_the_work_comes_through() -> None:
    box, _, _ = box_with()

    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await until_ended(box, fails())
