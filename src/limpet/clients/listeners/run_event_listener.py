"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.run_events import RunEventListener, RunEventListenerClient, StepRunEvent, StepRunEventType, WorkflowRunEventType

__all__ = ["RunEventListener", "RunEventListenerClient", "StepRunEvent", "StepRunEventType", "WorkflowRunEventType"]
