"""The newest spans that clients sent, in memory: for a look at a run, not an archive.

Laws:
1. Spans are no facts of the engine: they are not stored, other servers do not see them, and a stop forgets them. Who wants
   to keep them sends them to a collector as well.
2. Memory is bounded: above `TRACES_BYTES_MAX` whole traces are forgotten, those first that got a span longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from limpet.core.ids import TenantNo

TRACES_BYTES_MAX = 16 * 1024 * 1024  # of all tenants together; some ten thousand spans
SPANS_OF_TRACE_MAX = 1_000  # of one trace; a loop that traces each step must not push out all others
ATTRIBUTES_MAX = 64  # of one span
TEXT_LENGTH_MAX = 1_024  # of a name, a message or a value; longer ones are cut
SPAN_BYTES = 600  # what a span takes besides its texts, about

RUN_ATTRIBUTE = "hatchet.workflow_run_id"
RETRY_ATTRIBUTE = "hatchet.retry_count"


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """A span as it is shown. Ids are hexadecimal, times nanoseconds since 1970; texts are cut already."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    status_message: str
    scope: tuple[str, str]
    resource: Mapping[str, str]
    attributes: Mapping[str, str]

    @property
    def bytes_used(self) -> int:
        """About what it takes, the resource included, which in truth the spans of a batch share."""
        pairs = (*self.attributes.items(), *self.resource.items())
        return SPAN_BYTES + len(self.name) + len(self.status_message) + sum(len(name) + len(value) for name, value in pairs)


@dataclass(slots=True)
class _Trace:
    spans: list[KeptSpan] = field(default_factory=list)
    run_ids: set[str] = field(default_factory=set)
    bytes_used: int = 0


Key = tuple[TenantNo, str]  # a tenant and an id of it, of a trace or of a run


class TraceShelf:
    """Owned by the event loop of the edges."""

    def __init__(self, bytes_max: int = TRACES_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes_used = 0
        self._traces: OrderedDict[Key, _Trace] = OrderedDict()
        self._by_run: dict[Key, set[str]] = {}

    @property
    def bytes_used(self) -> int:
        """About what all spans take."""
        return self._bytes_used

    def put(self, tenant_no: TenantNo, spans: Iterable[KeptSpan]) -> int:
        """Keep these; returns how many found no place, because their trace is full."""
        refused = sum(not self._put(tenant_no, span) for span in spans)
        while self._bytes_used > self._bytes_max and self._traces:
            self._forget_oldest()
        return refused

    def of_run(self, tenant_no: TenantNo, run_id: str) -> list[KeptSpan]:
        """All spans of the traces in which this run has one, in the order in which they began."""
        trace_ids = self._by_run.get((tenant_no, run_id), ())
        found = [span for trace_id in trace_ids for span in self._traces[tenant_no, trace_id].spans]
        return sorted(found, key=lambda span: (span.start_ns, span.span_id))

    def _put(self, tenant_no: TenantNo, span: KeptSpan) -> bool:
        trace = self._traces.setdefault((tenant_no, span.trace_id), _Trace())
        self._traces.move_to_end((tenant_no, span.trace_id))
        if len(trace.spans) >= SPANS_OF_TRACE_MAX:
            return False
        trace.spans.append(span)
        trace.bytes_used += span.bytes_used
        self._bytes_used += span.bytes_used
        run_id = span.attributes.get(RUN_ATTRIBUTE)
        if run_id is not None:
            trace.run_ids.add(run_id)
            self._by_run.setdefault((tenant_no, run_id), set()).add(span.trace_id)
        return True

    def _forget_oldest(self) -> None:
        (tenant_no, trace_id), trace = self._traces.popitem(last=False)
        self._bytes_used -= trace.bytes_used
        for run_id in trace.run_ids:
            trace_ids = self._by_run[tenant_no, run_id]
            trace_ids.discard(trace_id)
            if not trace_ids:
                del self._by_run[tenant_no, run_id]
