"""A worker that does what the test says, over the real protocol: it registers, listens, beats, and reports on command."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio

from limpet.contracts import dispatcher_pb2 as pb
from limpet.contracts.admin_pb2 import CreateWorkflowVersionRequest
from limpet.contracts.stubs import AdminServiceStub, DispatcherStub
from limpet.testing.embedded import EmbeddedEngine

HEARTBEAT_INTERVAL_S = 4.0  # as real clients have it
PATIENCE_S = 10.0  # for what takes milliseconds unless something is wrong


class Declared(Protocol):
    """A workflow or task declared with our client or with the official one."""

    def to_proto(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Start:
    """A start that came to a worker. It also stands for its run wherever a run is asked for."""

    message: pb.AssignedAction

    @property
    def task(self) -> str:
        """The task's name."""
        return self.message.task_name

    @property
    def task_run_id(self) -> str:
        return self.message.task_run_external_id

    @property
    def workflow_run_id(self) -> str:
        return self.message.workflow_run_id

    @property
    def attempt(self) -> int:
        """Counted from 1."""
        return self.message.retry_count + 1

    @property
    def input(self) -> Any:
        """The run's input."""
        return json.loads(self.message.action_payload)["input"]

    @property
    def parents(self) -> dict[str, Any]:
        """Outputs of the task's parents, by name."""
        found: dict[str, Any] = json.loads(self.message.action_payload).get("parents") or {}
        return found


