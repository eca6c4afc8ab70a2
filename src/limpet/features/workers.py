"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.workers import WorkersClient

__all__ = ["WorkersClient"]
