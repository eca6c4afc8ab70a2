"""How a commit is written, what it costs the pages it touches, and which index and partitions each hot statement takes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from limpet.core import rows as core_rows
from limpet.core.decision import Changes
from limpet.core.ids import first_key
from limpet.core.rate_rows import RateLimitRow
from limpet.store import tables
from limpet.store.api import RunQuery
from limpet.store.key_range import key_range
from limpet.store.postgres import PostgresStore, reader, schema
from limpet.store.postgres.days import KEPT, day_of, day_of_id, days_of, homes
from limpet.store.postgres.lane import Link
from limpet.store.postgres.statements import OPEN, Sql, statements
from tests.store.builders import NOW, ONE, Owner, Rows

PACKAGE = Path(schema.__file__).parent
DAY = day_of(NOW)
PARTS = {"metadata_candidates", "run_conditions", "task_conditions", "conditions_of_both", "log_lines_of_task", "not_gone"}
HOT_LEAST = 0.85


def test_days_are_told_by_births_and_ids() -> None:
    assert day_of(NOW) == 19_675
    assert [day_of(instant) for instant in (-5, 0, 86_400_000_000 - 1, 86_400_000_000)] == [0, 0, 0, 1]
    assert day_of_id("018bcfe5-6800-7000-8000-000000000000") == DAY
    assert [
        day_of_id(text) for text in ("", "x", "018bcfe5-6800-4000-8000-000000000000", "zzzzzzzz-zzzz-7zzz-8zzz-zzzzzzzzzzzz")
    ] == [KEPT] * 4
    assert homes([5, 4, 5]) == [0, 4, 5]
    assert days_of([Rows().run(created_at=NOW)]) == [KEPT, DAY]
    assert days_of([Rows().run(created_at=0)]) is None


async def test_a_commit_is_one_round_trip(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    await postgres_owner.open_run(rows)
    run = rows.run(request_id="q")
    sent: list[str] = []
    async with postgres._commits.link() as link:
        link.connection.add_query_logger(lambda record: sent.append(record.query))
    for _ in range(postgres._commits.traffic.size):  # whichever connection is taken
        async with postgres._commits.link() as link:
            link.connection.add_query_logger(lambda record: sent.append(record.query))
    await postgres_owner.commit(Changes(runs_opened=[run], tasks_opened=[rows.task(run)], events=[rows.event(rows.task(run))]))
    assert {text.split("(")[0] for text in sent} == {"SELECT limpet.commit_2"}


async def test_D21_no_metadata_is_indexed_in_a_commit(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    await postgres.upkeep.stop()
    await postgres_owner.open_run(rows, metadata=b'{"a":"b"}')
    async with postgres._owner.link() as link:
        assert await link.connection.fetchval("SELECT count(*) FROM limpet.run_metadata") == 0


async def test_D6_updates_are_hot(own_database: str, rows: Rows) -> None:
    """A row's new version lies on its page and needs no index entry: counted by the server, not by time."""
    store = PostgresStore(own_database)
    await store.open()
    one = Owner(store)
    await store.create_tenant("one", "One", NOW)  # type: ignore[arg-type]
    await one.claim()
    await one.commit(rows.definitions())
    rows.at = lambda: rows.now  # type: ignore[method-assign]
    waiting: list[Any] = []
    assigned: list[Any] = []
    for _ in range(30):
        opened = [rows.run(input=b'{"name":"x","n":1234567890,"text":"%s"}' % (b"x" * 50)) for _ in range(100)]
        tasks = [rows.task(run) for run in opened]
        starts = [(run, rows.assigned(task)) for run, task in waiting]
        changed = [task for _, task in starts] + [rows.ended(task) for _, task in assigned]
        ended = [rows.ended_run(run) for run, _ in assigned]
        await one.commit(Changes(runs_opened=opened, tasks_opened=tasks, runs_changed=ended, tasks_changed=changed))
        waiting, assigned = list(zip(opened, tasks, strict=True)), starts
    await store.close()
    shares = await hot_shares(own_database)
    assert shares["tasks"] >= HOT_LEAST
    assert shares["runs"] >= HOT_LEAST
    assert shares["leases"] >= HOT_LEAST


async def hot_shares(url: str) -> dict[str, float]:
    """By table, the share of updates that were HOT."""
    store = PostgresStore(url)
    await store.open()
    async with store._owner.link() as link:
        rows = await link.connection.fetch(
            "SELECT regexp_replace(relname, '_d[0-9]+$', ''), sum(n_tup_hot_upd)::float / sum(n_tup_upd) FROM pg_stat_user_tables "
            "WHERE n_tup_upd > 0 GROUP BY 1"
        )
    await store.close()
    return dict(map(tuple, rows))


