"""One suite, every store: the fixture `store` is each of them in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from limpet.core.ids import TenantId
from limpet.store.api import Store
from limpet.store.memory import MemoryStore
from limpet.store.sqlite import SqliteStore
from tests.store.builders import NOW, Owner, Rows

Reopen = Callable[[Store], Awaitable[Store]]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store without content."""
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.db")
    await made.open()
    yield made
    await made.close()


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
        other: Store = MemoryStore(store.content) if isinstance(store, MemoryStore) else SqliteStore(store.path)  # type: ignore[attr-defined]
        await other.open()
        opened.append(other)
        return other

    yield again
    for store in opened:
        await store.close()


@pytest.fixture
def rows() -> Rows:
    """Rows of the first tenant."""
    return Rows()


async def own(store: Store, rows: Rows) -> Owner:
    """An owner of the store, which knows two tenants and the first one's definitions."""
    for name in ("one", "two"):
        await store.create_tenant(TenantId(name), name.title(), NOW)
    owner = Owner(store)
    await owner.claim()
    await owner.commit(rows.definitions())
    return owner


@pytest.fixture
async def owner(store: Store, rows: Rows) -> Owner:
    """The owner of `store`."""
    return await own(store, rows)


@pytest.fixture
async def sqlite_owner(sqlite: SqliteStore, rows: Rows) -> Owner:
    """The owner of `sqlite`."""
    return await own(sqlite, rows)
