"""Starting runs and asking about them, over gRPC. Each call has an async twin; both build the same messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import grpc
import tenacity
from pydantic import BaseModel

from limpet.contracts import admin_pb2, trigger_pb2, workflows_pb2
from limpet.sdk._http import RestCalls
from limpet.sdk._transport import (
    BULK_TRIGGER_WORKFLOW,
    GET_RUN_DETAILS,
    PUT_WORKFLOW,
    SCHEDULE_WORKFLOW,
    TRIGGER_WORKFLOW,
    Retries,
    Transport,
    code_of,
    text_of,
)
from limpet.sdk.collisions import collision_of
from limpet.sdk.config import ClientConfig
from limpet.sdk.exceptions import BulkTriggerIdempotencyCollisionError, DedupeViolationError, IdempotencyCollisionError
from limpet.sdk.rest.runs import V1TaskStatus
from limpet.sdk.run_results import RunResults
from limpet.sdk.telemetry.hooks import Asked, Asking, hook
from limpet.sdk.triggers import bulk_chunks, new_request_id


class RunStatus(StrEnum):
    """How a run stands, as `get_details` tells it."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class TaskRunDetail(BaseModel):
    """How one task of a run stands."""

    external_id: str
    readable_id: str
    output: dict[str, Any] | None = None
    error: str | None = None
    status: V1TaskStatus
    is_evicted: bool = False


class WorkflowRunDetail(BaseModel):
    """How a run stands: its input, metadata, and its tasks by name."""

    external_id: str
    status: RunStatus
    input: dict[str, Any] | None = None
    additional_metadata: dict[str, Any] | None = None
    task_runs: dict[str, TaskRunDetail]
    done: bool = False


