"""What happens in a run, as messages to those who follow it."""

from __future__ import annotations

from limpet.contracts.dispatcher_pb2 import ResourceEventType, ResourceType, WorkflowEvent
from limpet.core.decision import RunFinished, TaskChanged
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.chunk_order import Chunk
from limpet.edges.grpc.translate.instants import timestamp

_TASK_EVENTS: dict[TaskStatus, ResourceEventType] = {
    TaskStatus.RUNNING: ResourceEventType.RESOURCE_EVENT_TYPE_STARTED,
    TaskStatus.COMPLETED: ResourceEventType.RESOURCE_EVENT_TYPE_COMPLETED,
    TaskStatus.SKIPPED: ResourceEventType.RESOURCE_EVENT_TYPE_COMPLETED,
    TaskStatus.FAILED: ResourceEventType.RESOURCE_EVENT_TYPE_FAILED,
    TaskStatus.CANCELLED: ResourceEventType.RESOURCE_EVENT_TYPE_CANCELLED,
}
_RUN_EVENTS: dict[RunStatus, ResourceEventType] = {
    RunStatus.COMPLETED: ResourceEventType.RESOURCE_EVENT_TYPE_COMPLETED,
    RunStatus.FAILED: ResourceEventType.RESOURCE_EVENT_TYPE_FAILED,
    RunStatus.CANCELLED: ResourceEventType.RESOURCE_EVENT_TYPE_CANCELLED,
}


def task_event(change: TaskChanged) -> WorkflowEvent | None:
    """A task's change; None for those that clients have no word for."""
    kind = _TASK_EVENTS.get(change.status)
    if kind is None:
        return None
    return WorkflowEvent(
        workflow_run_id=change.workflow_run_id,
        resource_type=ResourceType.RESOURCE_TYPE_STEP_RUN,
        event_type=kind,
        resource_id=change.task_run_id,
        event_timestamp=timestamp(change.at),
        task_retries=change.retries,
        retry_count=change.retry_count,
    )


def chunk_event(chunk: Chunk) -> WorkflowEvent:
    """A stream chunk."""
    return WorkflowEvent(
        workflow_run_id=chunk.workflow_run_id,
        resource_type=ResourceType.RESOURCE_TYPE_STEP_RUN,
        event_type=ResourceEventType.RESOURCE_EVENT_TYPE_STREAM,
        resource_id=chunk.task_run_id,
        event_timestamp=timestamp(chunk.at),
        event_payload=chunk.text,
        event_index=chunk.index,
    )


def run_event(finished: RunFinished, *, hangup: bool) -> WorkflowEvent:
    """The end of a run; with `hangup` nothing follows."""
    return run_ended(finished.workflow_run_id, finished.status, finished.at, hangup=hangup)


def run_ended(run_id: str, status: RunStatus, at: int, *, hangup: bool) -> WorkflowEvent:
    """The end of a run, by its parts."""
    return WorkflowEvent(
        workflow_run_id=run_id,
        resource_type=ResourceType.RESOURCE_TYPE_WORKFLOW_RUN,
        event_type=_RUN_EVENTS[status],
        resource_id=run_id,
        event_timestamp=timestamp(at),
        hangup=hangup,
    )
