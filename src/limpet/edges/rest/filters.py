"""Filters of the events that start workflows: made, listed, shown, changed, deleted (F5.21)."""

from __future__ import annotations

from typing import Annotated, cast

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from limpet.core.errors import NotFound
from limpet.core.event_inputs import FilterCreated, FilterDeleted, FilterUpdated
from limpet.core.event_rows import FilterRow
from limpet.core.ids import TenantId, is_uuid
from limpet.edges.rest.answers import answer, moment
from limpet.edges.rest.bodies import body_schema, given_object_bytes, object_bytes, read_body
from limpet.edges.rest.bodies_events import FilterBody, FilterChange
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.queries import Names, Paged, lowered
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_events import FilterList, FilterShown
from limpet.store.api import FilterQuery, FilterRecord

FILTERS = "/stable/tenants/{tenant}/filters"

router: APIRouter = APIRouter(prefix="/v1")


@router.get(FILTERS, response_model=FilterList)
async def list_filters(
    caller: Calling,
    tenant: str,
    page: Paged,
    workflow_ids: Annotated[Names, Query(alias="workflowIds")] = None,
    scopes: Names = None,
) -> Response:
    """Filters, newest first."""
    query = FilterQuery(workflow_ids=lowered(workflow_ids), scopes=scopes or None, limit=page.limit, offset=page.offset)
    found = await caller.reader.filters(caller.tenant_no, query)
    total = None if len(found) == page.limit else page.offset + len(found)
    return await answer(
        lambda: FilterList(pagination=page.shown(total), rows=[filter_shown(caller.tenant, each) for each in found])
    )


@router.post(FILTERS, response_model=FilterShown, openapi_extra=body_schema(FilterBody))
async def create_filter(caller: Calling, tenant: str, request: Request) -> Response:
    """A filter of a workflow, by the workflow's id; it counts from the next event on."""
    body = await read_body(request, FilterBody)
    payload = object_bytes(body.payload, "payload", caller.facts.settings.metadata_bytes_max)
    item = FilterCreated(body.workflow_id.lower(), body.scope, body.expression, payload)
    row = cast(FilterRow, await caller.submit(item))
    return await answer(lambda: filter_shown(caller.tenant, FilterRecord(row, item.workflow_id)))


@router.get(FILTERS + "/{filter}", response_model=FilterShown)
async def get_filter(caller: Calling, tenant: str, filter: str) -> Response:
    """One filter."""
    record = await _known(caller, filter)
    return await answer(lambda: filter_shown(caller.tenant, record))


@router.patch(FILTERS + "/{filter}", response_model=FilterShown, openapi_extra=body_schema(FilterChange))
async def update_filter(caller: Calling, tenant: str, filter: str, request: Request) -> Response:
    """What is given replaces what was there; what is not given, or null, stays."""
    body = await read_body(request, FilterChange)
    record = await _known(caller, filter)
    payload = given_object_bytes(body.payload, "payload", caller.facts.settings.metadata_bytes_max)
    row = cast(FilterRow, await caller.submit(FilterUpdated(record.filter.id, body.scope, body.expression, payload)))
    return await answer(lambda: filter_shown(caller.tenant, FilterRecord(row, record.workflow_id)))


@router.delete(FILTERS + "/{filter}", response_model=FilterShown)
async def delete_filter(caller: Calling, tenant: str, filter: str) -> Response:
    """The filter that was; runs it let through go on."""
    record = await _known(caller, filter)
    row = cast(FilterRow, await caller.submit(FilterDeleted(record.filter.id)))
    return await answer(lambda: filter_shown(caller.tenant, FilterRecord(row, record.workflow_id)))


async def _known(caller: Caller, filter_id: str) -> FilterRecord:
    query = FilterQuery(ids=[filter_id.lower()])
    found = await caller.reader.filters(caller.tenant_no, query) if is_uuid(filter_id) else ()
    if not found:
        raise NotFound("filter", filter_id)
    return found[0]


def filter_shown(tenant: TenantId, record: FilterRecord) -> FilterShown:
    """As it stands."""
    row = record.filter
    return FilterShown(
        metadata=ResourceMeta(id=row.id, created_at=moment(row.created_at), updated_at=moment(row.updated_at)),
        tenant_id=tenant,
        workflow_id=record.workflow_id,
        scope=row.scope,
        expression=row.expression,
        payload=orjson.Fragment(row.payload),
        is_declarative=bool(row.declared),
    )
