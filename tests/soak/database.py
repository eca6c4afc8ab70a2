"""A PostgreSQL under the soak's servers, which crashes on demand."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.postgres.server import Server


class Postgres:
    """Started once, crashed as often as the chaos likes, removed at the end."""

    def __init__(self) -> None:
        self._server = Server()

    @property
    def url(self) -> str:
        return self._server.url()

    def start(self) -> None:
        self._server.start()

    async def crash(self) -> None:
        """Like a power failure of the database's machine: immediate stop, recovery at the next start."""
        await asyncio.to_thread(self._server.crash)
        await asyncio.to_thread(self._server.start)

    async def cut_connections(self) -> None:
        """End every session of the servers, whatever it does."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        finally:
            await connection.close()

    def remove(self) -> None:
        self._server.remove()