async def test_no_index_stands_over_a_column_that_changes(postgres: PostgresStore) -> None:
    changing = {"runs": core_rows.RunRow._fields, "tasks": core_rows.TaskRow._fields}
    async with postgres._owner.link() as link:
        found = await link.connection.fetch("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'limpet'")
    for table, columns in changing.items():
        defined = " ".join(text for name, text in map(tuple, found) if re.fullmatch(rf"{table}_d\d+", name))
        assert defined
        first = columns.index("created_at") + 1 if table == "tasks" else 0
        born = {"key", "id", "tenant_no", "run_key", "created_at", "parent_task_id"}
        assert [column for column in columns[first:] if column not in born and re.search(rf"\b{column}\b", defined)] == []


@pytest.fixture
async def large(large_database: str) -> AsyncIterator[PostgresStore]:
    """A store with many rows of one day, and several days."""
    store = PostgresStore(large_database)
    await store.open()
    yield store
    await store.close()


async def looked_at(link: Link, text: str, arguments: list[Any]) -> str:
    """What PostgreSQL did for a statement with these values: the nodes of its plan that were executed."""
    literal = text
    for number in range(len(arguments), 0, -1):
        literal = literal.replace(f"${number}", f"({await quoted(link, arguments[number - 1])})")
    plan = await link.connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {literal}")
    return "\n".join(row[0] for row in plan if "(never executed)" not in row[0])


async def quoted(link: Link, value: Any) -> str:
    if value is None or isinstance(value, bool | int):
        return "NULL" if value is None else str(value)
    if isinstance(value, list):
        kind = "bigint[]" if not value or isinstance(value[0], int) else "bytea[]" if isinstance(value[0], bytes) else "text[]"
        return f"ARRAY[{','.join([await quoted(link, one) for one in value])}]::{kind}"
    text = f"\\x{value.hex()}" if isinstance(value, bytes) else value
    return str(await link.connection.fetchval("SELECT quote_literal($1::text)", text))


def parameters() -> dict[str, Any]:
    """For any statement over keys, ids and days: those of runs in the middle."""
    key, run_id = first_key(ONE) + 5_001, "018bcfe5-6800-7000-8000-000000002500"
    return {
        **key_range(ONE), "days": [KEPT, DAY], "keys": [key, key + 1], "run_keys": [key], "task_keys": [key], "ids": [run_id],
        "id": run_id, "names": ["rn2500"], "day_first": DAY, "limit": 10, "task_run_id": run_id, "since": 0, "until": NOW * 2,
        "levels": None, "retry_count": None,
    }  # fmt: skip


def parts_of(plan: str) -> set[str]:
    """The partitions that were looked at."""
    return set(re.findall(r"Scan.* on ((?:runs|tasks|events|log_lines|run_metadata)_d\d+)", plan))


@pytest.mark.parametrize(
    ("name", "indices"),
    [
        ("runs_by_key", ["runs_d19675_by_key"]),
        ("inputs_by_key", ["runs_d19675_by_key"]),
        ("outputs_by_key", ["tasks_d19675_by_key"]),
        ("whole_tasks_by_key", ["tasks_d19675_by_key"]),
        ("run_keys_by_any_id", ["runs_d19675_by_id", "tasks_d19675_by_id", "runs_d19675_by_key"]),
        ("run_by_id", ["runs_d19675_by_id"]),
        ("task_by_id", ["tasks_d19675_by_id", "runs_d19675_by_key"]),
        ("runs_by_name", ["run_names_pkey", "runs_d19675_by_key"]),
        ("tasks_by_run", ["tasks_d19675_by_run"]),
        ("events_by_task", ["events_d19675_by_task"]),
        ("log_lines_forward", ["log_lines_d19675_by_task"]),
    ],
)
async def test_hot_reads_take_their_index_and_the_partition_of_their_day(
    large: PostgresStore, name: str, indices: list[str]
) -> None:
    async with large._owner.link() as link:
        statement = link.sql.statement(name)
        found = await looked_at(link, statement.text, statement.arguments(parameters()))
    assert [index for index in indices if index not in found] == [], found
    later = {DAY + 1, DAY + 2, *range(DAY + 3, 40_000)} if name in ("tasks_by_run", "events_by_task") else set()
    days = {int(part.rpartition("_d")[2]) for part in parts_of(found)}
    assert days - later <= {KEPT, DAY}, found
    assert not re.search(r"Seq Scan on (?!retention|log_days|days)", found), found


