"""Webhooks with our client on a real engine in this process, and posts as other services send them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import httpx
import pytest

from limpet import ClientConfig, Limpet, V1WebhookHMACAlgorithm, V1WebhookHMACEncoding, V1WebhookSourceName
from limpet.clients.rest.models import V1WebhookAPIKeyAuth, V1WebhookAuthType, V1WebhookBasicAuth, V1WebhookHMACAuth
from limpet.sdk.rest.exceptions import BadRequestException, NotFoundException
from limpet.testing.embedded import EmbeddedEngine

SOURCE = V1WebhookSourceName.GENERIC
SIGNED = V1WebhookHMACAuth(
    algorithm=V1WebhookHMACAlgorithm.SHA512, encoding=V1WebhookHMACEncoding.HEX, signature_header_name="x-sig",
    signing_secret="s3cret",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as running:
        yield running


@pytest.fixture
def live(engine: EmbeddedEngine) -> Limpet:
    return Limpet(config=ClientConfig(token=engine.token, host_port=engine.grpc_address, server_url=engine.http_url))


def post(live: Limpet, name: str, body: bytes, **headers: str) -> httpx.Response:
    path = f"/api/v1/stable/tenants/{live.tenant_id}/webhooks/{name}"
    return httpx.post(live.config.server_url + path, content=body, headers=headers)


async def test_webhooks_make_the_round_trip(live: Limpet) -> None:
    made = live.webhooks.create(SOURCE, "one", "input.k", SIGNED, scope_expression="'s'", static_payload={"a": 1})
    assert (made.name, made.auth_type, made.scope_expression, made.static_payload) == (
        "one",
        V1WebhookAuthType.HMAC,
        "'s'",
        {"a": 1},
    )
    basic = V1WebhookBasicAuth(username="u", password="p")
    second = await live.webhooks.aio_create(V1WebhookSourceName.GITHUB, "two words", "'k'", basic, None, None, False)
    assert live.webhooks.get("one") == made == await live.webhooks.aio_get("one")
    assert live.webhooks.list().rows == [second, made]
    assert (await live.webhooks.aio_list(limit=1, offset=1)).rows == [made]
    assert live.webhooks.list(source_names=[V1WebhookSourceName.GITHUB]).rows == [second]
    assert live.webhooks.list(webhook_names=["one"]).rows == [made]
    assert live.webhooks.update("one", scope_expression="'t'").scope_expression == "'t'"
    assert (await live.webhooks.aio_update("one", return_event_as_response_payload=False)).scope_expression == "'t'"
    assert live.webhooks.delete("one").name == "one"
    assert (await live.webhooks.aio_delete("two words")).name == "two words"
    with pytest.raises(NotFoundException):
        live.webhooks.get("one")
    with pytest.raises(BadRequestException, match="cannot be used"):
        live.webhooks.create(SOURCE, "bad", "input.", SIGNED)
    assert "s3cret" not in repr(SIGNED) + str(made)


def test_F8_15_a_post_becomes_an_event_in_development_mode_too(live: Limpet) -> None:
    live.webhooks.create(SOURCE, "signed", "input.k", SIGNED)
    live.webhooks.create(SOURCE, "keyed", "'form'", V1WebhookAPIKeyAuth(header_name="x-key", api_key="s3cret"))
    body = b'{"k": "order:created", "n": 1}'
    signature = hmac.new(b"s3cret", body, hashlib.sha512).hexdigest()
    answer = post(live, "signed", body, **{"content-type": "application/json", "x-sig": f"sha512={signature}"})
    assert answer.status_code == 200, answer.text
    event = live.event.get(answer.json()["event"]["metadata"]["id"])
    assert (event.key, event.payload, event.triggering_webhook_name) == (
        "order:created",
        {"k": "order:created", "n": 1},
        "signed",
    )
    form = post(live, "keyed", b"a=b", **{"content-type": "application/x-www-form-urlencoded", "x-key": "s3cret"})
    assert form.json()["event"]["payload"] == {"a": "b"}
    assert post(live, "signed", body).status_code == 403
    assert post(live, "keyed", b"a=b", origin="https://evil.example", **{"x-key": "s3cret"}).status_code == 403
