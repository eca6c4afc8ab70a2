"""The worker's calls: registration, signs of life, reports, labels, slots, deadlines."""

from __future__ import annotations

from typing import cast

from limpet.contracts import dispatcher_pb2 as wire
from limpet.core.durations import parse_duration
from limpet.core.errors import InvalidArgument, NotFound, WorkerNotListening
from limpet.core.ids import is_uuid
from limpet.core.inputs import LabelsUpserted, SlotReleased, TaskCompleted, TimeoutRefreshed, WorkerSeen, WorkerUnsubscribed
from limpet.edges import condition_answers
from limpet.edges.grpc.binding import Handler
from limpet.edges.grpc.gate import Call
from limpet.edges.grpc.settings import REPORTED_VERSION, GrpcSettings
from limpet.edges.grpc.translate.instants import timestamp
from limpet.edges.grpc.translate.labels import worker_labels
from limpet.edges.grpc.translate.reports import report_of
from limpet.edges.grpc.translate.workers import registered, unsubscribes_before_it_drains
from limpet.edges.streams import StreamRegistry
from limpet.engine.door import Door


class Dispatcher:
    """Unary calls of the service `Dispatcher`."""

    def __init__(self, door: Door, streams: StreamRegistry, settings: GrpcSettings) -> None:
        self._door, self._streams = door, streams
        self._limits = settings.limits
        self._heartbeat_patience_s = settings.heartbeat_patience_s

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {
            "/Dispatcher/GetVersion": self.get_version,
            "/Dispatcher/Register": self.register,
            "/Dispatcher/Heartbeat": self.heartbeat,
            "/Dispatcher/SendStepActionEvent": self.send_step_action_event,
            "/Dispatcher/Unsubscribe": self.unsubscribe,
            "/Dispatcher/UpsertWorkerLabels": self.upsert_worker_labels,
            "/Dispatcher/ReleaseSlot": self.release_slot,
            "/Dispatcher/RefreshTimeout": self.refresh_timeout,
        }

    async def get_version(self, _: Call, __: wire.GetVersionRequest) -> wire.GetVersionResponse:
        """Clients choose their way of speaking by it."""
        return wire.GetVersionResponse(version=REPORTED_VERSION)

    async def register(self, call: Call, request: wire.WorkerRegisterRequest) -> wire.WorkerRegisterResponse:
        """Always a new worker id (WK-9)."""
        worker_id = cast(str, await self._door.submit(call.tenant, registered(request, self._limits)))
        return wire.WorkerRegisterResponse(tenant_id=call.tenant, worker_id=worker_id, worker_name=request.worker_name)

    async def heartbeat(self, call: Call, request: wire.HeartbeatRequest) -> wire.HeartbeatResponse:
        """Answered from memory: a slow store must not disconnect the fleet (R10). An error only if the stream is gone."""
        worker_id = request.worker_id
        view = self._door.worker(call.tenant, worker_id)
        if view is None or view.gone_at is not None:
            raise NotFound("worker", worker_id, "restart the worker, so that it registers again")
        if not await self._streams.sessions.listening(call.tenant, worker_id, self._heartbeat_patience_s):
            raise WorkerNotListening(worker_id)
        self._door.notify(call.tenant, WorkerSeen(worker_id))
        return wire.HeartbeatResponse()

    async def send_step_action_event(self, call: Call, request: wire.StepActionEvent) -> wire.ActionEventResponse:
        """Always OK once it is durable, whatever became of it (R32)."""
        report = report_of(request, self._limits)
        if report is None:
            self._door.notify(call.tenant, WorkerSeen(request.worker_id))
        elif isinstance(report, TaskCompleted):
            await condition_answers.report(self._door, call.tenant, report)
        else:
            await self._door.submit(call.tenant, report)
        return wire.ActionEventResponse(tenant_id=call.tenant, worker_id=request.worker_id)

    async def unsubscribe(self, call: Call, request: wire.WorkerUnsubscribeRequest) -> wire.WorkerUnsubscribeResponse:
        """Gone for good (WK-18)."""
        drains = unsubscribes_before_it_drains(self._door.worker(call.tenant, request.worker_id))
        await self._door.submit(call.tenant, WorkerUnsubscribed(request.worker_id, drains))
        return wire.WorkerUnsubscribeResponse(tenant_id=call.tenant, worker_id=request.worker_id)

    async def upsert_worker_labels(self, call: Call, request: wire.UpsertWorkerLabelsRequest) -> wire.UpsertWorkerLabelsResponse:
        """Merged by key, and counted from the answer on (LB-19, LB-20)."""
        check_id("worker_id", request.worker_id)
        await self._door.submit(call.tenant, LabelsUpserted(request.worker_id, worker_labels(request.labels, self._limits)))
        return wire.UpsertWorkerLabelsResponse(tenant_id=call.tenant, worker_id=request.worker_id)

    async def release_slot(self, call: Call, request: wire.ReleaseSlotRequest) -> wire.ReleaseSlotResponse:
        """The task runs on without its slots (SL-10)."""
        await self._door.submit(call.tenant, SlotReleased(request.task_run_external_id))
        return wire.ReleaseSlotResponse()

    async def refresh_timeout(self, call: Call, request: wire.RefreshTimeoutRequest) -> wire.RefreshTimeoutResponse:
        """The deadline moves by a duration text (TO-11)."""
        by_us = parse_duration(request.increment_timeout_by, "increment_timeout_by")
        deadline = await self._door.submit(call.tenant, TimeoutRefreshed(request.task_run_external_id, by_us))
        return wire.RefreshTimeoutResponse(timeout_at=timestamp(cast(int, deadline)))


def check_id(field: str, text: str) -> None:
    """Refuse what cannot be an id of ours."""
    if not is_uuid(text):
        raise InvalidArgument(f"{field} must be a valid UUID, got {text[:80]!r}")
