"""What is said about an event when it is pushed, and what is told about it afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field

from limpet.sdk.priority import Priority


class PushEventOptions(BaseModel):
    """The older way to say more about an event; `push` takes the same as arguments.

    namespace: in place of the client's; an empty text means none
    """

    additional_metadata: dict[str, Any] = Field(default_factory=dict)
    namespace: str | None = None
    priority: int | Priority | None = None
    scope: str | None = None


class BulkPushEventWithMetadata(BaseModel):
    """One event of a bulk push."""

    key: str = ""
    payload: dict[str, Any] = Field(default_factory=dict)
    additional_metadata: dict[str, Any] = Field(default_factory=dict)
    priority: int | Priority | None = None
    scope: str | None = None


class BulkPushEventOptions(BulkPushEventWithMetadata):
    """The older way to say more about a bulk push; only `namespace` counts."""

    namespace: str | None = None


class Event(BaseModel):
    """An event that was pushed: stored, and its runs started."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    tenant_id: str
    event_id: str
    key: str
    payload: str
    event_timestamp: Timestamp
    additional_metadata: str | None = None
    scope: str | None = None
    seen_at: datetime
