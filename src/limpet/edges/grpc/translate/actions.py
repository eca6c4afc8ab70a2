"""Starts and cancels as a worker receives them (wire-grpc "Assigned actions")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limpet.contracts.dispatcher_pb2 import CANCEL_STEP_RUN, START_STEP_RUN, AssignedAction
from limpet.core.decision import CancelTask, PayloadRef, StartTask
from limpet.core.ids import TenantId
from limpet.edges import json_text
from limpet.edges.grpc.translate.instants import timestamp
from limpet.edges.trace_context import traced

ENVELOPE_BYTES_MAX = 4096  # ids, names and field tags of one action, metadata not counted
ERROR_BYTES_MIN = 200  # of one error text in a start, however many there are


def start_action(tenant: TenantId, start: StartTask, bytes_max: int) -> AssignedAction:
    """The message of a start. Errors for an on-failure task are shortened to what is left of `bytes_max`."""
    metadata = traced(start.metadata, start.workflow_run_id)
    return AssignedAction(
        action_type=START_STEP_RUN,
        action_payload=action_payload(start, bytes_max - ENVELOPE_BYTES_MAX - len(metadata)),
        additional_metadata=metadata,
        priority=start.priority,
        workflow_id=start.workflow_id,
        workflow_version_id=start.workflow_version_id,
        task_inserted_at=timestamp(start.created_at),
        parent_workflow_run_id=start.parent_run_id,
        child_workflow_index=start.child_index,
        child_workflow_key=start.child_key,
        triggering_event_external_id=None if start.source is None else start.source.event_id,
        triggering_event_key=None if start.source is None else start.source.event_name,
        **_names(tenant, start),
    )


def cancel_action(tenant: TenantId, cancel: CancelTask) -> AssignedAction:
    """The message of a cancel: the same ids and attempt as the start."""
    return AssignedAction(action_type=CANCEL_STEP_RUN, action_payload=b"{}", **_names(tenant, cancel))


def action_payload(start: StartTask, bytes_max: int) -> bytes:
    """The JSON object a task is started with, spliced from payloads that were checked when they came in."""
    parts = [b'{"input":', start.input.data or json_text.EMPTY_OBJECT, b',"parents":{', _members(start.parents)]
    parts += [b'},"triggers":{', _trigger_data(start), b'},"triggered_by":"manual","user_data":{}']
    if start.errors:
        left = bytes_max - sum(map(len, parts))
        parts += [b',"step_run_errors":{', _errors(start.errors, left // len(start.errors)), b"}"]
    return b"".join((*parts, b"}"))


def _trigger_data(start: StartTask) -> bytes:
    """What let the task begin, by name (W5.16); the client looks for the filter's words here."""
    filtered = [] if start.source is None else [b'"filter_payload":' + start.source.filter_payload]
    awaited = [_members(start.triggers)] if start.triggers else []
    return b",".join((*filtered, *awaited))


def too_large(start: StartTask, size: int, bytes_max: int) -> str:
    """Why a start cannot be sent, and which payloads make it so (X26)."""
    sizes = ", ".join(f"{ref.name} {len(ref.data or b'')} bytes" for ref in (start.input, *start.parents, *start.triggers))
    return f"The start of this task needs {size} bytes, its worker takes {bytes_max}: {sizes}. Pass references to large data."


def _names(tenant: TenantId, about: StartTask | CancelTask) -> dict[str, Any]:
    """Ids and names; the wire has two names for most of them."""
    return {
        "tenant_id": tenant,
        "workflow_run_id": about.workflow_run_id,
        "job_id": about.task_run_id,
        "job_name": about.task_name,
        "job_run_id": about.task_run_id,
        "task_id": about.task_run_id,
        "task_run_external_id": about.task_run_id,
        "action_id": about.action_id,
        "task_name": about.task_name,
        "retry_count": about.retry_count,
    }


def _members(refs: Sequence[PayloadRef]) -> bytes:
    return b",".join(json_text.quoted(ref.name) + b":" + (ref.data or json_text.EMPTY_OBJECT) for ref in refs)


def _errors(refs: Sequence[PayloadRef], bytes_each: int) -> bytes:
    return b",".join(json_text.quoted(ref.name) + b":" + _quoted_within(ref, max(bytes_each, ERROR_BYTES_MIN)) for ref in refs)


def _quoted_within(ref: PayloadRef, bytes_max: int) -> bytes:
    """The error as a JSON string; halved until it fits, because quoting may make it longer."""
    text = (ref.data or b"").decode(errors="replace")
    while len(quoted := json_text.quoted(text)) + len(ref.name) + 8 > bytes_max and len(text) > 1:
        text = text[: len(text) // 2]
    return quoted
