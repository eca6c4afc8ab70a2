"""What a post says: its body as an object, and the event that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from limpet.core.errors import InvalidArgument
from limpet.core.settings import Settings
from limpet.core.webhook_rows import WebhookRow
from limpet.edges import json_text
from limpet.edges.events import NewEvent
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_text, compile_expression
from limpet.edges.expressions.values import Values
from limpet.edges.webhooks.kinds import Source
from limpet.edges.webhooks.proof import Post

PATH_NAMES = ("tenant", "v1-webhook")  # of the address; members of these names are taken out of a body (F8.10)
FORM = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX = 1_000
PAYLOAD = "the field payload"  # of Slack's forms
HIDDEN_HEADERS = frozenset({"authorization", "cookie"})  # credentials, which no expression needs to see


class Unusable(Exception):
    """An expression of the webhook gives no usable text; the sentence says which, and why."""


def challenge_of(source: Source, post: Post) -> str | None:
    """The text that Slack wants back before it posts anything (F8.7)."""
    if source is not Source.SLACK:
        return None
    try:
        body = orjson.loads(post.body)
    except orjson.JSONDecodeError:
        return None
    found = body.get("challenge") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None


def body_of(source: Source, post: Post, settings: Settings) -> dict[str, Any]:
    """The body as an object. Raises InvalidArgument (F8.10)."""
    if post.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
        found = _form(source, post.body)
    else:
        found = json_text.parse(json_text.check_object(post.body, "the body", settings.payload_bytes_max), "the body")
    assert isinstance(found, dict), "only objects are let through"
    return {name: value for name, value in found.items() if name not in PATH_NAMES}


def new_event(row: WebhookRow, body: dict[str, Any], post: Post) -> NewEvent:
    """The event, with the static payload over the body (F8.13). Raises Unusable, and InvalidArgument."""
    payload = _written(body | orjson.loads(row.static_payload))
    values = Values()
    values.add_json("input", payload)
    values.add_texts("headers", {name: value for name, value in post.headers.items() if name not in HIDDEN_HEADERS})
    name = _text("event key", row.key_expression, values)
    scope = None if row.scope_expression is None else _text("scope", row.scope_expression, values)
    return NewEvent(name, payload, scope=scope or None, webhook=row.name)


def _written(payload: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:
        raise InvalidArgument("the body nests too deeply: 250 levels are possible") from None


def first_values(raw: Mapping[str, str] | list[tuple[str, str]]) -> dict[str, str]:
    """Names in lower case, the first value of each (F1.1, environment H)."""
    found: dict[str, str] = {}
    for name, value in raw.items() if isinstance(raw, Mapping) else raw:
        found.setdefault(name.lower(), value)
    return found


def _form(source: Source, body: bytes) -> object:
    if source not in (Source.GENERIC, Source.SLACK):
        raise InvalidArgument(f"posts of {source} are JSON, not forms")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise InvalidArgument(f"the body is no form of at most {FORM_FIELDS_MAX} fields in UTF-8") from None
    found = first_values_of(fields)
    if source is Source.SLACK and "payload" in found:
        return json_text.parse(json_text.check_object(found["payload"].encode(), PAYLOAD, len(body)), PAYLOAD)
    json_text.check_object(orjson.dumps(found), "the form", 2 * len(body) + 64)
    return found


def first_values_of(fields: list[tuple[str, str]]) -> dict[str, str]:
    """The first value of each field."""
    found: dict[str, str] = {}
    for name, value in fields:
        found.setdefault(name, value)
    return found


def _text(what: str, expression: str, values: Values) -> str:
    try:
        found = as_text(compile_expression(Environment.WEBHOOK, expression).evaluate(values))
    except ExpressionError as error:
        raise Unusable(f"the expression for the {what} cannot be evaluated: {error}") from None
    if not found and what == "event key":
        raise Unusable("the expression for the event key gives an empty text")
    return found
