"""X-FUZZ for what reads posts to webhooks: whatever comes, it is let in as it was signed, or refused with a sentence."""

from __future__ import annotations

import string
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet.core.errors import InvalidArgument
from limpet.core.settings import Settings
from limpet.core.webhook_rows import WebhookRow
from limpet.edges.webhooks import content, proof
from limpet.edges.webhooks.kinds import Source
from limpet.edges.webhooks.proof import AGE_MAX_S, Post, Refused

from .posts import SENDERS, Sender

EXAMPLES = 60  # of each source; some 20 s of all fuzzing on each submission
EXAMPLES_SLOW = 3_000
NOW = 1_790_000_000
BODY = b'{"kind": "paid", "n": 1}'
FORM = "application/x-www-form-urlencoded"
WORDS = st.text(st.characters(codec="latin-1"), max_size=30)  # what a server can be sent in a header
NAMES = st.sampled_from(
    ("authorization", "x-key", "x-signature", "stripe-signature", "x-slack-signature", "x-slack-request-timestamp", "svix-id",
     "svix-timestamp", "svix-signature", "webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "x-other")
)  # fmt: skip
STAMPS = st.sampled_from(
    ("", "0", "-1", "+1790000000", "01790000000", "1790000000.0", "1.79e9", "\u00b9790000000", "9" * 19, "9" * 5_000, "nan", " 1790000000 ")
)  # fmt: skip
FORMED = st.sampled_from(
    ("Basic %%%", "Basic ", "Basic dXNlcjo=", "t=,v1=", "t=1790000000", "v1=,v1=", "v1,", "v1, v1,", "v0=", "sha256=")
)
VALUES = WORDS | STAMPS | FORMED
BODIES = (
    st.binary(max_size=60)
    | st.sampled_from(
        (b"", b"{}", b"null", b"[1]", b"{", b'{"a": NaN}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"\xff", b"payload={}", b"payload=%7B",
         b"a=%00", b"a=%ff&b=\xff", b"=&=&", b"a=1;b=2", b"&" * 2_000, b'{"challenge": 7}', b'{"challenge": "\xff"}')
    )
    | st.integers(1, 1_500).map(lambda levels: b'{"a":' * levels + b"1" + b"}" * levels)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=9,
    ).map(lambda value: orjson.dumps(value) if is_writable(value) else b"{}")
)  # fmt: skip
CONTENT_TYPES = st.sampled_from(
    ("application/json", FORM, f"{FORM}; charset=utf-16", FORM.upper(), "text/plain", "multipart/form-data", "", "/", ";")
)
EXPRESSIONS = st.sampled_from(
    ("'order:created'", "input.kind", "input.a.a", "headers['x-other']", "headers['authorization']", "string(input.n)", "input.kind + 'é'",
     "[input.kind].map(one, one + one)[0]", "input.kind.matches('(a+)+$') ? 'a' : 'b'")
)  # fmt: skip


def is_writable(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:  # lone surrogates
        return False
    return True


def fuzzed(function: Any) -> Any:
    """Few examples on each submission, many by name; the same ones each time."""
    slow = pytest.param(EXAMPLES_SLOW, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])
    return pytest.mark.parametrize("examples", [EXAMPLES, slow])(function)


def run(examples: int, check: Any, *strategies: Any) -> None:
    settings(max_examples=examples, deadline=None, database=None, derandomize=examples == EXAMPLES)(given(*strategies)(check))()


def row(source: Source, key: str, scope: str | None, static: bytes = b"{}") -> WebhookRow:
    kept = {"key_expression": key, "scope_expression": scope, "static_payload": static, "source": source, "name": "hook"}
    return WebhookRow(**{name: kept.get(name, 0) for name in WebhookRow._fields})


@fuzzed
def test_X_FUZZ_whatever_is_posted_is_read_or_refused(examples: int) -> None:
    def check(
        sender: Sender, headers: dict[str, str], body: bytes, kind: str, key: str, scope: str | None, static: bytes
    ) -> None:
        post = Post(content.first_values({**headers, "Content-Type": kind}), body)
        challenge = content.challenge_of(sender.source, post)
        assert challenge is None or (sender.source is Source.SLACK and challenge in orjson.loads(body).values())
        try:
            proof.check(post, sender.source, sender.auth, NOW)
        except (Refused, InvalidArgument):
            pass
        else:
            raise AssertionError("nobody signed this")
        try:
            found = content.body_of(sender.source, post, Settings())
            event = content.new_event(row(sender.source, key, scope, static), found, post)
        except (InvalidArgument, content.Unusable):
            return
        assert event.name
        assert isinstance(orjson.loads(event.payload), dict)

    fixed = st.sampled_from((b"{}", b'{"kind": "fixed"}', b'{"a":' * 240 + b"1" + b"}" * 240))
    headers = st.dictionaries(NAMES, VALUES, max_size=5)
    run(examples, check, st.sampled_from(SENDERS), headers, BODIES, CONTENT_TYPES, EXPRESSIONS, st.none() | EXPRESSIONS, fixed)