class FakeWorker:
    """Connected as soon as it is made. Blocking calls; everything runs in the engine's thread.

    offers:   action ids as in "workflow:task", or declared workflows, which it registers too
    slots:    of the default type, or a number for each slot type
    confirms: it reports STARTED for every start as soon as it comes, as real workers do; else the test does
    listens:  it opens its stream at once and beats; else it only registers
    """

    def __init__(
        self,
        engine: EmbeddedEngine,
        name: str,
        offers: Iterable[str | Declared],
        *,
        slots: int | Mapping[str, int] = 100,
        labels: Mapping[str, str | int] | None = None,
        confirms: bool = True,
        listens: bool = True,
    ) -> None:
        self.name = name
        self.id: str = ""
        self._engine, self._confirms = engine, confirms
        self._slots = {"default": slots} if isinstance(slots, int) else dict(slots)
        self._labels = dict(labels or {})
        self._starts: asyncio.Queue[Start] = asyncio.Queue()
        self._cancels: asyncio.Queue[Start] = asyncio.Queue()
        self._streams: list[asyncio.Task[None]] = []
        self._beating: asyncio.Task[None] | None = None
        engine.call(self._connect, list(offers), listens)

    def __repr__(self) -> str:
        return f"FakeWorker({self.name!r}, id={self.id!r})"

    # What comes

    def next_start(self, within_s: float = PATIENCE_S) -> Start:
        """The next start, in the order they came. Fails when none comes in time, and says what waits why."""
        __tracebackhide__ = True
        return self._engine.call(self._take, self._starts, "start", within_s)

    def next_cancel(self, within_s: float = PATIENCE_S) -> Start:
        """The start that the next cancel is about, in the order they came. Fails when none comes in time."""
        __tracebackhide__ = True
        return self._engine.call(self._take, self._cancels, "cancel", within_s)

    # What it reports

    def work(self, output: Mapping[str, Any] | None = None, within_s: float = PATIENCE_S) -> Start:
        """Take the next start and complete it with this output."""
        __tracebackhide__ = True
        start = self.next_start(within_s)
        self.complete(start, output)
        return start

    def confirm(self, start: Start) -> None:
        """Report STARTED, the receipt: for a worker made with `confirms=False`."""
        self.report(start, pb.STEP_EVENT_TYPE_STARTED)

    def complete(self, start: Start, output: Mapping[str, Any] | None = None) -> None:
        """Report COMPLETED with an output."""
        self.report(start, pb.STEP_EVENT_TYPE_COMPLETED, json.dumps(dict(output or {})))

    def fail(self, start: Start, error: str = "failed by the test", *, retryable: bool = True) -> None:
        """Report FAILED."""
        self.report(start, pb.STEP_EVENT_TYPE_FAILED, error, should_not_retry=not retryable)

    def report(self, start: Start, kind: pb.StepActionEventType, payload: str = "", **fields: Any) -> None:
        """Report anything. `fields` of the message replace those of a well-behaved worker."""
        self._engine.call(self._report, start, kind, payload, fields)

    def release_slot(self, start: Start) -> None:
        """Give back the attempt's slots."""
        self._engine.call(self._call, "ReleaseSlot", pb.ReleaseSlotRequest(task_run_external_id=start.task_run_id))

    def refresh_timeout(self, start: Start, by: str) -> None:
        """Move the execution deadline, as in "10s"."""
        request = pb.RefreshTimeoutRequest(task_run_external_id=start.task_run_id, increment_timeout_by=by)
        self._engine.call(self._call, "RefreshTimeout", request)

    def set_labels(self, **labels: str | int) -> None:
        """Merge labels."""
        request = pb.UpsertWorkerLabelsRequest(worker_id=self.id, labels=_wire_labels(labels))
        self._engine.call(self._call, "UpsertWorkerLabels", request)

    def heartbeat(self) -> None:
        """Beat once more than it does by itself."""
        self._engine.call(self._call, "Heartbeat", pb.HeartbeatRequest(worker_id=self.id))

    # Its connection

    def cut_stream(self, number: int = -1) -> None:
        """Lose a stream, the newest unless told otherwise; returns once the engine knows. `listen` comes back."""
        self._engine.call(self._cut, number)

    def listen(self) -> None:
        """Open a stream, one more if there is one already; returns once the engine knows."""
        self._engine.call(self._listen)

    def fall_silent(self) -> None:
        """Beat no more while the stream stays open, as a stopped process does; virtual time counts for it now."""
        self._engine.time.silent.add(self.id)
        self._engine.call(self._stop_beating)

    def leave(self) -> None:
        """Unsubscribe for good."""
        self._engine.call(self._call, "Unsubscribe", pb.WorkerUnsubscribeRequest(worker_id=self.id))
        self.close()

    def close(self) -> None:
        """Drop the connection without a word, as a killed process does; returns once the engine knows.

        Harmless when called twice.
        """
        self._engine.call(self._close)

    # In the engine's event loop

    async def _connect(self, offers: list[str | Declared], listens: bool) -> None:
        self._channel = grpc.aio.insecure_channel(self._engine.grpc_address)
        self._stub = DispatcherStub(self._channel)
        self._engine.at_stop(self._close)
        actions = [action for offer in offers for action in await self._actions_of(offer)]
        request = pb.WorkerRegisterRequest(
            worker_name=self.name, actions=actions, slot_config=self._slots, labels=_wire_labels(self._labels)
        )
        self.id = str((await self._call("Register", request)).worker_id)
        if not self._confirms:
            self._engine.time.scripted.add(self.id)
        if listens:
            await self._listen()
            self._beating = asyncio.create_task(self._beat())

    async def _actions_of(self, offer: str | Declared) -> list[str]:
        """Action ids of an offer; a declared workflow is registered first."""
        if isinstance(offer, str):
            return [offer]
        request = CreateWorkflowVersionRequest.FromString(offer.to_proto().SerializeToString())
        await AdminServiceStub(self._channel).PutWorkflow(request, metadata=self._metadata)
        on_failure = [request.on_failure_task] if request.HasField("on_failure_task") else []
        return [task.action for task in (*request.tasks, *on_failure)]

    async def _listen(self) -> None:
        engine = self._engine.engine
        before = engine.streams_open[self.id]
        call = self._stub.ListenV2(pb.WorkerListenRequest(worker_id=self.id), metadata=self._metadata)
        stream = asyncio.create_task(self._read(call))

        async def look() -> bool | None:
            return True if stream.done() or engine.streams_open[self.id] > before else None

        await engine.pulse.until(look, PATIENCE_S)
        if stream.done():
            raise AssertionError(f"worker {self.name} could not listen: {await call.code()}, {await call.details()}")
        self._streams.append(stream)

    async def _read(self, call: Any) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for action in call:
                await self._came(Start(action))

    async def _came(self, start: Start) -> None:
        if start.message.action_type == pb.CANCEL_STEP_RUN:
            self._cancels.put_nowait(start)
            return
        if self._confirms:
            await self._report(start, pb.STEP_EVENT_TYPE_STARTED, "", {})
        self._starts.put_nowait(start)

    async def _report(self, start: Start, kind: pb.StepActionEventType, payload: str, fields: Mapping[str, Any]) -> None:
        event: dict[str, Any] = {
            "worker_id": self.id,
            "task_run_external_id": start.task_run_id,
            "action_id": start.message.action_id,
            "event_type": kind,
            "event_payload": payload.encode(),
            "retry_count": start.message.retry_count,
        }
        await self._call("SendStepActionEvent", pb.StepActionEvent(**{**event, **fields}))

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._call("Heartbeat", pb.HeartbeatRequest(worker_id=self.id))
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    async def _cut(self, number: int) -> None:
        self._streams = [stream for stream in self._streams if not stream.done()]
        assert self._streams, f"worker {self.name} has no stream to lose"
        await _end(self._streams.pop(number))
        await self._until_noticed()

    async def _until_noticed(self) -> None:
        """Return once the engine has heard of every stream that ended."""
        engine = self._engine.engine

        async def look() -> bool | None:
            return True if engine.streams_open[self.id] <= len(self._streams) else None

        await engine.pulse.until(look, PATIENCE_S)

    async def _stop_beating(self) -> None:
        if self._beating is not None:
            await _end(self._beating)
            self._beating = None

    async def _close(self) -> None:
        await self._stop_beating()
        while self._streams:
            await _end(self._streams.pop())
        await self._until_noticed()
        await self._channel.close()

    async def _take(self, queue: asyncio.Queue[Start], what: str, within_s: float) -> Start:
        try:
            return await asyncio.wait_for(queue.get(), within_s)
        except TimeoutError:
            waiting = await self._engine.insight.describe_waiting()
            raise AssertionError(f"worker {self.name} got no {what} within {within_s:g} s; {waiting}") from None

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._metadata)

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"bearer {self._engine.token}"),)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _wire_labels(labels: Mapping[str, str | int]) -> dict[str, pb.WorkerLabels]:
    return {
        key: pb.WorkerLabels(int_value=value) if isinstance(value, int) else pb.WorkerLabels(str_value=value)
        for key, value in labels.items()
    }
