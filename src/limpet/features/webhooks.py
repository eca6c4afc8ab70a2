"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.webhooks import WebhooksClient

__all__ = ["WebhooksClient"]
