"""A lane: a few connections for one kind of work, and a bounded number of calls that wait for them.

Lanes keep kinds of work apart: pages never take a connection from a commit, logs from neither. A lost connection is made
anew by the next call; nothing else happens behind the callers' backs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from limpet.store.address import Address
from limpet.store.api import ReadTimedOut, TransientStoreError
from limpet.store.postgres.errors import CANCELLED, RAISED, is_lost, state_of, translate
from limpet.store.postgres.statements import Compiled, Sql

CONNECT_SECONDS = 5.0  # a take-over has 10 s in all
CLOSE_SECONDS = 5.0  # for calls under way at the end
ANSWER_SLACK_SECONDS = 5.0  # beyond the server's own limit, before a silent connection is given up
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 2}  # a dead peer is noticed within 10 s (R17)
TCP_USER_TIMEOUT_MS = 10_000
APPLICATION = "limpet"
SERVER_SETTING = "limpet_engine.server"  # read by the fence, see migration 0004
PAGES = "pages"  # the lane whose reads may be ended for taking too long

Greet = Callable[["Link"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a lane is for. Times are in seconds.

    size:        connections at most; `is_kept`: that many are made at once and kept
    waiting_max: calls that may wait for one
    settings:    of each session, set when it begins and never later (R17)
    pooled:      a transaction pooler stands between: no settings, no named prepared statements
    """

    name: str
    size: int
    waiting_max: int
    statement_seconds: float
    lock_seconds: float = 2.0
    idle_in_transaction_seconds: float = 3.0
    is_kept: bool = False
    pooled: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    def session(self, server_id: str) -> dict[str, str]:
        """Settings that a session of this server begins with."""
        if self.pooled:
            return {}
        return {
            "application_name": f"{APPLICATION} {self.name}",
            "statement_timeout": _milliseconds(self.statement_seconds),
            "lock_timeout": _milliseconds(self.lock_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_in_transaction_seconds),
            "tcp_keepalives_idle": str(KEEPALIVE["TCP_KEEPIDLE"]),
            "tcp_keepalives_interval": str(KEEPALIVE["TCP_KEEPINTVL"]),
            "tcp_keepalives_count": str(KEEPALIVE["TCP_KEEPCNT"]),
            "tcp_user_timeout": str(TCP_USER_TIMEOUT_MS),
            "client_min_messages": "warning",
            "jit": "off",
            SERVER_SETTING: server_id,
            **self.settings,
        }


class Link:
    """A connection, with the statements of the store."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], sql: Sql) -> None:
        self.connection = connection
        self.sql = sql

    async def rows(self, name: str, /, **where: Any) -> list[asyncpg.Record]:
        """What a statement returns."""
        return await self.rows_of(self.sql.statement(name), where)

    async def rows_of(self, statement: Compiled, where: dict[str, Any]) -> list[asyncpg.Record]:
        return list(await self.connection.fetch(statement.text, *statement.arguments(where)))

    async def row(self, name: str, /, **where: Any) -> asyncpg.Record | None:
        """The first row, None when there is none."""
        statement = self.sql.statement(name)
        return await self.connection.fetchrow(statement.text, *statement.arguments(where))

    async def value(self, name: str, /, **where: Any) -> Any:
        """The first column of the first row."""
        statement = self.sql.statement(name)
        return await self.connection.fetchval(statement.text, *statement.arguments(where))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """All statements see the same commit."""
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """All or nothing."""
        async with self.connection.transaction(isolation="read_committed"):
            yield


class Lane:
    """Owner of its connections. `greet` is called with each new one; `server_id`: whose they are, for the fence."""

    def __init__(
        self, address: Address, sql: Sql, traffic: Traffic, *, greet: Greet | None = None, server_id: str = ""
    ) -> None:  # fmt: skip
        self._address, self._sql, self._greet, self._server_id = address, sql, greet, server_id
        self.traffic = traffic
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._waiting = 0

    async def open(self) -> None:
        """Connect, if the lane keeps its connections. Raises what the database has against it."""
        traffic = self.traffic
        pool = asyncpg.create_pool(
            self._address.url,
            min_size=traffic.size if traffic.is_kept else 0,
            max_size=traffic.size,
            max_queries=2**63,  # a connection is as good after many statements as after one
            max_inactive_connection_lifetime=0 if traffic.is_kept else 300.0,
            max_cached_statement_lifetime=0,
            statement_cache_size=0 if traffic.pooled else 256,
            timeout=CONNECT_SECONDS,
            command_timeout=traffic.statement_seconds + ANSWER_SLACK_SECONDS,
            server_settings=traffic.session(self._server_id),
            init=self._begin,
            reset=_leave_as_it_is,
        )
        try:
            await pool
        except Exception as error:
            raise translate(error, self._address) from error
        self._pool = pool

    async def close(self) -> None:
        """Finish what is under way, disconnect. Harmless when not open."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except RAISED:
            pool.terminate()

    @asynccontextmanager
    async def link(self, *, lost: Callable[[str], Exception] | None = None) -> AsyncIterator[Link]:
        """A connection for a moment. Raises StoreError, for whatever goes wrong inside too.

        lost: makes the error for an answer that got lost; without it that is a TransientStoreError
        """
        connection = await self._take()
        try:
            yield Link(connection, self._sql)
        except RAISED as error:
            if is_lost(error):
                await self._forget_connections()
            raise self._judged(error, lost) from error
        finally:
            await self._give_back(connection)

    def _judged(self, error: BaseException, lost: Callable[[str], Exception] | None) -> Exception:
        if lost is not None and is_lost(error):
            return lost(str(error) or type(error).__name__)
        if self.traffic.name == PAGES and (state_of(error) == CANCELLED or isinstance(error, TimeoutError)):
            seconds = self.traffic.statement_seconds
            return ReadTimedOut(f"The read took longer than {seconds:g} s and was ended. Ask for a shorter time.")
        return translate(error, self._address)

    async def _take(self) -> Any:
        if self._pool is None:
            raise TransientStoreError(f"The store {self._address} is not open.")
        if self._waiting >= self.traffic.waiting_max:
            raise TransientStoreError(f"Too many calls wait for the store {self._address}. Try again in a moment.")
        self._waiting += 1
        try:
            return await self._pool.acquire()
        except RAISED as error:
            raise translate(error, self._address) from error
        finally:
            self._waiting -= 1

    async def _give_back(self, connection: Any) -> None:
        if self._pool is not None:
            with suppress(*RAISED):
                await self._pool.release(connection)

    async def _forget_connections(self) -> None:
        """One lost connection says that the others may be lost too; each is made anew when it is next needed."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def _begin(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        _watch(connection)
        if self._greet is not None:
            await self._greet(Link(connection, self._sql))


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _leave_as_it_is(_: object) -> None:
    """Sessions are never changed (R17), so there is nothing to reset, and no round trip to pay for it."""


def _watch(connection: Any) -> None:
    """Notice a peer that is gone without a word. asyncpg has no option for this, so its transport is asked."""
    transport = getattr(connection, "_transport", None)
    link = transport.get_extra_info("socket") if transport is not None else None
    if link is None or link.family not in (socket.AF_INET, socket.AF_INET6):
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**KEEPALIVE, "TCP_USER_TIMEOUT": TCP_USER_TIMEOUT_MS}.items():
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
