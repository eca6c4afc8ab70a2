"""Tasks: one by its id, its timeline, its logs, why it waits; cancelling and replaying many."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, cast

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from limpet.core.errors import InvalidArgument
from limpet.core.ids import SECOND_US
from limpet.core.inputs import CancelRequested, Input, ReplayRequested
from limpet.edges.rest.answers import answer, instant, moment, pagination
from limpet.edges.rest.attempts import checked_attempt, in_attempt
from limpet.edges.rest.awaited import awaited_by
from limpet.edges.rest.bodies import TaskFilter, TasksBody, body_schema, read_body
from limpet.edges.rest.caller import Caller, Calling, checked_ids
from limpet.edges.rest.payloads import Shown
from limpet.edges.rest.queries import PAGE_MAX, Names, filter_query
from limpet.edges.rest.schemas import (
    ExplanationShown,
    LogLevel,
    LogLineList,
    LogLineShown,
    LogOrder,
    TaskEventList,
    TaskIds,
    TaskSummary,
    VerdictShown,
)
from limpet.edges.rest.summaries import background, frame_of, task_summary
from limpet.edges.rest.timeline import Told, merged, timeline, worker_keys
from limpet.store.api import LogLine, LogQuery, TaskRecord

LOG_LINES_MAX = 10_000  # of one answer; lines have up to 10,000 characters [X15]
CANCELS_BY_FILTER_MAX = 20_000  # runs that one call reaches; repeat it for more [W12.8]
REPLAYS_BY_FILTER_MAX = 1_000  # the same for replays [W12.8]
LEVEL_NAMES = frozenset(LogLevel)

router: APIRouter = APIRouter(prefix="/v1/stable")


@router.get("/tasks/{task}", response_model=TaskSummary)
async def get_task(caller: Calling, task: str, attempt: int | None = None) -> Response:
    """One task, now or in an earlier attempt."""
    record = await caller.task(task)
    known = await background(caller, [Shown(record.run, [record.task])])
    known = replace(known, awaited=await awaited_by(caller, [record.task]))
    retry_count = record.task.retry_count if attempt is None else checked_attempt(record.task, attempt)
    if retry_count == record.task.retry_count:
        return await answer(lambda: task_summary(frame_of(record), record.task, known))
    rows = await caller.reader.events(caller.tenant_no, [record.task])
    return await answer(lambda: in_attempt(task_summary(frame_of(record), record.task, known), rows, retry_count))


@router.get("/tasks/{task}/task-events", response_model=TaskEventList)
async def get_task_events(caller: Calling, task: str) -> Response:
    """A task's timeline."""
    record = await caller.task(task)
    known = await background(caller, [Shown(record.run, [record.task])], include_payloads=False)
    rows = await caller.reader.events(caller.tenant_no, [record.task])
    keys = worker_keys([record.task], rows)
    workers = await caller.reader.workers_by_key(caller.tenant_no, keys) if keys else {}

    def build() -> TaskEventList:
        told = Told(record.task, frame_of(record).task_name(record.task), known.payloads.error(record.task), workers)
        events = merged([(told, timeline(record.task, rows, known.started.get(record.task.id)))])
        return TaskEventList(pagination=pagination(0, max(1, len(events)), len(events)), rows=events)

    return await answer(build)


@router.get("/tasks/{task}/explain", response_model=ExplanationShown)
async def explain_task(caller: Calling, task: str) -> Response:
    """Why a task waits, or where it is."""
    record = await caller.task(task)
    found = await caller.door.explain(caller.tenant, record.task.id)
    fields = {name: getattr(found, name) for name in found.__slots__}
    verdicts = [VerdictShown(**{name: getattr(each, name) for name in each.__slots__}) for each in found.verdicts]
    return await answer(lambda: ExplanationShown(**{**fields, "verdicts": verdicts, "unblock": list(found.unblock)}))


