"""The bodies of requests about crons and scheduled runs."""

from __future__ import annotations

from datetime import datetime

import msgspec

from limpet.edges.rest.bodies import Name


class CronBody(msgspec.Struct, frozen=True, rename="camel"):
    """CreateCronWorkflowTriggerRequest."""

    cron_name: Name
    cron_expression: str
    input: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    additional_metadata: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    priority: int | None = None


class CronSwitch(msgspec.Struct, frozen=True):
    """UpdateCronWorkflowTriggerRequest."""

    enabled: bool


class ScheduleBody(msgspec.Struct, frozen=True, rename="camel"):
    """ScheduleWorkflowRunRequest."""

    trigger_at: datetime
    input: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    additional_metadata: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    priority: int | None = None


class ScheduleMove(msgspec.Struct, frozen=True, rename="camel"):
    """UpdateScheduledWorkflowRunRequest."""

    trigger_at: datetime


class ScheduledFilter(msgspec.Struct, frozen=True, rename="camel"):
    """ScheduledWorkflowsBulkDeleteFilter."""

    workflow_id: str | None = None
    parent_workflow_run_id: str | None = None
    parent_step_run_id: str | None = None
    additional_metadata: list[str] | None = None


class BulkDeleteBody(msgspec.Struct, frozen=True, rename="camel"):
    """ScheduledWorkflowsBulkDeleteRequest: ids or a filter."""

    scheduled_workflow_run_ids: list[str] | None = None
    filter: ScheduledFilter | None = None


class BulkUpdateItem(msgspec.Struct, frozen=True, rename="camel"):
    """ScheduledWorkflowsBulkUpdateItem."""

    id: str
    trigger_at: datetime


class BulkUpdateBody(msgspec.Struct, frozen=True):
    """ScheduledWorkflowsBulkUpdateRequest."""

    updates: list[BulkUpdateItem]
