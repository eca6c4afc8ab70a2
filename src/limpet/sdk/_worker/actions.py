"""From the wire's assigned action to what a worker does about it."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.contracts import dispatcher_pb2
from limpet.sdk.attempt import Attempt, AttemptKey, read_payload
from limpet.sdk.serde import parse_object


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Run this attempt."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Stop this attempt."""

    key: AttemptKey


Action = StartAttempt | CancelAttempt


def read_action(wire: dispatcher_pb2.AssignedAction) -> Action | None:
    """What the message asks for; None for kinds that this worker never registered for."""
    if wire.action_type == dispatcher_pb2.CANCEL_STEP_RUN:
        return CancelAttempt(AttemptKey(wire.task_run_external_id, wire.retry_count))
    if wire.action_type == dispatcher_pb2.START_STEP_RUN:
        return StartAttempt(_read_attempt(wire))
    return None


def _read_attempt(wire: dispatcher_pb2.AssignedAction) -> Attempt:
    is_child = bool(wire.parent_workflow_run_id)
    return Attempt(
        key=AttemptKey(wire.task_run_external_id, wire.retry_count),
        action_id=wire.action_id,
        workflow_run_id=wire.workflow_run_id,
        payload=read_payload(wire.action_payload, task_run_id=wire.task_run_external_id),
        task_id=wire.task_id,
        job_id=wire.job_id,
        job_run_id=wire.job_run_id,
        additional_metadata=parse_object(wire.additional_metadata),
        child_index=wire.child_workflow_index if is_child else None,
        child_key=wire.child_workflow_key or None,
        parent_workflow_run_id=wire.parent_workflow_run_id or None,
        priority=wire.priority or None,
        workflow_id=wire.workflow_id or None,
        workflow_version_id=wire.workflow_version_id or None,
        triggering_event_id=wire.triggering_event_external_id or None,
        triggering_event_key=wire.triggering_event_key or None,
    )
