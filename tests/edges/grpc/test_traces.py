"""Spans as exporters send them: read, cut, counted."""

from __future__ import annotations

import grpc

from limpet.contracts import stubs
from limpet.contracts import traces_pb2 as wire
from limpet.edges.traces import ATTRIBUTES_MAX, TEXT_LENGTH_MAX

from .conftest import MINE, Edge, status_of
from .fake_door import TENANT, TENANTS, run_id

RUN = run_id(1)
TRACE, SPAN = bytes(range(16)), bytes(range(8))


def batch(*spans: wire.Span) -> wire.ExportTraceServiceRequest:
    scope = wire.ScopeSpans(scope=wire.InstrumentationScope(name="lib", version="1"), spans=spans)
    resource = wire.Resource(attributes=[text("service.name", "shop")])
    return wire.ExportTraceServiceRequest(resource_spans=[wire.ResourceSpans(resource=resource, scope_spans=[scope])])


def text(key: str, value: str) -> wire.KeyValue:
    return wire.KeyValue(key=key, value=wire.AnyValue(string_value=value))


async def export(edge: Edge, request: wire.ExportTraceServiceRequest) -> wire.ExportTraceServiceResponse:
    return await stubs.TraceServiceStub(edge.channel).Export(request, metadata=MINE)


async def test_I5_every_field_that_is_shown_is_kept(edge: Edge) -> None:
    values = {
        "flag": wire.AnyValue(bool_value=True),
        "count": wire.AnyValue(int_value=-3),
        "share": wire.AnyValue(double_value=0.5),
        "nothing": wire.AnyValue(),
    }
    span = wire.Span(
        trace_id=TRACE, span_id=SPAN, parent_span_id=SPAN[::-1], name="step", kind=wire.SPAN_KIND_CONSUMER,
        start_time_unix_nano=5, end_time_unix_nano=7, status=wire.Status(code=wire.Status.STATUS_CODE_ERROR, message="broken"),
        attributes=[text("hatchet.workflow_run_id", RUN), *(wire.KeyValue(key=key, value=value) for key, value in values.items())],
    )  # fmt: skip
    assert await export(edge, batch(span)) == wire.ExportTraceServiceResponse()
    (kept,) = edge.traces.of_run(TENANTS[TENANT], RUN)
    assert (kept.trace_id, kept.span_id, kept.parent_span_id) == (TRACE.hex(), SPAN.hex(), SPAN[::-1].hex())
    assert (kept.name, kept.kind, kept.start_ns, kept.end_ns, kept.status, kept.status_message) == ("step", 5, 5, 7, 2, "broken")
    assert (kept.scope, kept.resource) == (("lib", "1"), {"service.name": "shop"})
    assert kept.attributes == {"hatchet.workflow_run_id": RUN, "flag": "true", "count": "-3", "share": "0.5"}


async def test_I5_ids_that_are_none_are_counted_and_the_rest_is_kept(edge: Edge) -> None:
    good = wire.Span(trace_id=TRACE, span_id=SPAN, attributes=[text("hatchet.workflow_run_id", RUN)])
    bad = [
        wire.Span(trace_id=b"short", span_id=SPAN),
        wire.Span(trace_id=TRACE),
        wire.Span(trace_id=TRACE, span_id=SPAN, parent_span_id=b"x"),
    ]
    answer = await export(edge, batch(*bad, good))
    assert answer.partial_success.rejected_spans == 3
    assert "16 and 8 bytes" in answer.partial_success.error_message
    assert len(edge.traces.of_run(TENANTS[TENANT], RUN)) == 1


async def test_I5_long_texts_and_many_attributes_are_cut(edge: Edge) -> None:
    many = [text(f"key {number}", "v" * 5_000) for number in range(200)]
    span = wire.Span(
        trace_id=TRACE, span_id=SPAN, name="n" * 5_000, kind=99, attributes=[text("hatchet.workflow_run_id", RUN), *many]
    )
    await export(edge, batch(span))
    (kept,) = edge.traces.of_run(TENANTS[TENANT], RUN)
    assert (len(kept.name), len(kept.attributes), kept.kind) == (TEXT_LENGTH_MAX, ATTRIBUTES_MAX, 0)
    assert {len(value) for key, value in kept.attributes.items() if key.startswith("key")} == {TEXT_LENGTH_MAX}


async def test_X4_a_stranger_sends_none(edge: Edge) -> None:
    call = stubs.TraceServiceStub(edge.channel).Export(batch(), metadata=(("authorization", "bearer nobody"),))
    assert (await status_of(call))[0] is grpc.StatusCode.UNAUTHENTICATED
