"""Idempotency keys in every store: taken and given up with their commits, found by name, purged when they have expired."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.claim_rows import ClaimRow
from limpet.core.decision import Changes
from limpet.core.needs import Needs
from limpet.store.api import PRUNE_ROWS_MAX, DataError, RunQuery, Store
from tests.store.builders import NOW, ONE, SECOND, TWO, Owner, Rows
from tests.store.conftest import Reopen


def claim(rows: Rows, name: bytes = b"order-1", **values: Any) -> ClaimRow:
    key = rows.key()
    return ClaimRow(key, rows.tenant_no, name, rows.id(key), NOW + 10 * SECOND)._replace(**values)


async def held(store: Store, *names: bytes) -> dict[bytes, ClaimRow]:
    return dict((await store.look_up(ONE, Needs(claims=set(names)))).claims)


async def test_claims_come_back_by_name_as_they_were_written(store: Store, owner: Owner, rows: Rows) -> None:
    odd = b"a\x00b \xf0\x9f\x90\x9a"
    one, two = claim(rows), claim(rows, odd)
    await owner.commit(Changes(claims=[one, two]))
    assert await held(store, b"order-1", odd, b"unknown") == {b"order-1": one, odd: two}
    assert await held(store) == {}


async def test_expired_claims_are_found_until_they_are_purged(store: Store, owner: Owner, rows: Rows) -> None:
    expired = claim(rows, expires_at=NOW - 1)
    await owner.commit(Changes(claims=[expired]))
    assert await held(store, b"order-1") == {b"order-1": expired}


async def test_runs_are_listed_by_the_keys_they_hold(store: Store, owner: Owner, rows: Rows) -> None:
    (first, _), (second, _), (third, _) = [await owner.open_run(rows) for _ in range(3)]
    names = {first.key: b"order-1", second.key: "Größe 2".encode()}
    await owner.commit(Changes(claims=[ClaimRow(key, ONE, name, rows.id(key), NOW + SECOND) for key, name in names.items()]))

    async def found(*keys: str) -> set[int]:
        query = RunQuery(held_keys=keys)
        records, count = await store.reader.runs(ONE, query)
        tasks, _ = await store.reader.tasks(ONE, query)
        assert count == len(records)
        assert {one.run.key for one in tasks} == {one.run.key for one in records}
        return {one.run.key for one in records}

    assert await found("order-1", "nobody's") == {first.key}
    assert await found("order-1", "Größe 2") == {first.key, second.key}
    assert await found("nobody's", "\ud800", "a\0b") == set()
    assert await found() == set()
    assert {one.run.key for one in (await store.reader.runs(ONE, RunQuery()))[0]} == {first.key, second.key, third.key}
    await owner.commit(Changes(claims_dropped=[first.key]))
    assert await found("order-1") == set()


async def test_W16_6_a_key_is_given_up_and_taken_again_in_one_commit(store: Store, owner: Owner, rows: Rows) -> None:
    old, new = claim(rows), claim(rows)
    await owner.commit(Changes(claims=[old]))
    await owner.commit(Changes(claims_dropped=[old.key, 12345], claims=[new]))
    assert await held(store, b"order-1") == {b"order-1": new}
    await owner.commit(Changes(claims_dropped=[new.key]))
    assert await held(store, b"order-1") == {}


async def test_W16_2_a_key_is_held_once_in_a_tenant(store: Store, owner: Owner, rows: Rows) -> None:
    first = claim(rows)
    await owner.commit(Changes(claims=[first]))
    with pytest.raises(DataError):
        await owner.commit(Changes(claims=[claim(rows)]))
    assert await held(store, b"order-1") == {b"order-1": first}


async def test_tenants_do_not_share_keys(store: Store, owner: Owner, rows: Rows) -> None:
    other = Rows(TWO)
    await owner.commit(Changes(claims=[claim(rows)]))
    mine = claim(other)
    await owner.commit(Changes(claims=[mine]), tenant_no=TWO)
    assert dict((await store.look_up(TWO, Needs(claims={b"order-1"}))).claims) == {b"order-1": mine}


async def test_W16_9_purging_takes_what_has_expired_oldest_first_and_no_more_than_asked(
    store: Store, owner: Owner, rows: Rows
) -> None:
    claims = [claim(rows, b"k%d" % n, expires_at=NOW + n) for n in range(5)]
    await owner.commit(Changes(claims=claims))
    assert await store.purge_claims(NOW + 3, 3) == 3
    assert set(await held(store, *(row.name for row in claims))) == {b"k3", b"k4"}
    assert await store.purge_claims(NOW + 3, 3) == 1
    assert await store.purge_claims(NOW + 3, 3) == 0
    assert set(await held(store, *(row.name for row in claims))) == {b"k4"}
    await owner.commit(Changes(claims=[claim(rows, b"k0")], claims_dropped=[claims[0].key]))
    assert set(await held(store, b"k0")) == {b"k0"}


async def test_R50_one_purge_touches_a_bounded_number_of_rows(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.commit(Changes(claims=[claim(rows, b"k%d" % n, expires_at=NOW) for n in range(PRUNE_ROWS_MAX + 1)]))
    assert await store.purge_claims(NOW, 10 * PRUNE_ROWS_MAX) == PRUNE_ROWS_MAX


async def test_I1_claims_outlive_the_process(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    one = claim(rows)
    await owner.commit(Changes(claims=[one]))
    again = await reopen(store)
    assert await held(again, b"order-1") == {b"order-1": one}
