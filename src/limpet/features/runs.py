"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.runs import BulkCancelReplayOpts, RunFilter, RunsClient

__all__ = ["BulkCancelReplayOpts", "RunFilter", "RunsClient"]
