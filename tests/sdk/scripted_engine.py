"""An engine that does what a test says: a real gRPC server on loopback that records calls and answers as scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from limpet.contracts import dispatcher_pb2, workflows_pb2
from limpet.contracts.methods import METHODS, Method
from limpet.sdk.config import ClientConfig, TenacityConfig

WORKER_ID = "0190aaaa-0000-7000-8000-000000000001"
RUN_ID = "0190bbbb-0000-7000-8000-000000000001"
STREAM_ENDED = "the end of ListenV2"  # recorded like a call
PATIENCE_S = 10.0  # only a broken test waits this long

Answer = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]


@dataclass(slots=True)
class Call:
    """One recorded call."""

    name: str
    request: Any
    metadata: dict[str, str]


@dataclass(slots=True)
class ScriptedEngine:
    """`answers` by method name replace the plain answers; `calls` is everything that was asked."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    streams: list[asyncio.Queue[Any]] = field(default_factory=list)
    results: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    workers_registered: int = 0
    _server: grpc.aio.Server | None = None

    async def __aenter__(self) -> ScriptedEngine:
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(tuple(self._handlers()))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.stop(None)

    @property
    def config(self) -> ClientConfig:
        """Settings of a client of this engine, without waits between repeats."""
        return ClientConfig(
            host_port=f"127.0.0.1:{self.port}",
            server_url="http://127.0.0.1:9",  # nobody listens there: what needs REST must cope
            tenacity=TenacityConfig(wait=lambda _: 0.0),
        )

    # What a test does

    async def send(self, action: dispatcher_pb2.AssignedAction) -> None:
        """Put an action on the newest stream; waits until there is one."""
        await self.until(lambda: bool(self.streams))
        self.streams[-1].put_nowait(action)

    async def end_stream(self, code: grpc.StatusCode) -> None:
        """End the newest stream."""
        await self.until(lambda: bool(self.streams))
        self.streams[-1].put_nowait(code)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; looked at after every call."""
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(condition)

    async def called(self, name: str, count: int = 1) -> list[Any]:
        """Wait for calls of a method; their requests."""
        await self.until(lambda: len(self.requests(name)) >= count)
        return self.requests(name)

    def requests(self, name: str) -> list[Any]:
        """Requests of a method so far."""
        return [call.request for call in self.calls if call.name == name]

    async def event(self, kind: int, count: int = 1) -> list[dispatcher_pb2.StepActionEvent]:
        """Wait for reports of a kind."""
        await self.until(lambda: len(self.events(kind)) >= count)
        return self.events(kind)

    def events(self, kind: int) -> list[dispatcher_pb2.StepActionEvent]:
        """Reports of a kind so far."""
        return [event for event in self.requests("SendStepActionEvent") if event.event_type == kind]

    # How it answers

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        by_service: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
        for method in METHODS:
            by_service.setdefault(method.service, {})[method.name] = self._handler(method)
        return [grpc.method_handlers_generic_handler(service, table) for service, table in by_service.items()]

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        coders = {
            "request_deserializer": method.request.FromString,
            "response_serializer": method.response.SerializeToString,
        }
        if method.name == "ListenV2":
            return grpc.unary_stream_rpc_method_handler(self._listen, **coders)
        if method.name == "SubscribeToWorkflowRuns":
            return grpc.stream_stream_rpc_method_handler(self._subscribe_runs, **coders)
        if method.server_streams:
            return grpc.unary_stream_rpc_method_handler(self._scripted_stream(method), **coders)
        return grpc.unary_unary_rpc_method_handler(self._unary(method), **coders)

    def _unary(self, method: Method) -> Answer:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            await self._record(method.name, request, context)
            scripted = self.answers.get(method.name)
            if scripted is not None:
                return await scripted(request, context)
            return self._plain_answer(method, request)

        return answer

    def _plain_answer(self, method: Method, request: Any) -> Any:
        if method.name == "Register":
            self.workers_registered += 1
            return dispatcher_pb2.WorkerRegisterResponse(worker_id=worker_id(self.workers_registered))
        if method.name == "TriggerWorkflow":
            return workflows_pb2.TriggerWorkflowResponse(workflow_run_id=RUN_ID)
        if method.name == "BulkTriggerWorkflow":
            ids = [f"run-{item.input.decode()}" for item in request.workflows]
            return workflows_pb2.BulkTriggerWorkflowResponse(workflow_run_ids=ids)
        return method.response()

    def _scripted_stream(self, method: Method) -> Callable[..., AsyncIterator[Any]]:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            await self._record(method.name, request, context)
            for message in await self.answers[method.name](request, context):
                yield message

        return answer

    async def _listen(self, request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.streams.append(queue)
        await self._record("ListenV2", request, context)
        try:
            while True:
                item = await queue.get()
                if isinstance(item, grpc.StatusCode):
                    await context.abort(item, "scripted end")
                yield item
        finally:
            await self._record(STREAM_ENDED, request, context)

    async def _subscribe_runs(self, requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async def read() -> None:
            async for request in requests:
                await self._record("SubscribeToWorkflowRuns", request, context)

        reading = asyncio.create_task(read())
        try:
            while True:
                item = await self.results.get()
                if isinstance(item, grpc.StatusCode):
                    await context.abort(item, "scripted end")
                yield item
        finally:
            reading.cancel()

    async def _record(self, name: str, request: Any, context: grpc.aio.ServicerContext) -> None:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        async with self.changed:
            self.calls.append(Call(name, request, metadata))
            self.changed.notify_all()


def worker_id(number: int) -> str:
    """The id of the n-th registration."""
    return WORKER_ID[:-1] + str(number)


def start_action(
    action_id: str, *, task_run_id: str = "task-1", retry_count: int = 0, input: Any = None, **more: Any
) -> dispatcher_pb2.AssignedAction:
    """A start."""
    payload = json.dumps({"input": input or {}, "parents": {}, "triggers": {}}).encode()
    return dispatcher_pb2.AssignedAction(
        action_type=dispatcher_pb2.START_STEP_RUN,
        action_id=action_id,
        task_run_external_id=task_run_id,
        workflow_run_id="run-1",
        retry_count=retry_count,
        action_payload=payload,
        **more,
    )


def cancel_action(task_run_id: str = "task-1", retry_count: int = 0) -> dispatcher_pb2.AssignedAction:
    """A cancel."""
    return dispatcher_pb2.AssignedAction(
        action_type=dispatcher_pb2.CANCEL_STEP_RUN, task_run_external_id=task_run_id, retry_count=retry_count
    )


def aborting(*codes: grpc.StatusCode) -> Answer:
    """Fails once with each code, then answers with an empty trigger response."""
    left = list(codes)

    async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
        if left:
            await context.abort(left.pop(0), "scripted failure")
        return workflows_pb2.TriggerWorkflowResponse(workflow_run_id=RUN_ID)

    return answer
