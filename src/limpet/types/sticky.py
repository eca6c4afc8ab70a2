"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.options import StickyStrategy

__all__ = ["StickyStrategy"]
