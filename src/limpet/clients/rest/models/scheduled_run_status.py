"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.rest.scheduled import ScheduledRunStatus

__all__ = ["ScheduledRunStatus"]
