"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.event_options import BulkPushEventOptions, BulkPushEventWithMetadata, Event, PushEventOptions
from limpet.sdk.features.events import EventClient

__all__ = ["BulkPushEventOptions", "BulkPushEventWithMetadata", "Event", "EventClient", "PushEventOptions"]
