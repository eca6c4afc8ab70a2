"""Webhooks for good: one tuple type, as in `core.rows`."""

from __future__ import annotations

from typing import NamedTuple


class WebhookRow(NamedTuple):
    """An address that takes posts of another service as events. (tenant, name) is unique.

    id:             made by the edge, because the secret is bound to it
    source, auth:   words of the wire: who posts, and how it shows that it may
    auth_settings:  JSON object, what is no secret about that
    secret:         encrypted by the edge; nobody else can read it
    Changes after birth: everything from `key_expression` on.
    """

    key: int
    id: str
    tenant_no: int
    name: str
    source: str
    auth: str
    auth_settings: bytes
    secret: bytes
    created_at: int
    key_expression: str
    scope_expression: str | None
    static_payload: bytes
    returns_event: int
    updated_at: int
