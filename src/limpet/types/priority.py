"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.priority import Priority

__all__ = ["Priority"]
