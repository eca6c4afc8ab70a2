"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.rest.events import V1Event

__all__ = ["V1Event"]
