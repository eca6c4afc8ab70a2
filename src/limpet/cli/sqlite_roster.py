"""The roster of a store file. An engine may hold the file: SQLite puts the two writers one behind the other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from sqlite3 import Connection

from limpet.cli import defaults
from limpet.cli.exits import Missing
from limpet.core.ids import SECOND_US, TenantId
from limpet.store.api import StoreLocked, Tenant, Token
from limpet.store.sqlite import SqliteStore, owner
from limpet.store.sqlite.connection import connect_writer
from limpet.store.sqlite.errors import translated
from limpet.store.sqlite.schema import check, migrations


class SqliteRoster:
    """`Roster` on a connection of its own. Nothing else runs in a command, so it may block."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def tenants(self) -> Sequence[Tenant]:
        return owner.tenants(self._connection)

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        return owner.create_tenant(self._connection, tenant_id, name, now)

    async def tokens(self) -> Sequence[Token]:
        return owner.tokens(self._connection)

    async def put_token(self, token: Token) -> None:
        owner.put_token(self._connection, token)


@asynccontextmanager
async def opened(path: Path, *, create: bool) -> AsyncIterator[SqliteRoster]:
    """The roster of a file. With `create`, a file that does not exist yet is made, with its default tenant."""
    if create:
        await make_ready(path)
    refuse_missing(path)
    with translated(path), closing(connect_writer(path)) as connection:
        check(connection, path, migrations("store"))
        yield SqliteRoster(connection)


def refuse_missing(path: Path) -> None:
    """Raise Missing when there is no file, which connecting would make."""
    if not path.exists():
        raise Missing(
            f"There is no store at {path}.", "Check the path; `limpet server` or `limpet token create` makes a new one."
        )


async def make_ready(path: Path) -> None:
    """Make the store and its default tenant, unless an engine holds it: then both are there already."""
    store = SqliteStore(path)
    try:
        await store.open()
        await store.create_tenant(defaults.TENANT_ID, defaults.TENANT_NAME, int(time.time() * SECOND_US))
    except StoreLocked:
        return
    finally:
        await store.close()
