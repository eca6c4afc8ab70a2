"""Numbers over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from limpet.core.ids import SECOND_US
from limpet.core.rate_views import RateLimitView, RatesView
from limpet.core.rows import TaskStatus
from limpet.edges.rest import live

from .world import NOW, OTHER, TENANT, World, task

METRICS = f"/api/v1/stable/tenants/{TENANT.id}/task-metrics"
QUEUES = f"/api/v1/tenants/{TENANT.id}/step-run-queue-metrics"
STATS = f"/api/v1/tenants/{TENANT.id}/task-stats"
SINCE = {"since": "2020-01-01T00:00:00Z"}


async def counts(http: httpx.AsyncClient, **query: Any) -> dict[str, int]:
    answer = await http.get(METRICS, params={**SINCE, **query})
    assert answer.status_code == 200, answer.text
    return {each["status"]: each["count"] for each in answer.json()}


async def test_task_metrics_have_all_five_statuses_zeros_included(world: World, http: httpx.AsyncClient) -> None:
    assert await counts(http) == {"QUEUED": 0, "RUNNING": 0, "COMPLETED": 0, "CANCELLED": 0, "FAILED": 0}
    greet = await world.workflow("greet")
    for status in (TaskStatus.QUEUED, TaskStatus.BACKING_OFF, TaskStatus.ASSIGNED, TaskStatus.COMPLETED, TaskStatus.SKIPPED):
        await world.run("greet", status)
    await world.workflow("theirs", no=OTHER.no)
    await world.run("theirs", TaskStatus.FAILED, no=OTHER.no)
    assert await counts(http) == {"QUEUED": 2, "RUNNING": 1, "COMPLETED": 2, "CANCELLED": 0, "FAILED": 0}
    assert sum((await counts(http, workflow_ids=[greet.id])).values()) == 5
    assert sum((await counts(http, additional_metadata=["customer:43"])).values()) == 0
    assert sum((await counts(http, triggering_event_external_id=greet.id)).values()) == 0
    running = next(each for each in (await http.get(METRICS, params=SINCE)).json() if each["status"] == "RUNNING")
    assert running["runningDetailCount"] == {"evicted": 0, "onWorker": 1}


async def test_task_metrics_need_a_beginning(http: httpx.AsyncClient) -> None:
    assert (await http.get(METRICS)).status_code == 400


async def test_queue_metrics_count_what_waits_by_action(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report"))
    for _ in range(3):
        await world.run("greet")
    await world.run("greet", TaskStatus.RUNNING)
    await world.run("Report", TaskStatus.QUEUED, TaskStatus.BACKING_OFF)
    await world.run("Report", TaskStatus.COMPLETED, TaskStatus.QUEUED)
    assert (await http.get(QUEUES)).json() == {"queues": {"greet:greet": 3, "report:fetch": 1, "report:write": 2}}


async def test_a_long_queue_is_counted_in_full_though_few_rows_are_read(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LIVE_TASKS_READ_MAX", 2)
    monkeypatch.setattr(live, "PAGE_MAX", 2)
    await world.workflow("greet")
    for place in range(5):
        await world.run("greet", created_at=NOW - place * SECOND_US)
    stat = (await http.get(STATS)).json()["greet"]["queued"]
    assert (stat["total"], stat["queues"]) == (5, {"greet:greet": 5})
    assert stat["oldest"] == "2026-09-21T14:13:16Z"


async def test_task_statistics_tell_what_waits_and_runs_by_name(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    await world.workflow("idle")
    waiting = await world.run("greet")
    retried = await world.run("greet")
    await world.change(retried.tasks[0], retry_count=1, queued_at=waiting.tasks[0].queued_at - SECOND_US)
    await world.run("greet", TaskStatus.RUNNING)
    found = (await http.get(STATS)).json()
    assert list(found) == ["greet"]
    assert (found["greet"]["queued"]["total"], found["greet"]["running"]["total"]) == (2, 1)
    assert found["greet"]["queued"]["oldest"] < found["greet"]["queued"]["oldestExcludingRetries"]
    assert (await http.get(STATS, params={"taskNames": ["idle"]})).json() == {}


async def test_the_tenants_prometheus_text_can_be_parsed(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    await world.run("greet")
    await world.worker_joins("north")
    await world.worker_joins("silent", seen_at=None)
    samples = await scraped(http)
    assert samples["limpet_tenant_tasks", "greet", "queued"] == 1
    assert samples["limpet_tenant_workers", "ACTIVE"] == samples["limpet_tenant_workers", "INACTIVE"] == 1
    assert samples["limpet_tenant_slots", "default", "free"] == 99


async def test_rate_limits_that_code_names_are_told_by_name_and_the_others_together(
    world: World, http: httpx.AsyncClient
) -> None:
    world.rates_view = RatesView((RateLimitView("api", 10, 3, 7),), 1_000)
    samples = await scraped(http)
    assert samples["limpet_tenant_rate_limit_units", "api", "left"] == 3
    assert samples["limpet_tenant_rate_limit_units", "all", "api"] == 10
    assert {name[1]: count for name, count in samples.items() if name[0] == "limpet_tenant_rate_limit_tasks"} == {
        "api": 7,
        "": 1_000,
    }


async def scraped(http: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """The tenant's samples by name and sorted label values."""
    answer = await http.get(f"/api/v1/tenants/{TENANT.id}/prometheus-metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
