"""Workflows: lists, one by its id, its versions, pausing and deleting it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from limpet.core.definitions import (
    DEFAULT_SCHEDULE_TIMEOUT_US,
    ConcurrencyLimit,
    LimitStrategy,
    StickyStrategy,
    WorkflowDefinition,
)
from limpet.core.errors import NotFound
from limpet.core.ids import TenantId
from limpet.core.inputs import WorkflowDeleted
from limpet.core.pause_rows import PausedStart, PauseRow
from limpet.core.rows import VersionRow, WorkflowRow
from limpet.core.undelivered import warnings_of
from limpet.edges.rest.answers import answer, moment, nothing
from limpet.edges.rest.bodies import body_schema, read_body
from limpet.edges.rest.bodies_workflows import WorkflowBody
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.graph import definition_of
from limpet.edges.rest.older import duration_text, jobs, triggers_shown, version_meta
from limpet.edges.rest.queries import Paged
from limpet.edges.rest.reads import side_by_side
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_workflows import (
    ConcurrencySetting,
    OlderConcurrency,
    VersionMeta,
    VersionShown,
    WorkflowList,
    WorkflowShown,
)

SHOWN_STRATEGIES = (LimitStrategy.CANCEL_IN_PROGRESS, LimitStrategy.GROUP_ROUND_ROBIN)
STICKY_NAME = {StickyStrategy.SOFT: "SOFT", StickyStrategy.HARD: "HARD"}

router: APIRouter = APIRouter(prefix="/v1")


@router.get("/tenants/{tenant}/workflows", response_model=WorkflowList)
async def list_workflows(caller: Calling, tenant: str, page: Paged, name: str | None = None) -> Response:
    """Workflows by name; `name` selects those that contain it, in any case, the exact one first."""
    found = [row for row in await caller.reader.workflows(caller.tenant_no) if is_wanted(row, name)]
    found.sort(key=lambda row: (row.name != name, row.name))
    rows = found[page.offset : page.offset + page.limit]
    versions, pauses = await versions_of(caller, rows), await caller.reader.pauses(caller.tenant_no)
    shown = list(zip(rows, versions, strict=True))
    return await answer(
        lambda: WorkflowList(
            pagination=page.shown(len(found)),
            rows=[workflow_shown(caller.tenant, row, known, pauses.get(row.key)) for row, known in shown],
        )
    )


@router.get("/workflows/{workflow}", response_model=WorkflowShown)
async def get_workflow(caller: Calling, workflow: str) -> Response:
    """One workflow with its newest graph."""
    return await _shown(caller, await caller.workflow(workflow))


@router.patch("/workflows/{workflow}", response_model=WorkflowShown, openapi_extra=body_schema(WorkflowBody))
async def update_workflow(caller: Calling, workflow: str, request: Request) -> Response:
    """Pause it, or let it go on (W15.5)."""
    row = await caller.workflow(workflow)
    body = await read_body(request, WorkflowBody)
    if body.pause is not None:
        await caller.submit(body.pause.input(row.id))
    return await _shown(caller, row)


async def _shown(caller: Caller, row: WorkflowRow) -> Response:
    versions = await caller.reader.versions(caller.tenant_no, row.id)
    pause = (await caller.reader.pauses(caller.tenant_no)).get(row.key)
    return await answer(lambda: workflow_shown(caller.tenant, row, versions, pause))


@router.get("/workflows/{workflow}/versions", response_model=VersionShown)
async def get_version(caller: Calling, workflow: str, version: str | None = None) -> Response:
    """A version of a workflow, the newest unless one is named."""
    row = await caller.workflow(workflow)
    versions = await caller.reader.versions(caller.tenant_no, row.id)
    wanted = versions[0].id if version is None and versions else (version or "").lower()
    found = next((each for each in versions if each.id == wanted), None)
    if found is None:
        raise NotFound("workflow version", version or "", f"the workflow {row.name} has {len(versions)} others")
    pause = (await caller.reader.pauses(caller.tenant_no)).get(row.key)
    return await answer(lambda: version_shown(caller.tenant, workflow_shown(caller.tenant, row, versions, pause), found))


@router.delete("/workflows/{workflow}", status_code=204)
async def delete_workflow(caller: Calling, workflow: str) -> Response:
    """New triggers by its name find nothing; what is queued stays (W3.8)."""
    row = await caller.workflow(workflow)
    await caller.submit(WorkflowDeleted(row.id))
    return nothing()


async def versions_of(caller: Caller, rows: Sequence[WorkflowRow]) -> list[Sequence[VersionRow]]:
    """The versions of each workflow, newest first."""
    return await side_by_side(lambda row: caller.reader.versions(caller.tenant_no, row.id), rows)


def is_wanted(row: WorkflowRow, name: str | None) -> bool:
    """Whether it exists and its name contains the text."""
    return row.deleted_at is None and (not name or name.lower() in row.name.lower())


def workflow_shown(
    tenant: TenantId, row: WorkflowRow, versions: Sequence[VersionRow], pause: PauseRow | None
) -> WorkflowShown:  # fmt: skip
    """A workflow with the graph of its newest version."""
    is_paused = pause is not None and pause.paused_at is not None
    newest = versions[0] if versions else None
    definition = definition_of(newest.definition) if newest else None
    updated_at = max(row.created_at, newest.created_at) if newest else row.created_at
    return WorkflowShown(
        metadata=ResourceMeta(id=row.id, created_at=moment(row.created_at), updated_at=moment(updated_at)),
        name=row.name,
        description=definition.description if definition else "",
        is_paused=is_paused,
        paused_workflow_cron_run_queue_behavior=PausedStart(pause.crons).name if pause and is_paused else None,
        paused_workflow_scheduled_run_queue_behavior=PausedStart(pause.schedules).name if pause and is_paused else None,
        versions=[version_brief(row, each) for each in versions],
        tags=[],
        jobs=jobs(tenant, newest) if newest else [],
        triggers=triggers_shown(tenant, newest) if newest else None,
        tenant_id=tenant,
        warnings=list(warnings_of(definition)) if definition else [],
    )


def version_brief(row: WorkflowRow, version: VersionRow) -> VersionMeta:
    """A version as it stands in its workflow's list."""
    return VersionMeta(
        metadata=version_meta(version.id, version), version=version_name(version), order=version.number, workflow_id=row.id
    )