async def test_commits_change_rows_by_index_in_one_partition_without_any_statistics(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows
) -> None:
    """What the function did, by the counters of the tables: its plans are made once, over partitions that were empty then."""
    opened = [rows.run() for _ in range(300)]
    tasks = [rows.task(run) for run in opened]
    await postgres_owner.commit(Changes(runs_opened=opened, tasks_opened=tasks))
    before = await scans(postgres)
    changes = Changes(tasks_changed=[rows.ended(task) for task in tasks], runs_changed=[rows.ended_run(run) for run in opened])
    await postgres_owner.commit(changes)
    after = await scans(postgres)
    changed = {name for name in after if after[name] != before.get(name) and re.match(r"(runs|tasks|events)_d", name)}
    assert changed == {f"runs_d{DAY}", f"tasks_d{DAY}"}
    for name in changed:
        read, full = (after[name][each] - before[name][each] for each in range(2))
        assert full == 0
        assert len(opened) <= read <= len(opened) * 3, "every row to change is read by its key"


async def scans(store: PostgresStore) -> dict[str, tuple[int, int]]:
    """By table: rows read by index, and scans of all of it."""
    await forced_statistics(store)
    async with store._owner.link() as link:
        rows = await link.connection.fetch("SELECT relname, coalesce(idx_tup_fetch, 0), seq_scan FROM pg_stat_user_tables")
    return {name: (read, full) for name, read, full in map(tuple, rows)}


async def forced_statistics(store: PostgresStore) -> None:
    """Counters of a session are told when it is idle for a while, or when it says so."""
    for lane in (store._commits, store._owner):
        for _ in range(lane.traffic.size):
            async with lane.link() as link:
                await link.connection.execute("SELECT pg_stat_force_next_flush()" if await has_flush(link) else "SELECT 1")
    async with store._owner.link() as link:
        await link.connection.execute("SELECT pg_stat_clear_snapshot()")


