"""What can happen to webhooks, in the past tense; the laws of `core.inputs` hold here too."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WebhookCreated:
    """Somebody made a webhook. Reply: its `WebhookRow`. Fields as there; `secret` is encrypted already."""

    id: str
    name: str
    source: str
    auth: str
    key_expression: str
    scope_expression: str | None = None
    static_payload: bytes = b"{}"
    returns_event: bool = True
    auth_settings: bytes = b"{}"
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class WebhookUpdated:
    """What is None stays as it is. Reply: its `WebhookRow`, or `NotFound`."""

    name: str
    key_expression: str | None = None
    scope_expression: str | None = None
    static_payload: bytes | None = None
    returns_event: bool | None = None


@dataclass(frozen=True, slots=True)
class WebhookDeleted:
    """Reply: its last `WebhookRow`, or `NotFound`. Events that came by it stay."""

    name: str


WebhookInput = WebhookCreated | WebhookUpdated | WebhookDeleted
