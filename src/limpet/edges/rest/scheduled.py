"""Scheduled runs: made, listed, shown, moved, started now, deleted; one by one and many at once."""

# No `from __future__ import annotations` here: FastAPI reads the types of a dataclass's fields and finds no
# globals to resolve their texts in.

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, cast

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from limpet.core.errors import InvalidArgument, NotFound, RequestError
from limpet.core.ids import Instant, TenantId, is_uuid
from limpet.core.inputs import Input
from limpet.core.timetable_inputs import ScheduleDeleted, ScheduleMoved, SchedulesCreated, ScheduleTriggered
from limpet.core.timetable_rows import ScheduleRow
from limpet.edges.rest.answers import answer, instant, moment, nothing
from limpet.edges.rest.bodies import body_schema, object_bytes, read_body
from limpet.edges.rest.bodies_timetable import BulkDeleteBody, BulkUpdateBody, ScheduleBody, ScheduledFilter, ScheduleMove
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.directions import Direction
from limpet.edges.rest.queries import Paged, lowered_id, metadata_pairs
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_timetable import (
    BulkDeleted,
    BulkError,
    BulkUpdated,
    Method,
    ScheduledList,
    ScheduledOrder,
    ScheduledShown,
    ScheduledStatus,
    Started,
)
from limpet.edges.run_keys import start_now
from limpet.store.api import ScheduleRecord, TimetableQuery

SCHEDULED = "/tenants/{tenant}/workflows/scheduled"
BULK_MAX = 500  # of one call, as the wire has it

router: APIRouter = APIRouter(prefix="/v1")


@dataclass(frozen=True)
class ScheduledQuery:
    """Which scheduled runs a list is asked for, and in which order (F7.11)."""

    workflow_id: Annotated[str | None, Query(alias="workflowId")] = None
    parent_run_id: Annotated[str | None, Query(alias="parentWorkflowRunId")] = None
    parent_task_id: Annotated[str | None, Query(alias="parentStepRunId")] = None
    metadata: Annotated[list[str] | None, Query(alias="additionalMetadata")] = None
    statuses: Annotated[list[ScheduledStatus] | None, Query()] = None
    order: Annotated[ScheduledOrder, Query(alias="orderByField")] = ScheduledOrder.CREATED_AT
    direction: Annotated[Direction, Query(alias="orderByDirection")] = Direction.DESC

    @property
    def finds_nothing(self) -> bool:
        """Whatever has started its run is gone, so no other status is ever found (F7.4)."""
        return bool(self.statuses) and ScheduledStatus.SCHEDULED not in (self.statuses or ())

    def query(self, limit: int, offset: int) -> TimetableQuery:
        """For the reader."""
        return TimetableQuery(
            workflow_id=lowered_id(self.workflow_id),
            parent_run_id=lowered_id(self.parent_run_id),
            parent_task_id=lowered_id(self.parent_task_id),
            metadata=metadata_pairs(self.metadata or ()),
            by_creation=self.order is ScheduledOrder.CREATED_AT,
            descending=self.direction is Direction.DESC,
            limit=limit,
            offset=offset,
        )


@router.get(SCHEDULED, response_model=ScheduledList)
async def list_scheduled(caller: Calling, tenant: str, wanted: Annotated[ScheduledQuery, Depends()], page: Paged) -> Response:
    """Runs that are still to start."""
    if wanted.finds_nothing:
        return await answer(lambda: ScheduledList(pagination=page.shown(0), rows=[]))
    found, total = await caller.reader.schedules(caller.tenant_no, wanted.query(page.limit, page.offset))
    return await answer(lambda: ScheduledList(pagination=page.shown(total), rows=[shown(caller.tenant, each) for each in found]))


