"""A whole engine on a file, both edges on real sockets, two tenants with tokens: what hostile callers meet.

Nothing is replaced by a double. Only patience is shortened, and the streams' ends are not spread over two seconds.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio
import httpx
from google.protobuf.message import Message
from prometheus_client.parser import text_string_to_metric_families

from limpet.cli import compose
from limpet.cli.plan import Plan
from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import trigger_pb2 as triggers
from limpet.contracts.methods import METHODS, Method
from limpet.core.ids import TenantId
from limpet.edges.access import Access
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.signing import load_key_ring
from limpet.edges.streams import StreamRegistry
from limpet.edges.tokens import Addresses, TokenAccess, mint_token
from limpet.engine.engine import Engine
from limpet.engine.settings import EngineSettings
from limpet.store.api import RunQuery, Token

MINE = TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52")
THEIRS = TenantId("11111111-2222-4333-8444-555555555555")
BY_PATH: dict[str, Method] = {method.path: method for method in METHODS}
ANSWER_WITHIN_S = 20.0
UNBOUNDED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
Status = tuple[grpc.StatusCode, str]


class ShortPatience(compose.EngineProcess):
    """The process of `limpet server`, a little less patient."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.access: Access | None = None

    async def _access(self) -> Access:
        self.access = await super()._access()
        return self.access

    def _grpc_settings(self) -> GrpcSettings:
        return replace(
            super()._grpc_settings(),
            access_recheck_s=0.2,
            unknown_run_patience_s=0.2,
            heartbeat_patience_s=0,
            calls_per_second=None,
        )


