"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.worker import Worker, WorkerStartOptions, WorkerStatus

__all__ = ["Worker", "WorkerStartOptions", "WorkerStatus"]
