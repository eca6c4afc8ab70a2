"""The order of stream chunks (W14.1, W14.2, E3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limpet.edges.chunk_order import GAP_WAIT_S, JOIN_WAIT_S, WAITING_BYTES_MAX, Chunk, ChunkOrder


def chunk(index: int | None, task: str = "t", text: bytes = b"") -> Chunk:
    return Chunk("r", task, text or str(index).encode(), index, 0)


def indexes(chunks: list[Chunk]) -> list[int | None]:
    return [one.index for one in chunks]


@given(st.permutations(range(8)))
def test_W14_2_any_arrival_within_the_wait_leaves_in_order(arrival: list[int]) -> None:
    order = ChunkOrder()
    left = [one for index in arrival for one in order.add(chunk(index), 0.0)]
    assert indexes(left) == list(range(8))
    assert order.next_due is None


def test_W14_2_a_gap_is_skipped_after_five_seconds_and_the_late_chunk_dropped() -> None:
    order = ChunkOrder()
    assert indexes(order.add(chunk(0), 0.0)) == [0]
    assert order.add(chunk(2), 1.0) == []
    assert order.next_due == 1.0 + GAP_WAIT_S
    assert order.due(1.0 + GAP_WAIT_S - 0.01) == []
    assert indexes(order.due(1.0 + GAP_WAIT_S)) == [2]
    assert order.add(chunk(1), 7.0) == []
    assert indexes(order.add(chunk(3), 7.0)) == [3]


def test_who_joins_late_waits_only_a_moment_for_what_came_before() -> None:
    order = ChunkOrder()
    assert order.add(chunk(17), 0.0) == []
    assert order.next_due == JOIN_WAIT_S
    assert indexes(order.due(JOIN_WAIT_S)) == [17]
    assert indexes(order.add(chunk(18), 1.0)) == [18]


def test_a_repeated_chunk_is_dropped() -> None:
    order = ChunkOrder()
    order.add(chunk(0), 0.0)
    assert order.add(chunk(0), 0.0) == []
    order.add(chunk(2), 0.0)
    assert order.add(chunk(2), 0.0) == []
    assert indexes(order.add(chunk(1), 0.0)) == [1, 2]


def test_E3_a_newer_attempt_starts_over_without_the_older_ones_chunks() -> None:
    order = ChunkOrder()
    order.attempt("t", 0)
    order.add(chunk(0), 0.0)
    order.add(chunk(2), 0.0)
    order.attempt("t", 0)
    order.attempt("t", 1)
    assert order.next_due is None
    assert indexes(order.add(chunk(0), 1.0)) == [0]
    assert order.flush() == []


def test_tasks_of_one_run_do_not_wait_for_each_other() -> None:
    order = ChunkOrder()
    order.add(chunk(1, "a"), 0.0)
    assert indexes(order.add(chunk(0, "b"), 0.0)) == [0]


def test_W14_1_what_waits_leaves_in_order_at_the_end() -> None:
    order = ChunkOrder()
    for index in (5, 3, 4):
        order.add(chunk(index), 0.0)
    assert indexes(order.flush()) == [3, 4, 5]
    assert order.flush() == []


def test_unnumbered_chunks_pass() -> None:
    assert indexes(ChunkOrder().add(chunk(None), 0.0)) == [None]


def test_R43_gaps_are_not_waited_for_beyond_the_bound() -> None:
    order = ChunkOrder()
    half = b"x" * (WAITING_BYTES_MAX // 2 + 1)
    assert order.add(chunk(5, text=half), 0.0) == []
    assert indexes(order.add(chunk(6, text=half), 0.0)) == [5, 6]
    assert order.next_due is None
