"""A world, a server of it on loopback, and a caller with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from limpet.edges.http.options import HttpOptions
from limpet.edges.http.server import HttpServer
from limpet.edges.rest.facts import RestFacts
from limpet.edges.signing import KeyRing, new_key_ring
from limpet.edges.tokens import Addresses, TokenAccess, mint_token
from limpet.store.api import Tenant, Token

from .world import NOW_S, OTHER, TENANT, World

ADDRESSES = Addresses("http://127.0.0.1:1", "127.0.0.1:2")


class Town:
    """A world with its door to the street: keys, tokens, a server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys: KeyRing = new_key_ring()
        self.rows: list[Token] = []
        self.access = TokenAccess(self.keys, self._read, clock=lambda: NOW_S)
        facts = RestFacts(tenants=self._tenants, clock=lambda: NOW_S, server_url="http://127.0.0.1:1", retention_days=30)
        self.server = HttpServer(world, self.access, HttpOptions(rest=facts))
        self.port = 0

    async def open(self) -> None:
        self.port = await self.server.start("127.0.0.1", 0)
        self.token = await self.token_for(TENANT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def token_for(self, tenant: Tenant, *, now: float = NOW_S - 100) -> str:
        minted = mint_token(self.keys, tenant, "test", ADDRESSES, now=now)
        self.rows.append(minted.row)
        await self.access.refresh()
        return minted.token

    async def _read(self) -> list[Token]:
        return list(self.rows)

    async def _tenants(self) -> list[Tenant]:
        return [TENANT, OTHER]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def town(world: World) -> AsyncIterator[Town]:
    town = Town(world)
    await town.open()
    yield town
    await town.server.stop()


@pytest.fixture
async def http(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=town.url, headers={"authorization": f"Bearer {town.token}"}) as client:
        yield client
