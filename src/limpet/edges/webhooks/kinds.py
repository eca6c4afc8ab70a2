"""Who posts to a webhook, how it shows that it may, and how both are kept in a row."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from limpet.core.errors import InvalidArgument
from limpet.core.webhook_rows import WebhookRow
from limpet.edges.vault import Vault

SVIX_PREFIX = "whsec_"  # of a secret; the rest is base64


class Source(StrEnum):
    """Who posts. Those other than GENERIC have ways of their own to sign or to write."""

    GENERIC = "GENERIC"
    GITHUB = "GITHUB"
    STRIPE = "STRIPE"
    SLACK = "SLACK"
    LINEAR = "LINEAR"
    SVIX = "SVIX"


class AuthKind(StrEnum):
    """How a post shows that it may."""

    BASIC = "BASIC"
    API_KEY = "API_KEY"
    HMAC = "HMAC"


class Algorithm(StrEnum):
    """Hash functions of HMAC (F8.2)."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"
    MD5 = "MD5"


class Encoding(StrEnum):
    """How a signature is written."""

    HEX = "HEX"
    BASE64 = "BASE64"
    BASE64URL = "BASE64URL"


SIGNED_WITH_TIME = frozenset({Source.STRIPE, Source.SLACK, Source.SVIX})  # a signature of theirs is never made twice


@dataclass(frozen=True, slots=True)
class Auth:
    """What a post must show.

    secret: the password, the key, or what signatures are made with
    header: where the key or the signature stands
    """

    kind: AuthKind
    secret: bytes = field(repr=False)
    username: str = ""
    header: str = ""
    algorithm: Algorithm = Algorithm.SHA256
    encoding: Encoding = Encoding.HEX


class _Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of it is no secret."""

    username: str = ""
    header: str = ""
    algorithm: Algorithm = Algorithm.SHA256
    encoding: Encoding = Encoding.HEX


def check_auth(source: Source, auth: Auth) -> None:
    """Raises InvalidArgument where the source has another way, or the secret cannot be one of its own."""
    if not auth.secret:
        raise InvalidArgument("auth: the secret must not be empty: everybody could post")
    if source in SIGNED_WITH_TIME and auth.kind is not AuthKind.HMAC:
        raise InvalidArgument(f"auth: posts of {source} are signed, so the auth type must be HMAC, not {auth.kind}")
    if source is Source.SVIX:
        svix_key(auth.secret)
    elif auth.kind is not AuthKind.BASIC and source not in SIGNED_WITH_TIME and not auth.header.strip():
        raise InvalidArgument("auth: the name of the header that carries the key or the signature must not be empty")


def svix_key(secret: bytes) -> bytes:
    """The bytes that Svix signs with. Raises InvalidArgument."""
    try:
        return base64.b64decode(secret.decode().removeprefix(SVIX_PREFIX), validate=True)
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidArgument(f"auth: a secret of SVIX is base64, mostly behind {SVIX_PREFIX}") from None


def sealed(auth: Auth, webhook_id: str, vault: Vault) -> tuple[bytes, bytes]:
    """The columns of a row: what may be seen, and the secret."""
    settings = _Settings(auth.username, auth.header, auth.algorithm, auth.encoding)
    return msgspec.json.encode(settings), vault.seal(auth.secret, webhook_id)


def auth_of(row: WebhookRow, vault: Vault) -> Auth:
    """What the row demands. Raises `vault.SealBroken`."""
    settings = msgspec.json.decode(row.auth_settings, type=_Settings)
    secret = vault.open(row.secret, row.id)
    return Auth(AuthKind(row.auth), secret, settings.username, settings.header, settings.algorithm, settings.encoding)
