"""Tenants, tokens, and inputs in quarantine."""

from __future__ import annotations

import pytest

from limpet.core.ids import TenantId, TenantNo
from limpet.store.api import Quarantined, Store, Tenant, Token
from tests.store.builders import NOW, ONE, TWO
from tests.store.conftest import Reopen


async def test_a_new_store_has_no_tenants_and_no_tokens(store: Store) -> None:
    assert list(await store.tenants()) == []
    assert list(await store.tokens()) == []


async def test_tenants_are_numbered_from_one_and_kept(store: Store, reopen: Reopen) -> None:
    first = await store.create_tenant(TenantId("a"), "A", NOW)
    second = await store.create_tenant(TenantId("b"), "B", NOW + 1)
    groups = await store.fences()
    assert first == Tenant(ONE, TenantId("a"), "A", NOW, first.group)
    assert second == Tenant(TWO, TenantId("b"), "B", NOW + 1, second.group)
    assert {first.group, second.group} <= set(groups)
    assert list(await (await reopen(store)).tenants()) == [first, second]


async def test_a_known_tenant_is_returned_as_it_is(store: Store) -> None:
    first = await store.create_tenant(TenantId("a"), "A", NOW)
    assert await store.create_tenant(TenantId("a"), "other", NOW + 1) == first
    assert list(await store.tenants()) == [first]


async def test_tokens_are_inserted_and_replaced(store: Store, reopen: Reopen) -> None:
    token = Token("t1", ONE, "ci", NOW, NOW + 1, None, None)
    revoked = token._replace(revoked_at=NOW, last_used_at=NOW)
    other = Token("t0", TWO, "dev", NOW + 5, NOW + 9, None, None)
    for each in (other, token, revoked):
        await store.put_token(each)
    assert list(await (await reopen(store)).tokens()) == [revoked, other]


async def test_quarantine_keeps_what_could_not_be_processed(store: Store, reopen: Reopen) -> None:
    assert list(await store.quarantined()) == []
    await store.quarantine(ONE, NOW, "a bug", "RunsTriggered(...)")
    await store.quarantine(TenantNo(2), NOW + 1, "another", "x")
    kept = await (await reopen(store)).quarantined()
    assert list(kept) == [Quarantined(TWO, NOW + 1, "another", "x"), Quarantined(ONE, NOW, "a bug", "RunsTriggered(...)")]


async def test_quarantine_keeps_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("limpet.store.memory.store", "limpet.store.sqlite.owner", "limpet.store.postgres.owner"):
        monkeypatch.setattr(f"{module}.QUARANTINE_MAX", 3)
    for number in range(5):
        await store.quarantine(ONE, NOW, str(number), "")
    assert [item.reason for item in await store.quarantined()] == ["4", "3", "2"]
