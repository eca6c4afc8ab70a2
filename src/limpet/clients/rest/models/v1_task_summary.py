"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.rest.runs import V1TaskSummary

__all__ = ["V1TaskSummary"]
