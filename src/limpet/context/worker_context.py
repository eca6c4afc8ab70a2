"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.context import WorkerContext

__all__ = ["WorkerContext"]
