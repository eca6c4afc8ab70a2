"""Spans of a run, as clients sent them: from this server's memory, as long as they are there."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from limpet.edges.rest.answers import answer, pagination
from limpet.edges.rest.caller import Calling
from limpet.edges.rest.queries import PAGE_MAX, Limit, Offset
from limpet.edges.rest.schemas import Pagination, Schema
from limpet.edges.traces import RETRY_ATTRIBUTE, KeptSpan

NANOSECONDS = 1_000_000_000
INSTANT_MAX_NS = 253_402_300_799 * NANOSECONDS  # the end of the year 9999; clients send any number

router: APIRouter = APIRouter(prefix="/v1")


class SpanKindName(StrEnum):
    """Whom a span speaks with, in the order of the wire's numbers."""

    UNSPECIFIED = "UNSPECIFIED"
    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class SpanStatusName(StrEnum):
    """How a span ended, in the order of the wire's numbers."""

    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"


KINDS: tuple[SpanKindName, ...] = tuple(SpanKindName)
STATUSES: tuple[SpanStatusName, ...] = tuple(SpanStatusName)


class SpanShown(Schema):
    """A span."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    span_name: str
    span_kind: SpanKindName
    service_name: str
    status_code: SpanStatusName
    status_message: str | None = None
    duration_ns: int
    created_at: datetime
    resource_attributes: dict[str, str]
    span_attributes: dict[str, str]
    scope_name: str | None = None
    scope_version: str | None = None
    retry_count: int


class SpanList(Schema):
    """A page of spans; `retry_counts` are the attempts among all of them."""

    pagination: Pagination
    retry_counts: list[int]
    rows: list[SpanShown]


@router.get("/stable/tenants/{tenant}/traces", response_model=SpanList)
async def list_spans(
    caller: Calling,
    tenant: str,
    run_external_id: Annotated[str, Query(min_length=36, max_length=36)],
    limit: Limit = PAGE_MAX,
    offset: Offset = 0,
) -> Response:
    """Spans of the traces that a run is part of, in the order in which they began."""
    found = caller.facts.traces.of_run(caller.tenant_no, run_external_id.lower())
    rows = found[offset : offset + limit]
    page = pagination(offset, limit, len(found))
    return await answer(
        lambda: SpanList(
            pagination=page, retry_counts=sorted({retry_count(span) for span in found}), rows=[span_shown(span) for span in rows]
        )
    )


def span_shown(span: KeptSpan) -> SpanShown:
    """One for the wire."""
    begun = datetime.fromtimestamp(min(span.start_ns, INSTANT_MAX_NS) / NANOSECONDS, UTC)
    return SpanShown(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id or None,
        span_name=span.name,
        span_kind=KINDS[span.kind],
        service_name=span.resource.get("service.name", ""),
        status_code=STATUSES[span.status],
        status_message=span.status_message or None,
        duration_ns=max(span.end_ns - span.start_ns, 0),
        created_at=begun,
        resource_attributes=dict(span.resource),
        span_attributes=dict(span.attributes),
        scope_name=span.scope[0] or None,
        scope_version=span.scope[1] or None,
        retry_count=retry_count(span),
    )


def retry_count(span: KeptSpan) -> int:
    """Of the attempt that a span belongs to; 0 where it says nothing."""
    text = span.attributes.get(RETRY_ATTRIBUTE, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
