"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.event_options import BulkPushEventOptions, BulkPushEventWithMetadata, PushEventOptions
from limpet.sdk.trigger_options import ScheduleTriggerWorkflowOptions, TriggerWorkflowOptions, WorkflowRunTriggerConfig

__all__ = [
    "BulkPushEventOptions",
    "BulkPushEventWithMetadata",
    "PushEventOptions",
    "ScheduleTriggerWorkflowOptions",
    "TriggerWorkflowOptions",
    "WorkflowRunTriggerConfig",
]
