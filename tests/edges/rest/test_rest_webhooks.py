"""Webhooks: made over REST, and posted to as other services do, answered by the real core over the rows of the world."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from limpet.edges.webhooks import receiving
from limpet.edges.webhooks.replays import KEPT_S
from limpet.store.api import EventQuery

from .conftest import Town
from .world import NOW_S, OTHER, TENANT, World

WEBHOOKS = f"/api/v1/stable/tenants/{TENANT.id}/webhooks"
SECRET = "s3cret"
NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"
HMAC = {"algorithm": "SHA256", "encoding": "HEX", "signatureHeaderName": "X-Signature", "signingSecret": SECRET}
AUTHS: dict[str, dict[str, str]] = {
    "BASIC": {"username": "u", "password": SECRET},
    "API_KEY": {"headerName": "X-Key", "apiKey": SECRET},
    "HMAC": HMAC,
}
BODY = b'{"n": 1, "kind": "paid"}'


async def make(http: httpx.AsyncClient, source: str = "GENERIC", kind: str = "API_KEY", **values: Any) -> httpx.Response:
    body = {
        "sourceName": source, "name": "hook", "eventKeyExpression": "'order:created'", "authType": kind, "auth": AUTHS[kind],
        **values,
    }  # fmt: skip
    return await http.post(WEBHOOKS, json=body)


async def post(
    http: httpx.AsyncClient,
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    *,
    name: str = "hook",
    tenant: str = TENANT.id,
) -> httpx.Response:
    """As another service: without a token."""
    given = {"content-type": "application/json", **({"X-Key": SECRET} if headers is None else headers)}
    bare = httpx.Request(
        "POST", http.base_url.join(f"/api/v1/stable/tenants/{tenant}/webhooks/{name}"), content=body, headers=given
    )
    return await http.send(bare)


def mac(body: bytes, algorithm: str = "sha256", secret: bytes = SECRET.encode()) -> bytes:
    return hmac.new(secret, body, algorithm).digest()


async def events(world: World) -> list[str]:
    return [record.event.name for record in (await world.reader.pushed_events(TENANT.no, EventQuery()))[0]]


@pytest_asyncio.fixture(loop_scope="session")
async def shop(world: World) -> World:
    """A world with a workflow that starts on order:*."""
    await world.workflow("shop", events=("order:*",))
    return world


async def test_F8_16_a_webhook_makes_the_round_trip_and_never_shows_its_secret(shop: World, http: httpx.AsyncClient) -> None:
    answer = await make(http, scopeExpression="input.kind", staticPayload={"s": 1})
    made = answer.json()
    assert answer.status_code == 200, made
    assert {name: value for name, value in made.items() if name != "metadata"} == {
        "tenantId": TENANT.id, "name": "hook", "sourceName": "GENERIC", "eventKeyExpression": "'order:created'",
        "scopeExpression": "input.kind", "staticPayload": {"s": 1}, "authType": "API_KEY", "returnEventAsResponsePayload": True,
    }  # fmt: skip
    assert SECRET not in answer.text
    (row,) = await shop.reader.webhooks(TENANT.no)
    assert SECRET.encode() not in b"".join(value for value in row if isinstance(value, bytes))
    path = f"{WEBHOOKS}/hook"
    assert (await http.get(path)).json() == made
    changed = (await http.patch(path, json={"returnEventAsResponsePayload": False, "eventKeyExpression": None})).json()
    assert (changed["returnEventAsResponsePayload"], changed["eventKeyExpression"]) == (False, "'order:created'")
    assert (await http.patch(path, json={"scopeExpression": "", "staticPayload": {}})).json()["scopeExpression"] is None
    gone = await http.delete(path)
    assert (gone.status_code, gone.json()["name"]) == (200, "hook")
    assert [(await http.request(method, path, json={})).status_code for method in ("GET", "PATCH", "DELETE")] == [404] * 3


async def test_F8_16_webhooks_are_listed_by_source_and_name(shop: World, http: httpx.AsyncClient) -> None:
    for name, source in (("a", "GENERIC"), ("b", "GITHUB"), ("c", "GITHUB")):
        assert (await make(http, source, name=name)).status_code == 200

    async def found(**query: Any) -> list[str]:
        return [row["name"] for row in (await http.get(WEBHOOKS, params=query)).json()["rows"]]

    assert await found() == ["c", "b", "a"]
    assert await found(sourceNames="GITHUB") == ["c", "b"]
    assert await found(webhookNames=["a", "c"], limit=1, offset=1) == ["a"]
    assert (await http.get(WEBHOOKS, params={"sourceNames": "MAIL"})).status_code == 400


@pytest.mark.parametrize(
    "values",
    [
        {"auth": {"username": "u"}}, {"authType": "BASIC"}, {"auth": {}}, {"authType": "NONE"}, {"sourceName": "MAIL"},
        {"name": "a/b"}, {"name": ""}, {"eventKeyExpression": ""}, {"eventKeyExpression": "input."}, {"scopeExpression": "nobody.x"},
        {"staticPayload": [1]}, {"auth": {"headerName": "X", "apiKey": ""}}, {"sourceName": "STRIPE"},
        {"authType": "HMAC", "auth": {**HMAC, "algorithm": "ROT13"}}, {"authType": "HMAC", "auth": {**HMAC, "signatureHeaderName": ""}},
        {"sourceName": "SVIX", "authType": "HMAC", "auth": {**HMAC, "signingSecret": "whsec_%%"}},
    ],
)  # fmt: skip
async def test_F8_17_what_cannot_be_a_webhook_is_a_bad_request(
    shop: World, http: httpx.AsyncClient, values: dict[str, Any]
) -> None:
    answer = await make(http, **values)
    assert answer.status_code == 400, answer.text
    assert SECRET not in answer.text
    assert not await shop.reader.webhooks(TENANT.no)


async def test_B90_B91_basic_and_keys_let_in_the_right_ones_alone(shop: World, http: httpx.AsyncClient) -> None:
    right = {"authorization": "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()}
    wrong = [{"authorization": "Basic " + base64.b64encode(f"u:{other}".encode()).decode()} for other in ("", "x", SECRET + "x")]
    assert (await make(http, kind="BASIC", name="basic")).status_code == (await make(http, name="key")).status_code == 200
    for name, good, bad in (
        ("basic", right, [*wrong, {}, {"authorization": "Basic %%%"}, {"authorization": f"Bearer {SECRET}"}]),
        ("key", {"x-key": SECRET}, [{"x-key": "x"}, {}, {"x-key": ""}]),
    ):
        answer = await post(http, headers=good, name=name)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["message"], answer.json()["event"]["triggeringWebhookName"]) == ("ok", name)
        (run,) = answer.json()["event"]["triggeredRuns"]
        record = await shop.reader.run(TENANT.no, run["workflowRunId"])
        assert record is not None
        assert json.loads(record.run.input or b"") == {"n": 1, "kind": "paid"}
        assert [(await post(http, headers=each, name=name)).status_code for each in bad] == [403] * len(bad)
    assert await events(shop) == ["order:created"] * 2


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512", "MD5"])
@pytest.mark.parametrize("encoding", ["HEX", "BASE64", "BASE64URL"])
async def test_B92_B93_B94_every_algorithm_and_encoding(
    shop: World, http: httpx.AsyncClient, algorithm: str, encoding: str
) -> None:
    await make(http, kind="HMAC", auth={**HMAC, "algorithm": algorithm, "encoding": encoding})
    digest = mac(BODY, algorithm.lower())
    text = {
        "HEX": digest.hex(),
        "BASE64": base64.b64encode(digest).decode(),
        "BASE64URL": base64.urlsafe_b64encode(digest).decode(),
    }
    answer = await post(http, headers={"x-signature": f"{algorithm.lower()}=" + text[encoding]})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["event"]["triggeredRuns"]) == 1
    assert (await post(http, BODY + b" ", headers={"x-signature": text[encoding]})).status_code == 403
    assert (await post(http, headers={})).status_code == 403
    assert await events(shop) == ["order:created"]


async def test_X20_a_signature_counts_once(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, "GITHUB", "HMAC")
    headers = {"x-signature": "sha256=" + mac(BODY).hex()}
    assert [(await post(http, headers=headers)).status_code for _ in range(3)] == [200, 409, 409]
    assert (await post(http, headers={"x-signature": mac(BODY).hex().upper()})).status_code == 409
    assert (await post(http, b"[]", {"x-signature": mac(b"[]").hex()})).status_code == 400
    assert (await post(http, b"[]", {"x-signature": mac(b"[]").hex()})).status_code == 400, "what was refused may come again"
    other = b'{"n": 2}'
    assert (await post(http, other, {"x-signature": mac(other).hex()})).status_code == 200


async def test_B95_B107_F8_4_X20_whoever_is_not_let_in_learns_nothing(shop: World, http: httpx.AsyncClient) -> None:
    await make(http)
    answers = [
        await post(http, headers={"x-key": "x"}),
        await post(http, name="other"),
        await post(http, tenant=NOBODY),
        await post(http, tenant=OTHER.id),
        await post(http, tenant="no-uuid"),
    ]
    await http.delete(f"{WEBHOOKS}/hook")
    answers.append(await post(http))
    assert {(answer.status_code, answer.content) for answer in answers} == {(403, answers[0].content)}
    assert await events(shop) == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'"text"', b'{"a": "\\u0000"}', b"{"])
async def test_B96_a_body_that_is_no_object_is_a_bad_request(shop: World, http: httpx.AsyncClient, body: bytes) -> None:
    await make(http)
    answer = await post(http, body)
    assert answer.status_code == (200 if body == b"" else 400), answer.text


@pytest.mark.parametrize("expression", ["input.missing", "input.n", "input.empty", "headers['x-none']"])
async def test_B97_F8_11_a_key_that_is_no_text_is_a_bad_request_and_recorded(
    shop: World, http: httpx.AsyncClient, expression: str
) -> None:
    await make(http, eventKeyExpression=expression)
    assert (await post(http, b'{"n": 1, "empty": ""}')).status_code == 400
    (failure,) = await shop.reader.expression_failures(TENANT.no, 10)
    assert (failure.about, failure.event_id) == ("hook", None)
    assert "event key" in failure.message
    assert await events(shop) == []


async def test_B98_B99_B100_keys_and_scopes_come_from_body_and_headers(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, eventKeyExpression="'order:' + headers['x-kind']", scopeExpression="input.scope")
    workflow = (await shop.reader.workflows(TENANT.no))[0]
    body = {"workflowId": workflow.id, "expression": "input.n == 1.0", "scope": "eu", "payload": {"f": 1}}
    assert (await http.post(f"/api/v1/stable/tenants/{TENANT.id}/filters", json=body)).status_code == 200
    headers = {"X-Key": SECRET, "X-KiNd": "paid"}
    event = (await post(http, b'{"n": 1, "scope": "eu"}', headers)).json()["event"]
    assert (event["key"], event["scope"], len(event["triggeredRuns"])) == ("order:paid", "eu", 1)
    assert event["triggeredRuns"][0]["filterId"]
    assert (await post(http, b'{"n": 1}', headers)).status_code == 400
    await http.patch(f"{WEBHOOKS}/hook", json={"scopeExpression": "'us'"})
    assert (await post(http, b'{"n": 1}', headers)).json()["event"]["triggeredRuns"] == []


async def test_an_expression_sees_no_credentials(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, kind="BASIC", eventKeyExpression="headers['authorization']")
    right = {"authorization": "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()}
    assert (await post(http, headers=right)).status_code == 400


async def test_B101_F8_13_the_static_payload_wins_and_names_of_the_path_are_taken_out(
    shop: World, http: httpx.AsyncClient
) -> None:
    await make(http, staticPayload={"kind": "fixed", "more": 1}, eventKeyExpression="input.kind")
    event = (await post(http, b'{"n": 1, "kind": "paid", "tenant": "x", "v1-webhook": "y"}')).json()["event"]
    assert (event["key"], event["payload"]) == ("fixed", {"n": 1, "kind": "fixed", "more": 1})


async def test_B102_F8_14_without_the_event_the_answer_is_empty(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, returnEventAsResponsePayload=False)
    answer = await post(http)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await events(shop) == ["order:created"]


def stripe(at: float, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(at))
    return {"stripe-signature": f"t={stamp},v1=00,v1={mac(stamp.encode() + b'.' + body, secret=secret.encode()).hex()},v0=1"}


async def test_B103_F8_8_stripe(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, "STRIPE", "HMAC", auth={**HMAC, "signatureHeaderName": "Stripe-Signature"})
    assert (await post(http, headers=stripe(NOW_S))).status_code == 200
    for headers in (
        stripe(NOW_S - 360),
        stripe(NOW_S + 360),
        {},
        {"stripe-signature": "v1=00"},
        {"stripe-signature": "t=x,v1=0"},
    ):
        assert (await post(http, headers=headers)).status_code == 400, headers
    assert (await post(http, headers=stripe(NOW_S, secret="other"))).status_code == 403
    assert (await post(http, b'{"n": 9}', headers=stripe(NOW_S))).status_code == 403


async def test_X20_a_signed_time_counts_once_whichever_server_is_asked(shop: World, http: httpx.AsyncClient, town: Town) -> None:
    await make(http, "STRIPE", "HMAC")
    headers = {"x-signature": stripe(NOW_S)["stripe-signature"]}
    assert (await post(http, headers=headers)).status_code == 200
    assert (await post(another_server(shop, town), headers=headers)).status_code == 409
    assert await events(shop) == ["order:created"]


def another_server(world: World, town: Town, later_s: float = 0) -> httpx.AsyncClient:
    """That has seen no post; its clock is so much later."""
    app = receiving.Receiving(world, replace(town.facts, clock=lambda: NOW_S + later_s))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=_Routed(app)), base_url="http://localhost")


def slack(at: float, body: bytes = BODY) -> dict[str, str]:
    stamp = str(int(at))
    signature = "v0=" + mac(b"v0:" + stamp.encode() + b":" + body).hex()
    return {"x-slack-request-timestamp": stamp, "x-slack-signature": signature}


async def test_B104_F8_7_slack(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, "SLACK", "HMAC", auth={**HMAC, "signatureHeaderName": "X-Slack-Signature"})
    answer = await post(http, b'{"type": "url_verification", "challenge": "abc"}', {})
    assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
    assert (await post(http, headers=slack(NOW_S))).status_code == 200
    for headers in (slack(NOW_S - 360), {}, {**slack(NOW_S), "x-slack-signature": "v0=00"}, {"x-slack-signature": "v0=00"}):
        assert (await post(http, headers=headers)).status_code == 403
    form = urlencode({"payload": '{"n": 5}', "x": "y"}).encode()
    answer = await post(http, form, {**slack(NOW_S, form), "content-type": "application/x-www-form-urlencoded"})
    assert answer.json()["event"]["payload"] == {"n": 5}
    plain = b"text=hi&user=u"
    answer = await post(http, plain, {**slack(NOW_S, plain), "content-type": "application/x-www-form-urlencoded"})
    assert answer.json()["event"]["payload"] == {"text": "hi", "user": "u"}


SVIX_KEY = base64.b64encode(b"0123456789abcdef01234567").decode()


def svix(at: float, family: str = "svix-", body: bytes = BODY, key: bytes = b"0123456789abcdef01234567") -> dict[str, str]:
    signed = f"msg_1.{int(at)}.".encode() + body
    right = base64.b64encode(mac(signed, secret=key)).decode()
    return {f"{family}id": "msg_1", f"{family}timestamp": str(int(at)), f"{family}signature": f"v1,AAAA v2,x v1,{right}"}


async def test_B105_F8_9_svix(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, "SVIX", "HMAC", auth={**HMAC, "signingSecret": f"whsec_{SVIX_KEY}"})
    assert (await post(http, headers=svix(NOW_S))).status_code == 200
    assert (await post(http, headers=svix(NOW_S + 1, "webhook-"))).status_code == 200
    missing = {name: value for name, value in svix(NOW_S).items() if name != "svix-id"}
    for headers in (missing, svix(NOW_S - 360), {**svix(NOW_S), "svix-timestamp": "soon"}):
        assert (await post(http, headers=headers)).status_code == 400
    assert (await post(http, headers=svix(NOW_S, key=b"other"))).status_code == 403


async def test_B106_F8_10_forms_are_for_generic_webhooks(shop: World, http: httpx.AsyncClient) -> None:
    await make(http)
    await make(http, "GITHUB", name="github")
    form = {"X-Key": SECRET, "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    event = (await post(http, b"n=1&n=2&empty=&tenant=x", form)).json()["event"]
    assert event["payload"] == {"n": "1", "empty": ""}
    assert (await post(http, b"n=1", form, name="github")).status_code == 400
    assert (await post(http, b"a=%00", form)).status_code == 400
    assert (await post(http, b"&".join(b"a%d=1" % n for n in range(1_001)), form)).status_code == 400


async def test_X20_oversized_bodies_and_floods_are_refused_before_anything_else(
    shop: World, http: httpx.AsyncClient, town: Town
) -> None:
    await make(http)
    assert (await post(http, b'{"a": "' + b"x" * receiving.POST_BYTES_MAX + b'"}')).status_code == 413
    app = receiving.Receiving(shop, town.facts, posts_per_second=2.0)
    few = httpx.AsyncClient(transport=httpx.ASGITransport(app=_Routed(app)), base_url="http://localhost")
    assert [(await post(few, name="none")).status_code for _ in range(4)] == [403, 403, 429, 429]
    assert (await post(few, name="another")).status_code == 403


async def test_F8_18_posts_at_once_are_an_event_each(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, returnEventAsResponsePayload=False)
    answers = await asyncio.gather(*(post(http) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {204}
    assert len(await events(shop)) == 10


async def test_X20_a_signature_over_no_time_counts_again_after_ten_minutes(
    shop: World, http: httpx.AsyncClient, town: Town
) -> None:
    """Whoever asks: the store knows, so another server does too."""
    await make(http, "GITHUB", "HMAC")
    headers = {"x-signature": mac(BODY).hex()}
    assert (await post(http, headers=headers)).status_code == 200
    for later, status in ((KEPT_S / 2, 409), (KEPT_S - 1, 409), (KEPT_S, 200)):
        assert (await post(another_server(shop, town, later), headers=headers)).status_code == status
    assert len(await events(shop)) == 2


async def test_F8_18_X20_the_same_signed_post_at_once_is_one_event(shop: World, http: httpx.AsyncClient) -> None:
    await make(http, "GITHUB", "HMAC")
    headers = {"x-signature": mac(BODY).hex()}
    answers = await asyncio.gather(*(post(http, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(await events(shop)) == 1


class _Routed:
    """The one route, as the HTTP edge has it."""

    def __init__(self, app: Any) -> None:
        self._app = Starlette(routes=[Route(receiving.PATH, app, methods=["POST"])])

    async def __call__(self, *call: Any) -> None:
        await self._app(*call)


async def test_whoever_guesses_cannot_fill_the_log(
    shop: World, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await make(http)
    caplog.clear()
    for number in range(20):
        assert (await post(http, name=f"guess-{number}")).status_code == 403
    said = [record for record in caplog.records if record.getMessage() == "A post to a webhook was refused."]
    assert len(said) < 10
