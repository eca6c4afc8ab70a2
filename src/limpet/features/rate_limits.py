"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.rate_limits import RateLimitsClient

__all__ = ["RateLimitsClient"]
