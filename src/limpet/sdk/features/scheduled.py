"""`limpet.scheduled`: plan runs for a point in time, move them, delete them."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.queries import TimetablePaths, metadata_texts, timetable_query
from limpet.sdk.rest.crons import WorkflowRunOrderByDirection
from limpet.sdk.rest.scheduled import (
    ScheduledRunStatus,
    ScheduledWorkflows,
    ScheduledWorkflowsBulkDeleteResponse,
    ScheduledWorkflowsBulkUpdateItem,
    ScheduledWorkflowsBulkUpdateResponse,
    ScheduledWorkflowsList,
    ScheduledWorkflowsOrderByField,
)
from limpet.sdk.serde import JSONSerializableMapping

BULK_MAX = 500  # of one call, as the engine takes them


class ScheduledClient:
    """Plan runs for a point in time, move them, delete them. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest, self._config = calls.rest, calls.config
        self._paths = TimetablePaths(calls.config.tenant_id, "scheduled")

    def create(
        self,
        workflow_name: str,
        trigger_at: datetime,
        input: JSONSerializableMapping,
        additional_metadata: JSONSerializableMapping,
    ) -> ScheduledWorkflows:
        """Plan a run; a past time starts it at once."""
        body = {"triggerAt": time_text(trigger_at), "input": dict(input), "additionalMetadata": dict(additional_metadata)}
        return _one(self._rest.request(HTTPMethod.POST, self._path_of(workflow_name), body=body))

    async def aio_create(
        self,
        workflow_name: str,
        trigger_at: datetime,
        input: JSONSerializableMapping,
        additional_metadata: JSONSerializableMapping,
    ) -> ScheduledWorkflows:
        """As `create`."""
        body = {"triggerAt": time_text(trigger_at), "input": dict(input), "additionalMetadata": dict(additional_metadata)}
        return _one(await self._rest.arequest(HTTPMethod.POST, self._path_of(workflow_name), body=body))

    def get(self, scheduled_id: str) -> ScheduledWorkflows:
        """A run that is still to start."""
        return _one(self._rest.request(HTTPMethod.GET, self._paths.one(scheduled_id)))

    async def aio_get(self, scheduled_id: str) -> ScheduledWorkflows:
        """As `get`."""
        return _one(await self._rest.arequest(HTTPMethod.GET, self._paths.one(scheduled_id)))

    def update(self, scheduled_id: str, trigger_at: datetime) -> ScheduledWorkflows:
        """Move a run that is still to start."""
        return _one(
            self._rest.request(HTTPMethod.PATCH, self._paths.one(scheduled_id), body={"triggerAt": time_text(trigger_at)})
        )

    async def aio_update(self, scheduled_id: str, trigger_at: datetime) -> ScheduledWorkflows:
        """As `update`."""
        body = {"triggerAt": time_text(trigger_at)}
        return _one(await self._rest.arequest(HTTPMethod.PATCH, self._paths.one(scheduled_id), body=body))

    def delete(self, scheduled_id: str) -> None:
        """Its run never starts."""
        self._rest.request(HTTPMethod.DELETE, self._paths.one(scheduled_id))

    async def aio_delete(self, scheduled_id: str) -> None:
        """As `delete`."""
        await self._rest.arequest(HTTPMethod.DELETE, self._paths.one(scheduled_id))

    def list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        workflow_id: str | None = None,
        parent_workflow_run_id: str | None = None,
        statuses: builtins.list[ScheduledRunStatus] | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        order_by_field: ScheduledWorkflowsOrderByField | None = None,
        order_by_direction: WorkflowRunOrderByDirection | None = None,
    ) -> ScheduledWorkflowsList:
        """Runs that are still to start; everything given must hold."""
        query = _query(
            offset, limit, workflow_id, parent_workflow_run_id, statuses, additional_metadata, order_by_field, order_by_direction
        )
        return ScheduledWorkflowsList.model_validate(self._rest.request(HTTPMethod.GET, self._paths.all(), query=query))

    async def aio_list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        workflow_id: str | None = None,
        parent_workflow_run_id: str | None = None,
        statuses: builtins.list[ScheduledRunStatus] | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        order_by_field: ScheduledWorkflowsOrderByField | None = None,
        order_by_direction: WorkflowRunOrderByDirection | None = None,
    ) -> ScheduledWorkflowsList:
        """As `list`."""
        query = _query(
            offset, limit, workflow_id, parent_workflow_run_id, statuses, additional_metadata, order_by_field, order_by_direction
        )
        return ScheduledWorkflowsList.model_validate(await self._rest.arequest(HTTPMethod.GET, self._paths.all(), query=query))

    def bulk_delete(
        self,
        *,
        scheduled_ids: builtins.list[str] | None = None,
        workflow_id: str | None = None,
        parent_workflow_run_id: str | None = None,
        parent_step_run_id: str | None = None,
        statuses: builtins.list[ScheduledRunStatus] | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
    ) -> ScheduledWorkflowsBulkDeleteResponse:
        """Delete by ids, at most 500, or by filter. An unknown id is told in the answer and stops nothing."""
        body = _bulk_body(scheduled_ids, workflow_id, parent_workflow_run_id, parent_step_run_id, statuses, additional_metadata)
        answer = self._rest.request(HTTPMethod.POST, self._paths.one("bulk-delete"), body=body)
        return ScheduledWorkflowsBulkDeleteResponse.model_validate(answer)

    async def aio_bulk_delete(
        self,
        *,
        scheduled_ids: builtins.list[str] | None = None,
        workflow_id: str | None = None,
        parent_workflow_run_id: str | None = None,
        parent_step_run_id: str | None = None,
        statuses: builtins.list[ScheduledRunStatus] | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
    ) -> ScheduledWorkflowsBulkDeleteResponse:
        """As `bulk_delete`."""
        body = _bulk_body(scheduled_ids, workflow_id, parent_workflow_run_id, parent_step_run_id, statuses, additional_metadata)
        answer = await self._rest.arequest(HTTPMethod.POST, self._paths.one("bulk-delete"), body=body)
        return ScheduledWorkflowsBulkDeleteResponse.model_validate(answer)

    def bulk_update(
        self, updates: builtins.list[ScheduledWorkflowsBulkUpdateItem] | builtins.list[tuple[str, datetime]]
    ) -> ScheduledWorkflowsBulkUpdateResponse:
        """Move many, at most 500, each to its own time. An unknown id is told in the answer and stops nothing."""
        answer = self._rest.request(HTTPMethod.POST, self._paths.one("bulk-update"), body=_moves_body(updates))
        return ScheduledWorkflowsBulkUpdateResponse.model_validate(answer)

    async def aio_bulk_update(
        self, updates: builtins.list[ScheduledWorkflowsBulkUpdateItem] | builtins.list[tuple[str, datetime]]
    ) -> ScheduledWorkflowsBulkUpdateResponse:
        """As `bulk_update`."""
        answer = await self._rest.arequest(HTTPMethod.POST, self._paths.one("bulk-update"), body=_moves_body(updates))
        return ScheduledWorkflowsBulkUpdateResponse.model_validate(answer)

    def _path_of(self, workflow_name: str) -> str:
        return self._paths.of(self._config.apply_namespace(workflow_name))


