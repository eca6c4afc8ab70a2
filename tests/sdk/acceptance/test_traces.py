"""Traces of runs with the real OpenTelemetry SDK: one trace over trigger, attempts, retries and children (W9.3)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from limpet import (
    BulkPushEventWithMetadata,
    Context,
    EmptyModel,
    FailedTaskRunExceptionGroup,
    Limpet,
    OpenTelemetryConfig,
    OTelAttribute,
)
from limpet.opentelemetry.instrumentor import HatchetInstrumentor, LimpetInstrumentor

REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Seen:
    """Spans of one test."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        found = [span for span in self.exporter.get_finished_spans() if span.name == f"hatchet.{name}"]
        return sorted(found, key=lambda span: span.start_time or 0)

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())


def attributes(span: ReadableSpan) -> dict[str, object]:
    return {name.removeprefix("hatchet."): value for name, value in (span.attributes or {}).items()}


def is_below(child: ReadableSpan, parent: ReadableSpan) -> bool:
    same_trace = child.context.trace_id == parent.context.trace_id
    return same_trace and child.parent is not None and child.parent.span_id == parent.context.span_id


@pytest.fixture
def seen(limpet_client: Limpet) -> Iterator[Seen]:
    seen = Seen()
    instrumentor = LimpetInstrumentor(
        tracer_provider=seen.provider, config=limpet_client.config, enable_hatchet_otel_collector=False
    )
    instrumentor.instrument()
    yield seen
    instrumentor.uninstrument()


