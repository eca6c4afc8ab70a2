"""Numbered migrations, and whether a database's schema is one this release works with (R47, R48).

Every step runs in a transaction of its own and records its number, with the release that took it. A release may only
add steps. A step says how old a release may be that still works on it (`-- serves: 0001`), so that the servers of the
former release go on while it is taken and until they are replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from limpet._version import __version__
from limpet.store import sql_files
from limpet.store.address import Address
from limpet.store.api import SchemaError
from limpet.store.postgres.lane import Link
from limpet.store.postgres.statements import PACKAGE, in_schema
from limpet.store.sql_files import Migration

KINDS = ("store", "logs")
SERVER_VERSION_MIN = 14  # DETACH CONCURRENTLY, and updates of partitioned tables that look at one partition
ENCODING = "UTF8"
LOCK_TRIES = 10  # for a step whose locks are not granted within the session's lock_timeout


@dataclass(frozen=True, slots=True)
class Steps:
    """The schema a store works with: the newest, but for tests of migrations."""

    store: Sequence[Migration]
    logs: Sequence[Migration]

    def of(self, kind: str) -> Sequence[Migration]:
        return self.store if kind == "store" else self.logs


class Applied(NamedTuple):
    """The newest step that was taken: its number, the release that took it, the oldest schema it still serves."""

    number: int
    release: str
    serves: int


def newest() -> Steps:
    """All steps this release knows."""
    return Steps(*(sql_files.migrations(PACKAGE, kind) for kind in KINDS))


async def prepare(link: Link, address: Address, steps: Steps, *, migrate: bool) -> None:
    """Bring an empty schema to the newest, an older one too if `migrate`. Raises SchemaError.

    Two servers may meet in an empty database: whoever finds it half made goes on with it.
    """
    await _check_server(link, address)
    if await _is_empty(link):
        await _create(link)
    for kind in KINDS:
        number = await check(link, address, steps, kind)
        if 0 < number < len(steps.of(kind)) and not migrate:
            raise SchemaError(
                f"The store {address} has schema {number}, and Limpet {__version__} works with schema {len(steps.of(kind))}. "
                f"Make a backup, then run `limpet db migrate --store {address}`."
            )
        for step in steps.of(kind)[number:]:
            await _apply(link, kind, step)


async def check(link: Link, address: Address, steps: Steps, kind: str = "store") -> int:
    """The schema's number. Raises SchemaError when this release does not work on it."""
    known, found = len(steps.of(kind)), await applied(link, kind)
    if found.serves > known:
        raise SchemaError(
            f"The store {address} has schema {found.number}, made by Limpet {found.release}; this is Limpet {__version__}, "
            f"which knows schemas up to {known}. Start Limpet {found.release} or newer."
        )
    return found.number


async def applied(link: Link, kind: str) -> Applied:
    """The newest step of a kind; (0, "", 0) before the first."""
    try:
        row = await link.row("newest_step", kind=kind)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        row = None
    return Applied(*row) if row is not None else Applied(0, "", 0)


async def _check_server(link: Link, address: Address) -> None:
    version = link.connection.get_server_version()
    if version.major < SERVER_VERSION_MIN:
        raise SchemaError(
            f"The store {address} is PostgreSQL {version.major}; Limpet works with {SERVER_VERSION_MIN} or newer. Upgrade it."
        )
    encoding = await link.value("server_encoding")
    if encoding != ENCODING:
        raise SchemaError(
            f"The database of the store {address} keeps texts as {encoding}, which lacks most characters. "
            f"Create a database with ENCODING '{ENCODING}'."
        )


async def _is_empty(link: Link) -> bool:
    return await link.value("has_schema", name=f"{link.sql.schema}.schema_version") is None


async def _create(link: Link) -> None:
    """The schema and its list of steps; a schema that an operator has made is taken. Two servers at once: one makes it."""
    with suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateSchemaError, asyncpg.DuplicateTableError):
        async with link.writing():
            if await link.value("has_namespace", name=link.sql.schema) is None:
                await link.connection.execute(f"CREATE SCHEMA {link.sql.schema}")  # a name that `Address` has checked
            await link.rows("create_schema_version")


async def _apply(link: Link, kind: str, step: Migration) -> None:
    """Take a step, again if another transaction holds what it needs. Two servers at once: the second finds it taken."""
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            async with link.writing():
                await link.rows("queue_for_migration")
                if (await applied(link, kind)).number < step.number:
                    await link.connection.execute(in_schema(step.script, link.sql.schema))
                    await link.rows(
                        "record_step", kind=kind, number=step.number, name=step.name, release=__version__, serves=step.serves
                    )
                return
        except asyncpg.LockNotAvailableError:
            if not tries_left:
                raise
