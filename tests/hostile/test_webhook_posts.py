"""X-FUZZ and X-HOOK over real sockets: mutated posts to the webhooks of an engine that runs."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from limpet.edges.webhooks.kinds import AuthKind, Source
from tests.edges.webhooks.posts import SENDERS, SIGNATURE, SVIX_SECRET, Sender

from .house import MINE, House

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = 20_261_127
POSTS = 6  # to each webhook
MORE_POSTS = 60  # by name
BODY = b'{"kind": "paid"}'
HOSTILE_BODIES = (
    b"", b"[]", b"{", b"\xff\xfe", b'{"a":' * 1_500, b'{"a":' * 900 + b"1" + b"}" * 900, b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"kind": "' + b"k" * 100_000 + b'"}', b'{"kind": "\\u0000"}', b"payload=%7B%7D", b"x" * (1024 * 1024 + 1),
)  # fmt: skip
HOSTILE_TYPES = (
    b"application/x-www-form-urlencoded",
    b"application/json; charset=utf-7",
    b"\xff",
    b"multipart/form-data; boundary=",
    b"",
)
KEPT = tuple(one for one in SENDERS if one.source is not Source.GENERIC or one.auth.kind is not AuthKind.HMAC)


def name_of(number: int) -> str:
    return f"hook-{number}"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def webhooks(shared_house: House) -> None:
    """One for each way to sign; their events are of a key that the body says."""
    for number, sender in enumerate(KEPT):
        body = {
            "sourceName": sender.source, "name": name_of(number), "eventKeyExpression": "'hook:' + input.kind",
            "authType": sender.auth.kind, "auth": credentials(sender),
        }  # fmt: skip
        answer = await shared_house.rest("POST", "/stable/tenants/{tenant}/webhooks", body)
        assert answer.status_code == 200, answer.text


def credentials(sender: Sender) -> dict[str, str]:
    secret = sender.auth.secret.decode()
    match sender.auth.kind:
        case AuthKind.BASIC:
            return {"username": "user", "password": secret}
        case AuthKind.API_KEY:
            return {"headerName": "X-Key", "apiKey": secret}
    key = SVIX_SECRET.decode() if sender.source is Source.SVIX else secret
    header = {Source.STRIPE: "stripe-signature", Source.SLACK: "x-slack-signature"}.get(sender.source, SIGNATURE)
    return {"algorithm": "SHA256", "encoding": "HEX", "signatureHeaderName": header, "signingSecret": key}


async def post(house: House, number: int, body: bytes, headers: dict[Any, Any]) -> httpx.Response:
    """As another service: without a token."""
    given = [
        (one if isinstance(one, bytes) else one.encode(), two if isinstance(two, bytes) else two.encode())
        for one, two in headers.items()
    ]
    path = f"/api/v1/stable/tenants/{MINE}/webhooks/{name_of(number)}"
    return await house.http.post(path, content=body, headers=given)


async def events_of(house: House) -> int:
    answer = await house.rest("GET", "/stable/tenants/{tenant}/events?limit=1000")
    return sum(row["triggeringWebhookName"] is not None for row in answer.json()["rows"])


def mutations(sender: Sender, posts: int, chance: random.Random) -> Iterator[tuple[bytes, dict[Any, Any]]]:
    """Posts that are signed wrongly, or signed rightly and say nonsense."""
    for turn in range(posts):
        at = int(time.time())
        if turn % 2:
            body = chance.choice(HOSTILE_BODIES)
            yield body, {**sender.headers(body, at), "content-type": chance.choice(HOSTILE_TYPES)}
            continue
        headers: dict[Any, Any] = {name: value.encode() for name, value in sender.headers(BODY, at).items()}
        name = chance.choice(sorted(headers))
        headers[name] = broken(headers[name], chance)
        yield BODY, headers


def broken(value: bytes, chance: random.Random) -> bytes:
    """A header's value with its end cut off, or a few signs replaced by what a header may carry."""
    signs = bytearray(value)
    for _ in range(chance.randrange(1, 4)):
        signs[chance.randrange(len(signs))] = chance.choice(b"#~%\xe9\xff")
    return chance.choice((value[: chance.randrange(len(value) // 2)].strip(), bytes(signs)))


@pytest.mark.parametrize("posts", [POSTS, pytest.param(MORE_POSTS, marks=pytest.mark.slow)])
async def test_X_FUZZ_no_mutated_post_becomes_an_event_or_breaks_the_engine(house: House, posts: int) -> None:
    chance, before, fine = random.Random(SEED), await events_of(house), 0
    for number, sender in enumerate(KEPT):
        for body, headers in mutations(sender, posts, chance):
            answer = await post(house, number, body, headers)
            assert answer.status_code in (200, 400, 403, 409, 413), (sender, headers, body[:80], answer.text)
            if answer.status_code == 200:
                assert body != BODY, "what was broken is not let in"
                fine += 1
    assert await events_of(house) == before + fine


async def test_X_HOOK_a_post_that_many_send_at_once_is_one_event_in_every_spelling(house: House) -> None:
    before, signed = await events_of(house), [(n, one) for n, one in enumerate(KEPT) if one.auth.kind is AuthKind.HMAC]
    for number, sender in signed:
        body = b'{"kind": "once", "n": %d}' % time.time_ns()
        right = sender.headers(body, int(time.time()))
        spellings = [right, {name: spelled_otherwise(sender, value) for name, value in right.items()}]
        answers = await asyncio.gather(*(post(house, number, body, spellings[turn % 2]) for turn in range(6)))
        ids = {answer.json()["event"]["metadata"]["id"] for answer in answers if answer.status_code == 200}
        assert len(ids) == 1, [answer.text for answer in answers]
        assert {answer.status_code for answer in answers} <= {200, 409}
    assert await events_of(house) == before + len(signed)


def spelled_otherwise(sender: Sender, value: str) -> str:
    """The same signature with other letters; what is signed itself has one spelling."""
    prefix, _, digits = value.rpartition("=")
    if sender.source in (Source.GITHUB, Source.LINEAR):
        return f"SHA256={digits.upper()}"
    return f"{prefix}={digits.upper()}" if sender.source is Source.SLACK and prefix == "v0" else value


async def test_X_FUZZ_half_a_post_and_what_is_no_http_end_with_their_connection(house: House) -> None:
    before, host = await events_of(house), house.http.base_url.netloc
    path = f"/api/v1/stable/tenants/{MINE}/webhooks/{name_of(0)}".encode()
    right = b"authorization: Basic " + base64.b64encode(b"user:" + KEPT[0].auth.secret)
    head = b"POST %s HTTP/1.1\r\nhost: %s\r\n%s\r\n" % (path, host, right)
    for raw in (
        head + b"content-length: 100\r\n\r\n" + BODY,
        head + b"content-length: -1\r\n\r\n" + BODY,
        head + b"transfer-encoding: chunked\r\n\r\nffffffff\r\n" + BODY,
        head + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nzz\r\n" + BODY,
        head + b"x-signature: a\0b\r\n\r\n",
        head + b"x-" + b"n" * 100_000 + b": 1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(house.http.base_url.host, house.http.base_url.port)
        writer.write(raw)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 20)
        assert not answer.startswith(b"HTTP/1.1 5"), answer
        assert not answer.startswith(b"HTTP/1.1 200"), answer
        writer.close()
    assert await events_of(house) == before
