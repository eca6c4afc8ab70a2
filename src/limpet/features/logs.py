"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.logs import LogsClient

__all__ = ["LogsClient"]
