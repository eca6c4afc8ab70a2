"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.options import StatusBasedIdempotencyConfig, TTLBasedIdempotencyConfig

__all__ = ["StatusBasedIdempotencyConfig", "TTLBasedIdempotencyConfig"]
