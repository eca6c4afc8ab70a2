"""Webhooks: made, listed, shown, changed, deleted. Posts to them come by another way, `edges.webhooks`."""

from __future__ import annotations

from typing import Annotated, cast
from uuid import uuid4

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from limpet.core.errors import InvalidArgument, NotFound, NotSupported
from limpet.core.ids import TenantId
from limpet.core.webhook_inputs import WebhookCreated, WebhookDeleted, WebhookUpdated
from limpet.core.webhook_rows import WebhookRow
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, compile_expression
from limpet.edges.rest.answers import answer, moment, pagination
from limpet.edges.rest.bodies import body_schema, given_object_bytes, object_bytes, read_body
from limpet.edges.rest.bodies_webhooks import WebhookBody, WebhookChange
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.queries import PAGE_DEFAULT, Limit, Names, Offset
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_webhooks import WebhookList, WebhookShown
from limpet.edges.signing import SigningKeyError
from limpet.edges.vault import Vault
from limpet.edges.webhooks.kinds import Auth, AuthKind, Source, check_auth, sealed

WEBHOOKS = "/stable/tenants/{tenant}/webhooks"
SourceNames = Annotated[list[Source] | None, Query(alias="sourceNames")]

router: APIRouter = APIRouter(prefix="/v1")


@router.get(WEBHOOKS, response_model=WebhookList)
async def list_webhooks(
    caller: Calling,
    tenant: str,
    source_names: SourceNames = None,
    webhook_names: Annotated[Names, Query(alias="webhookNames")] = None,
    limit: Limit = PAGE_DEFAULT,
    offset: Offset = 0,
) -> Response:
    """Webhooks, newest first."""
    rows = [
        row
        for row in reversed(await caller.reader.webhooks(caller.tenant_no))
        if (not source_names or row.source in source_names) and (not webhook_names or row.name in webhook_names)
    ]
    page = pagination(offset, limit, len(rows))
    shown = [webhook_shown(caller.tenant, row) for row in rows[offset : offset + limit]]
    return await answer(lambda: WebhookList(pagination=page, rows=shown))


@router.post(WEBHOOKS, response_model=WebhookShown, openapi_extra=body_schema(WebhookBody))
async def create_webhook(caller: Calling, tenant: str, request: Request) -> Response:
    """A webhook; its secret is sealed before anything else happens, and never shown (F8.3)."""
    body = await read_body(request, WebhookBody)
    auth, webhook_id = body.credentials(), str(uuid4())
    check_auth(body.source_name, auth)
    check_expressions(body.event_key_expression, body.scope_expression)
    settings, secret = sealed_for(webhook_id, auth, caller.facts.vault)
    item = WebhookCreated(
        id=webhook_id,
        name=body.name,
        source=body.source_name,
        auth=body.auth_type,
        key_expression=body.event_key_expression,
        scope_expression=body.scope_expression or None,
        static_payload=object_bytes(body.static_payload, "staticPayload", caller.facts.settings.metadata_bytes_max),
        returns_event=body.return_event_as_response_payload is not False,
        auth_settings=settings,
        secret=secret,
    )
    row = cast(WebhookRow, await caller.submit(item))
    return await answer(lambda: webhook_shown(caller.tenant, row))


@router.get(WEBHOOKS + "/{webhook}", response_model=WebhookShown)
async def get_webhook(caller: Calling, tenant: str, webhook: str) -> Response:
    """One webhook, by its name."""
    row = await _known(caller, webhook)
    return await answer(lambda: webhook_shown(caller.tenant, row))


@router.patch(WEBHOOKS + "/{webhook}", response_model=WebhookShown, openapi_extra=body_schema(WebhookChange))
async def update_webhook(caller: Calling, tenant: str, webhook: str, request: Request) -> Response:
    """What is given counts from the next post on (F8.16)."""
    body = await read_body(request, WebhookChange)
    check_expressions(body.event_key_expression, body.scope_expression)
    most = caller.facts.settings.metadata_bytes_max
    item = WebhookUpdated(
        name=webhook,
        key_expression=body.event_key_expression,
        scope_expression=body.scope_expression,
        static_payload=given_object_bytes(body.static_payload, "staticPayload", most),
        returns_event=body.return_event_as_response_payload,
    )
    row = cast(WebhookRow, await caller.submit(item))
    return await answer(lambda: webhook_shown(caller.tenant, row))


@router.delete(WEBHOOKS + "/{webhook}", response_model=WebhookShown)
async def delete_webhook(caller: Calling, tenant: str, webhook: str) -> Response:
    """The webhook that was; events that came by it stay."""
    row = cast(WebhookRow, await caller.submit(WebhookDeleted(webhook)))
    return await answer(lambda: webhook_shown(caller.tenant, row))


def sealed_for(webhook_id: str, auth: Auth, vault: Vault) -> tuple[bytes, bytes]:
    """The columns of a row. Raises NotSupported when the engine has no key to seal a secret with."""
    try:
        return sealed(auth, webhook_id, vault)
    except SigningKeyError as error:
        raise NotSupported(f"webhooks need a master key for their secrets: {error}") from None


def check_expressions(*texts: str | None) -> None:
    """Raises InvalidArgument for one that cannot be compiled; whether it gives a text shows with each post."""
    for text in texts:
        if text:
            try:
                compile_expression(Environment.WEBHOOK, text)
            except ExpressionError as error:
                raise InvalidArgument(f"the expression {text[:80]!r} cannot be used: {error}") from None


async def _known(caller: Caller, name: str) -> WebhookRow:
    for row in await caller.reader.webhooks(caller.tenant_no):
        if row.name == name:
            return row
    raise NotFound("webhook", name)


def webhook_shown(tenant: TenantId, row: WebhookRow) -> WebhookShown:
    """As it stands."""
    return WebhookShown(
        metadata=ResourceMeta(id=row.id, created_at=moment(row.created_at), updated_at=moment(row.updated_at)),
        tenant_id=tenant,
        name=row.name,
        source_name=Source(row.source),
        event_key_expression=row.key_expression,
        scope_expression=row.scope_expression,
        static_payload=orjson.Fragment(row.static_payload),
        auth_type=AuthKind(row.auth),
        return_event_as_response_payload=bool(row.returns_event),
    )
