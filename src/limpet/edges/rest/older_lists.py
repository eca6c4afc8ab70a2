"""The older shape of runs and events, which some clients still ask for: lists and single ones, a workflow's concurrency keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from starlette.responses import Response

from limpet.core.rows import RunRow
from limpet.edges.rest.answers import answer
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.events import event_of, get_event, list_event_keys
from limpet.edges.rest.graph import definition_of
from limpet.edges.rest.older import older_run
from limpet.edges.rest.older_queries import OlderEventFilter, OlderRunFilter, OlderStatus, kind_of, run_numbers
from limpet.edges.rest.payloads import Shown, read_payloads
from limpet.edges.rest.queries import PAGE_MAX, Paged, lowered_id
from limpet.edges.rest.runs import get_run_shape
from limpet.edges.rest.schemas_events import EventData, EventKeys, EventList, EventShown
from limpet.edges.rest.schemas_workflows import OlderRunList, RunShape, WorkflowMetrics
from limpet.edges.rest.shown_events import event_shown
from limpet.edges.rest.workflows import versions_of
from limpet.store.api import RunQuery, RunRecord

RUNS_READ_MAX = 10_000  # of one workflow for its metrics, the newest; what the reader itself counts up to

router: APIRouter = APIRouter(prefix="/v1")


@router.get("/tenants/{tenant}/workflows/runs", response_model=OlderRunList)
async def list_older_runs(caller: Calling, tenant: str, wanted: Annotated[OlderRunFilter, Depends()], page: Paged) -> Response:
    """Runs, newest first. Outputs are in the run's shape, and in the newer list."""
    query = wanted.query(await workflow_ids_of(caller, wanted), page.limit, page.offset)
    records, total = await caller.reader.runs(caller.tenant_no, query)
    payloads = await read_payloads(caller.reader, [Shown(each.run, ()) for each in records])
    return await answer(
        lambda: OlderRunList(pagination=page.shown(total), rows=[older_run(caller.tenant, each, payloads) for each in records])
    )


@router.get("/tenants/{tenant}/events", response_model=EventList)
async def list_older_events(
    caller: Calling, tenant: str, wanted: Annotated[OlderEventFilter, Depends()], page: Paged
) -> Response:
    """Events, newest first."""
    found, total = await caller.reader.pushed_events(caller.tenant_no, wanted.query(page.limit, page.offset))
    return await answer(
        lambda: EventList(pagination=page.shown(total), rows=[event_shown(caller.tenant, each) for each in found])
    )


@router.get("/tenants/{tenant}/events/keys", response_model=EventKeys)
async def list_older_event_keys(caller: Calling, tenant: str) -> Response:
    """The keys of the events that are there."""
    return await list_event_keys(caller, tenant)


@router.get("/events/{event}", response_model=EventShown)
async def get_older_event(caller: Calling, event: str) -> Response:
    """One event."""
    return await get_event(caller, caller.tenant, event)


@router.get("/events/{event}/data", response_model=EventData)
async def get_event_data(caller: Calling, event: str) -> Response:
    """An event's payload, as a text."""
    found = await event_of(caller, event)
    payloads = {} if found.payload is not None else await caller.reader.event_payloads([found.event.key])
    text = payloads.get(found.event.key, found.payload) or b"{}"
    return await answer(lambda: EventData(data=text.decode()))


@router.get("/tenants/{tenant}/events/{event}/data", response_model=EventData)
async def get_tenants_event_data(caller: Calling, tenant: str, event: str) -> Response:
    """The same under another path."""
    return await get_event_data(caller, event)


@router.get("/tenants/{tenant}/workflow-runs/{run}", response_model=RunShape)
async def get_older_run(caller: Calling, tenant: str, run: str) -> Response:
    """One run with its task runs."""
    return await get_run_shape(caller, tenant, run)


@router.get("/tenants/{tenant}/workflow-runs/{run}/input", response_model=dict[str, Any])
async def get_run_input(caller: Calling, tenant: str, run: str) -> Response:
    """A run's input; a bare object."""
    record = await caller.run(run)
    payloads = await read_payloads(caller.reader, [Shown(record.run, ())])
    return await answer(lambda: payloads.input(record.run))


@router.get("/workflows/{workflow}/metrics", response_model=WorkflowMetrics)
async def workflow_metrics(
    caller: Calling,
    workflow: str,
    status: OlderStatus | None = None,
    groupKey: str | None = None,  # noqa: N803 (a wire name)
) -> Response:
    """How many different keys the first concurrency limit of a workflow has among its runs, and how many runs have one."""
    row = await caller.workflow(workflow)
    counts = Counter(key for record in await newest_runs(caller, row.id, status) for key in first_keys(record))
    runs = None if groupKey is None else counts[groupKey]
    return await answer(lambda: WorkflowMetrics(group_key_runs_count=runs, group_key_count=len(counts)))


async def workflow_ids_of(caller: Caller, wanted: OlderRunFilter) -> tuple[str, ...] | None:
    """The workflow that is asked for, or those of the wanted kinds by their newest version; None: any."""
    one = lowered_id(wanted.workflow_id)
    if not wanted.kinds:
        return None if one is None else (one,)
    rows = [row for row in await caller.reader.workflows(caller.tenant_no) if one in (None, row.id)]
    found = zip(rows, await versions_of(caller, rows), strict=True)
    return tuple(row.id for row, versions in found if versions and kind_of(definition_of(versions[0].definition)) in wanted.kinds)


async def newest_runs(caller: Caller, workflow_id: str, status: OlderStatus | None) -> Sequence[RunRecord]:
    """Runs of a workflow, newest first, up to a bound."""
    found: list[RunRecord] = []
    statuses = None if status is None else run_numbers([status])
    for offset in range(0, RUNS_READ_MAX, PAGE_MAX):
        query = RunQuery(workflow_ids=(workflow_id,), statuses=statuses, limit=PAGE_MAX, offset=offset)
        page, _ = await caller.reader.runs(caller.tenant_no, query)
        found += page
        if len(page) < PAGE_MAX:
            break
    return found


def first_keys(record: RunRecord) -> list[str]:
    """The key of the run's first concurrency limit; none when its version has no limit, or the key could not be computed."""
    if not definition_of(record.version.definition).gates:
        return []
    return [key for key in limit_keys(record.run)[:1] if isinstance(key, str)]


def limit_keys(run: RunRow) -> list[object]:
    """The keys of its concurrency limits in order, as they are stored."""
    return list(orjson.loads(run.limit_keys)) if run.limit_keys else []
