"""API tokens: what is in them, who is let in, who is not, and when nobody can tell."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from limpet.core.ids import SECOND_US, TenantId, TenantNo
from limpet.edges.access import AccessUnavailable, NotAuthenticated
from limpet.edges.signing import KeyRing, new_key_ring
from limpet.edges.tokens import (
    ISSUER,
    LEEWAY_S,
    STALE_AFTER_S,
    TOKEN_LENGTH_MAX,
    Addresses,
    OpenAccess,
    TokenAccess,
    dev_token,
    mint_token,
)
from limpet.store.api import Tenant, Token, TransientStoreError

NOW = 1_790_000_000.0
LONG_AGO = NOW - 10_000
TENANT = Tenant(TenantNo(1), TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52"), "Blue", 0)
OTHER = Tenant(TenantNo(2), TenantId("8b1f0c7e-2f3a-4b1c-9d55-0a1b2c3d4e5f"), "Red", 0)
ADDRESSES = Addresses("http://localhost:8888", "localhost:7077")


@dataclass
class Desk:
    """Keys, a table of rows that can break, a clock to turn, and the access over them."""

    keys: KeyRing = field(default_factory=new_key_ring)
    rows: dict[str, Token] = field(default_factory=dict)
    now: float = NOW
    broken: bool = False
    reads: int = 0

    def __post_init__(self) -> None:
        self.read = asyncio.Event()
        self.access = TokenAccess(self.keys, self, clock=lambda: self.now)

    async def tokens(self) -> Sequence[Token]:
        self.reads += 1
        self.read.set()
        if self.broken:
            raise TransientStoreError("the disk is gone")
        return list(self.rows.values())

    async def tenants(self) -> Sequence[Tenant]:
        return [TENANT, OTHER]

    def mint(self, *, at: float = LONG_AGO, lifetime_s: int = 3_000_000) -> tuple[str, Token]:
        minted = mint_token(self.keys, TENANT, "ci", ADDRESSES, now=at, lifetime_s=lifetime_s)
        self.rows[minted.row.id] = minted.row
        return minted.token, minted.row

    def enter(self, token: str) -> TenantId:
        return self.access.tenant_of(f"Bearer {token}")


def claims_of(token: str) -> dict[str, Any]:
    """The payload as official clients read it: without a look at the signature."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def test_X1_a_token_carries_the_claims_that_clients_and_engine_read() -> None:
    token, row = Desk().mint()
    claims = claims_of(token)
    assert token.startswith("ey")
    assert token.count(".") == 2
    assert claims["sub"] == TENANT.id
    assert claims["server_url"] == "http://localhost:8888"
    assert claims["grpc_broadcast_address"] == "localhost:7077"
    assert claims["token_id"] == row.id
    assert claims["iss"] == claims["aud"] == ISSUER
    assert claims["exp"] - claims["iat"] == 3_000_000


def test_X1_a_token_lives_for_ninety_days_unless_told_otherwise() -> None:
    minted = mint_token(new_key_ring(), TENANT, "ci", ADDRESSES, now=NOW)
    assert minted.row.expires_at - minted.row.created_at == 90 * 24 * 3600 * SECOND_US


def test_X1_the_header_names_one_algorithm_and_the_key() -> None:
    desk = Desk()
    header = jwt.get_unverified_header(desk.mint()[0])
    assert header["alg"] == "EdDSA"
    assert header["kid"] == desk.keys.key_id


def test_X2_the_row_of_a_token_does_not_hold_the_token() -> None:
    token, row = Desk().mint()
    assert token not in repr(row)
    assert token.split(".")[2] not in repr(row)


async def test_a_known_token_opens_its_tenant_whatever_the_case_of_bearer() -> None:
    desk = Desk()
    token, _ = desk.mint()
    await desk.access.refresh()
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert desk.access.tenant_of(f"{scheme} {token}") == TENANT.id


