"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.workflows import WorkflowsClient

__all__ = ["WorkflowsClient"]
