"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.run_reference import WorkflowRunRef

__all__ = ["WorkflowRunRef"]
