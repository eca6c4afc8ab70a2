"""`limpet.metrics`: how busy the tenant is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.queries import BASE, LIST_WINDOW, instant_text
from limpet.sdk.rest.tenants import TaskStat


class TaskMetrics(BaseModel):
    """Runs by status."""

    cancelled: int
    completed: int
    failed: int
    queued: int
    running: int


class MetricsClient:
    """Counts of the tenant. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest
        self._tenant = f"/api/v1/tenants/{calls.config.tenant_id}"
        self._metrics_path = f"{BASE}/tenants/{calls.config.tenant_id}/task-metrics"

    def get_queue_metrics(self) -> dict[str, Any]:
        """Queue sizes."""
        return _queues(self._rest.request(HTTPMethod.GET, f"{self._tenant}/step-run-queue-metrics"))

    async def aio_get_queue_metrics(self) -> dict[str, Any]:
        """As `get_queue_metrics`."""
        return _queues(await self._rest.arequest(HTTPMethod.GET, f"{self._tenant}/step-run-queue-metrics"))

    def get_task_metrics(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        workflow_ids: list[str] | None = None,
        parent_task_external_id: str | None = None,
        triggering_event_external_id: str | None = None,
    ) -> TaskMetrics:
        """Runs by status. `since` is a day ago unless given."""
        query = _query(since, until, workflow_ids, parent_task_external_id, triggering_event_external_id)
        return _by_status(self._rest.request(HTTPMethod.GET, self._metrics_path, query=query))

    async def aio_get_task_metrics(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        workflow_ids: list[str] | None = None,
        parent_task_external_id: str | None = None,
        triggering_event_external_id: str | None = None,
    ) -> TaskMetrics:
        """As `get_task_metrics`."""
        query = _query(since, until, workflow_ids, parent_task_external_id, triggering_event_external_id)
        return _by_status(await self._rest.arequest(HTTPMethod.GET, self._metrics_path, query=query))

    def get_task_stats(self) -> dict[str, TaskStat]:
        """Queued and running counts by task name."""
        return _stats(self._rest.request(HTTPMethod.GET, f"{self._tenant}/task-stats"))

    async def aio_get_task_stats(self) -> dict[str, TaskStat]:
        """As `get_task_stats`."""
        return _stats(await self._rest.arequest(HTTPMethod.GET, f"{self._tenant}/task-stats"))

    def scrape_tenant_prometheus_metrics(self) -> str:
        """The tenant's metrics as Prometheus text."""
        return str(self._rest.request(HTTPMethod.GET, f"{self._tenant}/prometheus-metrics"))

    async def aio_scrape_tenant_prometheus_metrics(self) -> str:
        """As `scrape_tenant_prometheus_metrics`."""
        return str(await self._rest.arequest(HTTPMethod.GET, f"{self._tenant}/prometheus-metrics"))


def _query(
    since: datetime | None,
    until: datetime | None,
    workflow_ids: list[str] | None,
    parent_task_external_id: str | None,
    triggering_event_external_id: str | None,
) -> dict[str, Any]:
    return {
        "since": instant_text(since or datetime.now(UTC) - LIST_WINDOW),
        "until": instant_text(until),
        "workflow_ids": workflow_ids,
        "parent_task_external_id": parent_task_external_id,
        "triggering_event_external_id": triggering_event_external_id,
    }


def _queues(answer: dict[str, Any]) -> dict[str, Any]:
    return answer.get("queues") or {}


def _by_status(answer: list[dict[str, Any]]) -> TaskMetrics:
    return TaskMetrics.model_validate({row["status"].lower(): row["count"] for row in answer})


def _stats(answer: dict[str, Any]) -> dict[str, TaskStat]:
    return {name: TaskStat.model_validate(stat) for name, stat in answer.items()}