async def test_W9_3_a_run_its_child_and_their_attempts_are_one_trace(limpet_client: Limpet, seen: Seen) -> None:
    tracer = seen.provider.get_tracer("mine")

    @limpet_client.task()
    def child(input: EmptyModel, ctx: Context) -> None:
        with tracer.start_as_current_span("hatchet.my step"):  # in a thread, below the attempt all the same
            pass

    @limpet_client.task()
    async def parent(input: EmptyModel, ctx: Context) -> None:
        await child.aio_run()

    async with limpet_client.worker("w", workflows=[parent, child]):
        with tracer.start_as_current_span("hatchet.request"):
            ref = await parent.aio_run(wait_for_result=False, additional_metadata={"who": "me"})
        await ref.aio_result()
    (request,), (mine,) = seen.named("request"), seen.named("my step")
    asked_parent, asked_child = seen.named("run_workflow")
    ran_parent, ran_child = seen.named("start_step_run")
    chain = [request, asked_parent, ran_parent, asked_child, ran_child, mine]
    assert all(is_below(lower, upper) for upper, lower in pairwise(chain))
    assert (asked_parent.kind, ran_parent.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    told = attributes(ran_parent)
    assert told["workflow_run_id"] == ref.workflow_run_id
    assert (told["workflow_name"], told["step_name"], told["retry_count"]) == ("parent", "parent", 0)
    assert attributes(asked_parent)["additional_metadata"] == '{"who": "me"}'
    assert attributes(ran_child)["parent_workflow_run_id"] == ref.workflow_run_id


async def test_a_failed_attempt_and_its_retry_are_spans_of_their_own(limpet_client: Limpet, seen: Seen) -> None:
    @limpet_client.task(retries=1)
    async def shaky(input: EmptyModel, ctx: Context) -> None:
        if ctx.retry_count == 0:
            raise ValueError("not yet")

    async with limpet_client.worker("w", workflows=[shaky]):
        await shaky.aio_run()
    first, second = seen.named("start_step_run")
    (asked,) = seen.named("run_workflow")
    assert is_below(first, asked)
    assert is_below(second, asked)
    assert [span.status.status_code for span in (first, second)] == [StatusCode.ERROR, StatusCode.UNSET]
    assert [event.name for event in first.events] == ["exception"]
    assert [attributes(span)["retry_count"] for span in (first, second)] == [0, 1]


async def test_cancelling_is_a_span_beside_the_attempts(limpet_client: Limpet, seen: Seen) -> None:
    begun, ended = threading.Event(), threading.Event()

    @limpet_client.task()
    def endless(input: EmptyModel, ctx: Context) -> None:
        begun.set()
        while not ctx.exit_flag:
            time.sleep(0.005)
        ended.set()

    async with limpet_client.worker("w", workflows=[endless]):
        ref = await endless.aio_run(wait_for_result=False)
        assert await asyncio.to_thread(begun.wait, 20)
        await limpet_client.runs.aio_cancel(ref.workflow_run_id)
        assert await asyncio.to_thread(ended.wait, 20)
    (asked,), (ran,), (told,) = (seen.named(name) for name in ("run_workflow", "start_step_run", "cancel_step_run"))
    assert is_below(told, asked)
    assert is_below(ran, asked)
    assert told.kind is SpanKind.CONSUMER
    assert attributes(told) == {
        "instrumentor": "hatchet", "workflow_run_id": ref.workflow_run_id, "step_run_id": attributes(ran)["step_run_id"],
    }  # fmt: skip


@pytest.mark.parametrize("single", [False, True])
async def test_a_bulk_is_one_span_and_on_demand_one_for_each_run(limpet_client: Limpet, seen: Seen, single: bool) -> None:
    limpet_client.config.otel = OpenTelemetryConfig(individual_run_spans_for_bulk_run=single)

    @limpet_client.task()
    async def many(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[many]):
        await many.aio_run_many([many.create_bulk_run_item() for _ in range(3)])
    (bulk,) = seen.named("run_workflows")
    own, ran = seen.named("run_workflow"), seen.named("start_step_run")
    assert attributes(bulk)["workflow_name"] == '["many"]'
    assert len(own) == (3 if single else 0)
    assert all(is_below(span, bulk) for span in own)
    above = own if single else [bulk]
    assert len(ran) == 3
    assert all(any(is_below(span, upper) for upper in above) for span in ran)
    assert len({span.parent.span_id for span in ran if span.parent}) == len(above)


async def test_W9_3_a_traceparent_that_is_given_is_continued(limpet_client: Limpet, seen: Seen) -> None:
    @limpet_client.task()
    async def continued(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[continued]):
        await continued.aio_run(additional_metadata={"traceparent": REMOTE})
    (asked,), (ran,) = seen.named("run_workflow"), seen.named("start_step_run")
    assert trace.format_trace_id(asked.context.trace_id) == REMOTE.split("-")[1]
    assert asked.parent is not None
    assert trace.format_span_id(asked.parent.span_id) == REMOTE.split("-")[2]
    assert is_below(ran, asked)


async def test_a_scheduled_run_belongs_to_the_trace_that_planned_it(limpet_client: Limpet, seen: Seen) -> None:
    has_run = asyncio.Event()

    @limpet_client.task()
    async def planned(input: EmptyModel, ctx: Context) -> None:
        has_run.set()

    async with limpet_client.worker("w", workflows=[planned]):
        await planned.aio_schedule(datetime.now(UTC) - timedelta(seconds=1))
        await asyncio.wait_for(has_run.wait(), 10)
    (asked,), (ran,) = seen.named("schedule_workflow"), seen.named("start_step_run")
    assert is_below(ran, asked)
    assert "run_at_timestamps" in attributes(asked)


async def test_runs_of_an_event_belong_to_the_trace_that_pushed_it(limpet_client: Limpet, seen: Seen) -> None:
    runs: asyncio.Queue[str] = asyncio.Queue()

    @limpet_client.task(on_events=["order:*"])
    async def ship(input: EmptyModel, ctx: Context) -> None:
        runs.put_nowait(ctx.workflow_run_id)

    async with limpet_client.worker("w", workflows=[ship]):
        await limpet_client.event.aio_push("order:new", {"n": 1}, additional_metadata={"who": "me"})
        await limpet_client.event.aio_bulk_push([BulkPushEventWithMetadata(key=f"order:{n}", payload={}) for n in (2, 3)])
        for _ in range(3):
            await asyncio.wait_for(runs.get(), 10)
    (push,), (bulk,), ran = seen.named("push_event"), seen.named("bulk_push_event"), seen.named("start_step_run")
    assert [is_below(span, push) for span in ran] == [True, False, False]
    assert [is_below(span, bulk) for span in ran] == [False, True, True]
    told = attributes(push)
    assert (told["event_key"], told["payload"], told["additional_metadata"]) == ("order:new", '{"n": 1}', '{"who": "me"}')
    assert attributes(bulk)["event_key"] == '["order:2", "order:3"]'
    assert attributes(ran[0])["triggering_event_key"] == "order:new"


async def test_what_is_excluded_is_told_by_no_span_and_names_may_have_the_task(limpet_client: Limpet, seen: Seen) -> None:
    limpet_client.config.otel = OpenTelemetryConfig(
        excluded_attributes=[OTelAttribute.ACTION_PAYLOAD, OTelAttribute.ADDITIONAL_METADATA],
        include_task_name_in_start_step_run_span_name=True,
    )

    @limpet_client.task()
    async def secret(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[secret]):
        await secret.aio_run(EmptyModel.model_validate({"pin": 1234}), additional_metadata={"card": "1234"})
    assert len(seen.named("start_step_run.secret")) == 1
    assert "1234" not in str([attributes(span) for span in seen.all()])


async def test_without_an_instrumentor_nothing_is_traced(limpet_client: Limpet, seen: Seen) -> None:
    LimpetInstrumentor(
        tracer_provider=seen.provider, config=limpet_client.config, enable_hatchet_otel_collector=False
    ).uninstrument()

    @limpet_client.task()
    async def quiet(input: EmptyModel, ctx: Context) -> None: ...

    async with limpet_client.worker("w", workflows=[quiet]):
        await quiet.aio_run()
    assert seen.all() == []


async def test_I5_the_engine_takes_spans_and_shows_them_by_run(limpet_client: Limpet) -> None:
    provider = TracerProvider()
    instrumentor = LimpetInstrumentor(tracer_provider=provider, config=limpet_client.config)
    instrumentor.instrument()

    @limpet_client.task()
    async def shown(input: EmptyModel, ctx: Context) -> None:
        raise ValueError("broken on purpose")

    async with limpet_client.worker("w", workflows=[shown]):
        ref = await shown.aio_run(wait_for_result=False)
        with pytest.raises(FailedTaskRunExceptionGroup):
            await ref.aio_result()
    await asyncio.to_thread(instrumentor.uninstrument)  # sends what is left
    provider.shutdown()
    config = limpet_client.config
    async with httpx.AsyncClient(base_url=config.server_url, headers={"Authorization": f"Bearer {config.token}"}) as http:
        path = f"/api/v1/stable/tenants/{config.tenant_id}/traces"
        answer = await http.get(path, params={"run_external_id": ref.workflow_run_id})
        other = await http.get(path, params={"run_external_id": config.tenant_id})
    asked, ran = answer.json()["rows"]
    assert (asked["spanName"], ran["spanName"]) == ("hatchet.run_workflow", "hatchet.start_step_run")
    assert (ran["parentSpanId"], ran["statusCode"], ran["retryCount"]) == (asked["spanId"], "ERROR", 0)
    assert "broken on purpose" in ran["statusMessage"]
    assert other.json()["rows"] == []


def test_the_official_name_is_there() -> None:
    assert HatchetInstrumentor is LimpetInstrumentor


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['opentelemetry'] = None; import limpet.opentelemetry.instrumentor"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'limpet[otel]'" in said.stderr.splitlines()[-1]