@router.get("/tasks/{task}/logs", response_model=LogLineList)
async def get_task_logs(
    caller: Calling,
    task: str,
    limit: Annotated[int, Query(ge=1, le=LOG_LINES_MAX)] = PAGE_MAX,
    since: datetime | None = None,
    until: datetime | None = None,
    search: str | None = None,
    levels: Names = None,
    order_by_direction: LogOrder = LogOrder.ASC,
    attempt: int | None = None,
) -> Response:
    """What a task wrote; oldest first unless asked otherwise."""
    record = await caller.task(task)
    query = LogQuery(
        task_run_id=record.task.id,
        since=None if since is None else instant(since),
        until=None if until is None else instant(until),
        levels=levels or None,
        search=search or None,
        retry_count=None if attempt is None else attempt - 1,
        newest_first=order_by_direction is LogOrder.DESC,
        limit=limit,
    )
    lines = await caller.reader.log_lines(caller.tenant_no, query)
    name = frame_of(record).task_name(record.task)
    return await answer(
        lambda: LogLineList(pagination=pagination(0, limit, None), rows=[log_line(record, line, name) for line in lines])
    )


@router.post("/tenants/{tenant}/tasks/cancel", response_model=TaskIds, openapi_extra=body_schema(TasksBody))
async def cancel_tasks(caller: Calling, tenant: str, request: Request) -> Response:
    """Cancel runs or tasks by id, or all runs that match a filter."""
    body = await read_body(request, TasksBody)
    return await taken_on(caller, body, CancelRequested, CANCELS_BY_FILTER_MAX)


@router.post("/tenants/{tenant}/tasks/replay", response_model=TaskIds, openapi_extra=body_schema(TasksBody))
async def replay_tasks(caller: Calling, tenant: str, request: Request) -> Response:
    """Do runs or tasks again, by id or by filter."""
    body = await read_body(request, TasksBody)
    return await taken_on(caller, body, ReplayRequested, REPLAYS_BY_FILTER_MAX)


async def taken_on(caller: Caller, body: TasksBody, kind: type[CancelRequested] | type[ReplayRequested], most: int) -> Response:
    """Hand in the ids of a bulk call; answers which task runs were taken on (W12.10)."""
    if (body.external_ids is None) == (body.filter is None):
        raise InvalidArgument("the call needs either externalIds or filter, not both and not none")
    bulk_max = caller.facts.settings.bulk_items_max
    if body.filter is None:
        ids: tuple[str, ...] = checked_ids(body.external_ids or [], "externalIds", bulk_max)
    else:
        ids = await matching_runs(caller, body.filter, most)
    taken: list[str] = []
    for start in range(0, len(ids), bulk_max):
        item: Input = kind(ids[start : start + bulk_max])
        taken.extend(cast("tuple[str, ...]", await caller.submit(item)))
    return await answer(lambda: TaskIds(ids=taken))


async def matching_runs(caller: Caller, wanted: TaskFilter, most: int) -> tuple[str, ...]:
    """Ids of the newest runs that match, up to `most`. Runs made meanwhile are not among them."""
    now = int(caller.facts.clock() * SECOND_US)
    found: dict[str, None] = {}
    for offset in range(0, most, PAGE_MAX):
        page, _ = await caller.reader.runs(caller.tenant_no, filter_query(wanted, PAGE_MAX, offset, now))
        found.update(dict.fromkeys(record.run.id for record in page))
        if len(page) < PAGE_MAX:
            break
    return tuple(found)[:most]


def log_line(record: TaskRecord, line: LogLine, name: str) -> LogLineShown:
    """A line for the wire; a level that it has no name for is left out."""
    return LogLineShown(
        created_at=moment(line.at),
        message=line.message,
        metadata=log_metadata(line.metadata),
        task_external_id=record.task.id,
        task_display_name=name,
        retry_count=line.retry_count,
        attempt=line.retry_count + 1,
        level=LogLevel(line.level) if line.level in LEVEL_NAMES else None,
    )


def log_metadata(text: str) -> orjson.Fragment:
    """The metadata as an object; workers send any text there, and what is no JSON object is kept under `value`."""
    try:
        parsed = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return orjson.Fragment(orjson.dumps({"value": text}))
    data = (text or "{}").encode()  # as it came: what nests deeply can be read, and not be written anew
    return orjson.Fragment(data if isinstance(parsed, dict) else b'{"value":' + data + b"}")
