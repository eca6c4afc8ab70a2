"""Which runs a cancel or replay request means (W12.8)."""

from __future__ import annotations

from collections.abc import Sequence

from limpet.contracts.admin_pb2 import CancelTasksRequest, ReplayTasksRequest, TasksFilter
from limpet.core.errors import InvalidArgument
from limpet.core.ids import is_uuid
from limpet.core.rows import RunStatus
from limpet.edges.grpc.translate.instants import instant
from limpet.store.api import RunQuery

RUNS_PER_PAGE = 500
IDS_MAX = 20_000  # of one call [W12.8]


def ids_or_filter(request: CancelTasksRequest | ReplayTasksRequest) -> tuple[str, ...] | RunQuery:
    """The ids, or the filter as a query. Raises InvalidArgument for both and for none."""
    if bool(request.external_ids) == request.HasField("filter"):
        raise InvalidArgument("give either external_ids or a filter, one of the two")
    return _ids(request.external_ids) if request.external_ids else run_query(request.filter)


def run_query(wanted: TasksFilter) -> RunQuery:
    """The filter as a query of one page."""
    if not wanted.HasField("since"):
        raise InvalidArgument("the filter needs since: the instant from which runs are meant")
    return RunQuery(
        since=instant(wanted.since),
        until=instant(wanted.until) if wanted.HasField("until") else None,
        statuses=[_status(name) for name in wanted.statuses] or None,
        workflow_ids=list(wanted.workflow_ids) or None,
        metadata=[_pair(text) for text in wanted.additional_metadata],
        limit=RUNS_PER_PAGE,
    )


def _ids(ids: Sequence[str]) -> tuple[str, ...]:
    if len(ids) > IDS_MAX:
        raise InvalidArgument(f"at most {IDS_MAX} ids in one call, got {len(ids)}")
    for one in ids:
        if not is_uuid(one):
            raise InvalidArgument(f"id {one[:80]!r} must be a valid UUID")
    return tuple(dict.fromkeys(one.lower() for one in ids))


def _status(name: str) -> int:
    try:
        return RunStatus[name.upper()]
    except KeyError:
        raise InvalidArgument(f"status {name[:80]!r} is unknown; use {', '.join(RunStatus.__members__)}") from None


def _pair(text: str) -> tuple[str, str]:
    """`key:value`, split at the first colon (W9.5)."""
    key, colon, value = text.partition(":")
    if not key or not colon:
        raise InvalidArgument(f"metadata filter {text[:80]!r} must have the form key:value")
    return key, value
