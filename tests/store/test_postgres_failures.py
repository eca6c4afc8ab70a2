"""What PostgreSQL and the way to it cannot do, and what becomes of the commit (R8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from limpet.core.decision import Changes
from limpet.core.ids import TenantId
from limpet.core.rows import RunRow
from limpet.store.address import Address
from limpet.store.api import (
    CommitOutcomeUnknown,
    CorruptStore,
    DataError,
    FenceMismatch,
    ReadTimedOut,
    RunQuery,
    SchemaError,
    StoreError,
    TransientStoreError,
)
from limpet.store.postgres import PostgresStore, lane
from limpet.store.postgres.errors import translate
from limpet.store.postgres.lane import Lane
from tests.postgres.fixtures import Databases
from tests.postgres.proxy import Fault, Proxy
from tests.postgres.server import Server
from tests.store.builders import NOW, ONE, Owner, Rows, own, stored_fence

AT = Address("postgresql://me:secret@db/limpet")


def server_error(state: str) -> asyncpg.PostgresError:
    error = asyncpg.PostgresError("as PostgreSQL says it")
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (server_error("LIM01"), FenceMismatch),
        (server_error("40001"), TransientStoreError),
        (server_error("40P01"), TransientStoreError),
        (server_error("55P03"), TransientStoreError),
        (server_error("57014"), TransientStoreError),
        (server_error("25006"), TransientStoreError),
        (server_error("25P03"), TransientStoreError),
        (server_error("53100"), TransientStoreError),
        (server_error("53200"), TransientStoreError),
        (server_error("53300"), TransientStoreError),
        (server_error("57P01"), TransientStoreError),
        (server_error("57P03"), TransientStoreError),
        (server_error("58030"), TransientStoreError),
        (server_error("08006"), TransientStoreError),
        (server_error("28P01"), TransientStoreError),
        (server_error("42501"), TransientStoreError),
        (server_error("3D000"), TransientStoreError),
        (server_error("23514"), TransientStoreError),
        (server_error("23505"), DataError),
        (server_error("23502"), DataError),
        (server_error("22003"), DataError),
        (server_error("21000"), DataError),
        (server_error("P0002"), DataError),
        (server_error("42P01"), SchemaError),
        (server_error("42883"), SchemaError),
        (server_error("3F000"), SchemaError),
        (server_error("XX001"), CorruptStore),
        (server_error("XX000"), StoreError),
        (ConnectionResetError("reset"), TransientStoreError),
        (TimeoutError(), TransientStoreError),
        (asyncpg.ConnectionDoesNotExistError("gone"), TransientStoreError),
        (asyncpg.InterfaceError("the connection is closed"), TransientStoreError),
        (asyncpg.InternalClientError("cannot switch to state 11"), TransientStoreError),
        (asyncpg.DataError("invalid input for query argument $1"), DataError),
    ],
    ids=lambda value: getattr(value, "sqlstate", None) or getattr(value, "__name__", type(value).__name__),
)
def test_R8_every_error_says_who_can_act(error: Exception, kind: type[StoreError]) -> None:
    said = translate(error, AT)
    assert type(said) is kind
    assert "secret" not in str(said)


@pytest.fixture
async def proxy(databases: Databases) -> AsyncIterator[Proxy]:
    """A way to the server that can be broken."""
    made = Proxy(databases.server.port)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def behind(proxy: Proxy, database: str) -> AsyncIterator[PostgresStore]:
    """A store that reaches its database through the proxy."""
    made = PostgresStore(proxy.through(database), server_id="one")
    await made.open()
    await made.upkeep.stop()
    yield made
    proxy.fault = Fault.NONE
    await made.close()


async def settled(store: PostgresStore) -> Any:
    """The fences, once the way is free again: every lost connection costs one try."""
    for _ in range(20):
        try:
            return await store.fences()
        except TransientStoreError:
            continue
    raise AssertionError("the store did not come back by itself")


@pytest.mark.parametrize(("fault", "is_applied"), [(Fault.CUT_REQUESTS, False), (Fault.SWALLOW_ANSWERS, True)])
async def test_T_KILL_COMMIT_a_lost_answer_is_an_unknown_outcome_and_the_fence_tells(
    behind: PostgresStore, proxy: Proxy, rows: Rows, fault: Fault, is_applied: bool
) -> None:
    owner = await own(behind, rows)
    run = rows.run()
    batch = owner.next_batch(Changes(runs_opened=[run]))
    proxy.fault = fault
    with pytest.raises(CommitOutcomeUnknown):
        await behind.commit(batch)
    assert proxy.happened == 1
    proxy.fault = Fault.NONE
    stored = (await settled(behind))[owner.group()]
    assert (stored == batch.fences[owner.group()]) is is_applied
    if not is_applied:
        await behind.commit(batch)
    with pytest.raises(FenceMismatch):
        await behind.commit(batch)
    assert [one.key for one in (await behind.load(ONE)).runs] == [run.key]


async def test_a_server_that_cannot_be_reached_is_transient_and_comes_back_by_itself(
    behind: PostgresStore, proxy: Proxy, rows: Rows
) -> None:
    owner = await own(behind, rows)
    proxy.fault = Fault.CUT_REQUESTS
    with pytest.raises(TransientStoreError, match="cannot be reached"):
        await behind.tenants()
    with pytest.raises(TransientStoreError):
        await behind.reader.workflows(ONE)
    proxy.fault = Fault.NONE
    await settled(behind)
    run, _ = await owner.open_run(rows)
    assert await behind.reader.run(ONE, run.id) is not None


async def test_R17_a_way_that_went_deaf_is_given_up(behind: PostgresStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "ANSWER_SLACK_SECONDS", 0.1)
    hasty = Lane(behind.at, behind._owner._sql, replace(behind._owner.traffic, statement_seconds=0.1))
    await hasty.open()
    async with hasty.link() as link:
        await link.rows("tenants")
    proxy.fault = Fault.DEAF
    with pytest.raises(TransientStoreError, match="cannot be reached"):
        async with hasty.link() as link:
            await link.rows("tenants")
    assert proxy.happened
    await hasty.close()


async def test_a_backend_that_is_ended_in_its_commit_leaves_nothing_or_everything(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows, database: str
) -> None:
    async with session(database) as person:
        await person.execute("BEGIN; SELECT FROM limpet.leases FOR UPDATE")
        run = rows.run()
        batch = postgres_owner.next_batch(Changes(runs_opened=[run]))
        commit = asyncio.ensure_future(postgres.commit(batch))
        async with session(database) as operator:
            while not await operator.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                pass
            await operator.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with pytest.raises(CommitOutcomeUnknown):
            await commit
        await person.execute("ROLLBACK")
    assert (await settled(postgres))[postgres_owner.group()] == postgres_owner.fence
    await postgres.commit(batch)
    assert (await postgres.reader.payloads([run], []))[0] == {run.key: run.input}


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_R8_a_lock_that_is_not_granted_keeps_the_batch(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows, database: str
) -> None:
    batch = postgres_owner.next_batch(Changes(runs_opened=[rows.run()]))
    async with postgres._commits.link() as link, session(database) as person:
        await link.connection.execute("SET lock_timeout = '50ms'")
        await person.execute("BEGIN; SELECT FROM limpet.leases FOR UPDATE")
        with pytest.raises(asyncpg.LockNotAvailableError) as refusal:
            await link.rows("renew", fences=[(postgres_owner.group(), 1, 0)], lease_us=1)
        await person.execute("ROLLBACK")
        await link.connection.execute("RESET lock_timeout")
    assert "a lock was not granted" in str(translate(refusal.value, postgres.at))
    await postgres.commit(batch)
    assert await stored_fence(postgres) == batch.fences[postgres_owner.group()]


async def test_R8_a_deadlock_keeps_the_batch(postgres: PostgresStore, postgres_owner: Owner, rows: Rows, database: str) -> None:
    run, task = await postgres_owner.open_run(rows)
    batch = postgres_owner.next_batch(Changes(tasks_changed=[rows.assigned(task)]))
    async with session(database) as person:
        await person.execute("SET deadlock_timeout = '1h'; BEGIN")  # so that the commit is the one that gives up
        await person.fetch("SELECT FROM limpet.tasks WHERE key = $1 FOR UPDATE", task.key)
        commit = asyncio.ensure_future(postgres.commit(batch))
        async with session(database) as operator:
            while not await operator.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                pass
        locking = asyncio.ensure_future(person.fetch("SELECT FROM limpet.leases FOR UPDATE"))
        with pytest.raises(TransientStoreError, match="met another one"):
            await commit
        await locking
        await person.execute("ROLLBACK")
    await postgres.commit(batch)
    assert [one.status for one in (await postgres.load(ONE)).tasks] == [rows.assigned(task).status]
    assert run.key


async def test_T_DB_READONLY_the_same_batch_goes_in_once_it_may_be_written(own_database: str, rows: Rows) -> None:
    store = PostgresStore(own_database)
    await store.open()
    owner = await own(store, rows)
    batch = owner.next_batch(Changes(runs_opened=[rows.run()]))
    async with session(own_database) as operator:
        name = own_database.rpartition("/")[2]
        await operator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await end_sessions(operator)
        for _ in range(2):
            with pytest.raises(TransientStoreError, match="read-only"):
                await store.commit(batch)
        await operator.execute("SET default_transaction_read_only = off")
        await operator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await end_sessions(operator)
    await settled(store)
    await store.commit(batch)
    assert await stored_fence(store) == batch.fences[owner.group()]
    await store.close()


async def end_sessions(operator: Any) -> None:
    await operator.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may ruin."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def test_T_DB_RESTART_what_was_acknowledged_survives_a_crash_and_the_store_comes_back(
    own_server: Server, rows: Rows
) -> None:
    store = PostgresStore(own_server.url())
    await store.open()
    await store.upkeep.stop()
    owner = await own(store, rows)
    runs: list[RunRow] = []
    for _ in range(3):
        runs += [(await owner.open_run(rows))[0] for _ in range(5)]
        await asyncio.to_thread(own_server.crash)
        batch = owner.next_batch(Changes())
        with pytest.raises((CommitOutcomeUnknown, TransientStoreError)):
            await store.commit(batch)
        with pytest.raises(TransientStoreError):
            await store.fences()
        await asyncio.to_thread(own_server.start)
        assert (await settled(store))[owner.group()] == owner.fence
    assert [run.key for run in (await store.load(ONE)).runs] == [run.key for run in runs]
    await store.close()


async def all_connections(server: Server) -> list[Any]:
    """Those that are left, taken."""
    taken = []
    try:
        while True:
            taken.append(await asyncpg.connect(server.url()))
    except asyncpg.TooManyConnectionsError:
        return taken


async def test_T_DB_CONN_the_owner_keeps_its_connections_when_others_use_up_the_rest(own_server: Server, rows: Rows) -> None:
    own_server.stop()
    own_server.start(max_connections="20")
    store = PostgresStore(own_server.url())
    await store.open()
    await store.upkeep.stop()
    owner = await own(store, rows)
    others = await all_connections(own_server)
    await owner.open_run(rows)
    with pytest.raises(TransientStoreError, match="raise max_connections"):
        await store.reader.runs(ONE, RunQuery())
    for connection in others:
        await connection.close()
    assert (await store.reader.runs(ONE, RunQuery()))[1] == 1
    await store.close()


async def test_R51_a_read_that_takes_too_long_is_ended(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgres_owner.open_run(rows)
    hasty = Lane(postgres.at, postgres._pages._sql, replace(postgres._pages.traffic, statement_seconds=0.001))
    await hasty.open()
    with pytest.raises(ReadTimedOut, match="shorter time"):
        async with hasty.link() as link:
            await link.connection.execute("SELECT pg_sleep(10)")
    await hasty.close()
    assert (await postgres.reader.runs(ONE, RunQuery()))[1] == 1


async def test_more_reads_than_can_wait_are_told_to_try_again(postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres._pages, "traffic", replace(postgres._pages.traffic, waiting_max=0))
    with pytest.raises(TransientStoreError, match="Too many calls wait"):
        await postgres.reader.runs(ONE, RunQuery())


async def test_pages_that_hang_stop_neither_commits_nor_payloads(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows
) -> None:
    gate, entered = asyncio.Event(), []

    async def hang() -> None:
        async with postgres._pages.link() as link:
            entered.append(link)
            await gate.wait()

    slow = [asyncio.ensure_future(hang()) for _ in range(postgres._pages.traffic.size)]
    run, _ = await postgres_owner.open_run(rows)
    assert (await postgres.reader.payloads([run], []))[0] == {run.key: run.input}
    gate.set()
    await asyncio.gather(*slow)
    assert len(entered) == postgres._pages.traffic.size


async def test_a_caller_that_gave_up_disturbs_nobody(postgres: PostgresStore) -> None:
    abandoned = asyncio.ensure_future(postgres.claim())
    await asyncio.sleep(0)
    abandoned.cancel()
    await asyncio.wait([abandoned])
    assert len(await postgres.claim()) == 64


async def test_a_commit_never_fails_for_want_of_a_partition(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    rows.now += 1_000 * 86_400_000_000
    run, task = await postgres_owner.open_run(rows, request_id="q")
    assert postgres.stats.extra["rows_without_partition"] == 2
    ended, _ = await postgres_owner.end_run(rows, run, task)
    record = await postgres.reader.run(ONE, run.id)
    assert record is not None
    assert record.run == ended


async def test_a_store_that_is_not_open_says_so(postgres: PostgresStore) -> None:
    await postgres.close()
    await postgres.close()
    with pytest.raises(TransientStoreError, match="not open"):
        await postgres.fences()
    await postgres.open()
    assert await postgres.create_tenant(TenantId("a"), "A", NOW)
