"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.filters import FiltersClient

__all__ = ["FiltersClient"]
