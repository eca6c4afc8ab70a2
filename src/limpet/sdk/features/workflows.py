"""`limpet.workflows`: see, pause and delete registered workflows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from limpet.sdk.config import HTTPMethod
from limpet.sdk.durations import duration_text
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.rest.workflows import Workflow, WorkflowList, WorkflowVersion

QueueBehavior = Literal["DROP", "QUEUE"]


class WorkflowsClient:
    """See, pause and delete registered workflows. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest
        self._config = calls.config

    def get(self, workflow_id: str) -> Workflow:
        """One workflow."""
        return Workflow.model_validate(self._rest.request(HTTPMethod.GET, _path(workflow_id)))

    async def aio_get(self, workflow_id: str) -> Workflow:
        """As `get`."""
        return Workflow.model_validate(await self._rest.arequest(HTTPMethod.GET, _path(workflow_id)))

    def list(self, workflow_name: str | None = None, limit: int | None = None, offset: int | None = None) -> WorkflowList:
        """Workflows of the tenant, filtered by name when given."""
        query = self._list_query(workflow_name, limit, offset)
        return WorkflowList.model_validate(self._rest.request(HTTPMethod.GET, self._list_path(), query=query))

    async def aio_list(
        self, workflow_name: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> WorkflowList:
        """As `list`."""
        query = self._list_query(workflow_name, limit, offset)
        return WorkflowList.model_validate(await self._rest.arequest(HTTPMethod.GET, self._list_path(), query=query))

    def get_version(self, workflow_id: str, version: str | None = None) -> WorkflowVersion:
        """A version of a workflow, the newest unless given."""
        path, query = f"{_path(workflow_id)}/versions", {"version": version}
        return WorkflowVersion.model_validate(self._rest.request(HTTPMethod.GET, path, query=query))

    async def aio_get_version(self, workflow_id: str, version: str | None = None) -> WorkflowVersion:
        """As `get_version`."""
        path, query = f"{_path(workflow_id)}/versions", {"version": version}
        return WorkflowVersion.model_validate(await self._rest.arequest(HTTPMethod.GET, path, query=query))

    def delete(self, workflow_id: str) -> None:
        """Delete a workflow."""
        self._rest.request(HTTPMethod.DELETE, _path(workflow_id))

    async def aio_delete(self, workflow_id: str) -> None:
        """As `delete`."""
        await self._rest.arequest(HTTPMethod.DELETE, _path(workflow_id))

    def pause(
        self,
        workflow_id: str,
        queue_ttl: timedelta,
        paused_workflow_cron_run_queue_behavior: QueueBehavior = "QUEUE",
        paused_workflow_scheduled_run_queue_behavior: QueueBehavior = "QUEUE",
    ) -> Workflow:
        """Stop starting a workflow's runs; those that wait longer than `queue_ttl` are cancelled."""
        crons, schedules = paused_workflow_cron_run_queue_behavior, paused_workflow_scheduled_run_queue_behavior
        body = _pause_body(queue_ttl, crons, schedules)
        return Workflow.model_validate(self._rest.request(HTTPMethod.PATCH, _path(workflow_id), body=body))

    async def aio_pause(
        self,
        workflow_id: str,
        queue_ttl: timedelta,
        paused_workflow_cron_run_queue_behavior: QueueBehavior = "QUEUE",
        paused_workflow_scheduled_run_queue_behavior: QueueBehavior = "QUEUE",
    ) -> Workflow:
        """As `pause`."""
        crons, schedules = paused_workflow_cron_run_queue_behavior, paused_workflow_scheduled_run_queue_behavior
        body = _pause_body(queue_ttl, crons, schedules)
        return Workflow.model_validate(await self._rest.arequest(HTTPMethod.PATCH, _path(workflow_id), body=body))

    def unpause(self, workflow_id: str) -> Workflow:
        """Start a workflow's runs again."""
        return Workflow.model_validate(self._rest.request(HTTPMethod.PATCH, _path(workflow_id), body=_UNPAUSE))

    async def aio_unpause(self, workflow_id: str) -> Workflow:
        """As `unpause`."""
        return Workflow.model_validate(await self._rest.arequest(HTTPMethod.PATCH, _path(workflow_id), body=_UNPAUSE))

    def id_of(self, workflow_name: str) -> str:
        """The id of the workflow with exactly this name. Raises ValueError when it is not registered."""
        return _only_row(workflow_name, self.list(workflow_name))

    async def aio_id_of(self, workflow_name: str) -> str:
        """As `id_of`."""
        return _only_row(workflow_name, await self.aio_list(workflow_name))

    def _list_path(self) -> str:
        return f"/api/v1/tenants/{self._config.tenant_id}/workflows"

    def _list_query(self, name: str | None, limit: int | None, offset: int | None) -> dict[str, Any]:
        namespaced = self._config.apply_namespace(name) if name is not None else None
        return {"name": namespaced, "limit": limit, "offset": offset}


_UNPAUSE = {"pause": {"action": "unpause"}}


def _path(workflow_id: str) -> str:
    return f"/api/v1/workflows/{workflow_id}"


def _pause_body(queue_ttl: timedelta, crons: QueueBehavior, schedules: QueueBehavior) -> dict[str, Any]:
    return {
        "pause": {
            "action": "pause",
            "pausedWorkflowCronRunQueueBehavior": crons,
            "pausedWorkflowScheduledRunQueueBehavior": schedules,
            "pausedWorkflowQueueTTL": duration_text(queue_ttl, what="queue_ttl"),
        }
    }


def _only_row(name: str, workflows: WorkflowList) -> str:
    for row in workflows.rows or []:
        if row.name == name:
            return row.metadata.id
    raise ValueError(f"There is no workflow {name!r}. It is registered when a worker that carries it starts.")
