"""Spans of exporters, as they are kept (OTLP). What cannot be shown is cut or left out; ids must be ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from limpet.contracts.traces_pb2 import ExportTraceServiceRequest, InstrumentationScope, KeyValue, Span
from limpet.edges.traces import ATTRIBUTES_MAX, TEXT_LENGTH_MAX, KeptSpan

TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
KIND_MAX, STATUS_MAX = 5, 2


def kept_spans(request: ExportTraceServiceRequest) -> Iterator[KeptSpan | None]:
    """Each span of the batch; None for one whose ids are none."""
    for process in request.resource_spans:
        resource = texts(process.resource.attributes)
        for library in process.scope_spans:
            for span in library.spans:
                yield kept_span(span, library.scope, resource)


def kept_span(span: Span, scope: InstrumentationScope, resource: dict[str, str]) -> KeptSpan | None:
    """One."""
    if len(span.trace_id) != TRACE_ID_BYTES or len(span.span_id) != SPAN_ID_BYTES:
        return None
    if len(span.parent_span_id) not in (0, SPAN_ID_BYTES):
        return None
    return KeptSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=cut(span.name),
        kind=span.kind if 0 <= span.kind <= KIND_MAX else 0,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=span.status.code if 0 <= span.status.code <= STATUS_MAX else 0,
        status_message=cut(span.status.message),
        scope=(cut(scope.name), cut(scope.version)),
        resource=resource,
        attributes=texts(span.attributes),
    )


def texts(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes as text; lists, maps and bytes are left out."""
    found: dict[str, str] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind is not None and len(found) < ATTRIBUTES_MAX:
            value = getattr(pair.value, kind)
            found[cut(pair.key)] = cut(str(value).lower() if kind == "bool_value" else str(value))
    return found


def cut(text: str) -> str:
    """Its beginning."""
    return text[:TEXT_LENGTH_MAX]
