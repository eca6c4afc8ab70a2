"""Workers: lists, one by its id, pausing it, taking a label away. Told from the engine's memory, not from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.ids import SECOND_US
from limpet.core.inputs import LabelsUpserted, WorkerPaused
from limpet.core.rows import TaskStatus, WorkflowRow
from limpet.core.views import WorkerView
from limpet.edges.rest.answers import answer, moment, moment_or_none, nothing, pagination
from limpet.edges.rest.bodies import WorkerBody, body_schema, read_body
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.graph import definition_of
from limpet.edges.rest.names import OLD_TASK_NAME
from limpet.edges.rest.queries import PAGE_MAX, Limit, Names, Offset
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_workers import (
    RecentStepRun,
    RegisteredWorkflow,
    SemaphoreSlot,
    WorkerLabelShown,
    WorkerList,
    WorkerRuntime,
    WorkerShown,
    WorkerSlotConfig,
    WorkerStatusName,
)
from limpet.edges.rest.summaries import touched_at
from limpet.store.api import RunQuery, TaskRecord

SILENT_AFTER_US = 5 * SECOND_US  # shown as INACTIVE; upstream's number, the engine itself waits longer [WK-13]
RECENT_TASKS = 10  # shown of one worker
RUNNING_TASKS_MAX = 1_000  # the same of those it has now
LANGUAGES: Mapping[str, str] = {"GO": "GOLANG", "PYTHON": "PYTHON", "TYPESCRIPT": "TYPESCRIPT", "RUBY": "RUBY"}
LANGUAGE_NUMBERS: Mapping[int, str] = {1: "GO", 2: "PYTHON", 3: "TYPESCRIPT", 4: "RUBY"}  # SDKS of the gRPC wire

router: APIRouter = APIRouter(prefix="/v1")


@router.get("/tenants/{tenant}/worker", response_model=WorkerList)
async def list_workers(
    caller: Calling,
    tenant: str,
    statuses: Annotated[list[WorkerStatusName] | None, Query()] = None,
    labels: Names = None,
    limit: Limit = PAGE_MAX,
    offset: Offset = 0,
) -> Response:
    """Workers that are not forgotten, in the order they registered."""
    now = now_us(caller)
    wanted = [label_pair(text) for text in labels or ()]
    found = [
        view
        for view in caller.door.workers(caller.tenant)
        if (not statuses or status_of(view, now) in statuses) and has_labels(view, wanted)
    ]
    page = pagination(offset, limit, len(found))
    rows = found[offset : offset + limit]
    return await answer(lambda: WorkerList(pagination=page, rows=[worker_shown(view, now) for view in rows]))


@router.get("/workers/{worker}", response_model=WorkerShown)
async def get_worker(caller: Calling, worker: str) -> Response:
    """One worker, with its workflows and tasks."""
    return await whole_worker(caller, worker)


@router.patch("/workers/{worker}", response_model=WorkerShown, openapi_extra=body_schema(WorkerBody))
async def update_worker(caller: Calling, worker: str, request: Request) -> Response:
    """Pause a worker or let it work again (WK-32)."""
    body = await read_body(request, WorkerBody)
    view = view_of(caller, worker)
    if body.is_paused is not None:
        await caller.submit(WorkerPaused(view.worker_id, body.is_paused))
    return await whole_worker(caller, worker)


@router.delete("/workers/{worker}/labels/{key:path}", status_code=204)
async def remove_label(caller: Calling, worker: str, key: str) -> Response:
    """Take a label away, which gRPC cannot (LB-19)."""
    view = view_of(caller, worker)
    if key not in dict(view.labels):
        raise NotFound("label", key, f"the worker {view.name} has none of that name")
    await caller.submit(LabelsUpserted(view.worker_id, (), (key,)))
    return nothing()


def view_of(caller: Caller, worker: str) -> WorkerView:
    """The worker as it stands. Raises NotFound."""
    view = caller.door.worker(caller.tenant, worker.lower())
    if view is None:
        raise NotFound("worker", worker)
    return view


async def whole_worker(caller: Caller, worker: str) -> Response:
    """The answer about one worker."""
    view, now = view_of(caller, worker), now_us(caller)
    query = RunQuery(worker_id=view.worker_id, limit=RECENT_TASKS)
    recent, _ = await caller.reader.tasks(caller.tenant_no, query)
    live = RunQuery(worker_id=view.worker_id, statuses=(TaskStatus.ASSIGNED, TaskStatus.RUNNING), limit=RUNNING_TASKS_MAX)
    running, _ = await caller.reader.tasks(caller.tenant_no, live)
    started = caller.door.started_at(caller.tenant, [record.task.id for record in running])
    workflows = await caller.reader.workflows(caller.tenant_no)

    def build() -> WorkerShown:
        more = {
            "registered_workflows": registered(view, workflows),
            "slots": [semaphore_slot(record, started) for record in running],
            "recent_step_runs": [recent_step_run(record) for record in recent],
        }
        return worker_shown(view, now).model_copy(update=more)

    return await answer(build)


def worker_shown(view: WorkerView, now: int) -> WorkerShown:
    """A worker without its tasks."""
    seen_at = view.seen_at
    meta = ResourceMeta(
        id=view.worker_id, created_at=moment(view.registered_at), updated_at=moment(max(view.registered_at, seen_at or 0))
    )
    return WorkerShown(
        metadata=meta,
        name=view.name,
        last_heartbeat_at=moment_or_none(seen_at),
        actions=list(view.actions),
        status=status_of(view, now),
        slot_config={slot.slot_type: WorkerSlotConfig(available=slot.free, limit=slot.total) for slot in view.slots},
        labels=[WorkerLabelShown(metadata=meta, key=key, value=str(value)) for key, value in view.labels],
        runtime_info=runtime_shown(view.runtime),
    )


def status_of(view: WorkerView, now: int) -> WorkerStatusName:
    """Silent or gone comes first, then paused (WK-13)."""
    silent = view.seen_at is None or now - view.seen_at > SILENT_AFTER_US
    if silent or view.lost_at is not None or view.gone_at is not None:
        return WorkerStatusName.INACTIVE
    return WorkerStatusName.PAUSED if view.paused else WorkerStatusName.ACTIVE


def now_us(caller: Caller) -> int:
    """The facts' clock in microseconds."""
    return int(caller.facts.clock() * SECOND_US)


