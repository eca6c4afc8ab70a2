"""API tokens: JWTs that name a tenant, signed with one algorithm, revocable within seconds (X1 to X3).

Laws:
1. The signature proves who wrote the token; the store's row says whether it still counts. Both must agree.
2. `tenant_of` does no I/O: it looks at a copy of the rows that a duty refreshes.
3. What cannot be decided is AccessUnavailable, never a refusal (R35).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol
from uuid import uuid4

import jwt

from limpet.core.ids import SECOND_US, TenantId, TenantNo
from limpet.edges.access import AccessUnavailable, NotAuthenticated
from limpet.edges.signing import KeyRing, new_key_ring
from limpet.store.api import StoreError, Tenant, Token

ALGORITHM = "EdDSA"
ISSUER = "limpet"  # who wrote the token and whom it is for; another installation differs by its key
LIFETIME_DEFAULT_S = 90 * 24 * 3600  # X1
LEEWAY_S = 60  # clocks of the machines that write and read tokens [X1]
TOKEN_LENGTH_MAX = 4096  # ours have some 500 characters; more is not worth a signature check
VERIFIED_MAX = 10_000  # tokens whose signature need not be checked again; 300 bytes each
REFRESH_EVERY_S = 5.0  # a revocation counts within 10 s, also after one failed read [X2]
REFRESH_SOONEST_S = 0.25  # floor between two reads when a token newer than the copy asks for one
STALE_AFTER_S = 60.0  # a store that is silent for longer leaves nobody in: revocations would go unseen
CLAIMS = ("sub", "token_id", "server_url", "grpc_broadcast_address", "iss", "aud", "iat", "exp")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where clients reach this engine; official clients read both from the token."""

    server_url: str
    grpc_broadcast_address: str


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token, shown once, and the row that the store keeps of it."""

    token: str
    row: Token


@dataclass(frozen=True, slots=True)
class Verified:
    """What a correctly signed token says."""

    tenant: TenantId
    token_id: str
    issued_at: float
    expires_at: float


def mint_token(
    keys: KeyRing,
    tenant: Tenant,
    name: str,
    addresses: Addresses,
    *,
    now: float | None = None,
    lifetime_s: int = LIFETIME_DEFAULT_S,
) -> Minted:
    """Sign a token for a tenant. It works once its row is stored and the next refresh has read it."""
    issued = int(time.time() if now is None else now)
    token_id = str(uuid4())
    expires = issued + lifetime_s
    text = sign(keys, claims_of(tenant.id, token_id, addresses, issued, expires))
    return Minted(text, Token(token_id, tenant.no, name, issued * SECOND_US, expires * SECOND_US, None, None))


def dev_token(tenant: TenantId, addresses: Addresses, *, now: float | None = None) -> str:
    """A token for `limpet dev`, where nobody checks it: official clients read the tenant and the addresses from it."""
    issued = int(time.time() if now is None else now)
    return sign(new_key_ring(), claims_of(tenant, str(uuid4()), addresses, issued, issued + LIFETIME_DEFAULT_S))


def claims_of(tenant: TenantId, token_id: str, addresses: Addresses, issued: int, expires: int) -> dict[str, Any]:
    """The claims of X1, in the order of `CLAIMS`."""
    values = (tenant, token_id, addresses.server_url, addresses.grpc_broadcast_address, ISSUER, ISSUER, issued, expires)
    return dict(zip(CLAIMS, values, strict=True))


def sign(keys: KeyRing, claims: Mapping[str, Any]) -> str:
    """The compact form; its header is a JSON object, so it starts with `ey` as official clients demand."""
    return jwt.encode(dict(claims), keys.signing, algorithm=ALGORITHM, headers={"kid": keys.key_id})


class OpenAccess:
    """Everybody is the one tenant, with or without a token: `limpet dev`, on loopback only."""

    def __init__(self, tenant: TenantId) -> None:
        self._tenant = tenant

    def tenant_of(self, authorization: str | None) -> TenantId:
        """The tenant, whatever was sent."""
        return self._tenant


class Register(Protocol):
    """What a `Store` knows of tokens, and of the tenants they open."""

    async def tokens(self) -> Sequence[Token]: ...

    async def tenants(self) -> Sequence[Tenant]: ...


class TokenAccess:
    """Bearer tokens, checked by signature, expiry, tenant and revocation.

    The duty `run` keeps the copy of the token rows fresh; `refresh` is one round of it.
    """

    def __init__(self, keys: KeyRing, register: Register, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys.verifying()
        self._register = register
        self._clock = clock
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()
        self._rows: dict[str, Token] = {}
        self._tenants: dict[TenantId, TenantNo] = {}
        self._read_at: float | None = None
        self._wanted = asyncio.Event()

    def tenant_of(self, authorization: str | None) -> TenantId:
        """The tenant that the token names. Raises NotAuthenticated or AccessUnavailable."""
        verified = self._verify(bearer_of(authorization))
        self._check_row(verified)
        return verified.tenant

    async def refresh(self) -> None:
        """Read all tokens and tenants. Raises what the store raises; the copy then stays as it was."""
        started = self._clock()
        rows = await self._register.tokens()  # before the tenants, so that no token is read without its own
        tenants = await self._register.tenants()
        self._rows = {row.id: row for row in rows}
        self._tenants = {tenant.id: tenant.no for tenant in tenants}
        self._read_at = started

    async def run(self) -> None:
        """Refresh for ever, sooner when a token newer than the copy was shown. A failed read is tried again."""
        while True:
            self._wanted.clear()
            with contextlib.suppress(StoreError):  # `tenant_of` says AccessUnavailable once the copy is too old
                await self.refresh()
            await asyncio.sleep(REFRESH_SOONEST_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REFRESH_EVERY_S - REFRESH_SOONEST_S)

    def _verify(self, token: str) -> Verified:
        digest = sha256(token.encode()).digest()  # the memory holds no token
        known = self._verified.get(digest)
        if known is None:
            known = self._verified[digest] = read_claims(token, self._keys)
            if len(self._verified) > VERIFIED_MAX:
                self._verified.popitem(last=False)
        self._verified.move_to_end(digest)
        self._check_time(known)
        return known

    def _check_time(self, verified: Verified) -> None:
        now = self._clock()
        if now > verified.expires_at + LEEWAY_S:
            raise NotAuthenticated("the API token has expired: make a new one with `limpet token create`")
        if verified.issued_at > now + LEEWAY_S:
            raise NotAuthenticated("the API token is dated in the future: check the clock of the machine that made it")

    def _check_row(self, verified: Verified) -> None:
        read_at, now = self._read_at, self._clock()
        if read_at is None or now - read_at > STALE_AFTER_S:
            raise AccessUnavailable("the table of API tokens cannot be read right now: try again")
        row = self._rows.get(verified.token_id)
        if row is None and verified.issued_at > read_at - LEEWAY_S:
            self._wanted.set()
            raise AccessUnavailable("the API token is newer than this engine's copy of the table: try again in a moment")
        if row is None:
            raise NotAuthenticated("the API token is not known here: make a new one with `limpet token create`")
        if self._tenants.get(verified.tenant) != row.tenant_no:
            raise NotAuthenticated("the API token names another tenant than the one it was made for: make a new one")
        if row.revoked_at is not None:
            raise NotAuthenticated("the API token was revoked: make a new one with `limpet token create`")
        if now * SECOND_US > row.expires_at + LEEWAY_S * SECOND_US:
            raise NotAuthenticated("the API token has expired: make a new one with `limpet token create`")


def bearer_of(authorization: str | None) -> str:
    """The token of an `authorization` value: the word bearer in any case, one space, the token."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("no API token was sent: set the header `Authorization: Bearer <token>`")
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        raise NotAuthenticated("the API token is malformed: copy it again, whole and without quotes")
    return token


def read_claims(token: str, keys: Mapping[str, Any]) -> Verified:
    """Check form, signature, issuer and audience; times are the caller's business."""
    try:
        key = keys.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise NotAuthenticated("the API token was signed with a key that is not in use here: make a new one")
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=ISSUER,
            issuer=ISSUER,
            options={"require": list(CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        return Verified(TenantId(str(claims["sub"])), str(claims["token_id"]), float(claims["iat"]), float(claims["exp"]))
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise NotAuthenticated(
            "the API token is not valid here: copy it again, or make a new one with `limpet token create`"
        ) from error
