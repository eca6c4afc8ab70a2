"""Whether a post is from whom it says, and of now. Pure; every comparison takes the same time whatever it compares (X20)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from limpet.core.errors import InvalidArgument
from limpet.edges.webhooks.kinds import Algorithm, Auth, AuthKind, Encoding, Source, svix_key

AGE_MAX_S = 300  # of a signed time, to both sides [X20]
SLACK_TIME, SLACK_SIGNATURE = "x-slack-request-timestamp", "x-slack-signature"
STRIPE_SIGNATURE = "stripe-signature"
SVIX_FAMILIES = ("svix-", "webhook-")
_HASHES = {Algorithm.SHA1: "sha1", Algorithm.SHA256: "sha256", Algorithm.SHA512: "sha512", Algorithm.MD5: "md5"}
_PREFIXES = tuple(f"{name}=" for name in _HASHES.values())


class Refused(Exception):
    """Missing or wrong credentials; nothing more is told."""


@dataclass(frozen=True, slots=True)
class Post:
    """A post as it came. `headers`: names in lower case, the first value of each."""

    headers: Mapping[str, str]
    body: bytes


def check(post: Post, source: Source, auth: Auth, now_s: float) -> str | None:
    """The signature that was right, however it was spelled; None where there is none.

    Raises Refused, or InvalidArgument for what is no signature.
    """
    if source is Source.SLACK:
        return _slack(post, auth, now_s)
    if source is Source.STRIPE:
        return _stripe(post, auth, now_s)
    if source is Source.SVIX:
        return _svix(post, auth, now_s)
    if auth.kind is AuthKind.HMAC:
        return _hmac(post, auth)
    given = _basic(post) if auth.kind is AuthKind.BASIC else _raw(post.headers.get(auth.header.lower(), ""))
    wanted = auth.username.encode() + b":" + auth.secret if auth.kind is AuthKind.BASIC else auth.secret
    if not hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted).digest()):
        raise Refused
    return None


def _raw(value: str) -> bytes:
    """A header's value as it was sent: servers show its bytes as Latin-1."""
    return value.encode("latin-1", "replace")


def _basic(post: Post) -> bytes:
    scheme, _, text = post.headers.get("authorization", "").partition(" ")
    try:
        return base64.b64decode(_raw(text.strip()), validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        return b""


def _hmac(post: Post, auth: Auth) -> str:
    """Over the raw body; a leading `sha256=` or the like says nothing (F8.5)."""
    given = post.headers.get(auth.header.lower(), "").strip()
    bare = next((given[len(prefix) :] for prefix in _PREFIXES if given.lower().startswith(prefix)), given)
    return _demanded(bare, encoded(_digest(auth.algorithm, auth.secret, post.body), auth.encoding), auth.encoding)


def _slack(post: Post, auth: Auth, now_s: float) -> str:
    """F8.7: everything that is wrong is refused alike."""
    stamp, given = post.headers.get(SLACK_TIME, ""), post.headers.get(auth.header.lower() or SLACK_SIGNATURE, "")
    if not _is_fresh(stamp, now_s):
        raise Refused
    signed = b"v0:" + stamp.encode() + b":" + post.body
    return _demanded(given, "v0=" + _digest(Algorithm.SHA256, auth.secret, signed).hex(), Encoding.HEX)


def _stripe(post: Post, auth: Auth, now_s: float) -> str:
    """F8.8: `t=…,v1=…[,v1=…]`."""
    header = auth.header.lower() or STRIPE_SIGNATURE
    pairs = [part.strip().partition("=") for part in post.headers.get(header, "").split(",")]
    stamps, found = [value for name, _, value in pairs if name == "t"], [value for name, _, value in pairs if name == "v1"]
    if len(stamps) != 1 or not found or not _is_fresh(stamps[0], now_s):
        raise InvalidArgument(f"the header {header} needs t and v1, and a time at most {AGE_MAX_S} s off")
    right = _digest(Algorithm.SHA256, auth.secret, stamps[0].encode() + b"." + post.body).hex()
    return _any_of(found, right)


def _svix(post: Post, auth: Auth, now_s: float) -> str:
    """F8.9: any `v1` entry of the list may match."""
    for family in SVIX_FAMILIES:
        identity, stamp, given = (post.headers.get(family + name, "") for name in ("id", "timestamp", "signature"))
        if identity and stamp and given:
            break
    else:
        raise InvalidArgument("the headers svix-id, svix-timestamp and svix-signature are needed, or the same with webhook-")
    if not _is_fresh(stamp, now_s):
        raise InvalidArgument(f"the header {family}timestamp must be at most {AGE_MAX_S} s off")
    signed = f"{identity}.{stamp}.".encode() + post.body
    right = base64.b64encode(_digest(Algorithm.SHA256, svix_key(auth.secret), signed)).decode()
    return _any_of([entry.partition(",")[2] for entry in given.split() if entry.startswith("v1,")], right)


def _any_of(given: list[str], right: str) -> str:
    matches = [hmac.compare_digest(one.encode(), right.encode()) for one in given]
    if not any(matches):
        raise Refused
    return right


def _demanded(given: str, right: str, encoding: Encoding) -> str:
    """The signature in its one right form: hexadecimal digits count in both cases, padding of base64 is optional.

    Whoever looks for replays must not take the other spellings of a signature for other signatures.
    """
    one = given.lower() if encoding is Encoding.HEX else given.rstrip("=")
    other = right if encoding is Encoding.HEX else right.rstrip("=")
    if not hmac.compare_digest(one.encode(), other.encode()):
        raise Refused
    return right


def _digest(algorithm: Algorithm, secret: bytes, signed: bytes) -> bytes:
    return hmac.new(secret, signed, _HASHES[algorithm]).digest()


def encoded(digest: bytes, encoding: Encoding) -> str:
    """A signature as it is written."""
    if encoding is Encoding.HEX:
        return digest.hex()
    return (base64.b64encode(digest) if encoding is Encoding.BASE64 else base64.urlsafe_b64encode(digest)).decode()


def _is_fresh(stamp: str, now_s: float) -> bool:
    return stamp.isascii() and stamp.isdecimal() and len(stamp) < 20 and abs(now_s - int(stamp)) <= AGE_MAX_S
