"""Numbers about a tenant: tasks by status, queues, statistics by task, and all of it as Prometheus text."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from limpet.core.rate_views import RatesView
from limpet.core.views import WorkerView
from limpet.edges.rest.answers import answer, instant, moment_or_none
from limpet.edges.rest.caller import Calling
from limpet.edges.rest.live import Live, Tally, live_tasks
from limpet.edges.rest.names import TASK_NAME
from limpet.edges.rest.queries import Names, lowered, lowered_id, metadata_pairs
from limpet.edges.rest.schemas import QueueMetrics, RunningDetail, StatusCount, TaskStat, TaskStatusName, TaskStatusStat
from limpet.edges.rest.workers import now_us, status_of
from limpet.store.api import RunQuery

router: APIRouter = APIRouter(prefix="/v1")


@router.get("/stable/tenants/{tenant}/task-metrics", response_model=list[StatusCount])
async def task_metrics(
    caller: Calling,
    tenant: str,
    since: datetime,
    until: datetime | None = None,
    workflow_ids: Names = None,
    parent_task_external_id: str | None = None,
    triggering_event_external_id: str | None = None,
    additional_metadata: Names = None,
) -> Response:
    """Tasks by status; each of the five is there, also with zero."""
    query = RunQuery(
        since=instant(since),
        until=None if until is None else instant(until),
        workflow_ids=lowered(workflow_ids),
        parent_task_id=lowered_id(parent_task_external_id),
        event_id=lowered_id(triggering_event_external_id),
        metadata=metadata_pairs(additional_metadata or ()),
    )
    counts = await caller.reader.status_counts(caller.tenant_no, query)
    return await answer(lambda: status_counts(counts))


@router.get("/tenants/{tenant}/step-run-queue-metrics", response_model=QueueMetrics)
async def queue_metrics(caller: Calling, tenant: str) -> Response:
    """Waiting tasks by queue."""
    live = await live_tasks(caller)
    queues: Counter[str] = Counter()
    for tally in live.waiting.values():
        queues.update(tally.queues)
    return await answer(lambda: QueueMetrics(queues=dict(queues)))


@router.get("/tenants/{tenant}/task-stats", response_model=dict[str, TaskStat])
async def task_stats(caller: Calling, tenant: str, taskNames: Names = None) -> Response:  # noqa: N803 (a wire name)
    """Waiting and running tasks by task name."""
    live = await live_tasks(caller)
    names = [name for name in sorted({*live.waiting, *live.working}) if not taskNames or name in taskNames]
    return await answer(lambda: {name: task_stat(live, name) for name in names})


@router.get("/tenants/{tenant}/prometheus-metrics", response_class=Response)
async def prometheus_metrics(caller: Calling, tenant: str) -> Response:
    """The tenant's numbers as Prometheus text."""
    live, views, now = await live_tasks(caller), caller.door.workers(caller.tenant), now_us(caller)
    rates = caller.door.rates(caller.tenant)
    text = await asyncio.to_thread(lambda: generate_latest(tenant_registry(live, views, rates, now)))
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


def status_counts(counts: Mapping[int, int]) -> list[StatusCount]:
    """One entry for each status of the wire."""
    totals: Counter[TaskStatusName] = Counter()
    for status, count in counts.items():
        totals[TASK_NAME[status]] += count
    return [
        StatusCount(
            status=name,
            count=totals[name],
            running_detail_count=RunningDetail(evicted=0, on_worker=totals[name]) if name is TaskStatusName.RUNNING else None,
        )
        for name in TaskStatusName
    ]


def task_stat(live: Live, name: str) -> TaskStat:
    """What there is of one task's name."""
    return TaskStat(queued=stat_of(live.waiting.get(name)), running=stat_of(live.working.get(name)))


def stat_of(tally: Tally | None) -> TaskStatusStat | None:
    """A tally for the wire; nothing when there is none."""
    if tally is None:
        return None
    return TaskStatusStat(
        total=tally.total,
        queues=dict(tally.queues),
        oldest=moment_or_none(tally.oldest),
        oldest_excluding_retries=moment_or_none(tally.oldest_first_try),
    )


def tenant_registry(live: Live, views: Sequence[WorkerView], rates: RatesView, now: int) -> CollectorRegistry:
    """Gauges of one tenant, made for one answer."""
    registry = CollectorRegistry()
    tasks = Gauge("limpet_tenant_tasks", "Tasks that wait or run.", ["task", "state"], registry=registry)
    for state, tallies in (("queued", live.waiting), ("running", live.working)):
        for name, tally in tallies.items():
            tasks.labels(name, state).set(tally.total)
    workers = Gauge("limpet_tenant_workers", "Workers by status.", ["status"], registry=registry)
    slots = Gauge("limpet_tenant_slots", "Slots of active workers.", ["slot_type", "state"], registry=registry)
    for view in views:
        count_worker(view, status_of(view, now), workers, slots)
    show_rates(rates, registry)
    return registry


def show_rates(rates: RatesView, registry: CollectorRegistry) -> None:
    """Limits that code names, by name; an empty name stands for all others together, whose number no code bounds."""
    units = Gauge("limpet_tenant_rate_limit_units", "Units of rate limits.", ["rate_limit", "state"], registry=registry)
    tasks = Gauge("limpet_tenant_rate_limit_tasks", "Tasks that wait for units.", ["rate_limit"], registry=registry)
    for limit in rates.limits:
        units.labels(limit.name, "left").set(limit.left)
        units.labels(limit.name, "all").set(limit.limit)
        tasks.labels(limit.name).set(limit.waiting)
    tasks.labels("").set(rates.others_waiting)


def count_worker(view: WorkerView, status: str, workers: Gauge, slots: Gauge) -> None:
    """Add one worker to the gauges."""
    workers.labels(status).inc()
    for slot in view.slots if status == "ACTIVE" else ():
        slots.labels(slot.slot_type, "free").inc(slot.free)
        slots.labels(slot.slot_type, "used").inc(slot.total - slot.free)
