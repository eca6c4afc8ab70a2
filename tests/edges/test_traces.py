"""The shelf of spans: what a run's traces are, and that nothing grows without bound."""

from __future__ import annotations

import pytest

from limpet.core.ids import TenantNo
from limpet.edges import traces
from limpet.edges.traces import KeptSpan, TraceShelf

ONE, TWO = TenantNo(1), TenantNo(2)


def span(trace_id: str, span_id: str, run_id: str | None = None, *, start: int = 0, text: str = "") -> KeptSpan:
    attributes = {"hatchet.workflow_run_id": run_id} if run_id else {"text": text}
    return KeptSpan(trace_id, span_id, "", "name", 1, start, start + 1, 0, "", ("", ""), {}, attributes)


def ids(shelf: TraceShelf, tenant_no: TenantNo, run_id: str) -> list[str]:
    return [each.span_id for each in shelf.of_run(tenant_no, run_id)]


def test_I5_a_run_has_all_spans_of_its_traces_in_the_order_in_which_they_began() -> None:
    shelf = TraceShelf()
    shelf.put(ONE, [span("t1", "late", "run", start=9), span("t1", "early", start=1), span("t2", "again", "run", start=5)])
    shelf.put(ONE, [span("t3", "other", "another", start=3)])
    assert ids(shelf, ONE, "run") == ["early", "again", "late"]
    assert ids(shelf, ONE, "unknown") == []


def test_I5_another_tenant_sees_none_of_them() -> None:
    shelf = TraceShelf()
    shelf.put(ONE, [span("t1", "mine", "run")])
    shelf.put(TWO, [span("t1", "theirs", "their run")])
    assert (ids(shelf, TWO, "run"), ids(shelf, ONE, "their run")) == ([], [])
    assert ids(shelf, TWO, "their run") == ["theirs"]


def test_I5_the_trace_that_got_a_span_longest_ago_goes_first_and_leaves_nothing() -> None:
    one = span("t0", "s0", "run00").bytes_used
    shelf = TraceShelf(bytes_max=3 * one)
    for number in range(3):
        shelf.put(ONE, [span(f"t{number}", f"s{number}", f"run{number:02}")])
    shelf.put(ONE, [span("t0", "s9", "run00")])
    assert shelf.bytes_used <= 3 * one
    assert [len(ids(shelf, ONE, f"run{number:02}")) for number in range(3)] == [2, 0, 1]
    for number in range(100):
        shelf.put(ONE, [span(f"u{number}", "s", f"run{number:02}", start=number)])
    assert shelf.bytes_used <= 3 * one
    assert len(shelf._traces) == len(shelf._by_run) == 3


def test_I5_a_trace_that_is_larger_than_the_shelf_is_forgotten_as_a_whole() -> None:
    shelf = TraceShelf(bytes_max=2_000)
    shelf.put(ONE, [span("t1", "s1", "run"), span("t1", "s2", text="x" * 3_000)])
    assert (shelf.bytes_used, ids(shelf, ONE, "run")) == (0, [])


def test_I5_a_full_trace_refuses_more_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "SPANS_OF_TRACE_MAX", 2)
    shelf = TraceShelf()
    assert shelf.put(ONE, [span("t1", f"s{number}", "run") for number in range(5)]) == 3
    assert len(ids(shelf, ONE, "run")) == 2
