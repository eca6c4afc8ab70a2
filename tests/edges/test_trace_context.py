"""The trace that a run's metadata name (W9.3): one is made where none is, a valid one stays."""

from __future__ import annotations

import json

import pytest
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from limpet.edges.trace_context import traced, traceparent

RUN = "01a21d6c-50db-7dc8-a295-4afaa14f98c3"
VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("metadata", [b"{}", b' { "a" : "b" } ', b'{"a":"traceparent"}', b'{"b":{"traceparent":"x"}}', None])
def test_W9_3_a_missing_traceparent_is_derived_from_the_runs_id(metadata: bytes | None) -> None:
    told = json.loads(traced(metadata, RUN))
    assert told.pop("traceparent") == "00-01a21d6c50db7dc8a2954afaa14f98c3-a2954afaa14f98c3-01"
    assert told == json.loads(metadata or b"{}")


def test_W9_3_what_is_derived_is_read_by_tracing_libraries() -> None:
    found = TraceContextTextMapPropagator().extract({"traceparent": traceparent(RUN)})
    context = trace.get_current_span(found).get_span_context()
    assert trace.format_trace_id(context.trace_id) == RUN.replace("-", "")


def test_W9_3_a_valid_one_is_kept_byte_for_byte() -> None:
    metadata = json.dumps({"traceparent": VALID, "a": 1}).encode()
    assert traced(metadata, RUN) is metadata


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        7,
        None,
        "x",
        VALID.upper(),
        VALID[:-1],
        "ff" + VALID[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        VALID.replace("b7ad6b7169203331", "0" * 16),
    ],
)
def test_W9_3_an_invalid_one_is_replaced(wrong: object) -> None:
    assert json.loads(traced(json.dumps({"traceparent": wrong}).encode(), RUN)) == {"traceparent": traceparent(RUN)}
