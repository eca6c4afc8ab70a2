"""Runs looked at while they happen and done again in bulk, with the official client: details, filters, streams, logs."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hatchet_sdk import BulkCancelReplayOpts, Hatchet, RunFilter
from hatchet_sdk.clients.admin import WorkflowRunDetail
from hatchet_sdk.clients.rest.models.otel_span_list import OtelSpanList
from hatchet_sdk.clients.rest.models.v1_task_status import V1TaskStatus
from hatchet_sdk.clients.rest.models.v1_task_summary import V1TaskSummary
from hatchet_sdk.opentelemetry.instrumentor import HatchetInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import EngineProcess, wait_for
from tests.compatibility.programs.observed import CHUNKS, LINES, Gate, Odd, build_observed, gate_file

pytestmark = pytest.mark.compat

REPLAYED = 200
SINCE = datetime.now(UTC) - timedelta(hours=1)


worker = worker_for_all("observed", {"slots": 100, "program": "observed", "traced": True})


@pytest.fixture
def found(engine: EngineProcess, hatchet: Hatchet, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("JOURNAL", engine.client_environment()["JOURNAL"])
    return build_observed(hatchet)


async def until(what: str, holds: Any) -> Any:
    return await asyncio.to_thread(wait_for, what, holds)


def details_when(hatchet: Hatchet, run_id: str, **statuses: str) -> Any:
    """A condition: the details, once these tasks have these statuses."""

    def look() -> WorkflowRunDetail | None:
        details = hatchet.runs.get_details(run_id)
        known = {name: task.status.name for name, task in details.task_runs.items()}
        return details if all(known.get(name) == status for name, status in statuses.items()) else None

    return look


async def test_A92_A93_details_of_a_mixed_run_early_and_at_its_end(hatchet: Hatchet, found: dict[str, Any]) -> None:
    ref = await found["Mixed"].aio_run(Gate(gate="mixed"), wait_for_result=False)
    ended = {"second": "COMPLETED", "fails": "FAILED", "gives_up": "CANCELLED"}
    early = await until("the early tasks", details_when(hatchet, ref.workflow_run_id, first="RUNNING", **ended))
    assert (early.status.name, early.done) == ("RUNNING", False)
    assert (early.input or {}).get("input", early.input) == {"gate": "mixed"}
    assert set(early.task_runs) == {"first", *ended}
    gate_file("mixed").touch()
    all_ended = {**ended, "first": "COMPLETED", "third": "COMPLETED", "fourth": "COMPLETED"}
    late = await until("the end", details_when(hatchet, ref.workflow_run_id, **all_ended))
    late = await until("done", lambda: (now := hatchet.runs.get_details(ref.workflow_run_id)).done and now)
    assert late.status.name == "FAILED"
    assert {name: task.status.name for name, task in late.task_runs.items()} == all_ended
    assert {name for name, task in late.task_runs.items() if task.error} == {"fails"}
    assert {name for name, task in late.task_runs.items() if task.output} == {"first", "second", "third", "fourth"}


async def test_A94_a_run_reads_running_between_two_of_its_tasks(hatchet: Hatchet, found: dict[str, Any]) -> None:
    ref = await found["Unplaced"].aio_run(wait_for_result=False)
    details = await until("the gap", details_when(hatchet, ref.workflow_run_id, ends="COMPLETED"))
    assert (details.status.name, details.done) == ("RUNNING", False)
    await hatchet.runs.aio_cancel(ref.workflow_run_id)


async def test_A90_W12_9_a_bulk_replay_by_filter_completes_what_failed(hatchet: Hatchet, found: dict[str, Any]) -> None:
    workflows = [found[f"replayed{number}"] for number in range(3)]
    mark = {"batch": "A90"}
    for workflow in workflows:
        count = REPLAYED // len(workflows) + 1
        items = [workflow.create_bulk_run_item(additional_metadata=mark) for _ in range(count)]
        await workflow.aio_run_many(items, return_exceptions=True)
    before = await runs_of(hatchet, mark)
    assert Counter(row.status for row in before) == {V1TaskStatus.FAILED: len(before)}
    wanted = RunFilter(
        since=SINCE,
        statuses=[V1TaskStatus.FAILED],
        workflow_ids=[workflow.id for workflow in workflows],
        additional_metadata=mark,
    )
    await hatchet.runs.aio_bulk_replay(BulkCancelReplayOpts(filters=wanted))

    def completed() -> bool:
        page = hatchet.runs.list(
            since=SINCE, additional_metadata=mark, statuses=[V1TaskStatus.COMPLETED], only_tasks=True, limit=1_000
        )
        return len(page.rows) == len(before)

    await until("all completed", completed)
    after = await runs_of(hatchet, mark)
    assert {row.metadata.id for row in after} == {row.metadata.id for row in before}
    assert all((row.retry_count or 0) >= 1 and (row.attempt or 0) >= 2 for row in after)


async def runs_of(hatchet: Hatchet, mark: dict[str, str]) -> list[V1TaskSummary]:
    page = await hatchet.runs.aio_list(since=SINCE, additional_metadata=mark, only_tasks=True, limit=1_000)
    assert len(page.rows) >= REPLAYED
    return list(page.rows)


def test_A91_ids_and_a_filter_together_are_refused(engine: EngineProcess, hatchet: Hatchet) -> None:
    with pytest.raises(ValueError):
        BulkCancelReplayOpts(ids=["a"], filters=RunFilter(since=SINCE))
    url = f"{hatchet.config.server_url}/api/v1/stable/tenants/{hatchet.config.tenant_id}/tasks/cancel"
    body = {"externalIds": [hatchet.config.tenant_id], "filter": {"since": SINCE.isoformat()}}
    answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {hatchet.config.token}"})
    assert answer.status_code == 400
    assert "either" in answer.json()["errors"][0]["description"]


async def test_W12_8_a_bulk_cancel_by_filter_reaches_what_waits_and_what_runs(hatchet: Hatchet, found: dict[str, Any]) -> None:
    mark = {"batch": "W12"}
    refs = [
        *[await found["Unplaced"].aio_run(wait_for_result=False, additional_metadata=mark) for _ in range(3)],
        *[await found["Mixed"].aio_run(Gate(gate="never"), wait_for_result=False, additional_metadata=mark) for _ in range(2)],
    ]
    other = await found["Unplaced"].aio_run(wait_for_result=False)
    await hatchet.runs.aio_bulk_cancel_by_filters_with_pagination(sleep_time=0, since=SINCE, additional_metadata=mark)
    gate_file("never").touch()
    for ref in refs:
        status = await hatchet.runs.aio_get_status(ref.workflow_run_id)
        assert status in (V1TaskStatus.CANCELLED, V1TaskStatus.FAILED)  # one task of `Mixed` fails by itself
    assert await hatchet.runs.aio_get_status(other.workflow_run_id) in (V1TaskStatus.QUEUED, V1TaskStatus.RUNNING)
    await hatchet.runs.aio_cancel(other.workflow_run_id)


async def test_A52_W8_5_failures_stand_in_the_list_when_asked_for(found: dict[str, Any]) -> None:
    odd = found["odd"]
    items = [odd.create_bulk_run_item(Odd(n=n)) for n in range(10)]
    results = await odd.aio_run_many(items, return_exceptions=True)
    assert results[1::2] == [Odd(n=n) for n in range(1, 10, 2)]
    assert [f"{n} is even" in str(results[n]) for n in range(0, 10, 2)] == [True] * 5
    with pytest.raises(Exception, match="is even"):
        await odd.aio_run_many(items)


async def test_A95_chunks_arrive_complete_and_in_order_and_the_stream_ends(hatchet: Hatchet, found: dict[str, Any]) -> None:
    ref = await found["streams"].aio_run(Gate(gate="streams"), wait_for_result=False)
    chunks = []
    async with asyncio.timeout(30):
        async for chunk in hatchet.runs.subscribe_to_stream(ref.workflow_run_id):
            gate_file("streams").touch()
            chunks.append(chunk)
    assert [chunk for chunk in chunks if chunk != "?"] == CHUNKS


async def test_A96_log_lines_of_a_sync_task_come_with_level_and_retry_count(hatchet: Hatchet, found: dict[str, Any]) -> None:
    output = await found["logs"].aio_run()

    def lines() -> Any:
        rows = hatchet.logs.list(output["task"]).rows or []
        return rows if len(rows) == LINES else None

    rows = await until("the lines", lines)  # they travel beside the task's end
    assert [row.message for row in rows] == [f"line {number}" for number in range(LINES)]
    assert {getattr(row.level, "value", row.level) for row in rows} == {"INFO"}
    assert [row.retry_count for row in rows] == [0] * (LINES // 2) + [1] * (LINES // 2)


async def test_A118_a_stub_of_a_task_that_lives_elsewhere_gives_the_typed_result(hatchet: Hatchet) -> None:
    stub = hatchet.stubs.task(name="odd", input_validator=Odd, output_validator=Odd)
    assert await stub.aio_run(Odd(n=21)) == Odd(n=21)


async def test_W13_9_lists_filter_by_status_workflow_parent_and_metadata(hatchet: Hatchet, found: dict[str, Any]) -> None:
    odd = found["odd"]
    items = [odd.create_bulk_run_item(Odd(n=n), additional_metadata={"batch": "W13", "n": str(n)}) for n in range(4)]
    await odd.aio_run_many(items, return_exceptions=True)
    everything = await hatchet.runs.aio_list(since=SINCE, additional_metadata={"batch": "W13"})
    assert len(everything.rows) == 4
    failed = await hatchet.runs.aio_list(
        since=SINCE, workflow_ids=[odd.id], statuses=[V1TaskStatus.FAILED], additional_metadata={"batch": "W13"}
    )
    assert sorted((row.additional_metadata or {})["n"] for row in failed.rows) == ["0", "2"]
    page = await hatchet.runs.aio_list(since=SINCE, additional_metadata={"batch": "W13"}, limit=3, offset=2)
    assert [row.metadata.id for row in page.rows] == [row.metadata.id for row in everything.rows[2:]]


async def test_I5_spans_of_the_official_instrumentor_are_taken_and_shown_by_run(
    hatchet: Hatchet, found: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    instrumentor = HatchetInstrumentor(tracer_provider=provider, config=hatchet.config)
    instrumentor.instrument()
    try:
        ref = await found["odd"].aio_run(Odd(n=1), wait_for_result=False)
        await ref.aio_result()
        assert provider.force_flush()
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
    assert "export" not in caplog.text.lower()
    answer = await until("the spans of client and worker", lambda: spans_of(hatchet, ref.workflow_run_id))
    asked, ran = OtelSpanList.from_dict(answer).rows
    assert (asked.span_name, ran.span_name) == ("hatchet.run_workflow", "hatchet.start_step_run")
    assert (asked.span_kind.value, ran.span_kind.value, ran.parent_span_id) == ("PRODUCER", "CONSUMER", asked.span_id)
    assert (ran.span_attributes or {})["hatchet.workflow_run_id"] == ref.workflow_run_id


def spans_of(hatchet: Hatchet, run_id: str) -> Any:
    """The answer, once it has the spans of both processes."""
    url = f"{hatchet.config.server_url}/api/v1/stable/tenants/{hatchet.config.tenant_id}/traces"
    headers = {"Authorization": f"Bearer {hatchet.config.token}"}
    answer = httpx.get(url, params={"run_external_id": run_id}, headers=headers).json()
    return answer if len(answer["rows"]) == 2 else None
