"""The shapes of answers about webhooks. No secret is ever shown."""

from __future__ import annotations

from limpet.edges.rest.schemas import JsonObject, Pagination, ResourceMeta, Schema
from limpet.edges.webhooks.kinds import AuthKind, Source


class WebhookShown(Schema):
    """A webhook. Its address is `POST /api/v1/stable/tenants/{tenantId}/webhooks/{name}`."""

    metadata: ResourceMeta
    tenant_id: str
    name: str
    source_name: Source
    event_key_expression: str
    scope_expression: str | None = None
    static_payload: JsonObject
    auth_type: AuthKind
    return_event_as_response_payload: bool


class WebhookList(Schema):
    """A page of webhooks."""

    rows: list[WebhookShown]
    pagination: Pagination
