"""What a caller may say about one run that it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, field_validator

from limpet.sdk.labels import DesiredWorkerLabel, desired_labels_by_key
from limpet.sdk.priority import Priority, check_priority


class ScheduleTriggerWorkflowOptions(BaseModel):
    """Options of a scheduled run."""

    parent_id: str | None = None
    parent_step_run_id: str | None = None
    child_index: int | None = None
    child_key: str | None = None
    namespace: str | None = None
    additional_metadata: dict[str, Any] = Field(default_factory=dict)
    priority: int | None = None

    @field_validator("priority")
    @classmethod
    def _check_priority(cls, value: int | None) -> int | None:
        return check_priority(value)


class TriggerWorkflowOptions(ScheduleTriggerWorkflowOptions):
    """Options of a run. The run methods also take each of them as a keyword.

    desired_worker_id:    ask for this worker; together with `sticky` it wins over the current one
    sticky:               inside a task: ask for the worker that runs the task
    desired_worker_label: replace the labels that the definition asks for
    """

    desired_worker_id: str | None = None
    sticky: bool = False
    key: str | None = None
    desired_worker_label: dict[str, DesiredWorkerLabel] | list[DesiredWorkerLabel] | None = None


class WorkflowRunTriggerConfig(BaseModel):
    """One item of `run_many`. Workflows make them with `create_bulk_run_item`."""

    workflow_name: str
    input: str | None
    options: TriggerWorkflowOptions
    key: str | None = None


def merged_options(
    options: TriggerWorkflowOptions | None,
    *,
    child_key: str | None,
    additional_metadata: Mapping[str, Any] | None,
    priority: int | Priority | None,
    sticky: bool,
    desired_worker_id: str | None,
    desired_worker_labels: Sequence[DesiredWorkerLabel] | None,
) -> TriggerWorkflowOptions:
    """The options object with the keywords laid over it. Raises ValueError for a priority outside 1 to 3."""
    base = options or TriggerWorkflowOptions()
    check_priority(base.priority)  # a model may have been built without validation
    given: dict[str, Any] = {
        "child_key": child_key,
        "priority": check_priority(priority),
        "sticky": sticky or None,
        "desired_worker_id": desired_worker_id,
        "desired_worker_label": list(desired_worker_labels) if desired_worker_labels is not None else None,
    }
    update = {name: value for name, value in given.items() if value is not None}
    update["additional_metadata"] = base.additional_metadata | dict(additional_metadata or {})
    return base.model_copy(update=update)


def merged_schedule_options(
    options: ScheduleTriggerWorkflowOptions | None,
    child_key: str | None,
    additional_metadata: Mapping[str, Any] | None,
    priority: int | None,
) -> ScheduleTriggerWorkflowOptions:
    """The options object with the keywords laid over it. Raises ValueError for a priority outside 1 to 3."""
    base = options or ScheduleTriggerWorkflowOptions()
    check_priority(base.priority)  # a model may have been built without validation
    given: dict[str, Any] = {"child_key": child_key, "priority": check_priority(priority)}
    update = {name: value for name, value in given.items() if value is not None}
    update["additional_metadata"] = base.additional_metadata | dict(additional_metadata or {})
    return base.model_copy(update=update)


def labels_of(options: TriggerWorkflowOptions) -> dict[str, DesiredWorkerLabel]:
    """The run's desired labels by key."""
    return desired_labels_by_key(options.desired_worker_label)
