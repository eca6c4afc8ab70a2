"""Workflow runs: lists of runs and of tasks, ids, one run in full, its status, triggering one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from limpet.core.definitions import Comparator, DesiredLabel
from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.inputs import Trigger
from limpet.edges.rest.answers import answer, pagination, plain
from limpet.edges.rest.bodies import LabelWish, TriggerBody, body_schema, object_bytes, read_body
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.details import run_details
from limpet.edges.rest.names import RUN_NAME
from limpet.edges.rest.older import run_shape
from limpet.edges.rest.payloads import Shown, read_payloads
from limpet.edges.rest.queries import PAGE_DEFAULT, PAGE_MAX, Limit, Offset, RunFilter
from limpet.edges.rest.schemas import RunDetails, TaskEventList, TaskSummary, TaskSummaryList
from limpet.edges.rest.schemas_workflows import RunShape
from limpet.edges.rest.summaries import background, frame_of, run_summary, task_summary
from limpet.edges.run_keys import trigger
from limpet.store.api import RunQuery

IDS_MAX = 20_000  # of one list of ids; as many as one bulk call by filter reaches

router: APIRouter = APIRouter(prefix="/v1")
Filter = Annotated[RunFilter, Depends()]
Rows = Callable[[], list[TaskSummary]]


@router.get("/stable/tenants/{tenant}/workflow-runs", response_model=TaskSummaryList)
async def list_runs(
    caller: Calling,
    tenant: str,
    wanted: Filter,
    only_tasks: bool,
    limit: Limit = PAGE_DEFAULT,
    offset: Offset = 0,
    include_payloads: bool = True,
    include_num_pages: bool = True,
) -> Response:
    """Runs, or the tasks of all runs, newest first."""
    if wanted.finds_nothing:
        return await answer(lambda: TaskSummaryList(pagination=pagination(offset, limit, 0), rows=[]))
    query = wanted.query(tasks=only_tasks, limit=limit, offset=offset)
    rows, total = await (task_rows if only_tasks else run_rows)(caller, query, include_payloads)
    page = pagination(offset, limit, total if include_num_pages else None)
    return await answer(lambda: TaskSummaryList(pagination=page, rows=rows()))


async def task_rows(caller: Caller, query: RunQuery, include_payloads: bool) -> tuple[Rows, int]:
    """Tasks that match, read; and how many there are in all."""
    tasks, total = await caller.reader.tasks(caller.tenant_no, query)
    known = await background(caller, [Shown(each.run, [each.task]) for each in tasks], include_payloads=include_payloads)
    return lambda: [task_summary(frame_of(each), each.task, known) for each in tasks], total


async def run_rows(caller: Caller, query: RunQuery, include_payloads: bool) -> tuple[Rows, int]:
    """Runs that match, read; and how many there are in all."""
    runs, total = await caller.reader.runs(caller.tenant_no, query)
    known = await background(caller, [Shown(each.run, each.tasks) for each in runs], include_payloads=include_payloads)
    return lambda: [run_summary(each, known) for each in runs], total


@router.get("/stable/tenants/{tenant}/workflow-runs/external-ids", response_model=list[str])
async def list_run_ids(caller: Calling, tenant: str, wanted: Filter) -> Response:
    """Ids of all runs that match, newest first; a bare list."""
    found: dict[str, None] = {}
    for offset in range(0, 0 if wanted.finds_nothing else IDS_MAX, PAGE_MAX):
        page, _ = await caller.reader.runs(caller.tenant_no, wanted.query(tasks=False, limit=PAGE_MAX, offset=offset))
        found.update(dict.fromkeys(record.run.id for record in page))
        if len(page) < PAGE_MAX:
            break
    return plain(list(found))


@router.post("/stable/tenants/{tenant}/workflow-runs/trigger", response_model=RunDetails, openapi_extra=body_schema(TriggerBody))
async def trigger_run(caller: Calling, tenant: str, request: Request) -> Response:
    """Start a run of a workflow by its name."""
    item = trigger_of(await read_body(request, TriggerBody), caller)
    try:
        run_id = await trigger(caller.door, caller.tenant, item)
    except NotFound as error:  # a wrong name in a body is the body's fault, and no 404 that clients would repeat (W8.2)
        raise InvalidArgument(str(error)) from error
    return await answer((await run_details(caller, await caller.run(run_id))).build)


@router.get("/stable/workflow-runs/{run}", response_model=RunDetails)
async def get_run(caller: Calling, run: str) -> Response:
    """Everything about one run."""
    return await answer((await run_details(caller, await caller.run(run))).build)


@router.get("/stable/workflow-runs/{run}/status", response_model=str)
async def get_run_status(caller: Calling, run: str) -> Response:
    """A run's status; a bare JSON text."""
    return plain(RUN_NAME[(await caller.run(run)).run.status])


@router.get("/stable/workflow-runs/{run}/task-events", response_model=TaskEventList)
async def get_run_events(caller: Calling, run: str) -> Response:
    """The timelines of all tasks of a run as one."""
    details = await run_details(caller, await caller.run(run))

    def build() -> TaskEventList:
        events = details.events()
        return TaskEventList(pagination=pagination(0, max(1, len(events)), len(events)), rows=events)

    return await answer(build)


@router.get("/tenants/{tenant}/workflow-runs/{run}/shape", response_model=RunShape)
async def get_run_shape(caller: Calling, tenant: str, run: str) -> Response:
    """A run in the older shape, which the TypeScript client reads for results."""
    record = await caller.run(run)
    payloads = await read_payloads(caller.reader, [Shown(record.run, record.tasks)])
    return await answer(lambda: run_shape(caller.tenant, record, payloads))


def trigger_of(body: TriggerBody, caller: Caller) -> Trigger:
    """The input for the core; its own checks come there, sizes and JSON here."""
    settings = caller.facts.settings
    return Trigger(
        workflow_name=body.workflow_name,
        input=object_bytes(body.input, "input", settings.payload_bytes_max),
        metadata=object_bytes(body.additional_metadata, "additionalMetadata", settings.metadata_bytes_max),
        priority=body.priority,
        desired_labels=tuple(sorted(desired_label(key, wish) for key, wish in (body.desired_worker_labels or {}).items())),
    )


def desired_label(key: str, wish: LabelWish) -> DesiredLabel:
    """A label of the body as the core has it. Raises InvalidArgument for a comparator that does not exist."""
    known: dict[Any, Comparator] = {**{each.name: each for each in Comparator}, **{int(each): each for each in Comparator}}
    comparator = known.get(wish.comparator)
    if comparator is None:
        names = ", ".join(each.name for each in Comparator)
        raise InvalidArgument(f"desiredWorkerLabels.{key} has the comparator {wish.comparator!r}: use {names}")
    return DesiredLabel(key, wish.value, wish.required, wish.weight, comparator)
