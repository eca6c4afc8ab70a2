"""A database's first minute: several servers find it empty at once."""

from __future__ import annotations

import asyncio

from limpet.store.postgres import PostgresStore


async def test_servers_that_meet_in_an_empty_database_make_one_schema(empty_database: str) -> None:
    stores = [PostgresStore(empty_database, server_id=f"server-{number}") for number in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    try:
        assert (await stores[0].claim()).keys() == (await stores[1].fences()).keys()
    finally:
        for store in stores:
            await store.close()