async def has_flush(link: Link) -> bool:
    return bool(await link.connection.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'pg_stat_force_next_flush'"))


@pytest.mark.parametrize(
    ("head", "source", "expected"),
    [
        ("runs_page", "age", "_by_age"),
        ("runs_page", "parent", "_by_parent"),
        ("runs_page", "metadata", "_by_pair"),
        ("tasks_page", "age", "_by_age"),
        ("tasks_page", "parent", "_by_parent"),
        ("tasks_page", "parent", "_by_run"),
        ("tasks_page", "metadata", "_by_pair"),
        ("status_counts", "age", "tasks_d"),
    ],
)
async def test_pages_begin_with_what_is_rarest(large: PostgresStore, head: str, source: str, expected: str) -> None:
    query = RunQuery(
        metadata=[("a", "b")] if source == "metadata" else (), parent_task_id="p" if source == "parent" else None,
        since=NOW, until=NOW + 3_000_000,
    )  # fmt: skip
    async with large._pages.link() as link:
        statement = link.sql.with_source(head, f"{head.split('_')[0].replace('status', 'tasks')}_from_{source}")
        found = await looked_at(
            link, statement.text, statement.arguments(await reader._conditions(link, ONE, query, is_of_runs=head == "runs_page"))
        )
    assert expected in found, found
    if head == "runs_page" or source == "age":  # a task may be younger than its run, and the run older
        assert {int(part.rpartition("_d")[2]) for part in parts_of(found)} <= {KEPT, DAY}, found


@pytest.mark.parametrize("kind", ["runs", "tasks"])
async def test_a_page_by_age_reads_a_page_and_no_more(large: PostgresStore, kind: str) -> None:
    async with large._pages.link() as link:
        statement = link.sql.with_source(f"{kind}_page", f"{kind}_from_age")
        found = await looked_at(
            link, statement.text, statement.arguments(await reader._conditions(link, ONE, RunQuery(limit=50)))
        )
    assert "Merge Append" in found, found
    assert f"{kind}_d{DAY}_by_age" in found, found
    assert max(map(int, re.findall(r"rows=(\d+)", found))) <= 50 + 1, found


async def test_every_statement_is_valid_and_has_a_sentence(postgres: PostgresStore) -> None:
    async with postgres._upkeep_lane.link() as link:
        for one in statements().values():
            assert one.sentence.endswith("."), one.name
            open_ended = "{" + OPEN + "}" in one.text or "_columns" in one.name or "_from_" in one.name
            if not open_ended and one.name not in PARTS:
                await link.connection.prepare(link.sql.statement(one.name).text)


def test_every_statement_is_used() -> None:
    code = "".join(file.read_text() for file in PACKAGE.glob("*.py")) + "".join(one.text for one in statements().values())
    generic = {f"{kind}_from_{source}" for kind in ("runs", "tasks") for source in ("age", "parent", "event", "metadata")}
    generic |= {"events_from_age", "events_from_ids"}
    generic |= {f"planned_from_{order}_{way}" for order in ("age", "place") for way in ("up", "down")}
    generic |= {f"rate_limits_from_{order}_{way}" for order in ("name", "value", "limit") for way in ("up", "down")}
    for table in ("runs", "tasks", "events", "run_metadata", "log_lines"):
        generic |= {f"keep_{table}", f"stragglers_of_{table}"}
    generic |= {f"delete_{kind}" for kind in ("events", "tasks", "metadata", "names", "waits", "runs")}
    for kind in ("event_run", "pushed_event", "expression_failure"):
        generic |= {f"{kind}s_to_prune", f"delete_{kind}s"}
    unused = [
        name
        for name in statements()
        if f'"{name}"' not in code and "{" + name + "}" not in code and name not in generic and not name.startswith("check_")
    ]
    assert unused == []


def test_another_schema_is_named_everywhere() -> None:
    sql = Sql("elsewhere")
    for name in statements():
        if "{" + OPEN + "}" not in statements()[name].text:
            assert "limpet." not in sql.statement(name).text, name


@pytest.mark.parametrize(
    ("row_type", "table"),
    [
        (core_rows.WorkflowRow, "workflows"), (core_rows.VersionRow, "versions"), (core_rows.WorkerRow, "workers"),
        (core_rows.RunRow, "runs"), (core_rows.TaskRow, "tasks"), (core_rows.ReceiptRow, "receipts"),
        (core_rows.EventRow, "events"), (RateLimitRow, "rate_limits"),
    ],
)  # fmt: skip
async def test_tables_have_the_columns_of_their_rows(postgres: PostgresStore, row_type: type, table: str) -> None:
    kinds = {int: {"bigint", "integer", "smallint"}, str: {"text"}, bytes: {"bytea"}}
    async with postgres._owner.link() as link:
        found = await link.connection.fetch(
            "SELECT column_name, data_type, is_nullable = 'NO' FROM information_schema.columns "
            "WHERE table_schema = 'limpet' AND table_name = $1 AND column_name NOT IN ('day', 'run_day') ORDER BY ordinal_position",
            table,
        )
    columns = tables.columns(row_type)
    assert [name for name, _, _ in map(tuple, found)] == [column.name for column in columns]
    for column, (_, kind, is_needed) in zip(columns, map(tuple, found), strict=True):
        assert kind in kinds[column.types[0]], column.name
        assert is_needed is not column.optional, column.name


async def test_a_large_graph_is_one_commit(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    run = rows.run()
    tasks = [rows.task(run, step=step) for step in range(1_000)]
    await postgres_owner.commit(Changes(runs_opened=[run], tasks_opened=tasks))
    record = await postgres.reader.run(ONE, run.id)
    assert record is not None
    assert record.tasks == tasks


async def test_rows_of_two_days_change_in_one_commit(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    early, early_task = await postgres_owner.open_run(rows)
    rows.now += 86_400_000_000
    late, late_task = await postgres_owner.open_run(rows)
    changes = Changes(
        tasks_changed=[rows.ended(early_task), rows.ended(late_task)], runs_changed=[rows.ended_run(early), rows.ended_run(late)]
    )
    await postgres_owner.commit(changes)
    async with postgres._owner.link() as link:
        found = await link.connection.fetch("SELECT day, status FROM limpet.tasks ORDER BY key")
    assert [tuple(row) for row in found] == [(DAY, 5), (DAY + 1, 5)]
    assert (await postgres.load(ONE)).runs == []


async def test_a_task_that_is_younger_than_its_run_by_a_day_is_found_with_it(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows
) -> None:
    run, first = await postgres_owner.open_run(rows)
    rows.now += 86_400_000_000
    second = rows.task(run, step=1, created_at=rows.now, queued_at=rows.now)
    await postgres_owner.commit(Changes(tasks_opened=[second]))
    assert [task.key for task in (await postgres.load(ONE)).tasks] == [first.key, second.key]
    record = await postgres.reader.task(ONE, second.id)
    assert record is not None
    assert record.run.key == run.key
    tasks, count = await postgres.reader.tasks(ONE, RunQuery(since=rows.now))
    assert ([one.task.key for one in tasks], count) == ([second.key], 1)
