"""`limpet.webhooks`: addresses that take posts of other services as events."""

from __future__ import annotations

import builtins
from typing import Any
from urllib.parse import quote

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.rest.webhooks import (
    V1Webhook,
    V1WebhookAPIKeyAuth,
    V1WebhookAuthType,
    V1WebhookBasicAuth,
    V1WebhookHMACAuth,
    V1WebhookList,
    V1WebhookSourceName,
)
from limpet.sdk.serde import JSONSerializableMapping

WebhookAuth = V1WebhookBasicAuth | V1WebhookAPIKeyAuth | V1WebhookHMACAuth
_AUTH_TYPES: dict[type[WebhookAuth], V1WebhookAuthType] = {
    V1WebhookBasicAuth: V1WebhookAuthType.BASIC,
    V1WebhookAPIKeyAuth: V1WebhookAuthType.API_KEY,
    V1WebhookHMACAuth: V1WebhookAuthType.HMAC,
}


class WebhooksClient:
    """Make, see, change and delete webhooks. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest
        self._webhooks = f"/api/v1/stable/tenants/{calls.config.tenant_id}/webhooks"

    def create(
        self,
        source_name: V1WebhookSourceName,
        name: str,
        event_key_expression: str,
        auth: WebhookAuth,
        scope_expression: str | None = None,
        static_payload: JSONSerializableMapping | None = None,
        return_event_as_response_payload: bool = True,
    ) -> V1Webhook:
        """A webhook; other services post to `/api/v1/stable/tenants/{tenant}/webhooks/{name}`.

        event_key_expression: CEL over `input` (the body) and `headers`; a fixed key stands in quotes
        scope_expression:     the same for the event's scope
        static_payload:       what is put over every body
        """
        body = _body(
            source_name, name, event_key_expression, auth, scope_expression, static_payload, return_event_as_response_payload
        )
        return V1Webhook.model_validate(self._rest.request(HTTPMethod.POST, self._webhooks, body=body))

    async def aio_create(
        self,
        source_name: V1WebhookSourceName,
        name: str,
        event_key_expression: str,
        auth: WebhookAuth,
        scope_expression: str | None = None,
        static_payload: JSONSerializableMapping | None = None,
        return_event_as_response_payload: bool = True,
    ) -> V1Webhook:
        """As `create`."""
        body = _body(
            source_name, name, event_key_expression, auth, scope_expression, static_payload, return_event_as_response_payload
        )
        return V1Webhook.model_validate(await self._rest.arequest(HTTPMethod.POST, self._webhooks, body=body))

    def get(self, webhook_name: str) -> V1Webhook:
        """One webhook, by its name."""
        return V1Webhook.model_validate(self._rest.request(HTTPMethod.GET, self._path(webhook_name)))

    async def aio_get(self, webhook_name: str) -> V1Webhook:
        """As `get`."""
        return V1Webhook.model_validate(await self._rest.arequest(HTTPMethod.GET, self._path(webhook_name)))

    def update(
        self,
        webhook_name: str,
        event_key_expression: str | None = None,
        scope_expression: str | None = None,
        static_payload: JSONSerializableMapping | None = None,
        return_event_as_response_payload: bool | None = None,
    ) -> V1Webhook:
        """Change what is given; it counts from the next post on."""
        body = _changes(event_key_expression, scope_expression, static_payload, return_event_as_response_payload)
        return V1Webhook.model_validate(self._rest.request(HTTPMethod.PATCH, self._path(webhook_name), body=body))

    async def aio_update(
        self,
        webhook_name: str,
        event_key_expression: str | None = None,
        scope_expression: str | None = None,
        static_payload: JSONSerializableMapping | None = None,
        return_event_as_response_payload: bool | None = None,
    ) -> V1Webhook:
        """As `update`."""
        body = _changes(event_key_expression, scope_expression, static_payload, return_event_as_response_payload)
        return V1Webhook.model_validate(await self._rest.arequest(HTTPMethod.PATCH, self._path(webhook_name), body=body))

    def delete(self, webhook_name: str) -> V1Webhook:
        """Delete it; returns what it was. Events that came by it stay."""
        return V1Webhook.model_validate(self._rest.request(HTTPMethod.DELETE, self._path(webhook_name)))

    async def aio_delete(self, webhook_name: str) -> V1Webhook:
        """As `delete`."""
        return V1Webhook.model_validate(await self._rest.arequest(HTTPMethod.DELETE, self._path(webhook_name)))

    def list(
        self,
        limit: int | None = None,
        offset: int | None = None,
        webhook_names: builtins.list[str] | None = None,
        source_names: builtins.list[V1WebhookSourceName] | None = None,
    ) -> V1WebhookList:
        """Webhooks, newest first."""
        query = _query(limit, offset, webhook_names, source_names)
        return V1WebhookList.model_validate(self._rest.request(HTTPMethod.GET, self._webhooks, query=query))

    async def aio_list(
        self,
        limit: int | None = None,
        offset: int | None = None,
        webhook_names: builtins.list[str] | None = None,
        source_names: builtins.list[V1WebhookSourceName] | None = None,
    ) -> V1WebhookList:
        """As `list`."""
        query = _query(limit, offset, webhook_names, source_names)
        return V1WebhookList.model_validate(await self._rest.arequest(HTTPMethod.GET, self._webhooks, query=query))

    def _path(self, name: str) -> str:
        return f"{self._webhooks}/{quote(name, safe='')}"


def _body(
    source: V1WebhookSourceName,
    name: str,
    key_expression: str,
    auth: WebhookAuth,
    scope_expression: str | None,
    static_payload: JSONSerializableMapping | None,
    returns_event: bool,
) -> dict[str, Any]:
    return {
        "sourceName": source,
        "name": name,
        "eventKeyExpression": key_expression,
        "scopeExpression": scope_expression,
        "staticPayload": None if static_payload is None else dict(static_payload),
        "returnEventAsResponsePayload": returns_event,
        "authType": _AUTH_TYPES[type(auth)],
        "auth": auth.model_dump(by_alias=True),
    }


def _changes(
    key_expression: str | None,
    scope_expression: str | None,
    static_payload: JSONSerializableMapping | None,
    returns_event: bool | None,
) -> dict[str, Any]:
    return {
        "eventKeyExpression": key_expression,
        "scopeExpression": scope_expression,
        "staticPayload": None if static_payload is None else dict(static_payload),
        "returnEventAsResponsePayload": returns_event,
    }


def _query(
    limit: int | None, offset: int | None, names: list[str] | None, sources: list[V1WebhookSourceName] | None
) -> dict[str, Any]:
    return {"limit": limit, "offset": offset, "webhookNames": names, "sourceNames": sources}
