"""What lists of runs and tasks are asked for, as the reader's query."""

# No `from __future__ import annotations` here: FastAPI reads the types of a dataclass's fields and finds no
# globals to resolve their texts in.

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from limpet.core.errors import InvalidArgument
from limpet.edges.rest.answers import instant, pagination
from limpet.edges.rest.bodies import TaskFilter
from limpet.edges.rest.names import RUN_NAME, TASK_NAME, numbers_of
from limpet.edges.rest.schemas import MetadataOperator, Pagination, RunningFilter, TaskStatusName
from limpet.store.api import RunQuery

PAGE_DEFAULT = 50
PAGE_MAX = 1_000  # rows of one answer; some 1 MB of JSON without payloads
OFFSET_MAX = 1_000_000  # further back nobody pages; a filter by time is the way there

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Offset = Annotated[int, Query(ge=0, le=OFFSET_MAX)]
Names = Annotated[list[str] | None, Query()]
Statuses = Annotated[list[TaskStatusName] | None, Query()]


@dataclass(frozen=True)
class Paging:
    """Which page of a list."""

    limit: Limit = PAGE_DEFAULT
    offset: Offset = 0

    def shown(self, total: int | None) -> Pagination:
        """Where it lies among `total` rows; None: nobody counted them."""
        return pagination(self.offset, self.limit, total)


Paged = Annotated[Paging, Depends()]


@dataclass(frozen=True)
class RunFilter:
    """The filters that lists of runs, of tasks, and of ids share.

    idempotency_keys: finds runs that hold one of these now; a key that has expired or was given up names no run any more
    """

    since: datetime
    until: datetime | None = None
    statuses: Statuses = None
    additional_metadata: Names = None
    additional_metadata_operator: MetadataOperator = MetadataOperator.OR
    workflow_ids: Names = None
    worker_id: str | None = None
    parent_task_external_id: str | None = None
    triggering_event_external_id: str | None = None
    running_filter: RunningFilter = RunningFilter.ALL
    idempotency_keys: Names = None

    @property
    def finds_nothing(self) -> bool:
        """Whether the answer is known to be empty."""
        return self._names() == frozenset()

    def query(self, *, tasks: bool, limit: int, offset: int) -> RunQuery:
        """For the reader; statuses are counted over tasks or over runs."""
        names = self._names()
        return RunQuery(
            since=instant(self.since),
            until=None if self.until is None else instant(self.until),
            statuses=None if names is None else numbers_of(names, TASK_NAME if tasks else RUN_NAME),
            workflow_ids=lowered(self.workflow_ids),
            worker_id=lowered_id(self.worker_id),
            parent_task_id=lowered_id(self.parent_task_external_id),
            event_id=lowered_id(self.triggering_event_external_id),
            held_keys=self.idempotency_keys or None,
            metadata=metadata_pairs(self.additional_metadata or ()),
            metadata_all=self.additional_metadata_operator is MetadataOperator.AND,
            limit=limit,
            offset=offset,
        )

    def _names(self) -> frozenset[str] | None:
        """The statuses asked for; EVICTED takes the running ones out, because none of them is evicted."""
        names = frozenset(self.statuses) if self.statuses else None
        if self.running_filter is not RunningFilter.EVICTED:
            return names
        return (names or frozenset(TaskStatusName)) - {TaskStatusName.RUNNING}


def filter_query(wanted: TaskFilter, limit: int, offset: int, until: int) -> RunQuery:
    """The filter of a bulk call over runs; `until` bounds it when it has no end of its own."""
    end = until if wanted.until is None else instant(wanted.until)
    return RunQuery(
        since=instant(wanted.since),
        until=end,
        statuses=numbers_of(wanted.statuses, RUN_NAME) if wanted.statuses else None,
        workflow_ids=lowered(wanted.workflow_ids),
        metadata=metadata_pairs(wanted.additional_metadata or ()),
        limit=limit,
        offset=offset,
    )


def metadata_pairs(texts: Iterable[str]) -> Sequence[tuple[str, str]]:
    """`key:value`, split at the first colon (W9.5). Raises InvalidArgument for a text without one."""
    return tuple(metadata_pair(text) for text in texts)


def metadata_pair(text: str) -> tuple[str, str]:
    """One pair."""
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise InvalidArgument(f"additional_metadata has {text[:64]!r}, and each entry must be written key:value")
    return key, value


def lowered_id(text: str | None) -> str | None:
    """An id as it is stored; None and nothing both mean: any."""
    return text.lower() if text else None


def lowered(ids: Sequence[str] | None) -> tuple[str, ...] | None:
    """Ids as they are stored; None and nothing both mean: any."""
    return tuple(each.lower() for each in ids) if ids else None
