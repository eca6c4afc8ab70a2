"""Opening a PostgreSQL store: the schema, servers and databases that cannot be one, and migrations beside running servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from typing import Any

import asyncpg
import pytest

from limpet._version import __version__
from limpet.core.decision import Changes
from limpet.core.ids import TenantId
from limpet.core.rows import RunRow
from limpet.store.address import Address
from limpet.store.api import SchemaError, StoreError, TransientStoreError
from limpet.store.postgres import PostgresStore, maintenance, schema
from limpet.store.sql_files import Migration
from tests.postgres.fixtures import Databases
from tests.store.builders import NOW, ONE, Owner, Rows, own, stored_fence

NEWEST = schema.newest()
NOW_AT = len(NEWEST.store)
NEXT = Migration(
    NOW_AT + 1,
    f"{NOW_AT + 1:04}_more.sql",
    f"-- serves: {NOW_AT:04}\nCREATE TABLE limpet.more (a integer);\nALTER TABLE limpet.runs ADD more text;\n",
)
BREAKING = Migration(NEXT.number, f"{NEXT.number:04}_other.sql", "CREATE TABLE limpet.more (a integer);")
NEWER = schema.Steps((*NEWEST.store, NEXT), NEWEST.logs)
BROKEN = schema.Steps((*NEWEST.store, BREAKING), NEWEST.logs)


async def opened(url: str, **options: Any) -> PostgresStore:
    store = PostgresStore(url, **options)
    await store.open()
    return store


async def ask(url: str, text: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(text)]
    finally:
        await connection.close()


async def dump(url: str, name: str = "limpet") -> list[Any]:
    """Tables with their columns, indices and functions of a schema."""
    columns = (
        f"SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = '{name}'"
    )
    indices = f"SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = '{name}'"
    functions = f"SELECT proname, prosrc FROM pg_proc WHERE pronamespace = '{name}'::regnamespace"
    return [sorted(await ask(url, text)) for text in (columns, indices, functions)]


async def grow(url: str, steps: schema.Steps) -> None:
    """Take these steps, without opening the store: today's release works only with all of them."""
    at = Address(url)
    async with maintenance._linked(at) as link:
        await schema.prepare(link, at, steps, migrate=True)


async def run_of_schema(number: int, columns: int, url: str, rows: Rows) -> RunRow:
    """What a server of an older schema left behind: an open run of that many columns, written by the function it called."""
    connection = await asyncpg.connect(url)
    try:
        for name in ("one", "two"):
            await connection.execute("SELECT limpet.create_tenant_1($1, $1, $2, 0)", name, NOW)
        group, epoch, seq = await connection.fetchrow("SELECT * FROM limpet.claim_1('old', '', 1000000) WHERE group_no = 0")
        run = rows.run(request_id="q")
        lists = [[rows.workflow_row], [rows.version_row], [rows.worker_row], [], [run[:columns]], [], [rows.task(run)[:columns]]]
        arguments = [[(group, epoch, seq + 1)], 1_000_000, *lists, [], [], [], [], []]
        places = ", ".join(f"${number}" for number in range(1, len(arguments) + 1))
        await connection.execute(f"SELECT limpet.commit_{number}({places})", *arguments)
        await connection.execute("UPDATE limpet.leases SET released = true")
        return run
    finally:
        await connection.close()


async def run_of_now(url: str, rows: Rows) -> RunRow:
    """The same by this release."""
    store = await opened(url)
    owner = await own(store, rows)
    run, _ = await owner.open_run(rows, request_id="q")
    await store.release(owner.fences)
    await store.close()
    return run


async def test_an_empty_database_becomes_a_store(empty_database: str, rows: Rows) -> None:
    store = await opened(empty_database)
    owner = await own(store, rows)
    run, _ = await owner.open_run(rows)
    await store.close()
    again = await opened(empty_database)
    assert await again.reader.run(ONE, run.id) is not None
    await again.close()


async def test_two_servers_may_open_an_empty_database_at_once(empty_database: str) -> None:
    stores = await asyncio.gather(*(opened(empty_database) for _ in range(4)))
    assert await ask(empty_database, "SELECT kind, number FROM limpet.schema_version ORDER BY kind, number") == [
        ("logs", 1),
        *(("store", number) for number in range(1, NOW_AT + 1)),
    ]
    for store in stores:
        await store.close()


