"""Fixtures for tests over PostgreSQL: one server for a session, a database of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from limpet.core.decision import Changes
from limpet.core.ids import first_key
from limpet.store.postgres import PostgresStore
from limpet.store.postgres.days import day_of
from tests.postgres.server import Server
from tests.store.builders import NOW, ONE, Rows, own

TEMPLATE = "limpet_template"
SHARED = "limpet_shared"
LARGE = "limpet_large"
DAYS = range(day_of(NOW) - 2, day_of(NOW) + 3)  # that have partitions
LARGE_RUNS = 5_000
MANY = f"""
INSERT INTO limpet.runs SELECT made.* FROM limpet.runs AS r CROSS JOIN generate_series(1, {LARGE_RUNS}) AS n
CROSS JOIN LATERAL jsonb_populate_record(NULL::limpet.runs_d19675, to_jsonb(r) || jsonb_build_object(
    'key', r.key + 2 * n, 'id', '018bcfe5-6800-7000-8000-' || lpad(n::text, 12, '0'), 'created_at', r.created_at + n,
    'parent_task_id', NULL, 'child_ref', NULL, 'request_id', 'n' || n, 'metadata', '{{}}'::bytea)) AS made;
INSERT INTO limpet.tasks SELECT made.* FROM limpet.tasks AS t CROSS JOIN generate_series(1, {LARGE_RUNS}) AS n
CROSS JOIN LATERAL jsonb_populate_record(NULL::limpet.tasks_d19675, to_jsonb(t) || jsonb_build_object(
    'day', t.day, 'run_day', t.run_day, 'key', t.key + 2 * n, 'run_key', t.run_key + 2 * n, 'created_at', t.created_at + n,
    'id', '018bcfe5-6800-7000-8000-' || lpad(n::text, 12, '0'))) AS made;
INSERT INTO limpet.run_metadata SELECT day, tenant_no, sha256(key::text::bytea), key FROM limpet.runs WHERE child_ref IS NULL;
INSERT INTO limpet.run_names SELECT tenant_no, 'r' || request_id, key, day FROM limpet.runs WHERE child_ref IS NULL;
UPDATE limpet.tenants SET metadata_cursor = (SELECT max(key) FROM limpet.runs) WHERE no = 1;
"""
CLEAN = f"""
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'limpet'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition AND c.relname NOT IN ('schema_version', 'leases', 'retention') LOOP
        EXECUTE format('DELETE FROM limpet.%I', one);
    END LOOP;
    UPDATE limpet.leases SET owner_id = NULL, epoch = 0, seq = 0, expires_at = '-infinity', address = '', released = true;
    UPDATE limpet.retention SET gone_before = 0;
    INSERT INTO limpet.days SELECT substring(relname FROM 7)::integer FROM pg_class
        WHERE relnamespace = 'limpet'::regnamespace AND relname ~ '^runs_d\\d+$';
    INSERT INTO limpet.log_days SELECT substring(relname FROM 12)::integer FROM pg_class
        WHERE relnamespace = 'limpet'::regnamespace AND relname ~ '^log_lines_d\\d+$';
    PERFORM limpet.add_day_1(day) FROM generate_series({DAYS[0]}, {DAYS[-1]}) AS day; -- a test of retention may have dropped them
    PERFORM limpet.add_log_day_1(day) FROM generate_series({DAYS[0]}, {DAYS[-1]}) AS day;
END $$
"""
_numbers = itertools.count(1)


class Databases:
    """Databases of a server: empty ones, and copies of one that has the schema and the partitions around the tests' now."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._has_template = False
        self._has_shared = False
        self._has_large = False

    async def shared(self) -> str:
        """The URL of the database that tests use one after the other, emptied, with the partitions around now.

        A tenth of the time of a fresh one.
        """
        if not self._has_shared:
            await self._make_template()
            await self._execute(f"DROP DATABASE IF EXISTS {SHARED}")
            await self._execute(f"CREATE DATABASE {SHARED} TEMPLATE {TEMPLATE}")
            self._has_shared = True
        await self._execute(CLEAN, SHARED)
        return self.server.url(SHARED)

    async def large(self) -> str:
        """The URL of a database with `LARGE_RUNS` finished runs of one day, and statistics; for reading only."""
        if not self._has_large:
            await self._make_template()
            await self._execute(f"DROP DATABASE IF EXISTS {LARGE}")
            await self._execute(f"CREATE DATABASE {LARGE} TEMPLATE {TEMPLATE}")
            store = PostgresStore(self.server.url(LARGE))
            await store.open()
            owner, rows = await own(store, Rows()), Rows(last_key=first_key(ONE) + 10)
            rows.at = lambda: rows.now  # type: ignore[method-assign]
            run = rows.run(request_id="q", child_ref="c", parent_task_id="p", metadata=b'{"a":"b"}')
            task = rows.ended(rows.task(run, id=run.id))
            changes = Changes(runs_opened=[rows.ended_run(run)._replace(input=b"{}", metadata=run.metadata)], tasks_opened=[task])
            await owner.commit(changes, Changes(events=[rows.event(task)]))
            await store.upkeep.index_metadata()
            await store.close()
            await self._execute(MANY, LARGE)
            await self._execute("VACUUM ANALYZE", LARGE)
            self._has_large = True
        return self.server.url(LARGE)

    async def empty(self) -> str:
        """The URL of a database without anything, which lasts as long as the server."""
        name = f"test_{next(_numbers)}"
        await self._execute(f"CREATE DATABASE {name}")
        return self.server.url(name)

    @asynccontextmanager
    async def fresh(self, *, with_schema: bool = True) -> AsyncIterator[str]:
        """The URL of a database that is gone afterwards."""
        if with_schema:
            await self._make_template()
        name = f"test_{next(_numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if with_schema else 'template1'}")
        try:
            yield self.server.url(name)
        finally:
            await self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _make_template(self) -> None:
        if self._has_template:
            return
        await self._execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        await self._execute(f"CREATE DATABASE {TEMPLATE}")
        store = PostgresStore(self.server.url(TEMPLATE), server_id="template")
        await store.open()
        await store.upkeep.add_days(DAYS)
        await store.close()
        self._has_template = True

    async def _execute(self, text: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.server.url(database))
        try:
            await connection.execute(text)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The server of this session (and of this xdist worker)."""
    server = Server()
    try:
        server.start(fsync="off")  # what these tests crash are processes; the kernel keeps what they wrote
        yield Databases(server)
    finally:
        server.remove()


@pytest.fixture
async def database(databases: Databases) -> str:
    """The URL of a database with the newest schema and no content; other tests use it before and after."""
    return await databases.shared()


@pytest.fixture
async def own_database(databases: Databases) -> AsyncIterator[str]:
    """The same, for a test that changes the schema or the server."""
    async with databases.fresh() as url:
        yield url


@pytest.fixture
async def large_database(databases: Databases) -> str:
    """The URL of a database with many rows, for reading only."""
    return await databases.large()


@pytest.fixture
async def empty_database(databases: Databases) -> AsyncIterator[str]:
    """The URL of a database without anything."""
    async with databases.fresh(with_schema=False) as url:
        yield url
