"""`limpet.cron`: make, see and delete crons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.queries import TimetablePaths, timetable_query
from limpet.sdk.priority import Priority, check_priority
from limpet.sdk.rest.crons import CronWorkflows, CronWorkflowsList, CronWorkflowsOrderByField, WorkflowRunOrderByDirection
from limpet.sdk.serde import JSONSerializableMapping

ALIASES = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"})
_PART = re.compile(r"\*(/\d+)?|\d+(-\d+)?")


class CronClient:
    """Make, see and delete crons. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest, self._config = calls.rest, calls.config
        self._paths = TimetablePaths(calls.config.tenant_id, "crons")

    def create(
        self,
        workflow_name: str,
        cron_name: str,
        expression: str,
        input: JSONSerializableMapping,
        additional_metadata: JSONSerializableMapping,
        priority: int | Priority | None = None,
    ) -> CronWorkflows:
        """A cron of a workflow; its name and expression together are unique there.

        expression: five fields, or six with seconds first, in UTC; or an alias such as @daily
        Raises ValueError for an expression that cannot be read.
        """
        body = _cron_body(cron_name, expression, input, additional_metadata, priority)
        return CronWorkflows.model_validate(self._rest.request(HTTPMethod.POST, self._path_of(workflow_name), body=body))

    async def aio_create(
        self,
        workflow_name: str,
        cron_name: str,
        expression: str,
        input: JSONSerializableMapping,
        additional_metadata: JSONSerializableMapping,
        priority: int | Priority | None = None,
    ) -> CronWorkflows:
        """As `create`."""
        body = _cron_body(cron_name, expression, input, additional_metadata, priority)
        return CronWorkflows.model_validate(await self._rest.arequest(HTTPMethod.POST, self._path_of(workflow_name), body=body))

    def get(self, cron_id: str) -> CronWorkflows:
        """One cron."""
        return CronWorkflows.model_validate(self._rest.request(HTTPMethod.GET, self._paths.one(cron_id)))

    async def aio_get(self, cron_id: str) -> CronWorkflows:
        """As `get`."""
        return CronWorkflows.model_validate(await self._rest.arequest(HTTPMethod.GET, self._paths.one(cron_id)))

    def delete(self, cron_id: str) -> None:
        """It starts nothing any more; runs it started go on."""
        self._rest.request(HTTPMethod.DELETE, self._paths.one(cron_id))

    async def aio_delete(self, cron_id: str) -> None:
        """As `delete`."""
        await self._rest.arequest(HTTPMethod.DELETE, self._paths.one(cron_id))

    def list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        workflow_id: str | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        order_by_field: CronWorkflowsOrderByField | None = None,
        order_by_direction: WorkflowRunOrderByDirection | None = None,
        workflow_name: str | None = None,
        cron_name: str | None = None,
    ) -> CronWorkflowsList:
        """Crons, declared ones too; everything given must hold."""
        query = self._query(
            offset, limit, workflow_id, additional_metadata, order_by_field, order_by_direction, workflow_name, cron_name
        )
        return CronWorkflowsList.model_validate(self._rest.request(HTTPMethod.GET, self._paths.all(), query=query))

    async def aio_list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        workflow_id: str | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        order_by_field: CronWorkflowsOrderByField | None = None,
        order_by_direction: WorkflowRunOrderByDirection | None = None,
        workflow_name: str | None = None,
        cron_name: str | None = None,
    ) -> CronWorkflowsList:
        """As `list`."""
        query = self._query(
            offset, limit, workflow_id, additional_metadata, order_by_field, order_by_direction, workflow_name, cron_name
        )
        return CronWorkflowsList.model_validate(await self._rest.arequest(HTTPMethod.GET, self._paths.all(), query=query))

    def _path_of(self, workflow_name: str) -> str:
        return self._paths.of(self._config.apply_namespace(workflow_name))

    def _query(
        self,
        offset: int | None,
        limit: int | None,
        workflow_id: str | None,
        metadata: Mapping[str, Any] | None,
        field: CronWorkflowsOrderByField | None,
        direction: WorkflowRunOrderByDirection | None,
        workflow_name: str | None,
        cron_name: str | None,
    ) -> dict[str, Any]:
        return timetable_query(offset, limit, workflow_id, metadata, field, direction) | {
            "workflowName": None if workflow_name is None else self._config.apply_namespace(workflow_name),
            "cronName": cron_name,
        }


def check_expression(expression: str) -> str:
    """The expression without spaces around it. Raises ValueError for what the engine would refuse, before any call."""
    text = expression.strip()
    if text in ALIASES:
        return text
    fields = text.split()
    if not text or len(fields) not in (5, 6):
        raise ValueError(
            f"Cron expression {expression!r} needs five fields, or six with seconds first, or an alias such as @daily."
        )
    for field in fields:
        if not all(_PART.fullmatch(part) for part in field.split(",")):
            raise ValueError(f"Cron expression {expression!r}: {field!r} cannot be read; use *, */n, numbers, lists and ranges.")
    return text


def _cron_body(
    name: str, expression: str, data: Mapping[str, Any], metadata: Mapping[str, Any], priority: int | Priority | None
) -> dict[str, Any]:
    if not name:
        raise ValueError("A cron needs a name.")
    body = {
        "cronName": name, "cronExpression": check_expression(expression), "input": dict(data),
        "additionalMetadata": dict(metadata),
    }  # fmt: skip
    level = check_priority(priority)
    return body if level is None else {**body, "priority": int(level)}
