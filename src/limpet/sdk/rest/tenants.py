"""REST models of a tenant: itself, and how busy its tasks and queues are."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from limpet.sdk.rest.common import APIResourceMeta, RestModel


class TenantEnvironment(StrEnum):
    """Values of `TenantEnvironment`."""

    LOCAL = "local"
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class TenantVersion(StrEnum):
    """Values of `TenantVersion`."""

    V0 = "V0"
    V1 = "V1"


class ConcurrencyStat(RestModel):
    """REST model `ConcurrencyStat`."""

    expression: str | None = None
    type: str | None = None
    keys: dict[str, int] | None = None


class TaskStatusStat(RestModel):
    """REST model `TaskStatusStat`."""

    total: int | None = None
    queues: dict[str, int] | None = None
    concurrency: list[ConcurrencyStat] | None = None
    oldest: datetime | None = None
    oldest_excluding_retries: datetime | None = None


class Tenant(RestModel):
    """REST model `Tenant`."""

    metadata: APIResourceMeta
    name: str
    slug: str
    analytics_opt_out: bool | None = None
    alert_member_emails: bool | None = None
    version: TenantVersion
    environment: TenantEnvironment | None = None
    server_url: str | None = None
    region: str | None = None
    data_retention_period: str | None = None


class TenantStepRunQueueMetrics(RestModel):
    """REST model `TenantStepRunQueueMetrics`."""

    queues: dict[str, Any] | None = None


class TaskStat(RestModel):
    """REST model `TaskStat`."""

    queued: TaskStatusStat | None = None
    running: TaskStatusStat | None = None
