"""A worker that does what the test says, over the real protocol: it registers, listens, beats, and reports on command."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import grpc.aio

from limpet.contracts import dispatcher_pb2 as pb
from limpet.contracts.stubs import DispatcherStub
from limpet.testing.embedded import EmbeddedEngine

HEARTBEAT_INTERVAL_S = 4.0  # as real clients have it
START_PATIENCE_S = 10.0


class FakeWorker:
    """Connected as soon as it is made. Blocking calls; everything runs in the engine's thread.

    `starts` and `cancels` hold what came and was not taken yet.
    """

    def __init__(
        self,
        engine: EmbeddedEngine,
        name: str,
        actions: Iterable[str],
        *,
        slots: int | Mapping[str, int] = 100,
        labels: Mapping[str, str | int] | None = None,
    ) -> None:
        self.name, self._engine = name, engine
        self._slots = {"default": slots} if isinstance(slots, int) else dict(slots)
        self._actions, self._labels = list(actions), dict(labels or {})
        engine.call(self._connect)

    # What the test says

    def next_start(self, within_s: float = START_PATIENCE_S) -> pb.AssignedAction:
        """The next start that came, in order. Fails when none comes in time."""
        try:
            return self._engine.call(self._take, self._starts, within_s)
        except TimeoutError:
            raise AssertionError(f"worker {self.name} got no start within {within_s:g} s") from None

    def next_cancel(self, within_s: float = START_PATIENCE_S) -> pb.AssignedAction:
        """The next cancel that came, in order. Fails when none comes in time."""
        try:
            return self._engine.call(self._take, self._cancels, within_s)
        except TimeoutError:
            raise AssertionError(f"worker {self.name} got no cancel within {within_s:g} s") from None

    @property
    def has_starts(self) -> bool:
        """Whether a start came that was not taken yet."""
        return not self._starts.empty()

    def confirm(self, start: pb.AssignedAction) -> None:
        """Report STARTED: the receipt."""
        self._report(start, pb.STEP_EVENT_TYPE_STARTED, "")

    def complete(self, start: pb.AssignedAction, output: Mapping[str, Any] | None = None) -> None:
        """Report COMPLETED with an output."""
        self._report(start, pb.STEP_EVENT_TYPE_COMPLETED, json.dumps(dict(output or {})))

    def fail(self, start: pb.AssignedAction, error: str = "failed by the test", *, retryable: bool = True) -> None:
        """Report FAILED."""
        self._report(start, pb.STEP_EVENT_TYPE_FAILED, error, should_not_retry=not retryable)

    def release_slot(self, start: pb.AssignedAction) -> None:
        """Give back the attempt's slots."""
        self._engine.call(self._stub_call, "ReleaseSlot", pb.ReleaseSlotRequest(task_run_external_id=start.task_run_external_id))

    def set_labels(self, **labels: str | int) -> None:
        """Merge labels."""
        request = pb.UpsertWorkerLabelsRequest(worker_id=self.id, labels=_wire_labels(labels))
        self._engine.call(self._stub_call, "UpsertWorkerLabels", request)

    def cut_stream(self) -> None:
        """Lose the connection; `listen` comes back with the same id."""
        self._engine.call(self._cut)

    def listen(self) -> None:
        """Open the stream again."""
        self._engine.call(self._listen)

    def fall_silent(self) -> None:
        """Beat no more; the stream stays open, as with a process that is stopped."""
        self._engine.call(self._stop_beating)

    def leave(self) -> None:
        """Unsubscribe for good."""
        self._engine.call(self._stub_call, "Unsubscribe", pb.WorkerUnsubscribeRequest(worker_id=self.id))
        self._engine.call(self._close)

    def close(self) -> None:
        """Drop the connection without a word. Harmless when called twice."""
        self._engine.call(self._close)

    # In the engine's thread

    async def _connect(self) -> None:
        self._starts: asyncio.Queue[pb.AssignedAction] = asyncio.Queue()
        self._cancels: asyncio.Queue[pb.AssignedAction] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._beating: asyncio.Task[None] | None = None
        self._channel = grpc.aio.insecure_channel(self._engine.grpc_address)
        self._stub = DispatcherStub(self._channel)
        request = pb.WorkerRegisterRequest(worker_name=self.name, actions=self._actions, labels=_wire_labels(self._labels))
        for kind, units in self._slots.items():
            request.slot_config[kind] = units
        self.id = str((await self._call("Register", request)).worker_id)
        await self._listen()
        self._beating = asyncio.create_task(self._beat())

    async def _listen(self) -> None:
        call = self._stub.ListenV2(pb.WorkerListenRequest(worker_id=self.id), metadata=self._metadata)
        self._tasks.append(asyncio.create_task(self._read(call)))
        while True:  # the stream counts once the engine has committed that it is open
            view = self._engine.engine.worker(self._engine.tenant_id, self.id)
            if view is not None and view.stream_open:
                return
            await asyncio.sleep(0.001)

    async def _read(self, call: Any) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            async for action in call:
                is_cancel = action.action_type == pb.CANCEL_STEP_RUN
                (self._cancels if is_cancel else self._starts).put_nowait(action)

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._call("Heartbeat", pb.HeartbeatRequest(worker_id=self.id))
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    async def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        while True:
            view = self._engine.engine.worker(self._engine.tenant_id, self.id)
            if view is None or not view.stream_open:
                return
            await asyncio.sleep(0.001)

    async def _stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None

    async def _close(self) -> None:
        await self._stop_beating()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._channel.close()

    async def _take(self, queue: asyncio.Queue[pb.AssignedAction], within_s: float) -> pb.AssignedAction:
        return await asyncio.wait_for(queue.get(), within_s)

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._metadata)

    async def _stub_call(self, method: str, request: Any) -> Any:
        return await self._call(method, request)

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"bearer {self._engine.token}"),)

    def _report(self, start: pb.AssignedAction, kind: Any, payload: str, *, should_not_retry: bool = False) -> None:
        event = pb.StepActionEvent(
            worker_id=self.id,
            task_run_external_id=start.task_run_external_id,
            action_id=start.action_id,
            event_type=kind,
            event_payload=payload,
            retry_count=start.retry_count,
            should_not_retry=should_not_retry,
        )
        self._engine.call(self._stub_call, "SendStepActionEvent", event)


def _wire_labels(labels: Mapping[str, str | int]) -> dict[str, pb.WorkerLabels]:
    return {
        key: pb.WorkerLabels(int_value=value) if isinstance(value, int) else pb.WorkerLabels(str_value=value)
        for key, value in labels.items()
    }
