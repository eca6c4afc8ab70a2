"""Numbers that some clients still ask for one by one: runs by status, unfinished tasks, slots of a workflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from limpet.core.definitions import WorkflowDefinition
from limpet.core.rows import RunStatus, TaskStatus, WorkflowRow
from limpet.core.views import WorkerView
from limpet.edges.rest.answers import answer
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.graph import definition_of
from limpet.edges.rest.live import LIVE
from limpet.edges.rest.older_queries import at_or_none
from limpet.edges.rest.queries import Names, RunFilter, lowered, lowered_id, metadata_pairs
from limpet.edges.rest.reads import side_by_side
from limpet.edges.rest.schemas_counts import RunCount, RunsMetrics, RunsMetricsCounts, TaskCounts, TenantTaskCounts, WorkerCount
from limpet.edges.rest.workers import now_us, status_of
from limpet.store.api import RunQuery

router: APIRouter = APIRouter(prefix="/v1")


@router.get("/stable/tenants/{tenant}/workflow-runs/count", response_model=RunCount)
async def count_runs(caller: Calling, tenant: str, wanted: Annotated[RunFilter, Depends()], only_tasks: bool) -> Response:
    """How many runs or tasks a list with these filters has."""
    read = caller.reader.tasks if only_tasks else caller.reader.runs
    nothing = wanted.finds_nothing
    total = 0 if nothing else (await read(caller.tenant_no, wanted.query(tasks=only_tasks, limit=0, offset=0)))[1]
    return await answer(lambda: RunCount(count=total))


@router.get("/tenants/{tenant}/workflows/runs/metrics", response_model=RunsMetrics)
async def runs_metrics(
    caller: Calling,
    tenant: str,
    event_id: Annotated[str | None, Query(alias="eventId")] = None,
    workflow_id: Annotated[str | None, Query(alias="workflowId")] = None,
    parent_run_id: Annotated[str | None, Query(alias="parentWorkflowRunId")] = None,
    parent_task_id: Annotated[str | None, Query(alias="parentStepRunId")] = None,
    metadata: Annotated[Names, Query(alias="additionalMetadata")] = None,
    created_after: Annotated[datetime | None, Query(alias="createdAfter")] = None,
    created_before: Annotated[datetime | None, Query(alias="createdBefore")] = None,
) -> Response:
    """Runs by status."""
    query = RunQuery(
        since=at_or_none(created_after),
        until=at_or_none(created_before),
        workflow_ids=lowered([workflow_id] if workflow_id else None),
        event_id=lowered_id(event_id),
        parent_run_id=lowered_id(parent_run_id),
        parent_task_id=lowered_id(parent_task_id),
        metadata=metadata_pairs(metadata or ()),
        metadata_all=True,
        limit=0,
    )
    counts = {status: (await caller.reader.runs(caller.tenant_no, replace(query, statuses=(status,))))[1] for status in RunStatus}
    return await answer(lambda: RunsMetrics(counts=by_older_status(counts)))


@router.get("/tenants/{tenant}/queue-metrics", response_model=TenantTaskCounts)
async def tenant_task_counts(
    caller: Calling,
    tenant: str,
    workflows: Names = None,
    metadata: Annotated[Names, Query(alias="additionalMetadata")] = None,
) -> Response:
    """Unfinished tasks, in all and by workflow."""
    wanted = frozenset(lowered(workflows) or ())
    rows = [row for row in await caller.reader.workflows(caller.tenant_no) if not wanted or row.id in wanted]
    query = RunQuery(statuses=LIVE, metadata=metadata_pairs(metadata or ()), metadata_all=True)
    counts = await counts_of(caller, rows, query)
    total = Counter[int]()
    for each in counts:
        total.update(each)
    by_workflow = {row.id: task_counts(each) for row, each in zip(rows, counts, strict=True)}
    return await answer(lambda: TenantTaskCounts(total=task_counts(total), workflow=by_workflow))


@router.get("/tenants/{tenant}/workflows/{workflow}/worker-count", response_model=WorkerCount)
async def worker_count(caller: Calling, tenant: str, workflow: str) -> Response:
    """Slots that a workflow's newest version can take now, and in all."""
    row = await caller.workflow(workflow)
    versions = await caller.reader.versions(caller.tenant_no, row.id)
    views, now = caller.door.workers(caller.tenant), now_us(caller)
    active = [view for view in views if status_of(view, now) == "ACTIVE"]
    return await answer(lambda: slots_for(definition_of(versions[0].definition), active) if versions else NO_SLOTS)


NO_SLOTS = WorkerCount(free_slot_count=0, max_slot_count=0)


async def counts_of(caller: Caller, rows: Sequence[WorkflowRow], query: RunQuery) -> list[Mapping[int, int]]:
    """Tasks by status, of each workflow."""
    queries = [replace(query, workflow_ids=(row.id,)) for row in rows]
    return await side_by_side(lambda one: caller.reader.status_counts(caller.tenant_no, one), queries)


def by_older_status(counts: Mapping[RunStatus, int]) -> RunsMetricsCounts:
    """Under the older names."""
    waiting = counts[RunStatus.QUEUED]
    return RunsMetricsCounts(
        pending=waiting,
        queued=waiting,
        running=counts[RunStatus.RUNNING],
        succeeded=counts[RunStatus.COMPLETED],
        failed=counts[RunStatus.FAILED],
        cancelled=counts[RunStatus.CANCELLED],
    )


def task_counts(counts: Mapping[int, int]) -> TaskCounts:
    """Unfinished tasks."""
    return TaskCounts(
        num_queued=counts.get(TaskStatus.QUEUED, 0) + counts.get(TaskStatus.BACKING_OFF, 0),
        num_running=counts.get(TaskStatus.ASSIGNED, 0) + counts.get(TaskStatus.RUNNING, 0),
        num_pending=counts.get(TaskStatus.PENDING, 0),
    )


def slots_for(definition: WorkflowDefinition, views: Sequence[WorkerView]) -> WorkerCount:
    """Slots of the kinds that its tasks ask for, on workers that offer any of its tasks."""
    actions = set(definition.action_ids)
    kinds = {kind for task in definition.steps for kind, _ in task.slot_requests}
    slots = [slot for view in views if actions.intersection(view.actions) for slot in view.slots if slot.slot_type in kinds]
    return WorkerCount(free_slot_count=sum(slot.free for slot in slots), max_slot_count=sum(slot.total for slot in slots))
