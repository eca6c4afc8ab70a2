"""The roster of a store in a database. Engines go on beside it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from limpet.cli import defaults
from limpet.core.ids import SECOND_US, TenantId
from limpet.store.address import Address
from limpet.store.api import Tenant, Token
from limpet.store.postgres import owner
from limpet.store.postgres.lane import Link
from limpet.store.postgres.maintenance import connected, prepared


class PostgresRoster:
    """`Roster` on a connection of its own."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def tenants(self) -> Sequence[Tenant]:
        return await owner.tenants(self._link)

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        return await owner.create_tenant(self._link, tenant_id, name, now)

    async def tokens(self) -> Sequence[Token]:
        return await owner.tokens(self._link)

    async def put_token(self, token: Token) -> None:
        await owner.put_token(self._link, token)


@asynccontextmanager
async def opened(at: Address, *, create: bool) -> AsyncIterator[PostgresRoster]:
    """The roster of a database. With `create`, an empty one is given the schema and its default tenant."""
    async with prepared(at) if create else connected(at) as link:
        roster = PostgresRoster(link)
        if create:
            await roster.create_tenant(defaults.TENANT_ID, defaults.TENANT_NAME, int(time.time() * SECOND_US))
        yield roster
