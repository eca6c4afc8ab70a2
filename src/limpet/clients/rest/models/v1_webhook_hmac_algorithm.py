"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.rest.webhooks import V1WebhookHMACAlgorithm

__all__ = ["V1WebhookHMACAlgorithm"]
