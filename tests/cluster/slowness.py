"""Commits that take long, in a real server: each waits for a replica that does not exist, until it is told not to.

As with a slow disk the transaction is over, its locks are held, and reads go on.
"""

from __future__ import annotations

import asyncio

import asyncpg

from tests.cluster.records import LOOKS_EVERY_S

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
COMES_WITHIN_S = 20.0


async def hold_commits(url: str, *, times: int, seconds: float) -> int:
    """Let that many commits, one after the other, take so long; returns how many have waited."""
    connection = await asyncpg.connect(url)
    held = 0
    try:
        for _ in range(times):
            await _replica(connection, "nobody")
            await _until_waiting(connection, wanted=True)
            held += 1
            await asyncio.sleep(seconds)  # the fault itself
            await _replica(connection, "")
            await _until_waiting(connection, wanted=False)
        return held
    finally:
        await _replica(connection, "")
        await connection.close()


async def _replica(connection: asyncpg.Connection[asyncpg.Record], name: str) -> None:
    await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    await connection.execute("SELECT pg_reload_conf()")


async def _until_waiting(connection: asyncpg.Connection[asyncpg.Record], *, wanted: bool) -> None:
    async with asyncio.timeout(COMES_WITHIN_S):
        while bool(await connection.fetchval(WAITING)) is not wanted:  # noqa: ASYNC110  # a row has no event
            await asyncio.sleep(LOOKS_EVERY_S)
