"""What lists are asked for, as the REST interface reads it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

BASE = "/api/v1/stable"
LIST_WINDOW = timedelta(days=1)  # how far back a list looks unless it is told


def instant_text(moment: datetime | None) -> str | None:
    """A moment; naive moments are local time."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def metadata_texts(metadata: Mapping[str, Any] | None) -> list[str] | None:
    """Metadata pairs as `key:value`; none given: any."""
    return [f"{key}:{value}" for key, value in metadata.items()] if metadata else None


class TimetablePaths:
    """Where crons or scheduled runs are, by `kind`: all of a tenant, one, and those of a workflow."""

    def __init__(self, tenant_id: str, kind: str) -> None:
        self._workflows, self._kind = f"/api/v1/tenants/{tenant_id}/workflows", kind

    def all(self) -> str:
        """The list."""
        return f"{self._workflows}/{self._kind}"

    def one(self, name: str) -> str:
        """One by its id, or what is done to many."""
        return f"{self.all()}/{name}"

    def of(self, workflow_name: str) -> str:
        """Those of a workflow, by its name with the namespace."""
        return f"{self._workflows}/{workflow_name}/{self._kind}"


def timetable_query(
    offset: int | None,
    limit: int | None,
    workflow_id: str | None,
    metadata: Mapping[str, Any] | None,
    field: Enum | None,
    direction: Enum | None,
) -> dict[str, Any]:
    """What lists of crons and of scheduled runs are both asked for."""
    return {
        "offset": offset,
        "limit": limit,
        "workflowId": workflow_id,
        "additionalMetadata": metadata_texts(metadata),
        "orderByField": field,
        "orderByDirection": direction,
    }
