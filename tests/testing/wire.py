"""Calls as any client could make them: the messages of the contract, on their paths, over a channel of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from limpet.contracts import admin_pb2, dispatcher_pb2, trigger_pb2, workflows_pb2
from limpet.contracts.methods import METHODS
from limpet.testing import EmbeddedEngine

BY_PATH = {method.path: method for method in METHODS}
Label = trigger_pb2.DesiredWorkerLabels
Task = admin_pb2.CreateTaskOpts
Trigger = trigger_pb2.TriggerWorkflowRequest


class Wire:
    """A client without an SDK."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._channel = grpc.insecure_channel(engine.grpc_address)
        self._metadata = (("authorization", f"bearer {engine.token}"),)

    def close(self) -> None:
        self._channel.close()

    def call(self, path: str, request: Any) -> Any:
        method = BY_PATH[path]
        send = self._channel.unary_unary(
            path, request_serializer=lambda message: message.SerializeToString(), response_deserializer=method.response.FromString
        )
        return send(request, metadata=self._metadata, timeout=10)

    def refused(self, path: str, request: Any) -> tuple[grpc.StatusCode, str]:
        """The code and text of a call that is refused."""
        try:
            answer = self.call(path, request)
        except grpc.RpcError as error:
            return error.code(), error.details()  # type: ignore[attr-defined]
        raise AssertionError(f"{path} was not refused: {answer}")

    def put(self, name: str, *tasks: admin_pb2.CreateTaskOpts, **fields: Any) -> None:
        """Register a workflow."""
        self.call("/v1.AdminService/PutWorkflow", workflow(name, *tasks, **fields))

    def trigger(self, name: str, **fields: Any) -> str:
        """Start a run; its id."""
        return str(self.call("/WorkflowService/TriggerWorkflow", Trigger(name=name, input=b"{}", **fields)).workflow_run_id)

    def cancel(self, run_id: str) -> None:
        self.call("/v1.AdminService/CancelTasks", admin_pb2.CancelTasksRequest(external_ids=[run_id]))

    def heartbeat(self, worker_id: str) -> tuple[grpc.StatusCode, str]:
        """How a heartbeat is refused."""
        return self.refused("/Dispatcher/Heartbeat", dispatcher_pb2.HeartbeatRequest(worker_id=worker_id))


def workflow(name: str, *tasks: admin_pb2.CreateTaskOpts, **fields: Any) -> admin_pb2.CreateWorkflowVersionRequest:
    return admin_pb2.CreateWorkflowVersionRequest(name=name, tasks=tasks, **fields)


def task(
    name: str, *parents: str, labels: Mapping[str, trigger_pb2.DesiredWorkerLabels] | None = None, **fields: Any
) -> admin_pb2.CreateTaskOpts:
    """A task whose action is `w:NAME`."""
    slots = fields.pop("slots", {"default": 1})
    return Task(readable_id=name, action=f"w:{name}", parents=parents, slot_requests=slots, worker_labels=labels or {}, **fields)


def bulk(*items: trigger_pb2.TriggerWorkflowRequest) -> workflows_pb2.BulkTriggerWorkflowRequest:
    return workflows_pb2.BulkTriggerWorkflowRequest(workflows=items)
