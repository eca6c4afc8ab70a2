"""The registry of open streams (WK-17, CN-2, R33, R36, R45)."""

from __future__ import annotations

import asyncio

import pytest

from limpet.core.decision import (
    CancelTask,
    CloseStreams,
    Delivery,
    KeysWanted,
    PayloadRef,
    RunFinished,
    StartTask,
    TaskChanged,
    TaskResult,
)
from limpet.core.ids import ActionId, Instant, RunKey, TaskKey, TaskRunId, TenantId, WorkerId, WorkflowRunId
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.chunk_order import Chunk
from limpet.edges.outbox import BUFFER_BYTES_MAX, BUFFER_ITEMS_MAX, StreamEnd
from limpet.edges.sessions import WorkerSession
from limpet.edges.streams import StreamRegistry
from limpet.edges.waiters import RunUnknown

A, B = TenantId("a"), TenantId("b")
W = WorkerId("w")


def start(task: str = "t", worker: str = "w", size: int = 2) -> StartTask:
    return StartTask(
        WorkerId(worker), TaskKey(1), TaskRunId(task), RunKey(1), WorkflowRunId("r"), ActionId("a:t"), "t", 0, 1, "wf", "v", b"{}",
        Instant(0), PayloadRef(1, "input", of_run=True, data=b"x" * size),
    )  # fmt: skip


def cancel(task: str = "t") -> CancelTask:
    return CancelTask(W, TaskRunId(task), WorkflowRunId("r"), ActionId("a:t"), "t", 0)


def finished(run: str = "r", data: bytes | None = b"{}") -> RunFinished:
    result = TaskResult(TaskRunId("t"), "t", TaskStatus.COMPLETED, PayloadRef(1, "t", data=data))
    return RunFinished(WorkflowRunId(run), RunKey(1), RunStatus.COMPLETED, Instant(0), (result,))


def changed(run: str = "r") -> TaskChanged:
    return TaskChanged(WorkflowRunId(run), TaskRunId("t"), TaskStatus.RUNNING, 0, 0, Instant(0))


def sent(session: WorkerSession) -> list[str]:
    items = []
    while len(session.box):
        items.append(type(session.box.pop()).__name__)
    return items


def test_WK17_two_streams_newest_gets_starts_and_all_get_cancels() -> None:
    streams = StreamRegistry()
    older, newer = streams.sessions.open(A, "w"), streams.sessions.open(A, "w")
    assert older.number < newer.number
    assert streams.deliver(A, [start(), cancel()]) == []
    assert (sent(older), sent(newer)) == (["CancelTask"], ["StartTask", "CancelTask"])


def test_WK17_the_older_stream_takes_over_when_the_newer_takes_nothing_more() -> None:
    streams = StreamRegistry()
    older, newer = streams.sessions.open(A, "w"), streams.sessions.open(A, "w")
    newer.box.end("cut")
    assert streams.deliver(A, [start()]) == []
    assert sent(older) == ["StartTask"]


def test_AC96_closing_the_older_stream_leaves_the_worker_listening() -> None:
    streams = StreamRegistry()
    older, newer = streams.sessions.open(A, "w"), streams.sessions.open(A, "w")
    streams.sessions.close(older)
    streams.sessions.close(older)
    assert streams.sessions.is_listening(A, "w")
    streams.sessions.close(newer)
    assert not streams.sessions.is_listening(A, "w")


def test_WK20_a_start_that_no_stream_takes_is_given_back_once() -> None:
    streams = StreamRegistry()
    streams.sessions.open(B, "w")  # another tenant's worker of the same id takes nothing of ours (S1)
    session = streams.sessions.open(A, "x")
    session.box.end("cut")
    assert streams.deliver(A, [start("t1"), start("t2", "x"), cancel()]) == [("t1", 0), ("t2", 0)]
    assert streams.counts.starts_without_stream == 2


def test_R26_a_deaf_stream_is_ended_and_the_others_stay() -> None:
    streams = StreamRegistry()
    older, newer = streams.sessions.open(A, "w"), streams.sessions.open(A, "w")
    streams.deliver(A, [CloseStreams(W, older.number, "deaf")])
    assert (str(older.box.end_reason), newer.box.end_reason) == ("deaf", None)
    streams.deliver(A, [CloseStreams(W, None, "unsubscribed")])
    assert str(newer.box.end_reason) == "unsubscribed"


async def test_WK16_a_heartbeat_may_wait_for_the_stream_that_is_about_to_open() -> None:
    streams = StreamRegistry()
    waiting = asyncio.create_task(streams.sessions.listening(A, "w", 5))
    await asyncio.wait([waiting], timeout=0)
    streams.sessions.open(B, "w")
    streams.sessions.open(A, "w")
    assert await waiting
    assert not await streams.sessions.listening(A, "v", 0)


def test_R45_a_burst_of_starts_is_taken_whole() -> None:
    streams = StreamRegistry()
    session = streams.sessions.open(A, "w")
    assert streams.deliver(A, [start(str(n), size=5_000) for n in range(3 * BUFFER_ITEMS_MAX)]) == []
    assert len(session.box) == 3 * BUFFER_ITEMS_MAX


