"""Payloads at delivery: from the cache, from the store, in order, and never an invented one."""

from __future__ import annotations

import asyncio

from engine_faults import Fault
from engine_house import DEFAULT_TENANT_ID, House, MakeHouse, verb

from limpet.core.condition_rows import WaitRow
from limpet.core.decision import Changes, PayloadRef, RunFinished, StartTask
from limpet.core.event_rows import PushedEventRow
from limpet.core.rows import RunRow, TaskRow
from limpet.engine.payloads import ENTRY_BYTES, PayloadCache, events_of, fill_from_events, fill_from_rows, rows_of


def run_row(key: int, payload: bytes | None) -> RunRow:
    return RunRow(*[None] * len(RunRow._fields))._replace(key=key, input=payload)  # type: ignore[arg-type]


def task_row(key: int, output: bytes | None, error: str | None = None) -> TaskRow:
    return TaskRow(*[None] * len(TaskRow._fields))._replace(key=key, output=output, error=error)  # type: ignore[arg-type]


def starts(house: House) -> list[StartTask]:
    return [one for one in house.streams.delivered if isinstance(one, StartTask)]


async def test_a_start_carries_what_was_just_committed_without_a_read(house: House) -> None:
    await house.say(verb("start", '{"a":1}', worker="w1"))
    assert starts(house)[0].input.data == b'{"a":1}'
    assert house.store.reader.payload_reads == []


