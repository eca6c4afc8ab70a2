"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.trigger_options import ScheduleTriggerWorkflowOptions, TriggerWorkflowOptions, WorkflowRunTriggerConfig

__all__ = ["ScheduleTriggerWorkflowOptions", "TriggerWorkflowOptions", "WorkflowRunTriggerConfig"]
