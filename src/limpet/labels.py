"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.labels import DesiredWorkerLabel, WorkerLabel, WorkerLabelComparator

__all__ = ["DesiredWorkerLabel", "WorkerLabel", "WorkerLabelComparator"]
