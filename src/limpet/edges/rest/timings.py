"""Little of many runs: their shown names, and when the tasks of a run and its children were queued, started and finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from limpet.core.ids import TenantId
from limpet.core.rows import TaskRow
from limpet.edges.rest.answers import answer, moment, moment_or_none, pagination
from limpet.edges.rest.caller import Caller, Calling, checked_ids
from limpet.edges.rest.names import TASK_NAME
from limpet.edges.rest.queries import PAGE_MAX
from limpet.edges.rest.reads import side_by_side
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_counts import DisplayName, DisplayNameList, TaskTiming, TaskTimingList
from limpet.edges.rest.summaries import frame_of, run_touched_at, touched_at
from limpet.store.api import RunQuery, RunRecord

NAMES_MAX = 500  # of one list of shown names, a look-up each
DEPTH_MAX = 10  # of children whose timings are told with a run's

router: APIRouter = APIRouter(prefix="/v1")
Timed = tuple[RunRecord, TaskRow, int]  # a task with its run, and how far below the run that was asked for


@router.get("/stable/tenants/{tenant}/workflow-runs/display-names", response_model=DisplayNameList)
async def display_names(caller: Calling, tenant: str, external_ids: Annotated[list[str], Query()]) -> Response:
    """The shown names of runs."""
    ids = checked_ids(external_ids, "external_ids", NAMES_MAX)
    records = await side_by_side(lambda run_id: caller.reader.run(caller.tenant_no, run_id), ids)
    found = [record for record in records if record is not None]
    page = pagination(0, max(1, len(found)), len(found))
    return await answer(lambda: DisplayNameList(pagination=page, rows=[display_name(record) for record in found]))


@router.get("/stable/workflow-runs/{run}/task-timings", response_model=TaskTimingList)
async def task_timings(caller: Calling, run: str, depth: Annotated[int, Query(ge=0, le=DEPTH_MAX)] = 0) -> Response:
    """The tasks of a run, then those of its children down to the depth, at most as many as a page has."""
    found = await timed(caller, await caller.run(run), depth)
    live = [task.id for _, task, _ in found if task.finished_at is None]
    started = caller.door.started_at(caller.tenant, live) if live else {}
    page = pagination(0, PAGE_MAX, len(found))
    return await answer(
        lambda: TaskTimingList(pagination=page, rows=[timing(caller.tenant, each, started.get(each[1].id)) for each in found])
    )


async def timed(caller: Caller, record: RunRecord, depth: int) -> list[Timed]:
    """Level by level; of each level the runs of one task after those of another."""
    found: list[Timed] = []
    level: Sequence[RunRecord] = [record]
    for below in range(depth + 1):
        found += [(each, task, below) for each in level for task in each.tasks][: PAGE_MAX - len(found)]
        if below == depth or len(found) >= PAGE_MAX:
            break
        level = [child for each in level for child in await children(caller, each, PAGE_MAX - len(found))]
    return found


async def children(caller: Caller, record: RunRecord, limit: int) -> Sequence[RunRecord]:
    """Runs that the run's tasks have started, newest first; they are born after it."""
    query = RunQuery(since=record.run.created_at, parent_run_id=record.run.id, limit=limit)
    return (await caller.reader.runs(caller.tenant_no, query))[0]


def display_name(record: RunRecord) -> DisplayName:
    """A run's name, and when it was touched."""
    run = record.run
    meta = ResourceMeta(id=run.id, created_at=moment(run.created_at), updated_at=moment(run_touched_at(run)))
    return DisplayName(metadata=meta, display_name=frame_of(record).run_name(record.tasks))


def timing(tenant: TenantId, timed: Timed, started_at: int | None) -> TaskTiming:
    """One task."""
    record, task, depth = timed
    began_at = task.started_at or started_at
    return TaskTiming(
        metadata=ResourceMeta(id=task.id, created_at=moment(task.created_at), updated_at=moment(touched_at(task, began_at))),
        depth=depth,
        status=TASK_NAME[task.status],
        task_display_name=frame_of(record).task_name(task),
        task_external_id=task.id,
        task_id=task.key,
        task_inserted_at=moment(task.created_at),
        tenant_id=tenant,
        parent_task_external_id=record.run.parent_task_id,
        queued_at=moment(task.queued_at),
        started_at=moment_or_none(began_at),
        finished_at=moment_or_none(task.finished_at),
        workflow_run_id=record.run.id,
        retry_count=task.retry_count,
        attempt=task.retry_count + 1,
    )
