"""`limpet.logs`: log lines of task runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.queries import BASE, instant_text
from limpet.sdk.rest.runs import V1LogLineList


class LogsClient:
    """Read log lines."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest

    def list(
        self, task_run_id: str, limit: int = 1000, since: datetime | None = None, until: datetime | None = None
    ) -> V1LogLineList:
        """The log lines of a task run."""
        query = _query(limit, since, until)
        return V1LogLineList.model_validate(self._rest.request(HTTPMethod.GET, _path(task_run_id), query=query))

    async def aio_list(
        self, task_run_id: str, limit: int = 1000, since: datetime | None = None, until: datetime | None = None
    ) -> V1LogLineList:
        """As `list`."""
        query = _query(limit, since, until)
        return V1LogLineList.model_validate(await self._rest.arequest(HTTPMethod.GET, _path(task_run_id), query=query))


def _path(task_run_id: str) -> str:
    return f"{BASE}/tasks/{task_run_id}/logs"


def _query(limit: int, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {"limit": limit, "since": instant_text(since), "until": instant_text(until)}
