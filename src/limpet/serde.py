"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.serde import is_in_hatchet_serialization_context

__all__ = ["is_in_hatchet_serialization_context"]
