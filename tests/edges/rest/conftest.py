"""A world for each test, one server on loopback for all of them, and a caller with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from limpet.edges.http.options import HttpOptions
from limpet.edges.http.server import HttpServer
from limpet.edges.rest.facts import RestFacts
from limpet.edges.signing import KeyRing, new_key_ring
from limpet.edges.tokens import Addresses, TokenAccess, mint_token
from limpet.store.api import Tenant, Token

from .world import NOW_S, OTHER, TENANT, World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here share the loop that the server runs in."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


class Gate:
    """A door that leads into the world of the test that runs now."""

    def __init__(self) -> None:
        self.world = World()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)


class Town:
    """Keys, tokens and a server before a gate."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.keys: KeyRing = new_key_ring()
        self.rows: list[Token] = []
        self.known: list[Tenant] = [TENANT, OTHER]
        self.access = TokenAccess(self.keys, self, clock=lambda: NOW_S)
        self.facts = RestFacts(tenants=self.tenants, clock=lambda: NOW_S, server_url="http://127.0.0.1:1", retention_days=30)
        self.server = HttpServer(self.gate, self.access, HttpOptions(rest=self.facts))
        self.url = ""
        self.token = ""

    async def open(self) -> None:
        self.url = f"http://127.0.0.1:{await self.server.start('127.0.0.1', 0)}"
        self.token = await self.token_for(TENANT)

    async def token_for(self, tenant: Tenant, *, now: float = NOW_S - 100, **changes: Any) -> str:
        """A token; `changes` are made to its row."""
        addresses = Addresses(self.url, "127.0.0.1:1")
        minted = mint_token(self.keys, tenant, "test", addresses, now=now, lifetime_s=3_600)
        self.rows.append(minted.row._replace(**changes))
        await self.access.refresh()
        return minted.token

    async def tokens(self) -> list[Token]:
        return list(self.rows)

    async def tenants(self) -> list[Tenant]:
        return list(self.known)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town() -> AsyncIterator[Town]:
    town = Town()
    await town.open()
    yield town
    await town.server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def world(town: Town) -> World:
    town.gate.world = world = World()
    await world.open()
    return world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def caller(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=town.url, headers={"authorization": f"Bearer {town.token}"}) as client:
        yield client


@pytest.fixture
def http(caller: httpx.AsyncClient, world: World) -> httpx.AsyncClient:
    """A caller with a token of the tenant, into a world of this test's own."""
    return caller
