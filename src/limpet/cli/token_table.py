"""The table of tokens in a store file, also while an engine holds the store.

An engine owns what its memory knows: runs, tasks, workers. Tokens it only reads, every few seconds, so this command may
write them beside it; SQLite puts the two writers one behind the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection

from limpet.cli import defaults
from limpet.cli.exits import CommandError, Missing, Misuse
from limpet.core.ids import SECOND_US, TenantId
from limpet.store.api import SchemaError, StoreError, StoreLocked, Tenant, Token
from limpet.store.sqlite import SqliteStore
from limpet.store.sqlite.connection import connect_writer
from limpet.store.sqlite.errors import translated
from limpet.store.sqlite.owner import put_token, tenants, tokens
from limpet.store.sqlite.schema import check, migrations


class TokenTable:
    """Tokens and tenants of one store file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tenant(self, tenant_id: str | None) -> Tenant:
        """The tenant with this id; the first one when none is named. Raises Missing."""
        found = tenants(self._connection)
        chosen = next((each for each in found if tenant_id in (None, each.id)), None)
        if chosen is None:
            raise Missing(f"There is no tenant {tenant_id} in this store.", "Leave --tenant out for the default one.")
        return chosen

    def tokens(self) -> list[Token]:
        """All, oldest first."""
        return list(tokens(self._connection))

    def put(self, token: Token) -> None:
        """Insert or replace; durable when this returns."""
        put_token(self._connection, token)

    def revoke(self, wanted: str) -> Token:
        """Revoke by id, or by a name that only one valid token has. Revoking twice changes nothing. Raises Missing, Misuse."""
        found = [each for each in self.tokens() if wanted in (each.id, each.name)]
        found = [each for each in found if each.revoked_at is None] or found[:1]
        if not found:
            raise Missing(f"There is no token {wanted}.", "`limpet token list` shows them.")
        if len(found) > 1:
            raise Misuse(
                f"{len(found)} tokens are called {wanted}.", f"Name one by its id: {', '.join(each.id for each in found)}"
            )
        if found[0].revoked_at is not None:
            return found[0]
        revoked = found[0]._replace(revoked_at=int(time.time() * SECOND_US))
        self.put(revoked)
        return revoked


@contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[TokenTable]:
    """The table of a store. With `create`, a store that does not exist yet is made, with its default tenant."""
    try:
        if create:
            make_ready(path)
        elif not path.exists():
            raise Missing(
                f"There is no store at {path}.", "Check the path; `limpet server` or `limpet token create` makes a new one."
            )
        with translated(path), closing(connect_writer(path)) as connection:
            check(connection, path, migrations("store"))
            yield TokenTable(connection)
    except SchemaError as error:
        raise Misuse(str(error)) from error
    except StoreError as error:
        raise CommandError(str(error)) from error


def make_ready(path: Path) -> None:
    """Make the store and its default tenant, unless an engine holds it: then both are there already."""

    async def make() -> None:
        store = SqliteStore(path)
        try:
            await store.open()
            await store.create_tenant(TenantId(defaults.TENANT_ID), defaults.TENANT_NAME, int(time.time() * SECOND_US))
        except StoreLocked:
            return
        finally:
            await store.close()

    asyncio.run(make())
