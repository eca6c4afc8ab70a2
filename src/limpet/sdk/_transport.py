"""The wire: every gRPC call of this package goes through here, and nothing else knows about channels.

Laws:
1. One channel serves every thread and every event loop of a process; the heartbeat has a channel of its own, so that
   a full one never delays a sign of life (R27).
2. A call is repeated only when its status says that this may help (wire contract, status table). A trigger keeps its
   request id over all repeats, so that a repeat never makes a second run (P4, I5).
3. An error is raised as gRPC gave it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import grpc
import httpx
import tenacity
from google.protobuf.message import Message

from limpet.contracts import admin_pb2, dispatcher_pb2, events_pb2, trigger_pb2, workflows_pb2
from limpet.sdk.config import ClientConfig, ClientTLSConfig, TenacityConfig
from limpet.sdk.exceptions import EngineNotFoundError

logger = logging.getLogger(__name__)

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)

REQUEST_ID_KEY = "limpet-request-id"  # call metadata of triggers [W8.13]

KEEPALIVE_MS = 10_000  # the engine permits one ping in 5 s, also without calls [R37]
KEEPALIVE_TIMEOUT_MS = 10_000  # finds a half-open peer about as fast as the engine does
RECONNECT_BACKOFF_MAX_MS = 2_000  # gRPC's own default is 120 s: a restarted engine would seem dead
CONNECTION_S = 4.0  # of each later try of an ordinary call: together they outlast a change of owner
DISCOVERY_TIMEOUT_S = 2.0  # `limpet dev` on this machine answers within milliseconds

# These say that the same call will fail again.
_FINAL_CODES = frozenset(
    {
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.NOT_FOUND,
    }
)


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Req, Res]):
    """One method of the wire contract."""

    path: str
    request: type[Req]
    response: type[Res]


PUT_WORKFLOW = Rpc(
    "/v1.AdminService/PutWorkflow", admin_pb2.CreateWorkflowVersionRequest, admin_pb2.CreateWorkflowVersionResponse
)
GET_RUN_DETAILS = Rpc("/v1.AdminService/GetRunDetails", admin_pb2.GetRunDetailsRequest, admin_pb2.GetRunDetailsResponse)
TRIGGER_WORKFLOW = Rpc(
    "/WorkflowService/TriggerWorkflow", trigger_pb2.TriggerWorkflowRequest, workflows_pb2.TriggerWorkflowResponse
)
BULK_TRIGGER_WORKFLOW = Rpc(
    "/WorkflowService/BulkTriggerWorkflow",
    workflows_pb2.BulkTriggerWorkflowRequest,
    workflows_pb2.BulkTriggerWorkflowResponse,
)
SCHEDULE_WORKFLOW = Rpc("/WorkflowService/ScheduleWorkflow", workflows_pb2.ScheduleWorkflowRequest, workflows_pb2.WorkflowVersion)
PUT_RATE_LIMIT = Rpc("/WorkflowService/PutRateLimit", workflows_pb2.PutRateLimitRequest, workflows_pb2.PutRateLimitResponse)
PAUSE_RATE_LIMIT = Rpc(
    "/WorkflowService/PauseRateLimit", workflows_pb2.PauseRateLimitRequest, workflows_pb2.PauseRateLimitResponse
)
GET_VERSION = Rpc("/Dispatcher/GetVersion", dispatcher_pb2.GetVersionRequest, dispatcher_pb2.GetVersionResponse)
REGISTER = Rpc("/Dispatcher/Register", dispatcher_pb2.WorkerRegisterRequest, dispatcher_pb2.WorkerRegisterResponse)
LISTEN = Rpc("/Dispatcher/ListenV2", dispatcher_pb2.WorkerListenRequest, dispatcher_pb2.AssignedAction)
HEARTBEAT = Rpc("/Dispatcher/Heartbeat", dispatcher_pb2.HeartbeatRequest, dispatcher_pb2.HeartbeatResponse)
UNSUBSCRIBE = Rpc("/Dispatcher/Unsubscribe", dispatcher_pb2.WorkerUnsubscribeRequest, dispatcher_pb2.WorkerUnsubscribeResponse)
SEND_EVENT = Rpc("/Dispatcher/SendStepActionEvent", dispatcher_pb2.StepActionEvent, dispatcher_pb2.ActionEventResponse)
REFRESH_TIMEOUT = Rpc("/Dispatcher/RefreshTimeout", dispatcher_pb2.RefreshTimeoutRequest, dispatcher_pb2.RefreshTimeoutResponse)
RELEASE_SLOT = Rpc("/Dispatcher/ReleaseSlot", dispatcher_pb2.ReleaseSlotRequest, dispatcher_pb2.ReleaseSlotResponse)
UPSERT_LABELS = Rpc(
    "/Dispatcher/UpsertWorkerLabels",
    dispatcher_pb2.UpsertWorkerLabelsRequest,
    dispatcher_pb2.UpsertWorkerLabelsResponse,
)
SUBSCRIBE_RUNS = Rpc(
    "/Dispatcher/SubscribeToWorkflowRuns",
    dispatcher_pb2.SubscribeToWorkflowRunsRequest,
    dispatcher_pb2.WorkflowRunEvent,
)
SUBSCRIBE_EVENTS = Rpc(
    "/Dispatcher/SubscribeToWorkflowEvents",
    dispatcher_pb2.SubscribeToWorkflowEventsRequest,
    dispatcher_pb2.WorkflowEvent,
)
PUSH_EVENT = Rpc("/EventsService/Push", events_pb2.PushEventRequest, events_pb2.Event)
BULK_PUSH_EVENTS = Rpc("/EventsService/BulkPush", events_pb2.BulkPushEventRequest, events_pb2.Events)
PUT_LOG = Rpc("/EventsService/PutLog", events_pb2.PutLogRequest, events_pb2.PutLogResponse)
PUT_STREAM = Rpc("/EventsService/PutStreamEvent", events_pb2.PutStreamEventRequest, events_pb2.PutStreamEventResponse)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried, and how long to wait between tries.

    wait:         a tenacity wait strategy
    not_found:    whether NOT_FOUND may turn into an answer when asked again
    connection_s: how long each later try waits for a connection, so that it leaves as soon as the engine is back instead
                  of at the end of a pause of its own; None: it fails at once without one
    """

    attempts: int
    wait: Any
    not_found: bool = False
    before_sleep: Any = None
    connection_s: float | None = None

    def allow(self, error: BaseException) -> bool:
        """Whether trying again may help."""
        if not isinstance(error, grpc.RpcError):
            return False
        code = code_of(error)
        return code not in _FINAL_CODES or (code is grpc.StatusCode.NOT_FOUND and self.not_found)


