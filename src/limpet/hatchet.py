"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.client import Hatchet

__all__ = ["Hatchet"]
