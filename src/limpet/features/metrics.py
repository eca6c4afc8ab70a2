"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.metrics import MetricsClient, TaskMetrics

__all__ = ["MetricsClient", "TaskMetrics"]