@st.composite
def spelled(draw: Any, headers: dict[str, str]) -> dict[str, str]:
    """The headers of a right post, spelled otherwise, or broken in one place."""
    name = draw(st.sampled_from(sorted(headers)))
    value = headers[name]
    place = draw(st.integers(0, len(value) - 1))
    sign = draw(st.sampled_from(string.printable) | st.characters(codec="latin-1"))
    changed = draw(
        st.sampled_from(
            (value.upper(), value.lower(), value.swapcase(), value.title(), f" {value}\t", value + "=", value + "==", value.rstrip("="), value + "," + value,
             value + " " + value, "sha256=" + value, "SHA1=" + value, value[place:], value[:place], value[:place] + sign + value[place + 1 :],
             value[:place] + sign + value[place:], value.replace("=", " = "), value.replace("v1", "v2"), "")
        )
    )  # fmt: skip
    return {**headers, name: changed}


@fuzzed
@pytest.mark.parametrize(
    "sender", SENDERS, ids=lambda one: f"{one.source} {one.auth.kind} {one.auth.algorithm} {one.auth.encoding}"
)
def test_X_FUZZ_X_HOOK_a_signed_post_is_let_in_as_it_was_signed_alone(sender: Sender, examples: int) -> None:
    right = sender.headers(BODY, NOW)
    signature = proof.check(Post(right, BODY), sender.source, sender.auth, NOW)

    def check(data: Any, late: int, place: int, bit: int) -> None:
        headers = data.draw(st.just(right) | spelled(right))
        body = data.draw(st.sampled_from((BODY, BODY[:-1], BODY + b" ", b"", turned(BODY, place, bit))))
        try:
            found = proof.check(Post(headers, body), sender.source, sender.auth, NOW + late)
        except (Refused, InvalidArgument):
            is_right = headers == right and (body == BODY or not sender.signs_body)
            assert not is_right or (sender.signs_time and abs(late) > AGE_MAX_S)
        else:
            assert body == BODY or not sender.signs_body
            assert abs(late) <= AGE_MAX_S or not sender.signs_time
            assert found == signature, "another spelling is the same post, or it would count twice"

    lateness = st.sampled_from((0, AGE_MAX_S, -AGE_MAX_S, AGE_MAX_S + 1, -AGE_MAX_S - 1, 10**9)) | st.integers(-10_000, 10_000)
    run(examples // 3, check, st.data(), lateness, st.integers(0, len(BODY) - 1), st.integers(0, 7))


def turned(body: bytes, place: int, bit: int) -> bytes:
    """One bit of it is another."""
    return body[:place] + bytes([body[place] ^ (1 << bit)]) + body[place + 1 :]


@pytest.mark.parametrize(
    "sender", SENDERS, ids=lambda one: f"{one.source} {one.auth.kind} {one.auth.algorithm} {one.auth.encoding}"
)
def test_X_HOOK_of_two_posts_with_one_signature_neither_gives_the_other_away(sender: Sender) -> None:
    other = sender.headers(BODY + b" ", NOW)
    if sender.signs_body:
        with pytest.raises(Refused):
            proof.check(Post(other, BODY), sender.source, sender.auth, NOW)
    else:
        assert other == sender.headers(BODY, NOW)


def test_a_key_beyond_ascii_is_compared_as_the_bytes_that_were_sent() -> None:
    sender = next(one for one in SENDERS if one.auth.kind == "API_KEY")
    auth = type(sender.auth)(sender.auth.kind, "schlüssel".encode(), header="X-Key")
    assert proof.check(Post({"x-key": "schlüssel".encode().decode("latin-1")}, BODY), sender.source, auth, NOW) is None
    with pytest.raises(Refused):
        proof.check(Post({"x-key": "schlüssel"}, BODY), sender.source, auth, NOW)