def label_pair(text: str) -> tuple[str, str]:
    """`key:value` or `key=value`, whichever sign comes first (LB-24)."""
    places = [place for place in (text.find(":"), text.find("=")) if place > 0]
    if not places:
        raise InvalidArgument(f"labels has {text[:64]!r}, and each entry must be written key:value")
    return text[: min(places)], text[min(places) + 1 :]


def has_labels(view: WorkerView, wanted: Sequence[tuple[str, str]]) -> bool:
    """Whether the worker has all of them; whole numbers are compared as text (LB-24)."""
    own = {key: str(value) for key, value in view.labels}
    return all(own.get(key) == value for key, value in wanted)


def registered(view: WorkerView, workflows: Sequence[WorkflowRow]) -> list[RegisteredWorkflow]:
    """Workflows of which the worker offers an action; an action is named after its workflow (W1.3)."""
    services = {action.partition(":")[0] for action in view.actions}
    return [
        RegisteredWorkflow(id=row.id, name=row.name)
        for row in workflows
        if row.deleted_at is None and row.name.lower() in services
    ]


def runtime_shown(text: bytes) -> WorkerRuntime | None:
    """What the client said about itself; an unknown language stays unnamed, since the enum is closed."""
    said: dict[str, Any] = orjson.loads(text or b"{}")
    if not said:
        return None
    language = said.get("language")
    name = LANGUAGE_NUMBERS.get(language, "") if isinstance(language, int) else str(language or "")
    return WorkerRuntime(
        sdk_version=text_or_none(said.get("sdk_version")),
        language=LANGUAGES.get(name.upper()),
        language_version=text_or_none(said.get("language_version")),
        os=text_or_none(said.get("os")),
        runtime_extra=text_or_none(said.get("extra", said.get("runtime_extra"))),
    )


def text_or_none(value: object) -> str | None:
    """A text for the wire; nothing stays nothing."""
    return None if value is None or value == "" else str(value)


def semaphore_slot(record: TaskRecord, started: Mapping[str, int]) -> SemaphoreSlot:
    """A task that the worker has now."""
    task = record.task
    return SemaphoreSlot(
        step_run_id=task.id,
        action_id=definition_of(record.version.definition).steps[task.step].action_id,
        started_at=moment_or_none(task.started_at or started.get(task.id)),
        timeout_at=moment_or_none(task.execution_deadline),
        workflow_run_id=record.run.id,
        status=OLD_TASK_NAME[task.status],
    )


def recent_step_run(record: TaskRecord) -> RecentStepRun:
    """A task that the worker had last."""
    task = record.task
    return RecentStepRun(
        metadata=ResourceMeta(
            id=task.id, created_at=moment(task.created_at), updated_at=moment(touched_at(task, task.started_at))
        ),
        action_id=definition_of(record.version.definition).steps[task.step].action_id,
        status=OLD_TASK_NAME[task.status],
        started_at=moment_or_none(task.started_at),
        finished_at=moment_or_none(task.finished_at),
        cancelled_at=moment_or_none(task.finished_at) if task.status == TaskStatus.CANCELLED else None,
        workflow_run_id=record.run.id,
    )
