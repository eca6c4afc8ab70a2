"""Webhooks: made, changed, deleted (specification: flow control, section 8). What is posted to them is an edge's business."""

from __future__ import annotations

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.state import State
from limpet.core.webhook_inputs import WebhookCreated, WebhookDeleted, WebhookUpdated
from limpet.core.webhook_rows import WebhookRow


def create(state: State, item: WebhookCreated) -> WebhookRow:
    """Its name is free, and there is room (F8.1, F8.16: too many are a bad request)."""
    limits = state.settings
    if not item.name or len(item.name.encode()) > limits.name_bytes_max or "/" in item.name or "\0" in item.name:
        raise InvalidArgument(
            f"a webhook needs a name of 1 to {limits.name_bytes_max} bytes without slashes: it is part of its address"
        )
    if item.name in state.webhooks:
        raise InvalidArgument(f"there is a webhook {item.name} already: delete it first, or use another name")
    if len(state.webhooks) >= limits.webhooks_max:
        raise InvalidArgument(f"this tenant may have {limits.webhooks_max} webhooks (webhooks_max): delete one first")
    row = WebhookRow(
        state.key(), item.id, state.tenant_no, item.name, item.source, item.auth, item.auth_settings, item.secret, state.now,
        item.key_expression, item.scope_expression, item.static_payload, int(item.returns_event), state.now,
    )  # fmt: skip
    return _put(state, row)


def update(state: State, item: WebhookUpdated) -> WebhookRow:
    """What is given replaces what was there; it counts for the next post (F8.16)."""
    row = _known(state, item.name)
    return _put(
        state,
        row._replace(
            key_expression=row.key_expression if item.key_expression is None else item.key_expression,
            scope_expression=row.scope_expression if item.scope_expression is None else item.scope_expression or None,
            static_payload=row.static_payload if item.static_payload is None else item.static_payload,
            returns_event=row.returns_event if item.returns_event is None else int(item.returns_event),
            updated_at=state.now,
        ),
    )


def delete(state: State, item: WebhookDeleted) -> WebhookRow:
    """Later posts find nothing."""
    row = state.webhooks.pop(_known(state, item.name).name)
    state.webhooks_changed[row.key] = None
    return row


def _put(state: State, row: WebhookRow) -> WebhookRow:
    limits = state.settings
    if not row.key_expression.strip():
        raise InvalidArgument(f"webhook {row.name}: it needs an expression for the event key; a fixed key stands in quotes")
    for text in (row.key_expression, row.scope_expression or ""):
        if len(text.encode()) > limits.expression_bytes_max or "\0" in text:
            most = f"{limits.expression_bytes_max} bytes (expression_bytes_max)"
            raise InvalidArgument(f"webhook {row.name}: an expression may have {most}, and no NUL")
    if len(row.static_payload) > limits.metadata_bytes_max:
        raise InvalidArgument(
            f"webhook {row.name}: the static payload may have {limits.metadata_bytes_max} bytes (metadata_bytes_max)"
        )
    state.webhooks[row.name] = row
    state.webhooks_changed[row.key] = row
    return row


def _known(state: State, name: str) -> WebhookRow:
    row = state.webhooks.get(name)
    if row is None:
        raise NotFound("webhook", name, "it never existed in this tenant, or was deleted")
    return row