class Callers:
    """Callers of two tenants, hostile and good ones, of an engine at these addresses. Use `async with`."""

    def __init__(self, grpc_address: str = "", http_address: str = "", token: str = "") -> None:
        self.grpc_address, self.http_address = grpc_address, http_address
        self.mine = self.theirs = token
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        self.channel = self.dial()
        self.http = httpx.AsyncClient(base_url=self.http_address, timeout=ANSWER_WITHIN_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.channel.close()

    def dial(self, **more: Any) -> grpc.aio.Channel:
        """A channel of its own, without limits on the client's side."""
        return grpc.aio.insecure_channel(self.grpc_address, options=UNBOUNDED, **more)

    # --- gRPC

    def open(
        self, path: str, *messages: Message | bytes, token: str | None = None, channel: grpc.aio.Channel | None = None
    ) -> Any:
        """Start a call of whatever kind; messages of a client's stream are all sent, then the sending side is closed."""
        method, raw = BY_PATH[path], [one if isinstance(one, bytes) else one.SerializeToString() for one in messages]
        how: dict[str, Any] = {"metadata": self.credentials(token), "timeout": ANSWER_WITHIN_S}
        dialled = channel or self.channel
        if method.client_streams:
            return dialled.stream_stream(path, response_deserializer=method.response.FromString)(_each(raw), **how)
        if method.server_streams:
            return dialled.unary_stream(path, response_deserializer=method.response.FromString)(raw[0], **how)
        return dialled.unary_unary(path, response_deserializer=method.response.FromString)(raw[0], **how)

    def credentials(self, token: str | None = None) -> tuple[tuple[str, str], ...]:
        """The metadata that shows a token, ours if none is given; none at all for an empty one."""
        token = self.mine if token is None else token
        return (("authorization", f"bearer {token}"),) if token else ()

    async def call(self, path: str, message: Message | bytes, **how: Any) -> Any:
        """A unary call that must succeed."""
        return await self.open(path, message, **how)

    async def status(self, path: str, *messages: Message | bytes, **how: Any) -> Status:
        """The code and sentence a call ends with."""
        return await status_of(self.open(path, *messages, **how))

    # --- HTTP

    async def rest(self, verb: str, path: str, body: Any = None, *, token: str | None = None) -> httpx.Response:
        """A call of the REST tree. `{tenant}` in the path is ours. bytes are sent as they are, everything else as JSON."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        token = self.mine if token is None else token
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        return await self.http.request(verb, "/api/v1" + path.replace("{tenant}", MINE), content=content, headers=headers)

    async def trigger_by_rest(self, body: Any, **how: Any) -> httpx.Response:
        return await self.rest("POST", "/stable/tenants/{tenant}/workflow-runs/trigger", body, **how)

    async def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`: name and labels to value."""
        text = (await self.http.get("/metrics")).text
        return {
            sample.name + "".join(f",{value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def counted(self, name: str) -> float:
        """The sum of a counter over its labels."""
        return sum(value for key, value in (await self.metrics()).items() if key.split(",")[0] == name)

    # --- what a good caller does

    def name(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    async def workflow(self, name: str, *tasks: admin.CreateTaskOpts, token: str | None = None, **more: Any) -> str:
        """Register a workflow; without tasks, one of its own name."""
        given = tasks or (task(name),)
        await self.call(
            "/v1.AdminService/PutWorkflow", admin.CreateWorkflowVersionRequest(name=name, tasks=given, **more), token=token
        )
        return name

    async def worker(self, *actions: str, token: str | None = None) -> Worker:
        """A worker that listens."""
        answer = await self.call(
            "/Dispatcher/Register", wire.WorkerRegisterRequest(worker_name=self.name("worker"), actions=actions), token=token
        )
        worker = Worker(self, answer.worker_id, token)
        await worker.listen()
        return worker

    async def trigger(self, name: str, *, token: str | None = None, **more: Any) -> str:
        """A run's id."""
        request = triggers.TriggerWorkflowRequest(name=name, **more)
        return str((await self.call("/WorkflowService/TriggerWorkflow", request, token=token)).workflow_run_id)

    async def details(self, run_id: str, *, token: str | None = None) -> admin.GetRunDetailsResponse:
        return await self.call("/v1.AdminService/GetRunDetails", admin.GetRunDetailsRequest(external_id=run_id), token=token)  # type: ignore[no-any-return]

    async def is_alive(self, *, token: str | None = None) -> None:
        """A good run from registration to result: whatever happened before, the engine does its work."""
        name = await self.workflow(self.name("alive"), token=token)
        worker = await self.worker(name, token=token)
        run_id = await self.trigger(name, token=token, input=b'{"n": 1}')
        start = await worker.start()
        assert start.workflow_run_id == run_id
        await worker.report(start, wire.STEP_EVENT_TYPE_STARTED)
        await worker.report(start, wire.STEP_EVENT_TYPE_COMPLETED, b'{"fine": true}')
        details = await self.details(run_id, token=token)
        assert details.done
        assert details.task_runs[name].output == b'{"fine": true}'
        await worker.leave()


class House(Callers):
    """An engine as `limpet server` composes it, and its callers."""

    def __init__(self, folder: Path, settings: EngineSettings | None = None, *, is_dev: bool = False) -> None:
        super().__init__()
        self.folder, self.store = folder, folder / "store.db"
        self.key_file = folder / "store.db.signing-key"
        self._plan = Plan(
            store=self.store, grpc_port=0, http_port=0, is_dev=is_dev, key_file=None if is_dev else self.key_file,
            settings=settings or EngineSettings(),
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        self.process = ShortPatience(self._plan)
        ready = await self.process.start()
        self.grpc_address, self.http_address = ready.grpc, ready.http
        await super().__aenter__()
        self.mine = self.theirs = ready.token or ""
        if not self._plan.is_dev:
            self.keys = load_key_ring(self.key_file)
            await self.engine.create_tenant(THEIRS, "theirs")
            self.mine, self.my_token = await self.mint(MINE)
            self.theirs, _ = await self.mint(THEIRS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self.process.stop()

    @property
    def engine(self) -> Engine:
        return self.process.engine

    @property
    def streams(self) -> StreamRegistry:
        return self.process.streams

    async def mint(self, tenant: TenantId) -> tuple[str, Token]:
        """A token that counts from now on."""
        rows = {each.id: each for each in await self.process.store.tenants()}
        minted = mint_token(self.keys, rows[tenant], "ci", Addresses(self.http_address, self.grpc_address))
        await self.process.store.put_token(minted.row)
        await self.refresh_tokens()
        return minted.token, minted.row

    async def refresh_tokens(self) -> None:
        assert isinstance(self.process.access, TokenAccess)
        await self.process.access.refresh()

    async def run_count(self) -> int:
        """Runs of ours in the store."""
        number = self.engine.tenant_no(MINE)
        assert number is not None
        return (await self.engine.reader.runs(number, RunQuery(limit=1)))[1]


class Worker:
    """A registered worker with an open stream."""

    def __init__(self, house: Callers, worker_id: str, token: str | None) -> None:
        self.house, self.id, self._token = house, worker_id, token

    async def listen(self, **how: Any) -> None:
        """Open the stream, and return once the engine knows of it."""
        self.stream = self.house.open(
            "/Dispatcher/ListenV2", wire.WorkerListenRequest(worker_id=self.id), token=self._token, **how
        )
        await self.stream.initial_metadata()

    async def start(self) -> wire.AssignedAction:
        """The next message of the stream."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            message = await self.stream.read()
        assert isinstance(message, wire.AssignedAction), message
        return message

    async def report(self, start: wire.AssignedAction, kind: int, payload: bytes = b"", **more: Any) -> wire.ActionEventResponse:
        """Report about the attempt that was started."""
        event = report_about(start, kind, payload, **({"worker_id": self.id} | more))
        return await self.house.call("/Dispatcher/SendStepActionEvent", event, token=self._token)  # type: ignore[no-any-return]

    async def beat(self) -> None:
        """Show a sign of life, as real workers do every four seconds."""
        await self.house.call("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=self.id), token=self._token)

    async def leave(self) -> None:
        self.stream.cancel()
        await self.house.call("/Dispatcher/Unsubscribe", wire.WorkerUnsubscribeRequest(worker_id=self.id), token=self._token)


def report_about(start: wire.AssignedAction, kind: int, payload: bytes = b"", **more: Any) -> wire.StepActionEvent:
    """An event about the attempt of a start."""
    fields: dict[str, Any] = {
        "task_run_external_id": start.task_run_external_id, "retry_count": start.retry_count, "action_id": start.action_id,
        "event_type": kind, "event_payload": payload,
    }  # fmt: skip
    return wire.StepActionEvent(**(fields | more))


def task(name: str, **more: Any) -> admin.CreateTaskOpts:
    """A task whose action has its name."""
    return admin.CreateTaskOpts(**({"readable_id": name, "action": name} | more))


async def status_of(call: Any) -> Status:
    """The code and sentence a call, or the rest of a stream, ends with."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            if hasattr(call, "read"):
                while await call.read() is not grpc.aio.EOF:
                    pass
            else:
                await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def sentences(answer: httpx.Response) -> str:
    """All that an error answer says."""
    return " ".join(each["description"] for each in answer.json()["errors"])


async def _each(messages: list[bytes]) -> Any:
    for message in messages:
        yield message