def forged(desk: Desk, **changes: Any) -> str:
    """A token with our claims and some of somebody else's wishes."""
    claims = claims_of(desk.mint()[0])
    key = changes.pop("key", desk.keys.signing)
    algorithm = changes.pop("algorithm", "EdDSA")
    kid = changes.pop("kid", desk.keys.key_id)
    claims.update(changes)
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm=algorithm, headers={"kid": kid})


def hs256_with_the_public_key(desk: Desk) -> str:
    """The classic confusion: the public key as the secret of a symmetric algorithm, put together by hand."""
    import hashlib
    import hmac

    secret = desk.keys.signing.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = json.dumps({"alg": "HS256", "typ": "JWT", "kid": desk.keys.key_id}).encode()
    body = json.dumps(claims_of(desk.mint()[0])).encode()
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, body))
    mac = hmac.new(secret, signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


BAD_TOKENS: dict[str, Callable[[Desk], str]] = {
    "nonsense": lambda desk: "nonsense",
    "three empty parts": lambda desk: "..",
    "no ASCII": lambda desk: "eyé.e30.x",
    "too long": lambda desk: "ey" + "a" * TOKEN_LENGTH_MAX,
    "alg none": lambda desk: forged(desk, key="", algorithm="none"),
    "HS256 with a secret": lambda desk: forged(desk, key="x" * 32, algorithm="HS256"),
    "HS256 with the public key": hs256_with_the_public_key,
    "somebody else's key": lambda desk: forged(desk, key=new_key_ring().signing),
    "an unknown key id": lambda desk: forged(desk, kid="0" * 16),
    "no key id": lambda desk: forged(desk, kid=""),
    "wrong audience": lambda desk: forged(desk, aud="elsewhere"),
    "wrong issuer": lambda desk: forged(desk, iss="elsewhere"),
    "another tenant than its row": lambda desk: forged(desk, sub=OTHER.id),
    "a tenant that is none": lambda desk: forged(desk, sub="018f0000-0000-7000-8000-000000000000"),
    "no tenant": lambda desk: forged(desk, sub=None),
    "no token id": lambda desk: forged(desk, token_id=None),
    "no expiry": lambda desk: forged(desk, exp=None),
    "no date": lambda desk: forged(desk, iat=None),
    "expired": lambda desk: desk.mint(lifetime_s=60)[0],
    "dated in the future": lambda desk: desk.mint(at=NOW + 1_000)[0],
    "altered by one character": lambda desk: flipped(desk.mint()[0]),
}


def flipped(token: str) -> str:
    """The same token with another claim."""
    head, body, signature = token.split(".")
    claims = claims_of(token) | {"sub": OTHER.id}
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert changed != body
    return f"{head}.{changed}.{signature}"


@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_X_MATRIX_a_bad_token_is_refused(make: Callable[[Desk], str]) -> None:
    desk = Desk()
    token = make(desk)
    await desk.access.refresh()
    with pytest.raises(NotAuthenticated):
        desk.enter(token)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Token abc"])
def test_X_MATRIX_no_token_is_refused_with_what_to_do(header: str | None) -> None:
    with pytest.raises(NotAuthenticated, match="Authorization: Bearer"):
        Desk().access.tenant_of(header)


async def test_X1_an_expired_token_still_works_within_the_leeway() -> None:
    desk = Desk()
    token, row = desk.mint(at=NOW - 1_000, lifetime_s=1_000)
    await desk.access.refresh()
    desk.now = row.expires_at / SECOND_US + LEEWAY_S - 1
    await desk.access.refresh()
    assert desk.enter(token) == TENANT.id
    desk.now += 2
    with pytest.raises(NotAuthenticated, match="expired"):
        desk.enter(token)


async def test_an_expiry_that_was_brought_forward_in_the_store_counts() -> None:
    desk = Desk()
    token, row = desk.mint()
    desk.rows[row.id] = row._replace(expires_at=int((NOW - 1_000) * SECOND_US))
    await desk.access.refresh()
    with pytest.raises(NotAuthenticated, match="expired"):
        desk.enter(token)


async def test_X_REVOKE_a_revoked_token_is_refused_after_the_next_refresh() -> None:
    desk = Desk()
    token, row = desk.mint()
    await desk.access.refresh()
    assert desk.enter(token) == TENANT.id
    desk.rows[row.id] = row._replace(revoked_at=int(NOW * SECOND_US))
    await desk.access.refresh()
    with pytest.raises(NotAuthenticated, match="revoked"):
        desk.enter(token)


async def test_a_token_without_a_row_is_refused() -> None:
    desk = Desk()
    token, row = desk.mint()
    del desk.rows[row.id]
    await desk.access.refresh()
    with pytest.raises(NotAuthenticated, match="not known"):
        desk.enter(token)


def test_R35_before_the_table_was_read_nobody_is_refused_and_nobody_is_let_in() -> None:
    desk = Desk()
    with pytest.raises(AccessUnavailable):
        desk.enter(desk.mint()[0])


async def test_R35_a_table_that_cannot_be_read_for_long_lets_nobody_in() -> None:
    desk = Desk()
    token, _ = desk.mint()
    await desk.access.refresh()
    desk.broken = True
    with pytest.raises(TransientStoreError):
        await desk.access.refresh()
    desk.now += STALE_AFTER_S - 1
    assert desk.enter(token) == TENANT.id
    desk.now += 2
    with pytest.raises(AccessUnavailable):
        desk.enter(token)


async def test_a_token_newer_than_the_copy_is_asked_to_try_again_and_soon_works() -> None:
    desk = Desk()
    duty = asyncio.create_task(desk.access.run())
    try:
        await asyncio.wait_for(desk.read.wait(), 5)
        token, _ = desk.mint(at=NOW)
        desk.read.clear()
        with pytest.raises(AccessUnavailable, match="newer"):
            desk.enter(token)
        await asyncio.wait_for(desk.read.wait(), 5)
        await asyncio.sleep(0)
        assert desk.enter(token) == TENANT.id
    finally:
        duty.cancel()


async def test_the_refresh_duty_survives_a_broken_store() -> None:
    desk = Desk(broken=True)
    duty = asyncio.create_task(desk.access.run())
    try:
        await asyncio.wait_for(desk.read.wait(), 5)
        desk.broken = False
        desk.read.clear()
        token, _ = desk.mint()
        with pytest.raises(AccessUnavailable):
            desk.enter(token)
        await asyncio.wait_for(desk.access.refresh(), 5)
        assert desk.enter(token) == TENANT.id
        assert not duty.done()
    finally:
        duty.cancel()


async def test_X3_two_keys_are_active_during_a_rotation() -> None:
    old = Desk()
    token, row = old.mint()
    both = KeyRing((new_key_ring().signing, old.keys.signing))
    rotated = Desk(keys=both, rows={row.id: row})
    fresh, _ = rotated.mint()
    await rotated.access.refresh()
    assert rotated.enter(token) == rotated.enter(fresh) == TENANT.id
    assert jwt.get_unverified_header(fresh)["kid"] == both.key_id != old.keys.key_id


async def test_the_memory_of_verified_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limpet.edges.tokens.VERIFIED_MAX", 2)
    desk = Desk()
    tokens = [desk.mint()[0] for _ in range(4)]
    await desk.access.refresh()
    assert {desk.enter(token) for token in tokens * 2} == {TENANT.id}
    assert len(desk.access._verified) == 2


def test_dev_mode_knows_everybody_as_its_one_tenant() -> None:
    access = OpenAccess(TENANT.id)
    for header in (None, "Bearer x", "anything"):
        assert access.tenant_of(header) == TENANT.id


def test_dev_mode_prints_a_token_that_the_official_client_accepts() -> None:
    from hatchet_sdk import ClientConfig

    config = ClientConfig(token=dev_token(TENANT.id, ADDRESSES))
    assert config.tenant_id == TENANT.id
    assert config.server_url == ADDRESSES.server_url
    assert config.host_port == ADDRESSES.grpc_broadcast_address