def in_utc(moment: datetime) -> datetime:
    """The time in UTC; a naive one counts as UTC, with a warning, because it may have been meant otherwise (F7.1)."""
    if moment.tzinfo is None:
        warnings.warn(f"{moment.isoformat()} has no time zone and is taken as UTC; use datetime.now(UTC).", stacklevel=4)
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def time_text(moment: datetime) -> str:
    """The time as the wire has it."""
    return in_utc(moment).isoformat()


def _one(answer: Any) -> ScheduledWorkflows:
    return ScheduledWorkflows.model_validate(answer)


def _query(
    offset: int | None,
    limit: int | None,
    workflow_id: str | None,
    parent_workflow_run_id: str | None,
    statuses: builtins.list[ScheduledRunStatus] | None,
    metadata: Mapping[str, Any] | None,
    field: ScheduledWorkflowsOrderByField | None,
    direction: WorkflowRunOrderByDirection | None,
) -> dict[str, Any]:
    return timetable_query(offset, limit, workflow_id, metadata, field, direction) | {
        "parentWorkflowRunId": parent_workflow_run_id,
        "statuses": statuses,
    }


def _bulk_body(
    ids: Sequence[str] | None,
    workflow_id: str | None,
    parent_workflow_run_id: str | None,
    parent_step_run_id: str | None,
    statuses: Sequence[ScheduledRunStatus] | None,
    metadata: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if statuses:
        warnings.warn("statuses has no effect here: whatever is still planned is SCHEDULED.", stacklevel=3)
    wanted = {
        "workflowId": workflow_id,
        "parentWorkflowRunId": parent_workflow_run_id,
        "parentStepRunId": parent_step_run_id,
        "additionalMetadata": metadata_texts(metadata),
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    if bool(ids) == bool(given):
        raise ValueError("Give either scheduled_ids or a filter, and only one of them.")
    return {"scheduledWorkflowRunIds": _bounded(ids)} if ids else {"filter": given}


def _moves_body(updates: Sequence[ScheduledWorkflowsBulkUpdateItem | tuple[str, datetime]]) -> dict[str, Any]:
    pairs = [update if isinstance(update, tuple) else (update.id, update.trigger_at) for update in updates]
    return {"updates": [{"id": each, "triggerAt": time_text(at)} for each, at in _bounded(pairs)]}


def _bounded(items: Sequence[Any]) -> builtins.list[Any]:
    if not 1 <= len(items) <= BULK_MAX:
        raise ValueError(f"One call takes 1 to {BULK_MAX} scheduled runs, got {len(items)}.")
    return list(items)
