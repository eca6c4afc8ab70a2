"""Spans from clients: the one call of OpenTelemetry's collectors."""

from __future__ import annotations

from limpet.contracts.traces_pb2 import ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse
from limpet.edges.grpc.binding import Handler
from limpet.edges.grpc.gate import Call
from limpet.edges.grpc.translate.spans import kept_spans
from limpet.edges.traces import SPANS_OF_TRACE_MAX, TraceShelf


class Traces:
    """Puts them on the shelf."""

    def __init__(self, shelf: TraceShelf) -> None:
        self._shelf = shelf

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {"/opentelemetry.proto.collector.trace.v1.TraceService/Export": self.export}

    async def export(self, call: Call, request: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
        """Keep what can be kept; the answer counts the rest."""
        spans = list(kept_spans(request))
        refused = self._shelf.put(call.tenant_no, (span for span in spans if span is not None)) + spans.count(None)
        if not refused:
            return ExportTraceServiceResponse()
        reason = f"their ids are not 16 and 8 bytes long, or their trace has {SPANS_OF_TRACE_MAX} spans already"
        told = ExportTracePartialSuccess(rejected_spans=refused, error_message=f"{refused} spans were dropped: {reason}")
        return ExportTraceServiceResponse(partial_success=told)
