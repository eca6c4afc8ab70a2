"""REST models of crons."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel


class CronWorkflowsMethod(StrEnum):
    """Values of `CronWorkflowsMethod`."""

    DEFAULT = "DEFAULT"
    API = "API"


class CronWorkflowsOrderByField(StrEnum):
    """Values of `CronWorkflowsOrderByField`."""

    NAME = "name"
    CREATEDAT = "createdAt"


class WorkflowRunOrderByDirection(StrEnum):
    """Values of `WorkflowRunOrderByDirection`."""

    ASC = "ASC"
    DESC = "DESC"


class CreateCronWorkflowTriggerRequest(RestModel):
    """REST model `CreateCronWorkflowTriggerRequest`."""

    input: dict[str, Any]
    additional_metadata: dict[str, Any]
    cron_name: str
    cron_expression: str
    priority: int | None = Field(default=None, ge=1, le=3)


class CronWorkflows(RestModel):
    """REST model `CronWorkflows`."""

    metadata: APIResourceMeta
    tenant_id: str
    workflow_version_id: str
    workflow_id: str
    workflow_name: str
    cron: str
    name: str | None = None
    input: dict[str, Any] | None = None
    additional_metadata: dict[str, Any] | None = None
    enabled: bool
    method: CronWorkflowsMethod
    priority: int | None = Field(default=None, ge=1, le=3)


class CronWorkflowsList(RestModel):
    """REST model `CronWorkflowsList`."""

    rows: list[CronWorkflows] | None = None
    pagination: PaginationResponse | None = None