async def test_a_start_from_the_backlog_is_read_in_one_batch(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    replies = [house.submit(verb("start", f'"{n}"', worker="w1")) for n in range(5)]
    keys = [reply[0] for reply in await asyncio.gather(*replies)]  # type: ignore[index]
    await house.streams.until_delivered(5)
    assert [start.input.data for start in starts(house)] == [b'"0"', b'"1"', b'"2"', b'"3"', b'"4"']
    assert house.store.reader.payload_reads == [(set(keys), set())]


async def test_reads_are_cut_in_slices(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0, payload_read_max=2)
    await asyncio.gather(*[house.submit(verb("start", f'"{n}"', worker="w1")) for n in range(5)])
    await house.streams.until_delivered(5)
    assert [len(runs) for runs, _ in house.store.reader.payload_reads] == [2, 2, 1]
    assert [start.input.data for start in starts(house)] == [b'"0"', b'"1"', b'"2"', b'"3"', b'"4"']


async def test_deliveries_keep_their_order_behind_a_read(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    gate = house.store.hold("payloads")
    await house.say(verb("start", '"slow"', worker="w1"))
    await house.store.reached["payloads"].wait()
    await house.say(verb("close", "w1"))
    await house.say(verb("fact", "the loop does not wait for payloads"))
    assert house.streams.delivered == []
    gate.set()
    await house.streams.until_delivered(2)
    assert [type(one).__name__ for one in house.streams.delivered] == ["StartTask", "CloseStreams"]


async def test_a_read_in_passing_trouble_is_repeated(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    house.store.will("payloads", Fault.BUSY, Fault.BUSY)
    await house.say(verb("start", '"x"', worker="w1"))
    await house.pass_pauses(2)
    await house.streams.until_delivered(1)
    assert (house.store.happened["payloads busy"], starts(house)[0].input.data) == (2, b'"x"')


async def test_WK20_a_start_without_its_payload_is_taken_back(house: House) -> None:
    await house.say(verb("missing"))
    await house.say(verb("start", '"x"', worker="w1"))
    await house.streams.until_delivered(1)
    await house.say(verb("fact", "one more turn"))
    assert [start.action_id for start in starts(house)] == ["a:b"]
    assert house.core().undelivered == [("task", 0)]


async def test_WK20_payloads_that_cannot_be_read_take_the_start_back(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    house.store.will("payloads", Fault.DATA)
    await house.say(verb("start", '"x"', worker="w1"))
    await house.say(verb("close", "behind it"))
    await house.streams.until_delivered(1)
    await house.say(verb("fact", "one more turn"))
    assert (starts(house), len(house.core().undelivered)) == ([], 1)
    assert house.metric("limpet_undeliverable_starts_total") == 1


async def test_WK20_a_start_that_no_stream_took_comes_back_as_an_input(house: House) -> None:
    house.streams.deaf.add("w1")
    await house.say(verb("start", '"x"', worker="w1"))
    await house.say(verb("fact", "one more turn"))
    assert len(house.core().undelivered) == 1


async def test_a_bug_of_the_streams_takes_the_starts_back_and_ends_nothing(house: House) -> None:
    house.streams.fails_next = True
    await house.say(verb("start", '"x"', worker="w1"))
    await house.say(verb("start", '"y"', worker="w1"))
    assert [start.input.data for start in starts(house)] == [b'"y"']
    assert len(house.core().undelivered) == 1
    assert house.metric("limpet_internal_errors_total", place="deliver") == 1


async def test_E2_results_are_read_only_for_those_who_wait(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    key = await house.say(verb("start", '"x"', worker="w1"))
    await house.streams.until_delivered(1)
    reads = len(house.store.reader.payload_reads)
    await house.say(verb("finish", str(key)))
    await house.streams.until_delivered(2)
    assert len(house.store.reader.payload_reads) == reads
    house.streams.wanted.add(str(key))
    await house.say(verb("finish", str(key)))
    await house.streams.until_delivered(3)
    unwanted, wanted = house.streams.delivered[1:]
    assert isinstance(unwanted, RunFinished)
    assert isinstance(wanted, RunFinished)
    assert unwanted.results[0].payload is not None
    assert wanted.results[0].payload is not None
    assert unwanted.results[0].payload.data is None
    assert wanted.results[0].payload.data == b'{"out":1}'


async def test_E2_who_begins_to_wait_during_a_read_gets_the_result_too(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    gate = house.store.hold("payloads")
    replies = asyncio.gather(house.submit(verb("start", '"x"', worker="w1")), house.submit(verb("finish", "0")))
    await replies
    await house.store.reached["payloads"].wait()
    (finished,) = [one for parcel in house.engine._deliverer._queue for one in parcel.deliveries if isinstance(one, RunFinished)]
    finished.results[0].payload.key = (await replies)[0][0] + 1  # type: ignore[union-attr,index]
    house.streams.wanted.add("0")
    gate.set()
    await house.streams.until_delivered(2)
    assert finished.results[0].payload.data == b'{"out":1}'  # type: ignore[union-attr]


async def test_R43_a_full_delivery_queue_stops_the_loop(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0, delivery_queue_max=2)
    gate = house.store.hold("payloads")
    for n in range(3):
        await house.say(verb("start", f'"{n}"', worker="w1"))
    stopped = house.submit(verb("fact", "waits for room"))
    await house.store.reached["payloads"].wait()
    await house.idle()
    assert not stopped.done()
    house.clock.advance(2_000_000)
    assert house.metric("limpet_seconds_without_commit") == 2
    gate.set()
    await stopped
    assert house.engine.tenant_no(DEFAULT_TENANT_ID) is not None


def test_the_cache_stays_within_its_bytes_and_forgets_the_least_recently_used() -> None:
    cache = PayloadCache(3 * (100 + ENTRY_BYTES))
    cache.keep(Changes(runs_opened=[run_row(key, b"x" * 100) for key in (1, 2, 3)]))
    assert cache.fill(PayloadRef(1, "", of_run=True))
    cache.keep(Changes(runs_opened=[run_row(4, b"x" * 100)]))
    assert [key for key in (1, 2, 3, 4) if cache.fill(PayloadRef(key, "", of_run=True))] == [1, 3, 4]
    assert cache.size <= 3 * (100 + ENTRY_BYTES)


def test_the_cache_tells_inputs_outputs_and_errors_apart() -> None:
    cache = PayloadCache(10_000)
    cache.keep(Changes(runs_opened=[run_row(1, b"in"), run_row(2, None)], tasks_changed=[task_row(1, b"out", "bad")]))
    refs = PayloadRef(1, "", of_run=True), PayloadRef(1, ""), PayloadRef(1, "", is_error=True)
    assert all(cache.fill(ref) for ref in refs)
    assert [ref.data for ref in refs] == [b"in", b"out", b"bad"]
    assert not cache.fill(PayloadRef(2, "", of_run=True))


def test_the_cache_keeps_the_newest_value_and_can_be_emptied() -> None:
    cache = PayloadCache(10_000)
    cache.keep(Changes(tasks_opened=[task_row(1, b"")]))
    cache.keep(Changes(tasks_changed=[task_row(1, b"newer")]))
    ref = PayloadRef(1, "")
    assert cache.fill(ref)
    assert (ref.data, len(cache), cache.size) == (b"newer", 1, 5 + ENTRY_BYTES)
    cache.clear()
    assert (len(cache), cache.size) == (0, 0)


def event_row(key: int, payload: bytes) -> PushedEventRow:
    return PushedEventRow(key, f"id-{key}", 1, "paid", payload, len(payload), b"{}", None, None, None, 0)


def test_W5_16_an_event_is_remembered_when_tasks_have_waited_in_its_commit() -> None:
    ref = PayloadRef(7, "paid", of_event=True)
    cache = PayloadCache(1_000)
    cache.keep(Changes(pushed_events=[event_row(7, b'{"n":1}')]))
    assert not cache.fill(ref)
    cache.keep(Changes(pushed_events=[event_row(7, b'{"n":1}')], waits=[WaitRow(1, 0, 1, 0, 0, 0, b"{}")]))
    assert cache.fill(ref)
    assert ref.data == b'{"n":1}'
    assert not cache.fill(PayloadRef(7, "task")), "a task of the same key is something else"


def test_W5_16_an_awaited_event_whose_retention_is_over_says_nothing_and_keeps_no_task_from_running() -> None:
    known, gone, task = PayloadRef(7, "a", of_event=True), PayloadRef(8, "b", of_event=True), PayloadRef(9, "t")
    refs = [known, gone, task]
    assert (events_of(refs), rows_of(refs)) == ([7, 8], ([], [task]))
    fill_from_events(refs, {7: b'{"n":1}'})
    assert fill_from_rows(refs, {}, {}) == [task]
    assert (known.data, gone.data, task.data) == (b'{"n":1}', b"{}", None)
