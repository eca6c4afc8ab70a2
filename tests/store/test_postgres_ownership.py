"""Leases over PostgreSQL: claims, fences between servers, renewal, hand-over, and an owner that hangs in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from limpet.core.decision import Changes
from limpet.core.ids import SECOND_US, TenantId
from limpet.store.api import Fence, FenceMismatch, GroupNo, Holder, OwnedElsewhere
from limpet.store.postgres import PostgresStore, ownership
from limpet.store.postgres.errors import RAISED
from limpet.store.postgres.lane import Link
from limpet.store.postgres.ownership import GROUPS, group_of
from tests.store.builders import NOW, ONE, TWO, Owner, Rows, stored_fence


@pytest.fixture
async def other(postgres: PostgresStore) -> AsyncIterator[PostgresStore]:
    """A second server on the database of `postgres`."""
    made = PostgresStore(postgres.at.url, server_id="two", address="two:7077")
    await made.open()
    yield made
    await made.close()


async def run_sql(store: PostgresStore, text: str) -> list[Any]:
    connection = await asyncpg.connect(store.at.url)
    try:
        return list(await connection.fetch(text))
    finally:
        await connection.close()


async def expire(store: PostgresStore) -> None:
    """As if the lease time had passed."""
    await run_sql(store, "UPDATE limpet.leases SET expires_at = clock_timestamp() - interval '1 second'")


def test_R11_the_group_of_a_tenant_is_the_same_for_ever() -> None:
    assert [group_of(TenantId(one)) for one in ("a", "707d0855-80ab-4e1f-a156-f1c4546cbf52", "")] == [47, 13, 52]
    spread = {group_of(TenantId(str(number))) for number in range(1_000)}
    assert spread == set(range(GROUPS))


async def test_R11_a_stored_group_wins_over_the_hash(postgres: PostgresStore) -> None:
    tenant = await postgres.create_tenant(TenantId("big"), "Big", NOW)
    assert tenant.group == group_of(TenantId("big"))
    await run_sql(postgres, "UPDATE limpet.tenants SET group_no = 63")
    assert (await postgres.create_tenant(TenantId("big"), "Big", NOW)).group == 63
    assert [one.group for one in await postgres.tenants()] == [63]


async def test_a_claim_takes_all_groups(postgres: PostgresStore) -> None:
    assert await postgres.claim() == {GroupNo(group): Fence(1, 0) for group in range(GROUPS)}
    assert await postgres.fences() == await postgres.fences()


async def test_a_second_server_is_told_who_owns_the_store(postgres: PostgresStore, other: PostgresStore) -> None:
    assert await other.holder() is None
    await postgres.claim()
    with pytest.raises(OwnedElsewhere, match="server one at one:7077") as refusal:
        await other.claim()
    assert refusal.value.holder == Holder("one", "one:7077")
    assert await other.holder() == Holder("one", "one:7077")


async def test_R14_a_lease_that_ran_out_may_be_taken(postgres: PostgresStore, other: PostgresStore, rows: Rows) -> None:
    owner, heir = Owner(postgres), Owner(other)
    await owner.claim()
    await expire(postgres)
    assert await heir.claim() == Fence(2, 0)
    with pytest.raises(FenceMismatch, match="epoch 2"):
        await owner.commit(Changes())
    await heir.commit(Changes())


async def test_R12_a_commit_prolongs_the_lease_it_is_under(postgres: PostgresStore, other: PostgresStore, rows: Rows) -> None:
    owner = Owner(postgres)
    await postgres.create_tenant(TenantId("one"), "One", NOW)
    await owner.claim()
    await expire(postgres)
    await owner.commit(Changes())
    with pytest.raises(OwnedElsewhere):
        await other.claim()


async def test_R12_a_renewal_prolongs_leases_and_keeps_the_number(postgres: PostgresStore, other: PostgresStore) -> None:
    owner = Owner(postgres)
    await owner.claim()
    await owner.commit(Changes())
    await expire(postgres)
    await postgres.renew(owner.fences)
    assert await stored_fence(postgres) == Fence(1, 1)
    with pytest.raises(OwnedElsewhere):
        await other.claim()


async def test_R12_a_renewal_of_a_lost_lease_is_refused(postgres: PostgresStore, other: PostgresStore) -> None:
    mine = await postgres.claim()
    await expire(postgres)
    await other.claim()
    with pytest.raises(FenceMismatch, match="64 of 64 leases"):
        await postgres.renew(mine)


async def test_R49_a_released_lease_is_taken_at_once_and_takes_no_commit(postgres: PostgresStore, other: PostgresStore) -> None:
    owner, heir = Owner(postgres), Owner(other)
    await owner.claim()
    await postgres.release(owner.fences)
    assert await postgres.holder() is None
    with pytest.raises(FenceMismatch, match="given up"):
        await owner.commit(Changes())
    assert await heir.claim() == Fence(2, 0)
    await postgres.release(owner.fences)  # of the old epoch: nothing happens
    await heir.commit(Changes())


async def test_a_server_may_claim_again_what_it_owns(postgres: PostgresStore) -> None:
    owner = Owner(postgres)
    await owner.claim()
    assert await owner.claim() == Fence(2, 0)


async def test_of_many_claims_at_once_one_wins(postgres: PostgresStore, other: PostgresStore) -> None:
    claims = await asyncio.gather(*(store.claim() for store in (postgres, other) * 4), return_exceptions=True)
    won = [one for one in claims if not isinstance(one, BaseException)]
    assert len(won) == 4
    assert all(isinstance(one, OwnedElsewhere) for one in claims if one not in won)
    assert (await postgres.fences())[GroupNo(0)].epoch == 4


async def test_O1_two_servers_that_commit_the_same_number_write_one_batch(
    postgres: PostgresStore, postgres_owner: Owner, other: PostgresStore, rows: Rows
) -> None:
    first, second = rows.run(), rows.run()
    rival = Owner(other, dict(postgres_owner.fences), dict(postgres_owner.groups))
    outcomes = await asyncio.gather(
        postgres_owner.commit(Changes(runs_opened=[first])), rival.commit(Changes(runs_opened=[second])), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["FenceMismatch", "NoneType"]
    assert len((await postgres.load(ONE)).runs) == 1


async def test_a_commit_for_several_groups_is_all_or_nothing(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    theirs = Rows(TWO)
    assert postgres_owner.group(ONE) != postgres_owner.group(TWO)
    batch = postgres_owner.next_batch(Changes(runs_opened=[rows.run()]))
    batch.changes = [*batch.changes, (TWO, theirs.definitions())]
    batch.fences = {**postgres_owner.next_fences(ONE), postgres_owner.group(TWO): Fence(1, 7)}
    before = await postgres.fences()
    with pytest.raises(FenceMismatch):
        await postgres.commit(batch)
    assert await postgres.fences() == before
    batch.fences = postgres_owner.next_fences(ONE, TWO)
    await postgres.commit(batch)
    assert await stored_fence(postgres, TWO) == Fence(1, 1)


async def test_R16d_a_load_notices_that_the_store_went_back_in_time(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows
) -> None:
    await postgres_owner.open_run(rows)
    await run_sql(postgres, f"UPDATE limpet.leases SET seq = seq - 1 WHERE group_no = {postgres_owner.group()}")
    with pytest.raises(FenceMismatch, match="went back in time"):
        await postgres.load(ONE)
    with pytest.raises(FenceMismatch):
        await postgres_owner.open_run(rows)


async def test_R16d_a_load_notices_another_owner(postgres: PostgresStore, postgres_owner: Owner, other: PostgresStore) -> None:
    await expire(postgres)
    await other.claim()
    with pytest.raises(FenceMismatch):
        await postgres.load(ONE)
    assert (await other.load(ONE)).workers


async def test_T_HUNG_TXN_an_owner_that_hangs_in_a_transaction_is_ended(
    postgres: PostgresStore, postgres_owner: Owner, other: PostgresStore, rows: Rows, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(ownership, "TAKE_OVER_PATIENCE_SECONDS", 0.05)
    await expire(postgres)
    hung = await asyncpg.connect(postgres.at.url)  # as if it had been stopped between its fence and its COMMIT
    link = Link(hung, postgres._commits._sql)
    await ownership.introduce_backend(link, "one")
    pid = hung.get_server_pid()
    await hung.execute("BEGIN; UPDATE limpet.leases SET seq = seq + 1")
    assert await Owner(other).claim() == Fence(2, 1)
    with pytest.raises(RAISED):
        await hung.fetchval("SELECT 1")
    [record] = [record for record in caplog.records if getattr(record, "event", "") == "store.backend_ended"]
    assert (record.server_id, record.pid) == ("one", pid)  # type: ignore[attr-defined]


async def test_R16_nobody_elses_connection_is_ended(
    postgres: PostgresStore, postgres_owner: Owner, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "TAKE_OVER_PATIENCE_SECONDS", 0.05)
    await expire(postgres)
    person = await asyncpg.connect(postgres.at.url)  # not on the list of commit connections
    try:
        await person.execute("BEGIN; UPDATE limpet.leases SET state_version = 1")
        waiting = asyncio.ensure_future(other.claim())
        while not await run_sql(postgres, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            pass
        for _ in range(5):  # rounds of looking who is in the way
            await other.holder()
        assert await person.fetchval("SELECT 1") == 1
        await person.execute("COMMIT")
        assert (await waiting)[GroupNo(0)] == Fence(2, 0)
    finally:
        await person.close()


async def test_the_cluster_is_told_as_it_is(postgres: PostgresStore, postgres_owner: Owner, other: PostgresStore) -> None:
    found = await other.cluster()
    assert [(server.id, server.address, server.is_connected) for server in found.servers] == [
        ("one", "one:7077", True), ("two", "two:7077", True),
    ]  # fmt: skip
    assert len(found.leases) == GROUPS
    assert {lease.owner_id for lease in found.leases} == {"one"}
    lease = found.leases[postgres_owner.group()]
    assert (lease.fence, lease.released, lease.tenants) == (Fence(1, 1), False, 1)
    assert lease.expires_in_us is not None
    assert 0 < lease.expires_in_us <= 6 * SECOND_US


async def test_servers_that_are_gone_leave_the_list(postgres: PostgresStore, other: PostgresStore) -> None:
    await other.close()
    third = PostgresStore(postgres.at.url, server_id="three")
    await third.open()
    listed = [(server.id, server.is_connected) for server in (await third.cluster()).servers]
    await third.close()
    assert ("one", True) in listed
    assert ("two", False) not in listed


async def test_R17_commit_connections_are_limited_in_every_wait(postgres: PostgresStore) -> None:
    async with postgres._commits.link() as link:
        rows = await link.connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name = ANY($1)",
            [
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "tcp_user_timeout",
                "synchronous_commit",
            ],
        )
    assert dict(map(tuple, rows)) == {
        "statement_timeout": "10000", "lock_timeout": "2000", "idle_in_transaction_session_timeout": "3000",
        "tcp_user_timeout": "10000", "synchronous_commit": "on",
    }  # fmt: skip


async def test_T_REWIND_an_epoch_that_comes_twice_belongs_to_one_server(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows, other: PostgresStore
) -> None:
    """The database goes back to before the owner's claim, and another server is given the same epoch and reaches its number."""
    await postgres_owner.open_run(rows)
    await run_sql(postgres, "UPDATE limpet.leases SET epoch = 0, seq = 0, owner_id = NULL, released = true")
    heir = Owner(other)
    assert await heir.claim() == Fence(1, 0)
    while heir.fence != postgres_owner.fence:
        await heir.commit(Changes())
    for stale in (postgres.commit(postgres_owner.next_batch(Changes())), postgres.renew(postgres_owner.fences)):
        with pytest.raises(FenceMismatch):
            await stale
    await heir.commit(Changes())
    await postgres.release(postgres_owner.fences)
    assert await other.holder() == Holder("two", "two:7077")
