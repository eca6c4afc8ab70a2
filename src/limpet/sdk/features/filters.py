"""`limpet.filters`: which events of a scope start a workflow."""

from __future__ import annotations

import builtins
from typing import Any

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.rest.events import V1Filter, V1FilterList, V1UpdateFilterRequest
from limpet.sdk.serde import JSONSerializableMapping


class FiltersClient:
    """Make, see, change and delete filters of events. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest
        self._filters = f"/api/v1/stable/tenants/{calls.config.tenant_id}/filters"

    def create(self, workflow_id: str, expression: str, scope: str, payload: JSONSerializableMapping | None = None) -> V1Filter:
        """A filter; it counts from the next event on.

        expression: CEL over `input`, `additional_metadata`, `payload`, `event_id` and `event_key`; true starts a run
        payload:    what the expression and the runs are told, `ctx.filter_payload`
        """
        body = _body(workflow_id, expression, scope, payload)
        return V1Filter.model_validate(self._rest.request(HTTPMethod.POST, self._filters, body=body))

    async def aio_create(
        self, workflow_id: str, expression: str, scope: str, payload: JSONSerializableMapping | None = None
    ) -> V1Filter:
        """As `create`."""
        body = _body(workflow_id, expression, scope, payload)
        return V1Filter.model_validate(await self._rest.arequest(HTTPMethod.POST, self._filters, body=body))

    def get(self, filter_id: str) -> V1Filter:
        """One filter."""
        return V1Filter.model_validate(self._rest.request(HTTPMethod.GET, self._path(filter_id)))

    async def aio_get(self, filter_id: str) -> V1Filter:
        """As `get`."""
        return V1Filter.model_validate(await self._rest.arequest(HTTPMethod.GET, self._path(filter_id)))

    def update(self, filter_id: str, updates: V1UpdateFilterRequest) -> V1Filter:
        """Change what is given; the rest stays."""
        body = _changes(updates)
        return V1Filter.model_validate(self._rest.request(HTTPMethod.PATCH, self._path(filter_id), body=body))

    async def aio_update(self, filter_id: str, updates: V1UpdateFilterRequest) -> V1Filter:
        """As `update`."""
        body = _changes(updates)
        return V1Filter.model_validate(await self._rest.arequest(HTTPMethod.PATCH, self._path(filter_id), body=body))

    def delete(self, filter_id: str) -> V1Filter:
        """Delete it; returns what it was. A workflow without filters starts on every event of its keys."""
        return V1Filter.model_validate(self._rest.request(HTTPMethod.DELETE, self._path(filter_id)))

    async def aio_delete(self, filter_id: str) -> V1Filter:
        """As `delete`."""
        return V1Filter.model_validate(await self._rest.arequest(HTTPMethod.DELETE, self._path(filter_id)))

    def list(
        self,
        limit: int | None = None,
        offset: int | None = None,
        workflow_ids: builtins.list[str] | None = None,
        scopes: builtins.list[str] | None = None,
    ) -> V1FilterList:
        """Filters, newest first, declared ones too."""
        query = _query(limit, offset, workflow_ids, scopes)
        return V1FilterList.model_validate(self._rest.request(HTTPMethod.GET, self._filters, query=query))

    async def aio_list(
        self,
        limit: int | None = None,
        offset: int | None = None,
        workflow_ids: builtins.list[str] | None = None,
        scopes: builtins.list[str] | None = None,
    ) -> V1FilterList:
        """As `list`."""
        query = _query(limit, offset, workflow_ids, scopes)
        return V1FilterList.model_validate(await self._rest.arequest(HTTPMethod.GET, self._filters, query=query))

    def _path(self, filter_id: str) -> str:
        return f"{self._filters}/{filter_id}"


def _body(workflow_id: str, expression: str, scope: str, payload: JSONSerializableMapping | None) -> dict[str, Any]:
    return {"workflowId": workflow_id, "expression": expression, "scope": scope, "payload": dict(payload or {})}


def _changes(updates: V1UpdateFilterRequest) -> dict[str, Any]:
    return updates.model_dump(by_alias=True, exclude_none=True)


def _query(limit: int | None, offset: int | None, workflow_ids: list[str] | None, scopes: list[str] | None) -> dict[str, Any]:
    return {"limit": limit, "offset": offset, "workflowIds": workflow_ids, "scopes": scopes}
