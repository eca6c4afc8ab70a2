"""Servers with options of a test's own. They know one tenant, and their door leads nowhere in particular."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from limpet.edges.http.options import HttpOptions
from limpet.edges.http.server import HttpServer
from limpet.edges.tokens import OpenAccess
from tests.edges.rest.world import TENANT, World

Serve = Callable[..., Awaitable[int]]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def serve(world: World) -> AsyncIterator[Serve]:
    """Start a server with these options; returns its port."""
    servers: list[HttpServer] = []

    async def start(**options: Any) -> int:
        servers.append(HttpServer(world, OpenAccess(TENANT.id), HttpOptions(**options)))
        return await servers[-1].start("127.0.0.1", 0)

    yield start
    for server in servers:
        await server.stop()
