"""Crons: made, listed, shown, switched on and off, triggered now, deleted."""

# No `from __future__ import annotations` here: FastAPI reads the types of a dataclass's fields and finds no
# globals to resolve their texts in.

from dataclasses import dataclass
from typing import Annotated, cast

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from limpet.core.errors import NotFound
from limpet.core.ids import TenantId, is_uuid
from limpet.core.timetable_inputs import CronCreated, CronDeleted, CronSwitched, CronTriggered
from limpet.core.timetable_rows import CronMethod, CronRow
from limpet.edges.rest.answers import answer, moment, moment_or_none, nothing
from limpet.edges.rest.bodies import body_schema, object_bytes, read_body
from limpet.edges.rest.bodies_timetable import CronBody, CronSwitch
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.directions import Direction
from limpet.edges.rest.queries import Paged, lowered_id, metadata_pairs
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_timetable import CronList, CronOrder, CronShown, Method, Started
from limpet.edges.run_keys import start_now
from limpet.store.api import CronRecord, TimetableQuery

CRONS = "/tenants/{tenant}/workflows/crons"
METHOD_NAME = {CronMethod.DECLARED: Method.DEFAULT, CronMethod.API: Method.API}

router: APIRouter = APIRouter(prefix="/v1")


@dataclass(frozen=True)
class CronFilter:
    """Which crons a list is asked for, and in which order (F6.15)."""

    workflow_id: Annotated[str | None, Query(alias="workflowId")] = None
    workflow_name: Annotated[str | None, Query(alias="workflowName")] = None
    name: Annotated[str | None, Query(alias="cronName")] = None
    metadata: Annotated[list[str] | None, Query(alias="additionalMetadata")] = None
    order: Annotated[CronOrder, Query(alias="orderByField")] = CronOrder.CREATED_AT
    direction: Annotated[Direction, Query(alias="orderByDirection")] = Direction.DESC

    def query(self, limit: int, offset: int) -> TimetableQuery:
        """For the reader."""
        return TimetableQuery(
            workflow_id=lowered_id(self.workflow_id),
            workflow_name=self.workflow_name,
            name=self.name,
            metadata=metadata_pairs(self.metadata or ()),
            by_creation=self.order is CronOrder.CREATED_AT,
            descending=self.direction is Direction.DESC,
            limit=limit,
            offset=offset,
        )


@router.get(CRONS, response_model=CronList)
async def list_crons(caller: Calling, tenant: str, wanted: Annotated[CronFilter, Depends()], page: Paged) -> Response:
    """Crons of workflows that exist."""
    found, total = await caller.reader.crons(caller.tenant_no, wanted.query(page.limit, page.offset))
    return await answer(lambda: CronList(pagination=page.shown(total), rows=[cron_shown(caller.tenant, each) for each in found]))


@router.post("/tenants/{tenant}/workflows/{workflow}/crons", response_model=CronShown, openapi_extra=body_schema(CronBody))
async def create_cron(caller: Calling, tenant: str, workflow: str, request: Request) -> Response:
    """A cron of a workflow, by the workflow's name (F6.11)."""
    body, settings = await read_body(request, CronBody), caller.facts.settings
    item = CronCreated(
        workflow_name=workflow,
        name=body.cron_name,
        expression=body.cron_expression,
        input=object_bytes(body.input, "input", settings.payload_bytes_max),
        metadata=object_bytes(body.additional_metadata, "additionalMetadata", settings.metadata_bytes_max),
        priority=body.priority,
    )
    row = cast(CronRow, await caller.submit(item))
    return await _shown(caller, row.id)


@router.get(CRONS + "/{cron}", response_model=CronShown)
async def get_cron(caller: Calling, tenant: str, cron: str) -> Response:
    """One cron."""
    return await _shown(caller, cron)


@router.patch(CRONS + "/{cron}", status_code=204, openapi_extra=body_schema(CronSwitch))
async def switch_cron(caller: Calling, tenant: str, cron: str, request: Request) -> Response:
    """On or off (F6.14)."""
    body = await read_body(request, CronSwitch)
    await caller.submit(CronSwitched(cron.lower(), body.enabled))
    return nothing()


@router.post(CRONS + "/{cron}", response_model=Started)
async def trigger_cron(caller: Calling, tenant: str, cron: str) -> Response:
    """Start its run now (F6.14)."""
    run_id = await start_now(caller.door, caller.tenant, CronTriggered(cron.lower()))
    return await answer(lambda: Started(workflow_run_id=run_id))


@router.delete(CRONS + "/{cron}", status_code=204)
async def delete_cron(caller: Calling, tenant: str, cron: str) -> Response:
    """It starts nothing any more; runs it started go on."""
    await caller.submit(CronDeleted(cron.lower()))
    return nothing()


async def _shown(caller: Caller, cron_id: str) -> Response:
    found, _ = await caller.reader.crons(caller.tenant_no, TimetableQuery(id=cron_id.lower())) if is_uuid(cron_id) else ((), 0)
    if not found:
        raise NotFound("cron", cron_id)
    return await answer(lambda: cron_shown(caller.tenant, found[0]))


def cron_shown(tenant: TenantId, record: CronRecord) -> CronShown:
    """As it stands."""
    row = record.cron
    created_at = moment(row.created_at)
    return CronShown(
        metadata=ResourceMeta(id=row.id, created_at=created_at, updated_at=created_at),
        tenant_id=tenant,
        workflow_version_id=record.version_id,
        workflow_id=record.workflow.id,
        workflow_name=record.workflow.name,
        cron=row.expression,
        name=row.name or None,
        input=None if record.input is None else orjson.Fragment(record.input),
        additional_metadata=orjson.Fragment(row.metadata),
        enabled=bool(row.enabled),
        method=METHOD_NAME[CronMethod(row.method)],
        priority=row.priority,
        next_at=moment_or_none(row.next_at),
    )