async def test_the_schema_may_have_another_name_and_share_the_database(empty_database: str, rows: Rows) -> None:
    ours = await opened(empty_database, schema_name="ours")
    theirs = await opened(empty_database, schema_name="theirs")
    owner = await own(ours, rows)
    run, task = await owner.open_run(rows, metadata=b'{"a":"b"}')
    await ours.append_logs([rows.line(task)])
    await ours.upkeep.index_metadata()
    await owner.end_run(rows, run, task)
    assert await theirs.tenants() == []
    assert await theirs.claim()
    assert (await stored_fence(ours)).epoch == 1
    assert await ours.prune(rows.now + 10**12, 10) == 1
    assert [one for one in await ask(empty_database, "SELECT nspname FROM pg_namespace") if one[0] == "limpet"] == []
    for store in (ours, theirs):
        await store.close()


@pytest.mark.parametrize("name", ["", "Upper", "a b", 'a"; DROP', "1a", "x" * 41])
def test_a_schema_name_that_could_be_anything_else_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be the name of a schema"):
        Address("postgresql://db/x", name)


async def test_R47_a_newer_schema_is_refused_by_name_unless_it_serves_this_one(own_database: str) -> None:
    await ask(own_database, f"INSERT INTO limpet.schema_version VALUES ('store', {NEXT.number}, 'x', '9.1.0', {NEXT.number})")
    with pytest.raises(
        SchemaError, match=rf"schema {NEXT.number}, made by Limpet 9\.1\.0; this is Limpet {__version__}.* Start Limpet 9\.1\.0"
    ):
        await opened(own_database)
    with pytest.raises(SchemaError):
        await opened(own_database, auto_migrate=True)
    await ask(own_database, f"UPDATE limpet.schema_version SET serves = {NEXT.number - 1} WHERE number = {NEXT.number}")
    store = await opened(own_database)
    await store.close()
    assert await maintenance.oldest_release(store.at) == (NEXT.number, NEXT.number - 1)


async def test_R47_an_older_schema_names_the_command_that_mends_it(own_database: str) -> None:
    with pytest.raises(
        SchemaError, match=rf"schema {NEXT.number - 1}.*schema {NEXT.number}.*limpet db migrate --store postgresql://limpet@"
    ):
        await opened(own_database, steps=NEWER)
    store = await opened(own_database, steps=NEWER, auto_migrate=True)
    await store.close()
    assert await ask(own_database, "SELECT number, serves FROM limpet.schema_version WHERE kind = 'store' ORDER BY 1") == [
        (step.number, step.serves) for step in NEWER.store
    ]


async def test_T_DDL_a_migration_runs_while_the_former_release_serves(own_database: str, rows: Rows) -> None:
    """A server of the newest schema commits all the time; there comes a newer one, and both work on it."""
    old = await opened(own_database)
    owner = await own(old, rows)
    committed: list[str] = []
    done = asyncio.Event()

    async def serve() -> None:
        while not done.is_set():
            run, task = await owner.open_run(rows)
            await owner.end_run(rows, run, task)
            committed.append(run.id)

    serving = asyncio.ensure_future(serve())
    while not committed:
        await asyncio.wait([serving], timeout=0.01)
        assert not serving.done()
    new = await opened(own_database, steps=NEWER, auto_migrate=True)
    seen = len(committed)
    while len(committed) < seen + 5:
        await asyncio.wait([serving], timeout=0.01)
        assert not serving.done()
    done.set()
    await serving
    assert await new.reader.run(ONE, committed[-1]) is not None
    await old.release(owner.fences)
    heir = Owner(new)
    await heir.claim()
    await heir.open_run(rows)
    assert len((await old.load(ONE)).runs) == 1
    for store in (old, new):
        await store.close()


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(own_database: str) -> None:
    before = await dump(own_database)
    broken = Migration(
        NEXT.number,
        f"{NEXT.number:04}_broken.sql",
        "CREATE TABLE limpet.more (a integer);\nINSERT INTO limpet.missing VALUES (1);",
    )
    with pytest.raises(SchemaError, match="missing"):
        await opened(own_database, steps=schema.Steps((*NEWEST.store, broken), NEWEST.logs), auto_migrate=True)
    assert await dump(own_database) == before
    await (await opened(own_database)).close()


@pytest.mark.parametrize("steps", [NEWEST, NEWER, BROKEN], ids=["as it is", "with another step", "with a breaking step"])
async def test_a_fresh_schema_equals_all_migrations_applied(databases: Databases, steps: schema.Steps) -> None:
    async with databases.fresh(with_schema=False) as fresh, databases.fresh(with_schema=False) as grown:
        await (await opened(fresh, steps=steps)).close()
        for number in range(1, len(steps.store) + 1):
            await grow(grown, schema.Steps(steps.store[:number], steps.logs))
        await (await opened(grown, steps=steps)).close()  # adds the partitions of the days
        assert await dump(grown) == await dump(fresh)


