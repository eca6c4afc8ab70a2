"""The worker's unary calls, field by field."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.core.errors import NotFound, StoreUnavailable
from limpet.core.inputs import (
    LabelsUpserted,
    SlotReleased,
    TaskCompleted,
    TaskFailed,
    TaskGaveUp,
    TaskStarted,
    TimeoutRefreshed,
    WorkerRegistered,
    WorkerSeen,
    WorkerUnsubscribed,
)
from limpet.edges.grpc.translate.reports import NO_MESSAGE

from ..test_json_text import POISON
from .conftest import MINE, THEIRS, Edge, status_of
from .fake_door import AT, TENANT, run_id, worker_view

S = grpc.StatusCode
W = run_id(1)
TASK = run_id(2)


async def test_version_is_the_newest_whose_promises_hold(edge: Edge) -> None:
    """From v0.78.23 on: one registration with slot pools. Below v0.80.0: no durable stream."""
    version = (await edge.dispatcher.GetVersion(wire.GetVersionRequest(), metadata=MINE)).version
    numbers = tuple(map(int, version.removeprefix("v").split(".")))
    assert (0, 78, 23) <= numbers < (0, 80, 0)


async def test_WK9_register_hands_over_everything_and_returns_the_new_id(edge: Edge) -> None:
    edge.door.replies[WorkerRegistered] = W
    labels = {"gpu": wire.WorkerLabels(str_value="yes"), "memory": wire.WorkerLabels(int_value=0)}
    info = wire.RuntimeInfo(sdk_version="1.43.1", language=wire.PYTHON, language_version="3.11", os="Linux", extra="x\0y")
    request = wire.WorkerRegisterRequest(
        worker_name="w",
        actions=["b:t", "a:t", "b:t"],
        services=["default"],
        labels=labels,
        runtime_info=info,
        slot_config={"durable": 1000, "default": 5},
    )
    reply = await edge.dispatcher.Register(request, metadata=MINE)
    assert (reply.tenant_id, reply.worker_id, reply.worker_name) == (TENANT, W, "w")
    [(tenant, item)] = edge.door.submitted
    assert tenant == TENANT
    assert isinstance(item, WorkerRegistered)
    assert item == WorkerRegistered(
        name="w", actions=("b:t", "a:t"), slots=(("default", 5), ("durable", 1000)), labels=(("gpu", "yes"), ("memory", 0)), runtime=item.runtime
    )  # fmt: skip
    assert json.loads(item.runtime) == {
        "sdk_version": "1.43.1",
        "language": "PYTHON",
        "language_version": "3.11",
        "os": "Linux",
        "extra": "x\ufffdy",
    }


@pytest.mark.parametrize(
    ("request_", "slots"),
    [
        (wire.WorkerRegisterRequest(worker_name="w"), (("default", 100),)),
        (wire.WorkerRegisterRequest(worker_name="w", slots=7), (("default", 7),)),
        (wire.WorkerRegisterRequest(worker_name="w", slot_config={"gpu": 2}), (("gpu", 2),)),
    ],
    ids=["neither", "older form", "own type"],
)
async def test_SL1_slots_of_a_registration(edge: Edge, request_: wire.WorkerRegisterRequest, slots: object) -> None:
    edge.door.replies[WorkerRegistered] = W
    await edge.dispatcher.Register(request_, metadata=MINE)
    item = edge.door.submitted[0][1]
    assert isinstance(item, WorkerRegistered)
    assert (item.slots, item.runtime) == (slots, b"{}")


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            wire.WorkerRegisterRequest(worker_name="w", slots=1, slot_config={"default": 1}),
            S.INVALID_ARGUMENT,
            "either slots or slot_config",
        ),
        (wire.WorkerRegisterRequest(worker_name=""), S.INVALID_ARGUMENT, "worker name"),
        (wire.WorkerRegisterRequest(worker_name="x" * 256), S.INVALID_ARGUMENT, "worker name"),
        (wire.WorkerRegisterRequest(worker_name="w\0"), S.INVALID_ARGUMENT, "worker name"),
        (wire.WorkerRegisterRequest(worker_name="w", actions=[""]), S.INVALID_ARGUMENT, "action id"),
        (wire.WorkerRegisterRequest(worker_name="w", slots=-1), S.INVALID_ARGUMENT, "-1 units"),
        (wire.WorkerRegisterRequest(worker_name="w", slot_config={"": 1}), S.INVALID_ARGUMENT, "slot type"),
        (
            wire.WorkerRegisterRequest(worker_name="w", labels={"a": wire.WorkerLabels()}),
            S.INVALID_ARGUMENT,
            "label a needs exactly one value",
        ),
        (
            wire.WorkerRegisterRequest(worker_name="w", labels={"a": wire.WorkerLabels(str_value="1", int_value=1)}),
            S.INVALID_ARGUMENT,
            "exactly one",
        ),
        (
            wire.WorkerRegisterRequest(worker_name="w", labels={"": wire.WorkerLabels(str_value="1")}),
            S.INVALID_ARGUMENT,
            "label key",
        ),
        (
            wire.WorkerRegisterRequest(worker_name="w", labels={"a": wire.WorkerLabels(str_value="1" * 256)}),
            S.INVALID_ARGUMENT,
            "label a",
        ),
        (
            wire.WorkerRegisterRequest(worker_name="w", labels={str(n): wire.WorkerLabels(int_value=n) for n in range(101)}),
            S.RESOURCE_EXHAUSTED,
            "at most 100 labels",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_registration_that_cannot_be_used_is_refused(
    edge: Edge, request_: wire.WorkerRegisterRequest, code: S, text: str
) -> None:
    got, details = await status_of(edge.dispatcher.Register(request_, metadata=MINE))
    assert got is code
    assert text in details
    assert edge.door.submitted == []


async def test_an_unknown_client_language_is_no_reason_to_refuse(edge: Edge) -> None:
    edge.door.replies[WorkerRegistered] = W
    raw = wire.WorkerRegisterRequest(worker_name="w", runtime_info=wire.RuntimeInfo(os="x")).SerializeToString()
    raw += bytes([0x3A, 2, 0x10, 99])  # runtime_info.language = 99
    await edge.channel.unary_unary("/Dispatcher/Register")(raw, metadata=MINE)
    item = edge.door.submitted[0][1]
    assert isinstance(item, WorkerRegistered)
    assert json.loads(item.runtime)["language"] == "99"


class TestHeartbeat:
    async def test_AC66_unknown_worker(self, edge: Edge) -> None:
        code, text = await status_of(edge.dispatcher.Heartbeat(wire.HeartbeatRequest(worker_id=W), metadata=MINE))
        assert (code, W in text) == (S.NOT_FOUND, True)

    async def test_AC66_worker_without_stream(self, edge: Edge) -> None:
        edge.door.views[W] = worker_view(W)
        code, text = await status_of(edge.dispatcher.Heartbeat(wire.HeartbeatRequest(worker_id=W), metadata=MINE))
        assert (code, "worker stream is not active" in text) == (S.FAILED_PRECONDITION, True)
        assert edge.door.notified == []

    async def test_WK18_worker_that_left(self, edge: Edge) -> None:
        edge.door.views[W] = worker_view(W, gone_at=AT)
        edge.streams.sessions.open(TENANT, W)
        assert (await status_of(edge.dispatcher.Heartbeat(wire.HeartbeatRequest(worker_id=W), metadata=MINE)))[0] is S.NOT_FOUND

    async def test_XTENANT_another_tenants_worker_looks_unknown(self, edge: Edge) -> None:
        edge.door.views[W] = worker_view(W)
        edge.streams.sessions.open(TENANT, W)
        assert (await status_of(edge.dispatcher.Heartbeat(wire.HeartbeatRequest(worker_id=W), metadata=THEIRS)))[0] is S.NOT_FOUND

    async def test_R10_is_answered_from_memory_without_a_commit(self, edge: Edge) -> None:
        edge.door.views[W] = worker_view(W)
        edge.streams.sessions.open(TENANT, W)
        await edge.dispatcher.Heartbeat(wire.HeartbeatRequest(worker_id=W), metadata=MINE)
        assert edge.door.submitted == []
        assert edge.door.notified == [(TENANT, WorkerSeen(W))]

    async def test_WK16_the_first_heartbeat_waits_for_the_stream_it_races_with(self) -> None:
        async with Edge(heartbeat_patience_s=5.0) as edge:
            edge.door.views[W] = worker_view(W)
            beating = asyncio.ensure_future(edge.dispatcher.Heartbeat(wire.HeartbeatRequest(worker_id=W), metadata=MINE))
            listening = edge.dispatcher.ListenV2(wire.WorkerListenRequest(worker_id=W), metadata=MINE)
            await listening.initial_metadata()
            await beating
            listening.cancel()


def event(kind: int, payload: bytes | str = b"", **more: object) -> wire.StepActionEvent:
    text = payload.encode() if isinstance(payload, str) else payload
    return wire.StepActionEvent(worker_id=W, task_run_external_id=TASK, event_type=kind, event_payload=text, **more)  # type: ignore[arg-type]


STARTED, COMPLETED, FAILED = wire.STEP_EVENT_TYPE_STARTED, wire.STEP_EVENT_TYPE_COMPLETED, wire.STEP_EVENT_TYPE_FAILED


class TestReports:
    @pytest.mark.parametrize(
        ("sent", "report"),
        [
            (event(STARTED, '""', retry_count=0), TaskStarted(TASK, 0, W)),
            (event(STARTED), TaskStarted(TASK, None, W)),
            (event(COMPLETED, '{"a":1}', retry_count=2), TaskCompleted(TASK, 2, W, output=b'{"a":1}')),
            (event(COMPLETED, "", retry_count=0), TaskCompleted(TASK, 0, W)),
            (event(COMPLETED, "null", retry_count=0), TaskCompleted(TASK, 0, W)),
            (event(FAILED, "E: x\nTrace", retry_count=1), TaskFailed(TASK, 1, W, error="E: x\nTrace")),
            (event(FAILED, "E: x", should_not_retry=True), TaskFailed(TASK, None, W, error="E: x", retryable=False)),
            (
                event(FAILED, "E: x", should_not_retry=False, retry_after_ms=1500),
                TaskFailed(TASK, None, W, error="E: x", retry_after_us=1_500_000),
            ),
            (event(FAILED, "E: x", retry_after_ms=-5), TaskFailed(TASK, None, W, error="E: x", retry_after_us=0)),
            (event(FAILED, ""), TaskFailed(TASK, None, W, error=NO_MESSAGE)),
            (event(FAILED, b"E: \xff\x00x"), TaskFailed(TASK, None, W, error="E: \ufffd?x")),
            (event(wire.STEP_EVENT_TYPE_CANCELLED, retry_count=1), TaskGaveUp(TASK, 1, W)),
        ],
        ids=lambda value: "" if isinstance(value, wire.StepActionEvent) else type(value).__name__,
    )
    async def test_R24_each_event_becomes_its_report(self, edge: Edge, sent: wire.StepActionEvent, report: object) -> None:
        reply = await edge.dispatcher.SendStepActionEvent(sent, metadata=MINE)
        assert (reply.tenant_id, reply.worker_id) == (TENANT, W)
        assert edge.door.submitted == [(TENANT, report)]

    async def test_AC95b_the_worker_field_is_passed_on_as_it_is(self, edge: Edge) -> None:
        await edge.dispatcher.SendStepActionEvent(
            wire.StepActionEvent(worker_id="my name", task_run_external_id=TASK, event_type=STARTED), metadata=MINE
        )
        assert edge.door.submitted[0][1] == TaskStarted(TASK, None, "my name")

    @pytest.mark.parametrize("kind", [wire.STEP_EVENT_TYPE_ACKNOWLEDGED, wire.STEP_EVENT_TYPE_UNKNOWN, 77])
    async def test_WK21_other_events_are_signs_of_life_only(self, edge: Edge, kind: int) -> None:
        await edge.dispatcher.SendStepActionEvent(event(kind), metadata=MINE)
        assert edge.door.submitted == []
        assert edge.door.notified == [(TENANT, WorkerSeen(W))]

    @pytest.mark.parametrize(
        "payload", [text for text in POISON.values() if text != b"null"], ids=[name for name in POISON if name != "null"]
    )
    async def test_R32_an_unusable_outcome_is_taken_and_fails_its_task(self, edge: Edge, payload: bytes) -> None:
        await edge.dispatcher.SendStepActionEvent(event(COMPLETED, payload, retry_count=3), metadata=MINE)
        [(_, report)] = edge.door.submitted
        assert isinstance(report, TaskFailed)
        assert (report.task_run_id, report.retry_count, report.retryable) == (TASK, 3, False)
        assert report.error.startswith("The task ended well, but its output cannot be stored: the output ")

    @pytest.mark.parametrize(("extra", "kind"), [(-1, TaskCompleted), (0, TaskCompleted), (1, TaskFailed)])
    async def test_TOVERSIZE_an_output_of_three_mebibytes(self, edge: Edge, extra: int, kind: type) -> None:
        payload = b'{"a":"' + b"x" * (3 * 1024 * 1024 + extra - 8) + b'"}'
        await edge.dispatcher.SendStepActionEvent(event(COMPLETED, payload), metadata=MINE)
        assert isinstance(edge.door.submitted[0][1], kind)

    async def test_X15_a_long_error_keeps_its_first_and_last_lines(self, edge: Edge) -> None:
        last = '{"__hatchet_error_metadata__":{"task_run_external_id":"x"}}'
        text = "TypeError: ä\n" + "é" * 100_000 + "\n\n" + last
        await edge.dispatcher.SendStepActionEvent(event(FAILED, text), metadata=MINE)
        report = edge.door.submitted[0][1]
        assert isinstance(report, TaskFailed)
        assert len(report.error.encode()) <= 64 * 1024
        lines = report.error.splitlines()
        assert (lines[0], lines[-1]) == ("TypeError: ä", last)
        assert f"{len(text.encode())} bytes in all, shortened to 65536" in report.error

    async def test_R35_a_store_that_is_away_makes_the_client_repeat_its_report(self, edge: Edge) -> None:
        edge.door.replies[TaskStarted] = StoreUnavailable("disk full")
        assert (await status_of(edge.dispatcher.SendStepActionEvent(event(STARTED), metadata=MINE)))[0] is S.UNAVAILABLE


async def test_WK18_unsubscribe(edge: Edge) -> None:
    reply = await edge.dispatcher.Unsubscribe(wire.WorkerUnsubscribeRequest(worker_id=W), metadata=MINE)
    assert (reply.tenant_id, reply.worker_id) == (TENANT, W)
    assert edge.door.submitted == [(TENANT, WorkerUnsubscribed(W))]


async def test_LB19_labels_are_merged_by_the_core(edge: Edge) -> None:
    labels = {"b": wire.WorkerLabels(int_value=-2), "a": wire.WorkerLabels(str_value="")}
    reply = await edge.dispatcher.UpsertWorkerLabels(wire.UpsertWorkerLabelsRequest(worker_id=W, labels=labels), metadata=MINE)
    assert (reply.tenant_id, reply.worker_id) == (TENANT, W)
    assert edge.door.submitted == [(TENANT, LabelsUpserted(W, (("a", ""), ("b", -2))))]


async def test_LB19_malformed_and_unknown_workers(edge: Edge) -> None:
    call = edge.dispatcher.UpsertWorkerLabels(wire.UpsertWorkerLabelsRequest(worker_id="w"), metadata=MINE)
    assert await status_of(call) == (S.INVALID_ARGUMENT, "worker_id must be a valid UUID, got 'w'")
    edge.door.replies[LabelsUpserted] = NotFound("worker", W)
    call = edge.dispatcher.UpsertWorkerLabels(wire.UpsertWorkerLabelsRequest(worker_id=W), metadata=MINE)
    assert (await status_of(call))[0] is S.NOT_FOUND


async def test_SL10_release_slot(edge: Edge) -> None:
    await edge.dispatcher.ReleaseSlot(wire.ReleaseSlotRequest(task_run_external_id=TASK), metadata=MINE)
    assert edge.door.submitted == [(TENANT, SlotReleased(TASK))]
    edge.door.replies[SlotReleased] = NotFound("task run", TASK)
    assert (await status_of(edge.dispatcher.ReleaseSlot(wire.ReleaseSlotRequest(), metadata=MINE)))[0] is S.NOT_FOUND


async def test_TO11_refresh_timeout_returns_the_new_deadline(edge: Edge) -> None:
    edge.door.replies[TimeoutRefreshed] = AT + 1_500_001
    reply = await edge.dispatcher.RefreshTimeout(
        wire.RefreshTimeoutRequest(task_run_external_id=TASK, increment_timeout_by="1m30s"), metadata=MINE
    )
    assert edge.door.submitted == [(TENANT, TimeoutRefreshed(TASK, 90_000_000))]
    assert (reply.timeout_at.seconds, reply.timeout_at.nanos) == (1_700_000_001, 500_001_000)


@pytest.mark.parametrize("text", ["42", "-30s", "1d", "5 s", ""])
async def test_TO11_bad_durations_are_refused(edge: Edge, text: str) -> None:
    call = edge.dispatcher.RefreshTimeout(wire.RefreshTimeoutRequest(increment_timeout_by=text), metadata=MINE)
    code, details = await status_of(call)
    assert (code, "increment_timeout_by" in details) == (S.INVALID_ARGUMENT, True)
