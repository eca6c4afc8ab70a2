"""Pushed events: pushed, listed with the runs they started, shown; and expressions that failed."""

# No `from __future__ import annotations` here: FastAPI reads the types of a dataclass's fields and finds no
# globals to resolve their texts in.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from limpet.core.errors import NotFound
from limpet.core.event_rows import ExpressionFailureRow, FailureSource
from limpet.core.ids import is_uuid
from limpet.core.settings import Settings
from limpet.edges.events import NewEvent, push
from limpet.edges.rest.answers import answer, instant, moment, pagination
from limpet.edges.rest.bodies import body_schema, object_bytes, read_body
from limpet.edges.rest.bodies_events import EventBody, EventsBody
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.names import RUN_NAME, numbers_of
from limpet.edges.rest.queries import PAGE_DEFAULT, Limit, Paged, lowered, metadata_pairs
from limpet.edges.rest.schemas import TaskStatusName
from limpet.edges.rest.schemas_events import (
    EventKeys,
    EventList,
    EventShown,
    FailureList,
    FailureShown,
)
from limpet.edges.rest.shown_events import event_shown
from limpet.store.api import EventQuery, EventRecord

EVENTS = "/stable/tenants/{tenant}/events"
OLDER_EVENTS = "/tenants/{tenant}/events"  # where events are pushed over HTTP

router: APIRouter = APIRouter(prefix="/v1")


@dataclass(frozen=True)
class EventFilter:
    """Which events a list is asked for (F5.23)."""

    keys: Annotated[list[str] | None, Query()] = None
    since: datetime | None = None
    until: datetime | None = None
    workflow_ids: Annotated[list[str] | None, Query(alias="workflowIds")] = None
    statuses: Annotated[list[TaskStatusName] | None, Query(alias="workflowRunStatuses")] = None
    event_ids: Annotated[list[str] | None, Query(alias="eventIds")] = None
    metadata: Annotated[list[str] | None, Query(alias="additionalMetadata")] = None
    scopes: Annotated[list[str] | None, Query()] = None

    def query(self, limit: int, offset: int) -> EventQuery:
        """For the reader."""
        return EventQuery(
            ids=lowered(self.event_ids),
            names=self.keys or None,
            scopes=self.scopes or None,
            workflow_ids=lowered(self.workflow_ids),
            run_statuses=numbers_of(self.statuses, RUN_NAME) if self.statuses else None,
            metadata=metadata_pairs(self.metadata or ()),
            since=None if self.since is None else instant(self.since),
            until=None if self.until is None else instant(self.until),
            limit=limit,
            offset=offset,
        )


@router.get(EVENTS, response_model=EventList)
async def list_events(caller: Calling, tenant: str, wanted: Annotated[EventFilter, Depends()], page: Paged) -> Response:
    """Events, newest first."""
    found, total = await caller.reader.pushed_events(caller.tenant_no, wanted.query(page.limit, page.offset))
    return await answer(
        lambda: EventList(pagination=page.shown(total), rows=[event_shown(caller.tenant, each) for each in found])
    )


@router.get(EVENTS + "/keys", response_model=EventKeys)
async def list_event_keys(caller: Calling, tenant: str) -> Response:
    """The keys of the events that are there."""
    names = list(await caller.reader.event_names(caller.tenant_no))
    return await answer(lambda: EventKeys(rows=names, pagination=pagination(0, max(1, len(names)), len(names))))


@router.get(EVENTS + "/{event}", response_model=EventShown)
async def get_event(caller: Calling, tenant: str, event: str) -> Response:
    """One event."""
    found = await event_of(caller, event)
    return await answer(lambda: event_shown(caller.tenant, found))


@router.post(OLDER_EVENTS, response_model=EventShown, openapi_extra=body_schema(EventBody))
async def push_event(caller: Calling, tenant: str, request: Request) -> Response:
    """Push one event; its runs exist when this returns (F5.6)."""
    body = await read_body(request, EventBody)
    shown = await _pushed(caller, [body])
    return await answer(lambda: event_shown(caller.tenant, shown[0]))


@router.post(OLDER_EVENTS + "/bulk", response_model=EventList, openapi_extra=body_schema(EventsBody))
async def push_events(caller: Calling, tenant: str, request: Request) -> Response:
    """Push several events: all or none, in order (F5.2)."""
    body = await read_body(request, EventsBody)
    shown = await _pushed(caller, body.events)
    page = pagination(0, len(shown), len(shown))
    return await answer(lambda: EventList(pagination=page, rows=[event_shown(caller.tenant, each) for each in shown]))


@router.get("/stable/tenants/{tenant}/cel/failures", response_model=FailureList)
async def list_failures(caller: Calling, tenant: str, limit: Limit = PAGE_DEFAULT) -> Response:
    """Expressions of filters and webhooks that could not be evaluated, newest first (F5.20)."""
    found = await caller.reader.expression_failures(caller.tenant_no, limit)
    return await answer(lambda: FailureList(rows=[failure_shown(each) for each in found]))


async def _pushed(caller: Caller, bodies: Sequence[EventBody]) -> Sequence[EventRecord]:
    settings = caller.facts.settings
    rows = await push(caller.door, caller.tenant, [new_event(each, settings) for each in bodies], settings)
    by_id = {record.event.id: record for record in await _events(caller, [row.id for row in rows])}
    return [by_id[row.id] for row in rows]


async def event_of(caller: Caller, event: str) -> EventRecord:
    """An event of this tenant. Raises NotFound."""
    found = await _events(caller, [event]) if is_uuid(event) else ()
    if not found:
        raise NotFound("event", event, "it never existed in this tenant, or its retention is over")
    return found[0]


async def _events(caller: Caller, ids: Sequence[str]) -> Sequence[EventRecord]:
    query = EventQuery(ids=[each.lower() for each in ids], limit=len(ids))
    return (await caller.reader.pushed_events(caller.tenant_no, query))[0]


def new_event(body: EventBody, settings: Settings) -> NewEvent:
    """An event to push. Raises InvalidArgument."""
    return NewEvent(
        name=body.key,
        payload=object_bytes(body.data, "data", settings.payload_bytes_max),
        metadata=object_bytes(body.additional_metadata, "additionalMetadata", settings.metadata_bytes_max),
        priority=body.priority,
        scope=body.scope,
    )


def failure_shown(row: ExpressionFailureRow) -> FailureShown:
    """Where it stood, and what was wrong."""
    return FailureShown(
        source=FailureSource(row.source).name, about=row.about, event_id=row.event_id, message=row.message, at=moment(row.at)
    )