def version_shown(tenant: TenantId, workflow: WorkflowShown, version: VersionRow) -> VersionShown:
    """A version in full."""
    definition = definition_of(version.definition)
    schema = definition.input_schema
    timeouts = {task.schedule_timeout_us for task in definition.steps}
    return VersionShown(
        metadata=version_meta(version.id, version),
        version=version_name(version),
        order=version.number,
        workflow_id=workflow.metadata.id,
        sticky=None if definition.sticky is None else STICKY_NAME[definition.sticky],
        default_priority=definition.default_priority,
        workflow=workflow,
        schedule_timeout=duration_text(max(timeouts, default=DEFAULT_SCHEDULE_TIMEOUT_US)),
        jobs=jobs(tenant, version),
        triggers=triggers_shown(tenant, version),
        concurrency=older_concurrency(definition),
        v1_concurrency=concurrency_settings(definition),
        workflow_config=orjson.Fragment(version.definition),
        input_json_schema=orjson.Fragment(schema) if schema else None,
    )


def concurrency_settings(definition: WorkflowDefinition) -> list[ConcurrencySetting]:
    """All limits whose strategy the wire has a name for; official clients refuse the whole version for any other."""
    whole = [(limit, "WORKFLOW", None) for limit in definition.concurrency]
    own = [(limit, "TASK", task.name) for task in definition.steps for limit in task.concurrency]
    return [
        ConcurrencySetting(
            max_runs=_max_runs(limit),
            limit_strategy=limit.strategy.name,
            expression=limit.expression,
            step_readable_id=step,
            scope=scope,
            name=limit.name or None,
            is_tenant_scoped=limit.is_shared,
            max_runs_expression=limit.runs_expression or None,
        )
        for limit, scope, step in [*whole, *own]
        if limit.strategy in SHOWN_STRATEGIES
    ]


def older_concurrency(definition: WorkflowDefinition) -> OlderConcurrency | None:
    """What the older shape can tell: one limit of the whole workflow."""
    first = next((limit for limit in definition.concurrency if limit.strategy in SHOWN_STRATEGIES), None)
    if first is None:
        return None
    return OlderConcurrency(
        max_runs=_max_runs(first), limit_strategy=first.strategy.name, get_concurrency_group=first.expression
    )  # fmt: skip


def _max_runs(limit: ConcurrencyLimit) -> int:
    """The wire wants a number; 0 stands for one that each run computes."""
    return 0 if limit.runs_expression else limit.max_runs


def version_name(version: VersionRow) -> str:
    """What its author called it, else its number."""
    return definition_of(version.definition).version or str(version.number)