@router.post(
    "/tenants/{tenant}/workflows/{workflow}/scheduled", response_model=ScheduledShown, openapi_extra=body_schema(ScheduleBody)
)
async def create_scheduled(caller: Calling, tenant: str, workflow: str, request: Request) -> Response:
    """A run of a workflow, by the workflow's name; a past instant starts it at once (F7.2)."""
    body, settings = await read_body(request, ScheduleBody), caller.facts.settings
    item = SchedulesCreated(
        workflow_name=workflow,
        instants=(Instant(instant(body.trigger_at)),),
        input=object_bytes(body.input, "input", settings.payload_bytes_max),
        metadata=object_bytes(body.additional_metadata, "additionalMetadata", settings.metadata_bytes_max),
        priority=body.priority,
    )
    (row,) = cast("tuple[ScheduleRow]", await caller.submit(item))
    record = await _record_of(caller, row)
    return await answer(lambda: shown(caller.tenant, record))


async def _record_of(caller: Caller, row: ScheduleRow) -> ScheduleRecord:
    """Of a row that may have started its run already."""
    for workflow in await caller.reader.workflows(caller.tenant_no):
        if workflow.key == row.workflow_key:
            versions = await caller.reader.versions(caller.tenant_no, workflow.id)
            return ScheduleRecord(row, workflow, versions[0].id, row.input)
    raise NotFound("workflow", str(row.workflow_key), "it was deleted while its run was scheduled")


@router.post(SCHEDULED + "/bulk-delete", response_model=BulkDeleted, openapi_extra=body_schema(BulkDeleteBody))
async def bulk_delete(caller: Calling, tenant: str, request: Request) -> Response:
    """By ids or by filter; an unknown id stops nothing (F7.10)."""
    body = await read_body(request, BulkDeleteBody)
    ids, wanted = body.scheduled_workflow_run_ids, body.filter
    if (ids is None) == (wanted is None):
        raise InvalidArgument("a bulk deletion takes either scheduledWorkflowRunIds or a filter")
    if ids is not None:
        done, errors = await _each(caller, {each: ScheduleDeleted(each.lower()) for each in _bounded(ids)})
    else:
        done, errors = await _delete_matching(caller, query_of(wanted or ScheduledFilter()))
    return await answer(lambda: BulkDeleted(deleted_ids=done, errors=errors))


async def _delete_matching(caller: Caller, query: TimetableQuery) -> tuple[list[str], list[BulkError]]:
    """Page after page. What starts its run meanwhile is not found any more, which is no error."""
    deleted: list[str] = []
    skipped = 0
    while True:
        found, _ = await caller.reader.schedules(caller.tenant_no, replace(query, offset=skipped))
        done, errors = await _each(caller, {each.schedule.id: ScheduleDeleted(each.schedule.id) for each in found})
        deleted += done
        skipped += 0 if done else len(errors)
        if not found:
            return deleted, []


@router.post(SCHEDULED + "/bulk-update", response_model=BulkUpdated, openapi_extra=body_schema(BulkUpdateBody))
async def bulk_update(caller: Calling, tenant: str, request: Request) -> Response:
    """To other instants; an unknown id stops nothing (F7.10)."""
    body = await read_body(request, BulkUpdateBody)
    _bounded([each.id for each in body.updates])
    moves = {each.id: ScheduleMoved(each.id.lower(), Instant(instant(each.trigger_at))) for each in body.updates}
    done, errors = await _each(caller, moves)
    return await answer(lambda: BulkUpdated(updated_ids=done, errors=errors))


@router.get(SCHEDULED + "/{scheduled}", response_model=ScheduledShown)
async def get_scheduled(caller: Calling, tenant: str, scheduled: str) -> Response:
    """One that is still to start; 404 once it has (B82)."""
    return await _shown(caller, scheduled)


