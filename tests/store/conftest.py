"""One suite, every store: the fixture `store` is each of them in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from limpet.store.api import Store
from limpet.store.memory import MemoryStore
from limpet.store.postgres import PostgresStore
from limpet.store.sqlite import SqliteStore
from tests.postgres.fixtures import Databases
from tests.store.builders import Owner, Rows, own

Reopen = Callable[[Store], Awaitable[Store]]


STORES = ("memory", "sqlite", "postgres")
DAYS_GONE = "postgres, days gone"
ROW_BY_ROW = pytest.mark.parametrize("store", ["memory", "sqlite", DAYS_GONE], indirect=True)
"""For tests of deletions by row: with PostgreSQL only rows whose day has no partition are deleted so."""


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store without content."""
    async with AsyncExitStack() as ends:
        made: Store
        if request.param == "memory":
            made = MemoryStore()
        elif request.param == "sqlite":
            made = SqliteStore(tmp_path / "store.db")
        else:
            databases: Databases = request.getfixturevalue("databases")
            made = PostgresStore(await databases.shared())
        await made.open()
        ends.push_async_callback(made.close)
        if request.param == DAYS_GONE:
            await forget_days(made)
        yield made


async def forget_days(store: Store) -> None:
    """From now on every row is one whose day has no partition."""
    assert isinstance(store, PostgresStore)
    async with store._upkeep_lane.link() as link:
        for day, *_ in await link.rows("days"):
            await link.rows("forget_day", day=day)


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[PostgresStore]:
    """An open PostgreSQL store without content."""
    made = PostgresStore(database, server_id="one", address="one:7077")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def postgres_owner(postgres: PostgresStore, rows: Rows) -> Owner:
    """The owner of `postgres`."""
    return await own(postgres, rows)


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An open SQLite store without content."""
    made = SqliteStore(tmp_path / "store.db")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def reopen() -> AsyncIterator[Reopen]:
    """Closes a store and opens another over the same content."""
    opened: list[Store] = []

    async def again(store: Store) -> Store:
        await store.close()
        other = like(store)
        await other.open()
        opened.append(other)
        return other

    yield again
    for store in opened:
        await store.close()


def like(store: Store) -> Store:
    """Another store over the same content."""
    if isinstance(store, MemoryStore):
        return MemoryStore(store.content)
    if isinstance(store, SqliteStore):
        return SqliteStore(store.path)
    assert isinstance(store, PostgresStore)
    return PostgresStore(store.at.url, server_id=store.server_id)


@pytest.fixture
def rows() -> Rows:
    """Rows of the first tenant."""
    return Rows()


@pytest.fixture
async def owner(store: Store, rows: Rows) -> Owner:
    """The owner of `store`."""
    return await own(store, rows)


@pytest.fixture
async def sqlite_owner(sqlite: SqliteStore, rows: Rows) -> Owner:
    """The owner of `sqlite`."""
    return await own(sqlite, rows)