class EngineCalls:
    """One client's way to the engine: its channel, its REST calls, its shared stream of results."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.transport: Transport = Transport(config)
        self.rest: RestCalls = RestCalls(config)
        self.results: RunResults = RunResults(self.transport)

    def trigger(self, request: trigger_pb2.TriggerWorkflowRequest) -> str:
        """Start a run; returns its id. Raises IdempotencyCollisionError when a run holds its key, DedupeViolationError."""
        with _asking(Asking.RUN, [request]):
            return self.transport.call(TRIGGER_WORKFLOW, request, request_id=new_request_id()).workflow_run_id

    async def aio_trigger(self, request: trigger_pb2.TriggerWorkflowRequest) -> str:
        """As `trigger`, awaited."""
        with _asking(Asking.RUN, [request]):
            response = await self.transport.acall(TRIGGER_WORKFLOW, request, request_id=new_request_id())
            return response.workflow_run_id

    def trigger_many(self, requests: Sequence[trigger_pb2.TriggerWorkflowRequest], *, items_max: int) -> list[str]:
        """Start runs in bulk; their ids in order. Raises BulkTriggerIdempotencyCollisionError once all others are started.

        items_max: of one call
        """
        started = _Started()
        with _asking(Asking.RUNS, requests):
            for chunk in bulk_chunks(requests, bytes_max=self.config.grpc_max_send_message_length, items_max=items_max):
                with started.collecting():
                    started.add(self.transport.call(BULK_TRIGGER_WORKFLOW, chunk, request_id=new_request_id()))
            return started.ids()

    async def aio_trigger_many(self, requests: Sequence[trigger_pb2.TriggerWorkflowRequest], *, items_max: int) -> list[str]:
        """As `trigger_many`, awaited."""
        started = _Started()
        with _asking(Asking.RUNS, requests):
            for chunk in bulk_chunks(requests, bytes_max=self.config.grpc_max_send_message_length, items_max=items_max):
                with started.collecting():
                    started.add(await self.transport.acall(BULK_TRIGGER_WORKFLOW, chunk, request_id=new_request_id()))
            return started.ids()

    def schedule(self, request: workflows_pb2.ScheduleWorkflowRequest) -> workflows_pb2.WorkflowVersion:
        """Plan a run for each instant of the message."""
        with hook.tracer.asking(Asking.SCHEDULE, [request]):
            return self.transport.call(SCHEDULE_WORKFLOW, request, request_id=new_request_id())

    async def aio_schedule(self, request: workflows_pb2.ScheduleWorkflowRequest) -> workflows_pb2.WorkflowVersion:
        """Plan a run for each instant of the message."""
        with hook.tracer.asking(Asking.SCHEDULE, [request]):
            return await self.transport.acall(SCHEDULE_WORKFLOW, request, request_id=new_request_id())

    def run_details(self, run_id: str) -> WorkflowRunDetail:
        """How a run stands. NOT_FOUND is asked again: an engine may need a moment to show a new run."""
        request = admin_pb2.GetRunDetailsRequest(external_id=run_id)
        return _read_details(run_id, self.transport.call(GET_RUN_DETAILS, request, retries=self._patient()))

    async def aio_run_details(self, run_id: str) -> WorkflowRunDetail:
        """How a run stands. NOT_FOUND is asked again: an engine may need a moment to show a new run."""
        request = admin_pb2.GetRunDetailsRequest(external_id=run_id)
        return _read_details(run_id, await self.transport.acall(GET_RUN_DETAILS, request, retries=self._patient()))

    def put_workflow(self, request: admin_pb2.CreateWorkflowVersionRequest) -> None:
        """Register a definition. The same definition again changes nothing."""
        self.transport.call(PUT_WORKFLOW, request)

    async def aio_put_workflow(self, request: admin_pb2.CreateWorkflowVersionRequest) -> None:
        """Register a definition. The same definition again changes nothing."""
        await self.transport.acall(PUT_WORKFLOW, request)

    def _patient(self) -> Retries:
        """A run is readable as soon as its trigger has returned, so that a short wait is only for a change of owner."""
        wait = tenacity.wait_exponential(multiplier=0.1, max=1) + tenacity.wait_random(0, 0.1)
        return Retries(attempts=self.transport.retries.attempts, wait=wait, not_found=True)


class _Started:
    """What has become of the calls of one bulk so far."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._collisions: list[IdempotencyCollisionError] = []

    def add(self, response: workflows_pb2.BulkTriggerWorkflowResponse) -> None:
        self._ids.extend(response.workflow_run_ids)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Around one call: one that collided has started its other items; any other refusal is raised."""
        try:
            yield
        except grpc.RpcError as error:
            refusal = _trigger_error(error)
            if not isinstance(refusal, BulkTriggerIdempotencyCollisionError):
                raise
            self._ids.extend(refusal.successful_workflow_run_external_ids)
            self._collisions.extend(refusal.collisions)

    def ids(self) -> list[str]:
        """Of all runs, or what collided as one error."""
        if self._collisions:
            raise BulkTriggerIdempotencyCollisionError(self._ids, self._collisions)
        return self._ids


@contextmanager
def _asking(what: Asking, messages: Sequence[Asked]) -> Iterator[None]:
    """Around a call that asks for runs: a tracer looks in, and refusals become errors of their own."""
    with hook.tracer.asking(what, messages):
        try:
            yield
        except grpc.RpcError as error:
            raise _trigger_error(error) from error


def _trigger_error(error: grpc.RpcError) -> Exception:
    if code_of(error) is grpc.StatusCode.ALREADY_EXISTS:
        return collision_of(error) or DedupeViolationError(text_of(error))
    return error


def _read_details(run_id: str, response: admin_pb2.GetRunDetailsResponse) -> WorkflowRunDetail:
    return WorkflowRunDetail(
        external_id=run_id,
        status=RunStatus(_status_name(response.status)),
        input=_parsed(response.input),
        additional_metadata=_parsed(response.additional_metadata),
        task_runs={name: _read_task(task) for name, task in response.task_runs.items()},
        done=response.done,
    )


def _read_task(task: admin_pb2.TaskRunDetail) -> TaskRunDetail:
    return TaskRunDetail(
        external_id=task.external_id,
        readable_id=task.readable_id,
        output=_parsed(task.output),
        error=task.error if task.HasField("error") else None,
        status=V1TaskStatus(_status_name(task.status)),
        is_evicted=task.is_evicted,
    )


def _status_name(status: int) -> str:
    """The name of a wire status. An evicted run is a running one that waits elsewhere."""
    name = admin_pb2.RunStatus.Name(status)
    return "RUNNING" if name == "EVICTED" else name


def _parsed(data: bytes) -> dict[str, Any] | None:
    return json.loads(data) if data else None
