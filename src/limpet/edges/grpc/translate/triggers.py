"""Requests for runs (wire-grpc "Triggering")."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from limpet.contracts.admin_pb2 import TriggerWorkflowRunRequest
from limpet.contracts.trigger_pb2 import TriggerWorkflowRequest
from limpet.contracts.workflows_pb2 import ScheduledWorkflow, ScheduleWorkflowRequest, WorkflowVersion
from limpet.core.errors import InvalidArgument, LimitReached
from limpet.core.ids import Instant, TenantId, is_uuid
from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.rows import VersionRow
from limpet.core.settings import Settings
from limpet.core.timetable_inputs import SchedulesCreated
from limpet.core.timetable_rows import ScheduleRow
from limpet.edges import json_text
from limpet.edges.grpc.translate.instants import instant, timestamp
from limpet.edges.grpc.translate.labels import desired_labels
from limpet.edges.grpc.translate.workers import check_text
from limpet.edges.repeatable import repeatable_id

PARENT_RUN_KEY = "hatchet__parent_workflow_run_id"  # set by the engine on children [W9.2]
PARENT_TASK_KEY = "hatchet__parent_step_run_id"


def triggered(request: TriggerWorkflowRequest, request_id: str | None, limits: Settings) -> Trigger:
    """A single trigger."""
    return _trigger(request, _checked(request_id, limits), limits)


def bulk_triggered(requests: Sequence[TriggerWorkflowRequest], request_id: str | None, limits: Settings) -> RunsTriggered:
    """A bulk; its items get request ids of their own, `<id>:<index>` (I5)."""
    if len(requests) > limits.bulk_items_max:
        raise LimitReached(f"a bulk trigger may have at most {limits.bulk_items_max} items (bulk_items_max), got {len(requests)}")
    request_id = _checked(request_id, limits)
    return RunsTriggered(tuple(_item(index, one, request_id, limits) for index, one in enumerate(requests)))


def run_triggered(request: TriggerWorkflowRunRequest, request_id: str | None, limits: Settings) -> Trigger:
    """The newer form, with bytes and without parents."""
    return Trigger(
        workflow_name=_name(request.workflow_name, limits),
        input=json_text.check_object(request.input, "input", limits.payload_bytes_max),
        metadata=json_text.check_object(request.additional_metadata, "additional metadata", limits.metadata_bytes_max),
        priority=request.priority if request.HasField("priority") else None,
        desired_labels=desired_labels(request.desired_worker_labels, "trigger", limits),
        request_id=_checked(request_id, limits),
    )


def scheduled(request: ScheduleWorkflowRequest, tenant: TenantId, request_id: str | None, limits: Settings) -> SchedulesCreated:
    """Runs to be started at instants, maybe as children of a task (F7.7); a request id names each of them (I5)."""
    parent_run_id = _uuid("parent_id", request.parent_id)
    parent_task_id = _uuid("parent_task_run_external_id", request.parent_task_run_external_id)
    if parent_run_id is not None and (parent_task_id is None or not request.HasField("child_index")):
        raise InvalidArgument("parent_id is given, so parent_task_run_external_id and child_index must be given too")
    text = json_text.check_object(request.additional_metadata.encode(), "additional metadata", limits.metadata_bytes_max)
    parents = {PARENT_RUN_KEY: parent_run_id, PARENT_TASK_KEY: parent_task_id}
    return SchedulesCreated(
        workflow_name=_name(request.name, limits),
        instants=tuple(_instant(index, stamp) for index, stamp in enumerate(request.schedules)),
        input=json_text.check_object(request.input.encode(), "input", limits.payload_bytes_max),
        metadata=json_text.with_members(text, {key: value for key, value in parents.items() if value is not None}),
        priority=request.priority if request.HasField("priority") else None,
        parent_run_id=parent_run_id,
        parent_task_id=parent_task_id,
        ids=_ids(tenant, _checked(request_id, limits), len(request.schedules)),
    )


def _ids(tenant: TenantId, request_id: str | None, count: int) -> tuple[str, ...]:
    return () if request_id is None else tuple(repeatable_id(tenant, request_id, index) for index in range(count))


def _instant(index: int, stamp: Timestamp) -> Instant:
    at = instant(stamp)
    if at is None:
        raise InvalidArgument(f"schedules[{index}] must lie in the years 1970 to 9999, got {stamp.seconds} seconds")
    return Instant(at)


def schedule_answer(rows: Sequence[ScheduleRow], workflow_id: str, version: VersionRow) -> WorkflowVersion:
    """The version that is the newest now, with an id for each instant, in order."""
    return WorkflowVersion(
        id=version.id,
        created_at=timestamp(version.created_at),
        updated_at=timestamp(version.created_at),
        order=version.number,
        workflow_id=workflow_id,
        scheduled_workflows=[ScheduledWorkflow(id=row.id, trigger_at=timestamp(row.at)) for row in rows],
    )


def _item(index: int, request: TriggerWorkflowRequest, request_id: str | None, limits: Settings) -> Trigger:
    try:
        return _trigger(request, None if request_id is None else f"{request_id}:{index}", limits)
    except InvalidArgument as error:
        raise InvalidArgument(f"item {index}: {error}") from None


def _trigger(request: TriggerWorkflowRequest, request_id: str | None, limits: Settings) -> Trigger:
    parent_run_id = _uuid("parent_id", request.parent_id)
    parent_task_id = _uuid("parent_task_run_external_id", request.parent_task_run_external_id)
    is_child = parent_run_id is not None or parent_task_id is not None
    parents = {PARENT_RUN_KEY: parent_run_id, PARENT_TASK_KEY: parent_task_id} if is_child else {}
    metadata = json_text.check_object(request.additional_metadata, "additional metadata", limits.metadata_bytes_max)
    return Trigger(
        workflow_name=_name(request.name, limits),
        input=json_text.check_object(request.input, "input", limits.payload_bytes_max),
        metadata=json_text.with_members(metadata, {key: value for key, value in parents.items() if value is not None}),
        priority=request.priority if request.HasField("priority") else None,
        desired_worker_id=_uuid("desiredWorkerId", request.desired_worker_id),
        desired_labels=desired_labels(request.desired_worker_labels, "trigger", limits),
        parent_run_id=parent_run_id,
        parent_task_id=parent_task_id,
        # Clients number top-level runs too, always with 0: without a parent the number means nothing.
        child_index=request.child_index if is_child and request.HasField("child_index") else None,
        child_key=_child_key(request.child_key, limits) if is_child else None,
        request_id=request_id,
    )


def _name(name: str, limits: Settings) -> str:
    check_text("workflow name", name, limits.name_bytes_max)
    return name


def _uuid(field: str, text: str) -> str | None:
    """The id in its usual form; None when not given."""
    if not text:
        return None
    if not is_uuid(text):
        raise InvalidArgument(f"{field} must be a valid UUID, got {text[:80]!r}")
    return text.lower()


def _child_key(key: str, limits: Settings) -> str | None:
    if key:
        check_text("child key", key, limits.name_bytes_max)
    return key or None


def _checked(request_id: str | None, limits: Settings) -> str | None:
    if request_id is not None:
        check_text("limpet-request-id", request_id, limits.name_bytes_max)
    return request_id