NO_RETRIES = Retries(attempts=1, wait=tenacity.wait_none())


def standard_retries(config: TenacityConfig) -> Retries:
    """The retries of ordinary calls: five tries within some 20 s, exponential with jitter, unless configured otherwise."""
    wait = config.wait() if isinstance(config.wait, type) else config.wait
    return Retries(
        attempts=max(1, config.max_attempts),
        wait=wait or tenacity.wait_exponential(multiplier=0.5, max=8) + tenacity.wait_random(0, 1),
        not_found=config.retry_not_found,
        before_sleep=config.before_sleep,
        connection_s=CONNECTION_S,
    )


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status code of a gRPC error; UNKNOWN for anything else."""
    code = getattr(error, "code", None)
    return cast(grpc.StatusCode, code()) if callable(code) else grpc.StatusCode.UNKNOWN


def text_of(error: BaseException) -> str:
    """What the engine said about an error."""
    details = getattr(error, "details", None)
    return str(details() or "") if callable(details) else str(error)


def reason_of(error: BaseException) -> str:
    """The innermost cause in gRPC's words about a connection: `Connection refused`."""
    return text_of(error).rpartition(": ")[2] or code_of(error).name


class ServerStream(Generic[Res]):
    """An open stream of messages. Iterating blocks; `cancel` may be called from any thread and ends it."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Res]:
        return cast(Iterator[Res], iter(self._call))

    def cancel(self) -> None:
        """End the stream from our side."""
        self._call.cancel()


class SentCall:
    """A message that is on its way."""

    def __init__(self, call: Any) -> None:
        self._call = call

    @property
    def has_arrived(self) -> bool:
        """Whether the engine has answered it well. Never waits."""
        return bool(self._call.done() and self._call.code() is grpc.StatusCode.OK)


class Transport:
    """Calls and streams over one channel. Opens it at the first use."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.retries: Retries = standard_retries(config.tenacity)
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def call(
        self,
        rpc: Rpc[Req, Res],
        request: Req,
        *,
        timeout_s: float | None = None,
        retries: Retries | None = None,
        request_id: str | None = None,
    ) -> Res:
        """Call and wait for the answer in this thread."""
        chosen = retries or self.retries
        waits_s = _connection_waits(chosen)
        retrying = tenacity.Retrying(**_tenacity_options(chosen))
        return cast(Res, retrying(lambda: self._start(rpc, request, timeout_s, request_id, next(waits_s)).result()))

    async def acall(
        self,
        rpc: Rpc[Req, Res],
        request: Req,
        *,
        timeout_s: float | None = None,
        retries: Retries | None = None,
        request_id: str | None = None,
    ) -> Res:
        """Call and await the answer in the running event loop."""

        chosen = retries or self.retries
        waits_s = _connection_waits(chosen)

        async def once() -> Res:
            return cast(Res, await _awaitable(self._start(rpc, request, timeout_s, request_id, next(waits_s))))

        if self._channel is None:
            await asyncio.to_thread(self._open_channel)
        return await tenacity.AsyncRetrying(**_tenacity_options(chosen))(once)

    def send(self, rpc: Rpc[Req, Res], request: Req) -> SentCall:
        """Send without waiting, once. For messages that are repeated by other means when they are lost."""
        return SentCall(self._start(rpc, request, None, None))

    def stream(self, rpc: Rpc[Req, Res], request: Req, *, timeout_s: float | None = None) -> ServerStream[Res]:
        """Open a stream of answers to one request."""
        method = self._open_channel().unary_stream(
            rpc.path, request_serializer=rpc.request.SerializeToString, response_deserializer=rpc.response.FromString
        )
        return ServerStream(method(request, metadata=self._metadata(None), timeout=timeout_s))

    def duplex(self, rpc: Rpc[Req, Res], requests: Iterator[Req]) -> ServerStream[Res]:
        """Open a stream both ways. `requests` is consumed in a thread of the channel."""
        method = self._open_channel().stream_stream(
            rpc.path, request_serializer=rpc.request.SerializeToString, response_deserializer=rpc.response.FromString
        )
        return ServerStream(method(requests, metadata=self._metadata(None)))

    def close(self) -> None:
        """Close the channel and end what is open on it. A later call opens a new one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _start(
        self,
        rpc: Rpc[Req, Res],
        request: Req,
        timeout_s: float | None,
        request_id: str | None,
        connection_s: float | None = None,
    ) -> Any:
        method = self._open_channel().unary_unary(
            rpc.path, request_serializer=rpc.request.SerializeToString, response_deserializer=rpc.response.FromString
        )
        metadata = self._metadata(request_id)
        if connection_s is None:
            return method.future(request, metadata=metadata, timeout=timeout_s)
        return method.future(request, metadata=metadata, timeout=connection_s, wait_for_ready=True)

    def _metadata(self, request_id: str | None) -> tuple[tuple[str, str], ...]:
        authorization = (("authorization", f"bearer {self.config.token}"),) if self.config.token else ()
        return (*authorization, (REQUEST_ID_KEY, request_id)) if request_id else authorization

    def _open_channel(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                if self.config.looks_for_dev:
                    find_dev_engine(self.config.server_url)
                self._channel = _channel(self.config)
            return self._channel


def find_dev_engine(server_url: str) -> None:
    """Make sure that `limpet dev` answers. Raises EngineNotFoundError with what to do about it."""
    try:
        answer = httpx.get(f"{server_url}/ready", timeout=DISCOVERY_TIMEOUT_S)
        reason = "" if answer.is_success else f"it answered with status {answer.status_code}"
    except httpx.HTTPError as error:
        reason = str(error)
    if reason:
        raise EngineNotFoundError(
            f"No engine is configured, and no `limpet dev` answers at {server_url} ({reason}). "
            "Start one with `limpet dev`, or set LIMPET_TOKEN and LIMPET_HOST_PORT to reach another engine."
        )


def message_pump(stream: ServerStream[Res], loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[Any]) -> None:
    """Move messages of a stream into an event loop's queue, then the error that ended it, or None. Runs in a thread."""

    def put(item: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    try:
        for message in stream:
            put(message)
        put(None)
    except grpc.RpcError as error:
        put(error)


@asynccontextmanager
async def messages(stream: ServerStream[Res]) -> AsyncIterator[AsyncIterator[Res]]:
    """The messages of a stream for the running event loop; the stream is cancelled when the block is left."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    pump = threading.Thread(
        target=message_pump, args=(stream, asyncio.get_running_loop(), queue), name="limpet-stream", daemon=True
    )
    pump.start()
    try:
        yield _drained(queue)
    finally:
        stream.cancel()


async def _drained(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while (item := await queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _connection_waits(retries: Retries) -> Iterator[float | None]:
    """How long each try waits for a connection: the first one never, so that trouble is told at once."""
    yield None
    yield from repeat(retries.connection_s)


def _tenacity_options(retries: Retries) -> dict[str, Any]:
    return {
        "stop": tenacity.stop_after_attempt(retries.attempts),
        "wait": retries.wait,
        "retry": tenacity.retry_if_exception(retries.allow),
        "before_sleep": retries.before_sleep or _say_retry,
        "reraise": True,
    }


def _say_retry(state: tenacity.RetryCallState) -> None:
    error = (state.outcome.exception() if state.outcome else None) or RuntimeError("unknown")
    level = logging.INFO if state.attempt_number == 1 and code_of(error) is grpc.StatusCode.UNAVAILABLE else logging.DEBUG
    logger.log(level, "The engine cannot be reached or refuses a call (%s); trying again.", reason_of(error))


async def _awaitable(call: Any) -> Any:
    """Await a gRPC future in the running loop. Cancelling the await cancels the call."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def on_done(_: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(wake)

    call.add_done_callback(on_done)
    try:
        await done
    except asyncio.CancelledError:
        call.cancel()
        raise
    return call.result()


def _channel(config: ClientConfig) -> grpc.Channel:
    tls = config.tls_config
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", config.grpc_max_send_message_length),
        ("grpc.max_receive_message_length", config.grpc_max_recv_message_length),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_BACKOFF_MAX_MS),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.use_local_subchannel_pool", 1),  # a connection of our own, also for two channels to one address
        ("grpc.enable_retries", 0),  # repeats are decided here, where the request id is known
    ]
    credentials = channel_credentials(tls)
    if credentials is None:
        return grpc.insecure_channel(config.host_port, options)
    return grpc.secure_channel(config.host_port, credentials, [*options, tls_name(tls)])


def channel_credentials(tls: ClientTLSConfig) -> grpc.ChannelCredentials | None:
    """Certificates from their files; None without TLS."""
    if tls.strategy not in ("tls", "mtls"):
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_file(tls.root_ca_file),
        private_key=_file(tls.key_file) if tls.strategy == "mtls" else None,
        certificate_chain=_file(tls.cert_file) if tls.strategy == "mtls" else None,
    )


def tls_name(tls: ClientTLSConfig) -> tuple[str, str]:
    """The option of a channel that says which name the engine's certificate must have."""
    return ("grpc.ssl_target_name_override", tls.server_name)


def _file(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