@router.patch(SCHEDULED + "/{scheduled}", response_model=ScheduledShown, openapi_extra=body_schema(ScheduleMove))
async def move_scheduled(caller: Calling, tenant: str, scheduled: str, request: Request) -> Response:
    """To another instant (F7.8)."""
    body = await read_body(request, ScheduleMove)
    before = await _found(caller, scheduled)
    at = Instant(instant(body.trigger_at))
    await caller.submit(ScheduleMoved(before.schedule.id, at))
    after = before._replace(schedule=before.schedule._replace(at=at))
    return await answer(lambda: shown(caller.tenant, after))


@router.post(SCHEDULED + "/{scheduled}", response_model=Started)
async def trigger_scheduled(caller: Calling, tenant: str, scheduled: str) -> Response:
    """Start its run now; it is gone then (F7.4)."""
    run_id = await start_now(caller.door, caller.tenant, ScheduleTriggered(scheduled.lower()))
    return await answer(lambda: Started(workflow_run_id=run_id))


@router.delete(SCHEDULED + "/{scheduled}", status_code=204)
async def delete_scheduled(caller: Calling, tenant: str, scheduled: str) -> Response:
    """Its run never starts (F7.9)."""
    await caller.submit(ScheduleDeleted(scheduled.lower()))
    return nothing()


async def _shown(caller: Caller, scheduled_id: str) -> Response:
    record = await _found(caller, scheduled_id)
    return await answer(lambda: shown(caller.tenant, record))


async def _found(caller: Caller, scheduled_id: str) -> ScheduleRecord:
    if is_uuid(scheduled_id):
        found, _ = await caller.reader.schedules(caller.tenant_no, TimetableQuery(id=scheduled_id.lower()))
        if found:
            return found[0]
    raise NotFound("scheduled run", scheduled_id, "it never existed, was deleted, or has started its run")


async def _each(caller: Caller, items: Mapping[str, Input]) -> tuple[list[str], list[BulkError]]:
    """Hand in all at once, so that they share a commit; the ids that went well, and why the others did not."""
    replies = await asyncio.gather(*map(caller.submit, items.values()), return_exceptions=True)
    errors = {each: reply for each, reply in zip(items, replies, strict=True) if isinstance(reply, BaseException)}
    for error in errors.values():
        if not isinstance(error, RequestError):
            raise error
    done = [each for each in items if each not in errors]
    return done, [BulkError(id=each if is_uuid(each) else None, error=str(error)) for each, error in errors.items()]


def _bounded(ids: Iterable[str]) -> list[str]:
    found = list(ids)
    if not 1 <= len(found) <= BULK_MAX:
        raise InvalidArgument(f"a bulk call takes 1 to {BULK_MAX} scheduled runs, got {len(found)}: send them in chunks")
    return found


def query_of(wanted: ScheduledFilter) -> TimetableQuery:
    """A filter of a bulk deletion. Raises InvalidArgument for an empty one, which would mean all."""
    query = TimetableQuery(
        workflow_id=lowered_id(wanted.workflow_id),
        parent_run_id=lowered_id(wanted.parent_workflow_run_id),
        parent_task_id=lowered_id(wanted.parent_step_run_id),
        metadata=metadata_pairs(wanted.additional_metadata or ()),
        limit=BULK_MAX,
    )
    if not (query.workflow_id or query.parent_run_id or query.parent_task_id or query.metadata):
        raise InvalidArgument("the filter of a bulk deletion is empty: name a workflow, a parent or metadata")
    return query


def shown(tenant: TenantId, record: ScheduleRecord) -> ScheduledShown:
    """As it stands."""
    row = record.schedule
    created_at = moment(row.created_at)
    return ScheduledShown(
        metadata=ResourceMeta(id=row.id, created_at=created_at, updated_at=created_at),
        tenant_id=tenant,
        workflow_version_id=record.version_id,
        workflow_id=record.workflow.id,
        workflow_name=record.workflow.name,
        trigger_at=moment(row.at),
        input=None if record.input is None else orjson.Fragment(record.input),
        additional_metadata=orjson.Fragment(row.metadata),
        method=Method.API,
        priority=row.priority,
    )
