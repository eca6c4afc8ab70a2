"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.rest.workflows import WorkflowVersion

__all__ = ["WorkflowVersion"]