async def test_a_stored_database_of_every_earlier_schema_is_upgraded(databases: Databases) -> None:
    first, later = partial(run_of_schema, 1, 25), partial(run_of_schema, 2, 99)  # rows are as wide as ever since schema 2
    for number, open_a_run in enumerate((first, *[later] * (NOW_AT - 2), run_of_now), start=1):
        async with databases.fresh(with_schema=False) as url:
            rows = Rows()
            await grow(url, schema.Steps(NEWEST.store[:number], NEWEST.logs))
            run = await open_a_run(url, rows)
            new = await opened(url, steps=NEWER, auto_migrate=True)
            heir = Owner(new)
            await heir.claim()
            assert [one.key for one in (await new.load(ONE)).runs] == [run.key]
            await heir.commit(Changes(runs_changed=[rows.ended_run(run)]))
            assert (await new.load(ONE)).runs == []
            await new.close()


def test_every_table_is_explained_at_the_top_of_the_first_migration() -> None:
    for kind in schema.KINDS:
        script = NEWEST.of(kind)[0].script
        head = script[: script.index("\nCREATE")]
        tables = [line.split()[2].removeprefix("limpet.") for line in script.splitlines() if line.startswith("CREATE TABLE")]
        assert tables
        assert [table for table in tables if f"--   {table} " not in head] == []


def test_every_later_migration_says_whom_it_serves() -> None:
    for kind in schema.KINDS:
        for step in NEWEST.of(kind)[1:]:
            assert "-- serves: " in step.script, step.name


async def test_a_database_with_another_encoding_is_refused(databases: Databases) -> None:
    async with databases.fresh(with_schema=False) as url:
        name = url.rpartition("/")[2] + "_latin"
        await ask(url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        with pytest.raises(SchemaError, match=r"LATIN1.*ENCODING 'UTF8'"):
            await opened(databases.server.url(name))
        await ask(url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_database_that_does_not_exist_and_a_server_that_does_not_answer_are_said(databases: Databases) -> None:
    with pytest.raises(TransientStoreError, match="create it"):
        await opened(databases.server.url("nowhere"))
    with pytest.raises(TransientStoreError, match="cannot be reached"):
        await opened("postgresql://limpet@127.0.0.1:1/x")


async def test_a_user_without_rights_is_told_what_it_lacks(own_database: str) -> None:
    await ask(own_database, "DO $$ BEGIN CREATE ROLE visitor LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    with pytest.raises(TransientStoreError, match=r"lacks a right: docs/operating/postgresql\.md"):
        await opened(own_database.replace("limpet@", "visitor@"))


async def test_an_owner_of_the_schema_needs_no_other_right(empty_database: str, rows: Rows) -> None:
    """What the page on PostgreSQL says is enough: a user that may create in its database, and is no superuser."""
    await ask(empty_database, "DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    await ask(empty_database, f"GRANT CREATE ON DATABASE {empty_database.rpartition('/')[2]} TO plain")
    store = await opened(empty_database.replace("limpet@", "plain@"))
    owner = await own(store, rows)
    await owner.end_run(rows, *await owner.open_run(rows))
    assert [server.is_connected for server in (await store.cluster()).servers] == [True]
    await store.upkeep.add_days([40_000])
    assert await store.prune(rows.now + 10**12, 10) == 1
    await store.close()


async def test_a_store_opens_again_after_its_close(postgres: PostgresStore) -> None:
    await Owner(postgres).claim()
    await postgres.close()
    await postgres.close()
    await postgres.open()
    assert (await stored_fence(postgres)).epoch == 1


async def test_a_clean_close_leaves_no_connection(postgres: PostgresStore, database: str) -> None:
    await postgres.create_tenant(TenantId("a"), "A", NOW)
    await postgres.reader.workflows(ONE)
    await postgres.close()
    while await ask(database, "SELECT FROM pg_stat_activity WHERE application_name LIKE 'limpet %'"):
        pass  # a backend ends a moment after its client


async def test_R17_nothing_but_settings_of_the_session_needs_a_session(database: str) -> None:
    """Pages go through a transaction pooler: no named statements, no settings, and nothing is left in the session."""
    store = await opened(database, reads_url=database)
    await store.reader.workflows(ONE)
    async with store._pages.link() as link:
        assert await link.connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
        assert await link.connection.fetchval("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'") == "0"
    assert store._pages.traffic.session("one") == {}
    await store.close()


WITHOUT_ASYNCPG = """
import sys
sys.modules["asyncpg"] = None
try:
    import limpet.store.postgres
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_asyncpg_the_extra_is_named() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT_ASYNCPG], capture_output=True, text=True, check=True).stdout
    assert said == "StoreError A PostgreSQL store needs asyncpg. Install it: pip install 'limpet[postgres]'.\n"
