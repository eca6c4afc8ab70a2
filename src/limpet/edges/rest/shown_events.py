"""A pushed event as answers show it."""

from __future__ import annotations

import orjson

from limpet.core.ids import TenantId
from limpet.core.rows import RunStatus
from limpet.edges.rest.answers import moment
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_events import EventRun, EventRunCounts, EventShown
from limpet.store.api import EventRecord


def event_shown(tenant: TenantId, record: EventRecord) -> EventShown:
    """As it was pushed, and what became of it."""
    row, count = record.event, record.statuses
    seen_at = moment(row.created_at)
    return EventShown(
        metadata=ResourceMeta(id=row.id, created_at=seen_at, updated_at=seen_at),
        key=row.name,
        tenant_id=tenant,
        workflow_run_summary=EventRunCounts(
            running=count.get(RunStatus.RUNNING, 0),
            queued=count.get(RunStatus.QUEUED, 0),
            succeeded=count.get(RunStatus.COMPLETED, 0),
            failed=count.get(RunStatus.FAILED, 0),
            cancelled=count.get(RunStatus.CANCELLED, 0),
        ),
        additional_metadata=orjson.Fragment(row.metadata),
        payload=None if record.payload is None else orjson.Fragment(record.payload),
        scope=row.scope,
        seen_at=seen_at,
        triggered_runs=[EventRun(workflow_run_id=one.run_id, filter_id=one.filter_id) for one in record.runs],
        triggering_webhook_name=row.webhook,
    )
