"""Starting runs: options, metadata, children, stickiness, bulk, request ids, repeats, results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from limpet import (
    ClientConfig,
    Context,
    DedupeViolationError,
    DesiredWorkerLabel,
    EmptyModel,
    FailedTaskRunExceptionGroup,
    Limpet,
    StickyStrategy,
    TriggerWorkflowOptions,
    WorkerLabelComparator,
)
from limpet.contracts import admin_pb2, dispatcher_pb2, trigger_pb2
from limpet.sdk.attempt import Attempt, AttemptKey, Payload
from limpet.sdk.mock_context import MockWorker, NoEngine
from limpet.sdk.run_variables import ctx_action_key, ctx_hatchet_context, forget_children
from limpet.sdk.triggers import BULK_ITEMS_MAX, bulk_chunks
from tests.sdk.scripted_engine import RUN_ID, ScriptedEngine, aborting


@contextmanager
def inside_a_task(action_ids: frozenset[str] = frozenset(), metadata: dict[str, Any] | None = None) -> Iterator[Context]:
    """As if the code below ran in a task of worker "here"."""
    key = AttemptKey("parent-task", 0)
    attempt = Attempt(key, "p:p", "parent-run", Payload(), additional_metadata=metadata or {})
    worker = MockWorker(worker_id="here", action_ids=action_ids)
    context = Context(attempt, calls=NoEngine(), worker=worker, task_name="p", workflow_name="p", max_attempts=1)
    tokens = ctx_hatchet_context.set(context), ctx_action_key.set(str(key))
    try:
        yield context
    finally:
        ctx_hatchet_context.reset(tokens[0])
        ctx_action_key.reset(tokens[1])
        forget_children(str(key))


async def triggered(scripted: ScriptedEngine) -> trigger_pb2.TriggerWorkflowRequest:
    [request] = await scripted.called("TriggerWorkflow")
    return request


async def test_the_seeds_options_reach_the_engine(client: Limpet, scripted: ScriptedEngine) -> None:
    @client.task(name="t", default_priority=3)
    def t(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {}

    label = DesiredWorkerLabel(value="foo", required=True, comparator=WorkerLabelComparator.NOT_EQUAL, weight=5)
    options = TriggerWorkflowOptions(priority=3, desired_worker_label={"affinity": label})
    with pytest.warns(DeprecationWarning, match="older spelling"):
        ref = await t.aio_run_no_wait(EmptyModel(a=1), options=options)  # type: ignore[call-arg]
    request = await triggered(scripted)
    assert ref.workflow_run_id == RUN_ID
    assert (request.name, json.loads(request.input), request.priority) == ("t", {"a": 1}, 3)
    wire = request.desired_worker_labels["affinity"]
    assert (wire.str_value, wire.required, wire.comparator, wire.weight) == ("foo", True, 1, 5)
    assert not request.HasField("parent_id")
    assert not request.HasField("desired_worker_id")


async def test_W10_a_trigger_inside_a_task_makes_a_child(client: Limpet, scripted: ScriptedEngine) -> None:
    child = client.workflow(name="child", default_additional_metadata={"a": "workflow", "b": "workflow"})
    inherited = {"a": "parent", "c": "parent", "hatchet__x": "engine"}
    with inside_a_task(metadata=inherited):
        await child.aio_run(additional_metadata={"b": "call"}, wait_for_result=False)
        await child.aio_run(child_key="k", wait_for_result=False)
        with pytest.warns(UserWarning, match="no sticky strategy"):
            await client.workflow(name="other").aio_run(desired_worker_id="elsewhere", wait_for_result=False)
    first, second, third = scripted.requests("TriggerWorkflow")
    assert (first.parent_id, first.parent_task_run_external_id) == ("parent-run", "parent-task")
    assert [request.child_index for request in (first, second, third)] == [0, 1, 2]
    assert (second.child_key, third.desired_worker_id) == ("k", "elsewhere")
    assert json.loads(first.additional_metadata) == {"a": "workflow", "b": "call", "c": "parent"}


async def test_ST34_a_sticky_child_asks_for_its_parents_worker(client: Limpet, scripted: ScriptedEngine) -> None:
    child = client.workflow(name="Child", sticky=StickyStrategy.SOFT)
    child.task(name="a")(lambda input, ctx: None)
    with inside_a_task(frozenset({"child:a"})):
        await child.aio_run(sticky=True, wait_for_result=False)
        await child.aio_run(options=TriggerWorkflowOptions(sticky=True), wait_for_result=False)
        await child.aio_run(sticky=True, desired_worker_id="explicit", wait_for_result=False)
        await client.stubs.workflow(name="Child").aio_run(sticky=True, wait_for_result=False)
    ids = [request.desired_worker_id for request in scripted.requests("TriggerWorkflow")]
    assert ids == ["here", "here", "explicit", "here"]


async def test_ST38_a_sticky_child_that_cannot_follow_is_refused(client: Limpet, scripted: ScriptedEngine) -> None:
    sticky = client.workflow(name="sticky", sticky=StickyStrategy.HARD)
    sticky.task(name="a")(lambda input, ctx: None)
    plain = client.workflow(name="plain")
    plain.task(name="a")(lambda input, ctx: None)
    with inside_a_task(frozenset({"plain:a", "sticky:other"})):
        with pytest.raises(ValueError, match="declares no sticky strategy"):
            await plain.aio_run(sticky=True)
        with pytest.raises(ValueError, match="not registered on this worker"):
            await sticky.aio_run(sticky=True)
        with pytest.raises(ValueError, match="not registered on this worker"):
            await client.stubs.workflow(name="gone").aio_run(sticky=True)
        good, bad = sticky.create_bulk_run_item(), sticky.create_bulk_run_item(sticky=True)
        with pytest.raises(ValueError, match="not registered on this worker"):
            await sticky.aio_run_many([good, bad])
    with pytest.warns(UserWarning, match="outside a task"):
        await sticky.aio_run(sticky=True, wait_for_result=False)
    [sent] = scripted.requests("TriggerWorkflow")
    assert not sent.HasField("desired_worker_id")
    assert not scripted.requests("BulkTriggerWorkflow")


@pytest.mark.parametrize("is_async", [True, False])
async def test_P4_a_repeated_trigger_keeps_its_request_id(client: Limpet, scripted: ScriptedEngine, is_async: bool) -> None:
    workflow = client.workflow(name="w")
    scripted.answers["TriggerWorkflow"] = aborting(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    if is_async:
        await workflow.aio_run(wait_for_result=False)
        await workflow.aio_run(wait_for_result=False)
    else:
        await asyncio.to_thread(workflow.run, wait_for_result=False)
        await asyncio.to_thread(workflow.run, wait_for_result=False)
    ids = [call.metadata["limpet-request-id"] for call in scripted.calls]
    assert len(ids) == 4
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]


@pytest.mark.parametrize("is_async", [True, False])
async def test_I5_a_repeated_schedule_keeps_its_request_id(client: Limpet, scripted: ScriptedEngine, is_async: bool) -> None:
    workflow, at = client.workflow(name="w"), datetime.now(UTC)
    scripted.answers["ScheduleWorkflow"] = aborting(grpc.StatusCode.UNAVAILABLE)
    for _ in range(2):
        await (workflow.aio_schedule(at) if is_async else asyncio.to_thread(workflow.schedule, at))
    ids = [call.metadata["limpet-request-id"] for call in scripted.calls]
    assert len(ids) == 3
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
async def test_W18_6_a_call_that_would_fail_again_is_not_repeated(
    client: Limpet, scripted: ScriptedEngine, code: grpc.StatusCode
) -> None:
    scripted.answers["TriggerWorkflow"] = aborting(code)
    with pytest.raises(grpc.RpcError):
        await client.workflow(name="w").aio_run()
    assert len(scripted.calls) == 1


async def test_W10_10_a_run_that_exists_is_a_dedupe_violation(client: Limpet, scripted: ScriptedEngine) -> None:
    scripted.answers["TriggerWorkflow"] = aborting(grpc.StatusCode.ALREADY_EXISTS)
    with pytest.raises(DedupeViolationError, match="scripted failure"):
        await client.workflow(name="w").aio_run()


async def test_the_token_travels_with_every_call(scripted: ScriptedEngine) -> None:
    claims = "eyJhbGciOiJub25lIn0.eyJzdWIiOiI3MDdkMDg1NS04MGFiLTRlMWYtYTE1Ni1mMWM0NTQ2Y2JmNTIifQ.x"
    client = Limpet(config=scripted.config.model_copy(update={"token": claims}))
    await client.workflow(name="w").aio_run(wait_for_result=False)
    assert scripted.calls[0].metadata["authorization"] == f"bearer {claims}"


def test_W8_4_a_bulk_is_cut_by_count_and_by_size() -> None:
    small = [trigger_pb2.TriggerWorkflowRequest(name=str(n)) for n in range(BULK_ITEMS_MAX + 1)]
    assert [len(chunk.workflows) for chunk in bulk_chunks(small, bytes_max=4_194_304)] == [BULK_ITEMS_MAX, 1]
    large = [trigger_pb2.TriggerWorkflowRequest(name=str(n), input=b"x" * 1_500_000) for n in range(5)]
    chunks = list(bulk_chunks(large, bytes_max=4_194_304))
    assert [item.name for chunk in chunks for item in chunk.workflows] == ["0", "1", "2", "3", "4"]
    assert all(chunk.ByteSize() < 4_194_304 for chunk in chunks)


async def test_W8_5_results_of_a_bulk_stand_in_order(client: Limpet, scripted: ScriptedEngine) -> None:
    workflow = client.workflow(name="w", input_validator=dict)
    items = [workflow.create_bulk_run_item({"n": n}) for n in range(3)]
    refs = await workflow.aio_run_many(items, wait_for_result=False)
    assert [ref.workflow_run_id for ref in refs] == [f'run-{{"n":{n}}}' for n in range(3)]
    for ref, error in zip(reversed(refs), ("", "ValueError: no\ntrace", ""), strict=True):
        result = dispatcher_pb2.StepRunResult(task_name="a", output=b'{"ok": 1}')
        if error:
            result = dispatcher_pb2.StepRunResult(task_name="a", error=error)
        scripted.results.put_nowait(finished(ref.workflow_run_id, result))
    outcomes = await workflow.aio_run_many(items, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [dict, FailedTaskRunExceptionGroup, dict]


def finished(run_id: str, *results: dispatcher_pb2.StepRunResult) -> dispatcher_pb2.WorkflowRunEvent:
    return dispatcher_pb2.WorkflowRunEvent(workflow_run_id=run_id, results=results)


async def test_a_waiter_outlives_broken_streams(client: Limpet, scripted: ScriptedEngine) -> None:
    waiting = asyncio.create_task(client.runs.get_run_ref("run-9").aio_result())
    await scripted.called("SubscribeToWorkflowRuns")
    scripted.results.put_nowait(grpc.StatusCode.UNAVAILABLE)
    await scripted.called("SubscribeToWorkflowRuns", 2)
    scripted.results.put_nowait(finished("run-9", dispatcher_pb2.StepRunResult(task_name="a", output=b'{"x": 1}')))
    assert await asyncio.wait_for(waiting, 10) == {"a": {"x": 1}}


async def test_a_waiter_of_an_unknown_run_gets_the_error(client: Limpet, scripted: ScriptedEngine) -> None:
    async def unknown(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such run")

    scripted.answers["GetRunDetails"] = unknown
    waiting = asyncio.create_task(client.runs.get_run_ref("gone").aio_result())
    await scripted.called("SubscribeToWorkflowRuns")
    scripted.results.put_nowait(grpc.StatusCode.NOT_FOUND)
    with pytest.raises(grpc.RpcError):
        await asyncio.wait_for(waiting, 10)


async def test_W8_8_a_cancelled_run(client: Limpet, scripted: ScriptedEngine) -> None:
    async def details(request: Any, context: grpc.aio.ServicerContext) -> Any:
        return admin_pb2.GetRunDetailsResponse(status="CANCELLED", done=True)

    scripted.answers["GetRunDetails"] = details
    ref = client.runs.get_run_ref("run-1")
    cancelled = finished("run-1", dispatcher_pb2.StepRunResult(task_name="a", error=""))
    scripted.results.put_nowait(cancelled)
    assert await ref.aio_result() == {}
    scripted.results.put_nowait(cancelled)
    with pytest.raises(ValueError, match="was cancelled"):
        await asyncio.to_thread(ref.result)


async def test_W14_1_chunks_of_a_run(client: Limpet, scripted: ScriptedEngine) -> None:
    stream, step = dispatcher_pb2.RESOURCE_EVENT_TYPE_STREAM, dispatcher_pb2.RESOURCE_TYPE_STEP_RUN

    async def events(request: Any, context: Any) -> list[dispatcher_pb2.WorkflowEvent]:
        chunks = [
            dispatcher_pb2.WorkflowEvent(event_type=stream, resource_type=step, event_payload=text) for text in (b"one", b"two")
        ]
        return [*chunks, dispatcher_pb2.WorkflowEvent(hangup=True)]

    scripted.answers["SubscribeToWorkflowEvents"] = events
    assert [chunk async for chunk in client.runs.subscribe_to_stream("run-1")] == ["one", "two"]
    kinds = await asyncio.to_thread(lambda: [event.payload for event in client.listener.stream("run-1")])
    assert kinds == ["one", "two"]


def test_without_an_engine_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from limpet import EngineNotFoundError

    client = Limpet(config=ClientConfig())
    client.config.server_url = "http://127.0.0.1:9"  # nobody listens there
    with pytest.raises(EngineNotFoundError, match="limpet dev"):
        client.workflow(name="w").run()
