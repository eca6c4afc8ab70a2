"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.engine_calls import RunStatus, TaskRunDetail, WorkflowRunDetail
from limpet.sdk.trigger_options import ScheduleTriggerWorkflowOptions, TriggerWorkflowOptions, WorkflowRunTriggerConfig

__all__ = [
    "RunStatus",
    "ScheduleTriggerWorkflowOptions",
    "TaskRunDetail",
    "TriggerWorkflowOptions",
    "WorkflowRunDetail",
    "WorkflowRunTriggerConfig",
]
