"""Registering workflows; asking for, cancelling and replaying runs."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from limpet.contracts import admin_pb2 as wire
from limpet.core.errors import NotFound
from limpet.core.ids import is_uuid
from limpet.core.inputs import CancelRequested, ReplayRequested, WorkflowPut, WorkflowPutReply
from limpet.core.rows import TaskStatus
from limpet.edges.condition_answers import checked
from limpet.edges.grpc.binding import Handler
from limpet.edges.grpc.gate import Call
from limpet.edges.grpc.lookups import StepNames
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.grpc.translate.definitions import definition_of
from limpet.edges.grpc.translate.filters import IDS_MAX, RUNS_PER_PAGE, ids_or_filter
from limpet.edges.grpc.translate.outcomes import run_details
from limpet.edges.grpc.translate.triggers import run_triggered
from limpet.edges.run_keys import check_expressions, trigger
from limpet.engine.door import Door
from limpet.store.api import RunQuery

IDS_PER_INPUT = 1_000  # of one commit; a larger request is carried out in parts


class Admin:
    """Calls of the service `v1.AdminService`."""

    def __init__(self, door: Door, names: StepNames, settings: GrpcSettings) -> None:
        self._door, self._names, self._limits = door, names, settings.limits

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        return {
            "/v1.AdminService/PutWorkflow": self.put_workflow,
            "/v1.AdminService/TriggerWorkflowRun": self.trigger_workflow_run,
            "/v1.AdminService/GetRunDetails": self.get_run_details,
            "/v1.AdminService/CancelTasks": self.cancel_tasks,
            "/v1.AdminService/ReplayTasks": self.replay_tasks,
        }

    async def put_workflow(self, call: Call, request: wire.CreateWorkflowVersionRequest) -> wire.CreateWorkflowVersionResponse:
        """The same definition keeps its version (W3.1)."""
        definition = checked(definition_of(request, self._limits))
        check_expressions(definition)
        reply = cast(WorkflowPutReply, await self._door.submit(call.tenant, WorkflowPut(definition)))
        return wire.CreateWorkflowVersionResponse(id=reply.version_id, workflow_id=reply.workflow_id)

    async def trigger_workflow_run(self, call: Call, request: wire.TriggerWorkflowRunRequest) -> wire.TriggerWorkflowRunResponse:
        """One run."""
        item = run_triggered(request, call.request_id, self._limits)
        return wire.TriggerWorkflowRunResponse(external_id=await trigger(self._door, call.tenant, item))

    async def get_run_details(self, call: Call, request: wire.GetRunDetailsRequest) -> wire.GetRunDetailsResponse:
        """How a run stands now (W13.3 to W13.6)."""
        run_id = request.external_id
        record = await self._door.reader.run(call.tenant_no, run_id) if is_uuid(run_id) else None
        if record is None:
            raise NotFound("workflow run", run_id, "it never existed in this tenant, or its retention is over")
        live = [task.id for task in record.tasks if task.status == TaskStatus.ASSIGNED]
        has_started = bool(live and self._door.started_at(call.tenant, live))
        names = self._names.of(record.version)
        return run_details(record, names, has_started=has_started, bytes_max=self._limits.message_bytes_max)

    async def cancel_tasks(self, call: Call, request: wire.CancelTasksRequest) -> wire.CancelTasksResponse:
        """Runs or tasks by id, or runs by filter."""
        return wire.CancelTasksResponse(cancelled_tasks=await self._carry_out(call, CancelRequested, request))

    async def replay_tasks(self, call: Call, request: wire.ReplayTasksRequest) -> wire.ReplayTasksResponse:
        """Runs or tasks by id, or runs by filter."""
        return wire.ReplayTasksResponse(replayed_tasks=await self._carry_out(call, ReplayRequested, request))

    async def _carry_out(
        self,
        call: Call,
        order: type[CancelRequested] | type[ReplayRequested],
        request: wire.CancelTasksRequest | wire.ReplayTasksRequest,
    ) -> list[str]:
        """The task run ids taken on (W12.10)."""
        wanted = ids_or_filter(request)
        ids = await self._run_ids(call, wanted) if isinstance(wanted, RunQuery) else wanted
        taken: list[str] = []
        for start in range(0, len(ids), IDS_PER_INPUT):
            reply = await self._door.submit(call.tenant, order(ids[start : start + IDS_PER_INPUT]))
            taken.extend(cast(tuple[str, ...], reply))
        return taken

    async def _run_ids(self, call: Call, query: RunQuery) -> tuple[str, ...]:
        """All runs that match, page by page, before anything is changed."""
        found: list[str] = []
        while len(found) < IDS_MAX:
            runs, _ = await self._door.reader.runs(call.tenant_no, replace(query, offset=len(found)))
            found += [record.run.id for record in runs]
            if len(runs) < RUNS_PER_PAGE:
                break
        return tuple(dict.fromkeys(found[:IDS_MAX]))