async def test_R36_a_waiter_hears_of_the_end_once_and_is_wanted_until_then() -> None:
    streams = StreamRegistry()
    waiter = streams.waiters.open(A)
    streams.waiters.ask(waiter, "r")
    streams.waiters.ask(waiter, "r")
    assert (streams.wants_result(A, "r"), streams.wants_result(B, "r")) == (True, False)
    streams.deliver(B, [finished()])
    assert len(waiter.box) == 0
    streams.deliver(A, [finished(), finished()])
    assert (len(waiter.box), streams.wants_result(A, "r"), waiter.open_ids) == (1, False, set())


async def test_R36_an_answer_after_the_answer_is_dropped() -> None:
    streams = StreamRegistry()
    waiter = streams.waiters.open(A)
    streams.waiters.ask(waiter, "r")
    streams.waiters.answer(waiter, "r", RunUnknown("r"))
    streams.waiters.answer(waiter, "r", RunUnknown("r"))
    streams.deliver(A, [finished()])
    assert len(waiter.box) == 1


async def test_E2_a_result_whose_payload_was_not_read_is_looked_up() -> None:
    streams = StreamRegistry()
    waiter = streams.waiters.open(A)
    streams.waiters.ask(waiter, "r")
    assert await waiter.next_lookup() == "r"
    streams.deliver(A, [finished(data=None)])
    assert len(waiter.box) == 0
    assert await waiter.next_lookup() == "r"


async def test_R45_results_beyond_the_buffer_wait_as_ids_only() -> None:
    streams = StreamRegistry()
    waiter = streams.waiters.open(A)
    for run in ("1", "2", "3"):
        streams.waiters.ask(waiter, run)
        assert await waiter.next_lookup() == run
    streams.deliver(A, [finished(run, b"x" * BUFFER_BYTES_MAX) for run in ("1", "2", "3")])
    assert (len(waiter.box), waiter.open_ids) == (1, {"2", "3"})
    assert [await waiter.next_lookup(), await waiter.next_lookup()] == ["2", "3"]


async def test_a_closed_waiter_is_wanted_by_nobody() -> None:
    streams = StreamRegistry()
    one, other = streams.waiters.open(A), streams.waiters.open(A)
    streams.waiters.ask(one, "r")
    streams.waiters.ask(other, "r")
    streams.waiters.close(one)
    assert streams.wants_result(A, "r")
    streams.waiters.close(other)
    assert not streams.wants_result(A, "r")
    assert len(streams) == 0


def test_W14_1_watchers_hear_of_their_run_only() -> None:
    streams = StreamRegistry()
    of_run, of_all, of_other = streams.watchers.open(A, "r"), streams.watchers.open(A, None), streams.watchers.open(A, "q")
    streams.deliver(A, [changed(), finished()])
    streams.deliver(B, [changed()])
    streams.put_chunk(A, Chunk("r", "t", b"x", 0, 0))
    assert [len(watcher.box) for watcher in (of_run, of_all, of_other)] == [3, 3, 0]


def test_W14_2_a_chunk_that_nobody_follows_is_counted_and_gone() -> None:
    streams = StreamRegistry()
    streams.put_chunk(A, Chunk("r", "t", b"x", 0, 0))
    assert streams.counts.chunks_without_watcher == 1
    assert len(streams.watchers.open(A, "r").box) == 0


def test_TLOGFLOOD_a_follower_that_does_not_read_loses_its_stream_at_the_bound() -> None:
    streams = StreamRegistry()
    watcher = streams.watchers.open(A, "r")
    for index in range(BUFFER_ITEMS_MAX + 1):
        streams.put_chunk(A, Chunk("r", "t", b"x", index, 0))
    assert isinstance(watcher.box.end_reason, StreamEnd)
    assert (streams.counts.slow_readers_ended, streams.counts.chunks_without_watcher) == (1, 1)


async def test_R33_all_streams_end_within_the_spread_and_none_later() -> None:
    streams = StreamRegistry(end_spread_s=0.02)
    boxes = [streams.sessions.open(A, str(n)).box for n in range(20)] + [
        streams.waiters.open(A).box,
        streams.watchers.open(A, None).box,
    ]
    streams.end_all("hand-over")
    assert any(box.end_reason is None for box in boxes), "they must not end all at once"
    async with asyncio.timeout(2):
        ends = await asyncio.gather(*(box.wait_ended() for box in boxes))
    assert {str(end) for end in ends} == {"hand-over"}


def test_deliveries_of_unknown_kinds_are_not_swallowed_silently() -> None:
    """Every delivery kind has its case: this list grows with `Delivery`."""
    kinds: set[type] = {StartTask, CancelTask, CloseStreams, RunFinished, TaskChanged, KeysWanted}
    assert kinds == set(Delivery.__args__)


@pytest.mark.parametrize("size", [0, 1])
async def test_a_stuck_reader_is_found_by_the_duty(size: int) -> None:
    now = [0.0]
    streams = StreamRegistry(clock=lambda: now[0])
    session = streams.sessions.open(A, "w")
    streams.deliver(A, [start(size=2 * BUFFER_BYTES_MAX), start("u", size=2 * BUFFER_BYTES_MAX * size)])
    await session.box.ready()
    session.box.pop()
    now[0] = 6.0
    streams.check_pace()
    assert (session.box.end_reason is not None) is bool(size)
