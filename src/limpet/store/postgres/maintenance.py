"""What an operator does to a store in a database: look, migrate, check. For the command line.

All of it works beside running engines; a migration, too (R47). Backups are the business of PostgreSQL's own tools.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from limpet.store.address import Address
from limpet.store.api import StoreError
from limpet.store.postgres import ownership, schema
from limpet.store.postgres.lane import Lane, Link, Traffic
from limpet.store.postgres.ownership import Cluster
from limpet.store.postgres.statements import Sql, statements

CHECK_SECONDS = 3_600.0  # of one rule: it may read every row
OPERATOR = Traffic("operator", 1, 1, CHECK_SECONDS, idle_in_transaction_seconds=CHECK_SECONDS)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a store. `used_by`: the server whose lease runs, None when nobody's does."""

    store: str
    server_version: str
    schema: int
    schema_newest: int
    schema_release: str
    used_by: str | None
    commits: int
    database_bytes: int
    days: int
    oldest_snapshot_seconds: int
    tenants: int
    workflows: int
    workers: int
    runs: int
    unfinished_runs: int
    waiting_tasks: int
    live_tasks: int
    overdue_tasks: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """The schema before and after."""

    before: int
    after: int


async def status(at: Address) -> Status:
    """Raises StoreError when there is no store."""
    async with connected(at) as link, link.reading():
        found = await schema.applied(link, "store")
        holder = await link.row("holder")
        facts = await link.row("store_facts")
        counts = await link.row("store_counts")
        assert facts is not None, "a query without a table has one row"
        assert counts is not None, "a query without a table has one row"
        return Status(
            store=str(at),
            schema=found.number,
            schema_newest=len(schema.newest().store),
            schema_release=found.release,
            used_by=None if holder is None else f"{holder[0]} at {holder[1]}",
            **dict(facts.items()),
            **dict(counts.items()),
        )


async def migrate(at: Address) -> Migrated:
    """Bring the schema to the newest, engines go on meanwhile. Raises SchemaError for a newer schema."""
    async with _linked(at) as link:
        before = (await schema.applied(link, "store")).number
        await schema.prepare(link, at, schema.newest(), migrate=True)
    return Migrated(before, len(schema.newest().store))


async def oldest_release(at: Address) -> tuple[int, int]:
    """The schema's number, and that of the oldest schema whose releases still work on it."""
    async with connected(at) as link:
        found = await schema.applied(link, "store")
    return found.number, found.serves


async def check(at: Address) -> list[str]:
    """Everything that is wrong between the rows, a sentence each; empty for a sound store."""
    problems = []
    async with connected(at) as link, link.reading():
        for one in statements().values():
            if one.name.startswith("check_"):
                row = await link.row(one.name)
                assert row is not None, "a count has one row"
                if row[0]:
                    problems.append(f"{one.sentence} Broken {row[0]} times, first by key {row[1]}.")
    return problems


async def cluster(at: Address) -> Cluster:
    """Servers and leases."""
    lane = Lane(at, Sql(at.schema), OPERATOR)
    await lane.open()
    try:
        return await ownership.cluster(lane)
    finally:
        await lane.close()


@asynccontextmanager
async def connected(at: Address) -> AsyncIterator[Link]:
    """A connection to a store whose schema this release works with. Raises StoreError, also when there is none."""
    async with _linked(at) as link:
        if await schema.check(link, at, schema.newest()) == 0:
            raise StoreError(f"There is no store at {at}. Check the name; starting the server makes a new store.")
        yield link


@asynccontextmanager
async def prepared(at: Address) -> AsyncIterator[Link]:
    """A connection to a store; an empty database becomes one."""
    async with _linked(at) as link:
        await schema.prepare(link, at, schema.newest(), migrate=False)
        yield link


@asynccontextmanager
async def _linked(at: Address) -> AsyncIterator[Link]:
    lane = Lane(at, Sql(at.schema), OPERATOR)
    await lane.open()
    try:
        async with lane.link() as link:
            yield link
    finally:
        await lane.close()
