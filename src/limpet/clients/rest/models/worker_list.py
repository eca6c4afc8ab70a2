"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.rest.workers import WorkerList

__all__ = ["WorkerList"]
