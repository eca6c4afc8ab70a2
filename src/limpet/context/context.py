"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.context import Context

__all__ = ["Context"]
