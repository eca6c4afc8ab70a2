"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.options import DefaultFilter, TaskDefaults
from limpet.sdk.serde import EmptyModel
from limpet.sdk.task import StepType
from limpet.sdk.workflow_config import WorkflowConfig

__all__ = ["DefaultFilter", "EmptyModel", "StepType", "TaskDefaults", "WorkflowConfig"]
