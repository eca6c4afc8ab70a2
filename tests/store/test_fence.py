"""The fence: who may write, and that a store which went back in time is noticed."""

from __future__ import annotations

import pytest

from limpet.core.decision import Changes
from limpet.core.ids import TenantId
from limpet.store.api import Batch, Fence, FenceMismatch, Store
from tests.store.builders import NOW, ONE, Owner, Rows, stored_fence
from tests.store.conftest import Reopen


async def test_a_new_store_stands_at_zero(store: Store) -> None:
    assert await stored_fence(store) == Fence(0, 0)


async def test_a_claim_raises_the_epoch_and_keeps_the_number(store: Store) -> None:
    owner = Owner(store)
    assert await owner.claim() == Fence(1, 0)
    await owner.commit(Changes())
    assert await owner.claim() == Fence(2, 1)


async def test_D3_each_commit_moves_the_number_by_one(store: Store) -> None:
    owner = Owner(store)
    await owner.claim()
    for seq in (1, 2, 3):
        await owner.commit(Changes())
        assert await stored_fence(store) == Fence(1, seq)


async def test_R7_an_older_owner_is_refused_and_writes_nothing(store: Store, owner: Owner, rows: Rows) -> None:
    await Owner(store).claim()
    run = rows.run()
    with pytest.raises(FenceMismatch):
        await owner.commit(Changes(runs_opened=[run]))
    assert await store.reader.run(ONE, run.id) is None


@pytest.mark.parametrize("wrong", [Fence(1, 0), Fence(1, 1), Fence(1, 3), Fence(2, 2), Fence(2, 1), Fence(0, 2)])
async def test_R7_only_the_next_number_of_the_own_epoch_passes(store: Store, wrong: Fence) -> None:
    owner = Owner(store)
    await owner.claim()
    await owner.commit(Changes())
    with pytest.raises(FenceMismatch):
        await store.commit(Batch({owner.group(): wrong}, []))
    assert await stored_fence(store) == Fence(1, 1)


async def test_R8_the_same_batch_never_counts_twice(store: Store, owner: Owner, rows: Rows) -> None:
    batch = owner.next_batch(Changes(runs_opened=[rows.run()]))
    await store.commit(batch)
    with pytest.raises(FenceMismatch):
        await store.commit(batch)


async def test_the_fence_survives_a_reopening(store: Store, reopen: Reopen) -> None:
    owner = Owner(store)
    await owner.claim()
    await owner.commit(Changes())
    assert await stored_fence(await reopen(store)) == Fence(1, 1)


async def test_a_commit_without_changes_moves_the_fence(store: Store) -> None:
    await store.create_tenant(TenantId("one"), "One", NOW)
    owner = Owner(store)
    await owner.claim()
    await store.commit(Batch({owner.group(): Fence(1, 1)}, []))
    assert await stored_fence(store) == Fence(1, 1)
