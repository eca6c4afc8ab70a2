"""Errors as status codes (R35), admission (X4, X2), and what the contract does not carry out."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import grpc
import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts.methods import METHODS, Method
from limpet.core import errors
from limpet.core.ids import TenantId
from limpet.core.inputs import WorkerUnsubscribed
from limpet.edges.access import AccessUnavailable, NotAuthenticated
from limpet.edges.grpc.binding import generic_handlers
from limpet.edges.grpc.settings import GrpcSettings, server_options
from limpet.edges.grpc.status import CODES, refusal_of
from limpet.edges.outbox import EndCause, StreamEnd
from limpet.store.api import FenceMismatch, TransientStoreError

from .conftest import MINE, THEIRS, Edge, status_of
from .fake_door import OTHER_TENANT

S = grpc.StatusCode


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    children = [child for child in kind.__subclasses__() if child.__module__.startswith("limpet.")]  # others' tests have some
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


def test_R35_every_leaf_of_the_error_tree_has_a_row() -> None:
    assert set(leaves(errors.LimpetError)) | {NotAuthenticated, AccessUnavailable} <= set(CODES)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.InvalidArgument("x is wrong"), S.INVALID_ARGUMENT, "x is wrong"),
        (errors.NotFound("worker", "w1", "register again"), S.NOT_FOUND, "worker w1 not found: register again"),
        (errors.WorkerNotListening("w1"), S.FAILED_PRECONDITION, "worker stream is not active"),
        (errors.NotSupported("no batches"), S.UNIMPLEMENTED, "no batches"),
        (errors.IdempotencyCollision("r"), S.ALREADY_EXISTS, "idempotency key collision"),
        (errors.BulkIdempotencyCollision(("a",), ("b",)), S.ALREADY_EXISTS, "idempotency key collision"),
        (errors.LimitReached("at most 5"), S.RESOURCE_EXHAUSTED, "at most 5"),
        (errors.StoreUnavailable("disk full"), S.UNAVAILABLE, "disk full"),
        (errors.EngineStopping("going"), S.UNAVAILABLE, "going"),
        (errors.InternalError("quarantined"), S.INTERNAL, "quarantined"),
        (NotAuthenticated("expired yesterday"), S.UNAUTHENTICATED, "invalid auth token"),
        (AccessUnavailable("tokens unreadable"), S.UNAVAILABLE, "tokens unreadable"),
        (TransientStoreError("secret path"), S.UNAVAILABLE, "the store cannot be read right now"),
        (FenceMismatch("epoch"), S.UNAVAILABLE, "the store cannot be read right now"),
        (StreamEnd("too slow"), S.UNAVAILABLE, "too slow"),
        (StreamEnd("revoked", EndCause.NOT_AUTHENTICATED), S.UNAUTHENTICATED, "invalid auth token"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_R35_each_error_has_its_code_and_tells_its_sentence(error: Exception, code: S, text: str) -> None:
    refusal = refusal_of(error)
    assert refusal.code is code
    assert text in refusal.details


def test_X24_a_bug_tells_the_caller_a_number_and_the_log_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        refusal = refusal_of(KeyError("/secret/path"))
    assert refusal.code is S.INTERNAL
    assert "secret" not in refusal.details
    assert caplog.records[0].__dict__["correlation_id"] in refusal.details


@pytest.mark.parametrize("error", [KeyError("x"), errors.InternalError("x")], ids=["bug", "internal"])
def test_R33_streams_end_with_unavailable_where_a_call_would_end_with_internal(error: Exception) -> None:
    assert refusal_of(error, of_stream=True).code is S.UNAVAILABLE


async def test_X4_no_token_and_unknown_token_are_refused_before_the_message_is_read(edge: Edge) -> None:
    call = edge.channel.unary_unary("/Dispatcher/GetVersion")
    for metadata in ((), (("authorization", "bearer nobody"),)):
        assert await status_of(call(b"\xff\xff", metadata=metadata)) == (S.UNAUTHENTICATED, "invalid auth token")


async def test_R35_unreadable_tokens_are_unavailable_not_unauthenticated(edge: Edge) -> None:
    edge.access.unavailable = True
    assert (await status_of(edge.dispatcher.GetVersion(wire.GetVersionRequest(), metadata=MINE)))[0] is S.UNAVAILABLE


async def test_X5_the_tenant_comes_from_the_token(edge: Edge) -> None:
    reply = await edge.dispatcher.Unsubscribe(wire.WorkerUnsubscribeRequest(worker_id="w"), metadata=THEIRS)
    assert edge.door.submitted == [(OTHER_TENANT, WorkerUnsubscribed("w"))]
    assert reply.tenant_id == OTHER_TENANT


async def test_R35_a_token_of_a_tenant_that_is_not_served_yet_is_told_to_come_back(edge: Edge) -> None:
    edge.access.tenants["bearer new"] = TenantId("22222222-80ab-4e1f-a156-f1c4546cbf52")
    call = edge.dispatcher.GetVersion(wire.GetVersionRequest(), metadata=(("authorization", "bearer new"),))
    code, says = await status_of(call)
    assert code is S.UNAVAILABLE
    assert "22222222-80ab-4e1f-a156-f1c4546cbf52 is new" in says
    assert edge.door.submitted == []


async def test_X19_calls_beyond_the_rate_are_refused_per_tenant_and_workers_get_ten_times_more() -> None:
    async with Edge(calls_per_second=2.0) as edge:
        push = edge.channel.unary_unary("/EventsService/ReplaySingleEvent")
        codes = [(await status_of(push(b"", metadata=MINE)))[0] for _ in range(4)]
        assert codes == [S.UNIMPLEMENTED, S.UNIMPLEMENTED, S.RESOURCE_EXHAUSTED, S.RESOURCE_EXHAUSTED]
        assert (await status_of(push(b"", metadata=THEIRS)))[0] is S.UNIMPLEMENTED
        for _ in range(10):
            await edge.dispatcher.GetVersion(wire.GetVersionRequest(), metadata=MINE)


DELIVERED = {
    "/EventsService/Push",
    "/EventsService/BulkPush",
    "/EventsService/ReplaySingleEvent",
    "/Dispatcher/GetVersion",
    "/Dispatcher/Register",
    "/Dispatcher/ListenV2",
    "/Dispatcher/Heartbeat",
    "/Dispatcher/SendStepActionEvent",
    "/Dispatcher/Unsubscribe",
    "/Dispatcher/UpsertWorkerLabels",
    "/Dispatcher/ReleaseSlot",
    "/Dispatcher/RefreshTimeout",
    "/Dispatcher/SubscribeToWorkflowRuns",
    "/Dispatcher/SubscribeToWorkflowEvents",
    "/WorkflowService/ScheduleWorkflow",
    "/WorkflowService/PutRateLimit",
    "/WorkflowService/PauseRateLimit",
    "/v1.AdminService/PutWorkflow",
    "/v1.AdminService/TriggerWorkflowRun",
    "/v1.AdminService/GetRunDetails",
    "/v1.AdminService/CancelTasks",
    "/v1.AdminService/ReplayTasks",
    "/WorkflowService/TriggerWorkflow",
    "/WorkflowService/BulkTriggerWorkflow",
    "/EventsService/PutLog",
    "/EventsService/PutStreamEvent",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}


def open_call(edge: Edge, method: Method, raw: bytes) -> object:
    """Call a method with raw bytes, whatever its kind."""
    kind = f"{'stream' if method.client_streams else 'unary'}_{'stream' if method.server_streams else 'unary'}"
    call = getattr(edge.channel, kind)(method.path)
    return call(iter([raw]) if method.client_streams else raw, metadata=MINE)


@pytest.mark.parametrize("method", [m for m in METHODS if m.path not in DELIVERED], ids=lambda m: m.path)
async def test_what_is_not_carried_out_says_so_by_name(edge: Edge, method: Method) -> None:
    code, text = await status_of(open_call(edge, method, b""))
    assert code is S.UNIMPLEMENTED
    assert text.startswith(f"{method.path} is not carried out")


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.path)
async def test_TPOISONPROTO_bytes_that_are_no_message_are_the_callers_mistake(
    edge: Edge, method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    code, text = await status_of(open_call(edge, method, b"\x0a\xff\xff\xff\xff\x0f"))
    assert code in (S.INVALID_ARGUMENT, S.UNIMPLEMENTED)
    assert method.path in text
    assert not caplog.records, "no traceback for what a caller sends"


async def test_TPOISONPROTO_mutated_messages_get_clean_codes_and_the_server_lives(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    good = wire.StepActionEvent(
        worker_id="w", task_run_external_id="t", event_type=2, event_payload=b'{"a":1}'
    ).SerializeToString()
    call = edge.channel.unary_unary("/Dispatcher/SendStepActionEvent")
    codes = {
        (await status_of(call(good[:at] + bytes([flip]) + good[at + 1 :], metadata=MINE)))[0]
        for at in range(len(good))
        for flip in (0, 255)
    }
    assert codes <= {S.OK, S.INVALID_ARGUMENT}
    assert (await edge.dispatcher.GetVersion(wire.GetVersionRequest(), metadata=MINE)).version
    assert not caplog.records


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
@pytest.mark.parametrize(("extra", "code"), [(-1, S.INVALID_ARGUMENT), (0, S.INVALID_ARGUMENT), (1, S.RESOURCE_EXHAUSTED)])
async def test_TOVERSIZE_four_mebibytes_also_after_gzip(edge: Edge, compression: grpc.Compression, extra: int, code: S) -> None:
    """Within the limit the message is read, and refused for what it says; above it nobody reads it."""
    raw = b"\xff" * (4 * 1024 * 1024 + extra)
    async with edge.dial(compression=compression) as channel:
        assert (await status_of(channel.unary_unary("/Dispatcher/Register")(raw, metadata=MINE)))[0] is code


async def test_gzip_requests_are_read(edge: Edge) -> None:
    async with edge.dial(compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary("/Dispatcher/Unsubscribe")
        await call(wire.WorkerUnsubscribeRequest(worker_id="w" * 5_000).SerializeToString(), metadata=MINE)
    assert edge.door.submitted[0][1] == WorkerUnsubscribed("w" * 5_000)


def test_R37_keepalive_options_allow_what_clients_do() -> None:
    options = dict(server_options(GrpcSettings()))
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert options["grpc.http2.min_recv_ping_interval_without_data_ms"] == 5_000
    assert options["grpc.http2.max_ping_strikes"] == 0
    assert (options["grpc.keepalive_time_ms"], options["grpc.keepalive_timeout_ms"]) == (10_000, 10_000)
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] == 4 * 1024 * 1024


def test_a_handler_for_a_path_outside_the_contract_is_a_bug() -> None:
    async def handler(*_: object) -> None: ...

    with pytest.raises(AssertionError):
        generic_handlers(None, {"/Dispatcher/Nothing": handler})  # type: ignore[arg-type]
