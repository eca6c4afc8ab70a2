"""What the older lists of runs and events are asked for, as the reader's queries."""

# No `from __future__ import annotations` here: FastAPI reads the types of a dataclass's fields and finds no
# globals to resolve their texts in.

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Query

from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import InvalidArgument
from limpet.edges.rest.answers import instant
from limpet.edges.rest.directions import Direction, LowerDirection
from limpet.edges.rest.graph import is_one_task
from limpet.edges.rest.names import OLD_RUN_NAME
from limpet.edges.rest.queries import Names, lowered, lowered_id, metadata_pairs
from limpet.store.api import EventQuery, RunQuery


class OlderStatus(StrEnum):
    """Statuses of runs in the older shape. QUEUED and PENDING are the same here; no run is in BACKOFF, only tasks are."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    QUEUED = "QUEUED"
    BACKOFF = "BACKOFF"


class Kind(StrEnum):
    """What a workflow is: one task, one durable task, or several tasks."""

    FUNCTION = "FUNCTION"
    DURABLE = "DURABLE"
    DAG = "DAG"


class RunOrder(StrEnum):
    """What the wire lets a list of runs be ordered by; served is `createdAt`."""

    CREATED_AT = "createdAt"
    STARTED_AT = "startedAt"
    FINISHED_AT = "finishedAt"
    DURATION = "duration"


class EventOrder(StrEnum):
    """What a list of events is ordered by."""

    CREATED_AT = "createdAt"


@dataclass(frozen=True)
class OlderRunFilter:
    """Which runs."""

    event_id: Annotated[str | None, Query(alias="eventId")] = None
    workflow_id: Annotated[str | None, Query(alias="workflowId")] = None
    parent_run_id: Annotated[str | None, Query(alias="parentWorkflowRunId")] = None
    parent_task_id: Annotated[str | None, Query(alias="parentStepRunId")] = None
    statuses: Annotated[list[OlderStatus] | None, Query()] = None
    kinds: Annotated[list[Kind] | None, Query()] = None
    metadata: Annotated[Names, Query(alias="additionalMetadata")] = None
    created_after: Annotated[datetime | None, Query(alias="createdAfter")] = None
    created_before: Annotated[datetime | None, Query(alias="createdBefore")] = None
    finished_after: Annotated[datetime | None, Query(alias="finishedAfter")] = None
    finished_before: Annotated[datetime | None, Query(alias="finishedBefore")] = None
    order: Annotated[RunOrder, Query(alias="orderByField")] = RunOrder.CREATED_AT
    direction: Annotated[Direction, Query(alias="orderByDirection")] = Direction.DESC

    def query(self, workflow_ids: Collection[str] | None, limit: int, offset: int) -> RunQuery:
        """For the reader. `workflow_ids`: those of the wanted kinds. Raises InvalidArgument for another order."""
        newest_first(self.order is RunOrder.CREATED_AT and self.direction is Direction.DESC)
        return RunQuery(
            since=at_or_none(self.created_after),
            until=at_or_none(self.created_before),
            finished_since=at_or_none(self.finished_after),
            finished_until=at_or_none(self.finished_before),
            statuses=run_numbers(self.statuses),
            workflow_ids=workflow_ids,
            parent_run_id=lowered_id(self.parent_run_id),
            parent_task_id=lowered_id(self.parent_task_id),
            event_id=lowered_id(self.event_id),
            metadata=metadata_pairs(self.metadata or ()),
            metadata_all=True,
            limit=limit,
            offset=offset,
        )


@dataclass(frozen=True)
class OlderEventFilter:
    """Which events."""

    keys: Annotated[Names, Query()] = None
    workflow_ids: Annotated[Names, Query(alias="workflows")] = None
    statuses: Annotated[list[OlderStatus] | None, Query()] = None
    search: str | None = None
    order: Annotated[EventOrder, Query(alias="orderByField")] = EventOrder.CREATED_AT
    direction: Annotated[LowerDirection, Query(alias="orderByDirection")] = LowerDirection.DESC
    metadata: Annotated[Names, Query(alias="additionalMetadata")] = None
    event_ids: Annotated[Names, Query(alias="eventIds")] = None

    def query(self, limit: int, offset: int) -> EventQuery:
        """For the reader. Raises InvalidArgument for another order, and for a search."""
        newest_first(self.direction is LowerDirection.DESC)
        if self.search:
            raise InvalidArgument("search: payloads of events are not searched; use keys, additionalMetadata or eventIds")
        return EventQuery(
            ids=lowered(self.event_ids),
            names=self.keys or None,
            workflow_ids=lowered(self.workflow_ids),
            run_statuses=run_numbers(self.statuses),
            metadata=metadata_pairs(self.metadata or ()),
            limit=limit,
            offset=offset,
        )


def newest_first(is_so: bool) -> None:
    """Raises InvalidArgument for any other order: it would read everything for one page."""
    if not is_so:
        raise InvalidArgument("orderByField, orderByDirection: lists are by createdAt, newest first; sort a page yourself")


def run_numbers(names: Iterable[OlderStatus] | None) -> frozenset[int] | None:
    """Our numbers of statuses; None and nothing both mean: any."""
    wanted = {OlderStatus.PENDING if name is OlderStatus.QUEUED else name for name in names or ()}
    return frozenset(number for number, name in OLD_RUN_NAME.items() if name in wanted) if wanted else None


def kind_of(definition: WorkflowDefinition) -> Kind:
    """What the workflow is."""
    if not is_one_task(definition):
        return Kind.DAG
    return Kind.DURABLE if definition.steps[0].is_durable else Kind.FUNCTION


def at_or_none(moment: datetime | None) -> int | None:
    """An instant in microseconds, if one was given."""
    return None if moment is None else instant(moment)
