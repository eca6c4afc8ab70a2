"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.stubs import StubsClient

__all__ = ["StubsClient"]
