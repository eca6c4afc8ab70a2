"""Triggers: one run, several in one go, or runs at instants to come; and rate limits, set and paused."""

from __future__ import annotations

from typing import cast

from limpet.contracts import workflows_pb2 as wire
from limpet.contracts.trigger_pb2 import TriggerWorkflowRequest
from limpet.core.errors import NotFound
from limpet.core.timetable_rows import ScheduleRow
from limpet.edges.grpc.binding import Handler
from limpet.edges.grpc.gate import Call
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.grpc.translate.rate_limits import pause_answer, rate_limit_paused, rate_limit_put
from limpet.edges.grpc.translate.triggers import bulk_triggered, schedule_answer, scheduled, triggered
from limpet.edges.run_keys import trigger, trigger_many
from limpet.engine.door import Door


class Workflows:
    """Calls of the service `WorkflowService`."""

    def __init__(self, door: Door, settings: GrpcSettings) -> None:
        self._door, self._limits = door, settings.limits

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {
            "/WorkflowService/TriggerWorkflow": self.trigger_workflow,
            "/WorkflowService/ScheduleWorkflow": self.schedule_workflow,
            "/WorkflowService/BulkTriggerWorkflow": self.bulk_trigger_workflow,
            "/WorkflowService/PutRateLimit": self.put_rate_limit,
            "/WorkflowService/PauseRateLimit": self.pause_rate_limit,
        }

    async def trigger_workflow(self, call: Call, request: TriggerWorkflowRequest) -> wire.TriggerWorkflowResponse:
        """One run."""
        item = triggered(request, call.request_id, self._limits)
        return wire.TriggerWorkflowResponse(workflow_run_id=await trigger(self._door, call.tenant, item))

    async def bulk_trigger_workflow(
        self, call: Call, request: wire.BulkTriggerWorkflowRequest
    ) -> wire.BulkTriggerWorkflowResponse:
        """All or none but for items whose idempotency keys are held, ids in order (I4, W16.4)."""
        if not request.workflows:
            return wire.BulkTriggerWorkflowResponse()
        items = bulk_triggered(request.workflows, call.request_id, self._limits)
        ids = await trigger_many(self._door, call.tenant, items)
        return wire.BulkTriggerWorkflowResponse(workflow_run_ids=ids)

    async def schedule_workflow(self, call: Call, request: wire.ScheduleWorkflowRequest) -> wire.WorkflowVersion:
        """An id for each instant, in order (F7.1)."""
        item = scheduled(request, call.tenant, call.request_id, self._limits)
        rows = cast(tuple[ScheduleRow, ...], await self._door.submit(call.tenant, item))
        for workflow in await self._door.reader.workflows(call.tenant_no):
            if workflow.key == rows[0].workflow_key:
                versions = await self._door.reader.versions(call.tenant_no, workflow.id)
                return schedule_answer(rows, workflow.id, versions[0])
        raise NotFound("workflow", request.name, "it was deleted while its runs were scheduled")

    async def put_rate_limit(self, call: Call, request: wire.PutRateLimitRequest) -> wire.PutRateLimitResponse:
        """A new limit, or another one for its key (F4.1, F4.2)."""
        await self._door.submit(call.tenant, rate_limit_put(request, self._limits))
        return wire.PutRateLimitResponse()

    async def pause_rate_limit(self, call: Call, request: wire.PauseRateLimitRequest) -> wire.PauseRateLimitResponse:
        """No units until an instant."""
        return pause_answer(cast(int, await self._door.submit(call.tenant, rate_limit_paused(request, self._limits))))
