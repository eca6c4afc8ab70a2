"""How a commit is written, what survives a kill, and which index each hot statement takes."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from limpet.core import event_rows
from limpet.core import rows as core_rows
from limpet.core.claim_rows import ClaimRow
from limpet.core.decision import Changes
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.timetable_rows import CronRow, ScheduleRow
from limpet.core.webhook_rows import WebhookRow
from limpet.store import tables
from limpet.store.api import ONLY_GROUP, Fence, RunQuery
from limpet.store.sqlite import SqliteStore, schema
from limpet.store.sqlite.connection import connect_reader, connect_writer
from limpet.store.sqlite.maintenance import check
from limpet.store.sqlite.statements import OPEN, statement, statements, with_source
from tests.store.builders import ONE, Owner, Rows, stored_fence

PACKAGE = Path(schema.__file__).parent
PARTS = {"metadata_candidates", "run_conditions", "task_conditions", "conditions_of_both", "log_lines_of_task", "not_gone"}


async def test_a_commit_is_one_transaction_with_the_fence_first(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    await sqlite.upkeep.stop()
    seen: list[str] = []
    await sqlite._writer.run(lambda connection: connection.set_trace_callback(seen.append))
    await sqlite_owner.open_run(rows)
    await sqlite._writer.run(lambda connection: connection.set_trace_callback(None))
    assert seen[0] == "BEGIN IMMEDIATE"
    assert seen[1].startswith("UPDATE ownership SET epoch = 1")
    assert seen[-1] == "COMMIT"
    assert [text for text in seen[1:-1] if text in {"BEGIN", "COMMIT"}] == []
    assert sum("INSERT INTO runs" in text for text in seen) == 1


async def test_D21_no_metadata_is_indexed_in_a_commit(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    await sqlite.upkeep.stop()
    await sqlite_owner.open_run(rows, metadata=b'{"a":"b"}')
    count = await sqlite._owner.run(lambda connection: connection.execute("SELECT count(*) FROM run_metadata").fetchone()[0])
    assert count == 0


COMMITTER = """
import asyncio, sys
from limpet.core.decision import Changes
from limpet.core.ids import TenantId
from limpet.store.sqlite import SqliteStore
from tests.store.builders import NOW, Owner, Rows
async def main():
    store, rows = SqliteStore(sys.argv[1]), Rows()
    await store.open()
    owner = Owner(store)
    await store.create_tenant(TenantId("one"), "One", NOW)
    await owner.claim()
    await owner.commit(rows.definitions())
    while True:
        run = rows.run()
        await owner.commit(Changes(runs_opened=[run], tasks_opened=[rows.task(run)]))
        print(owner.fence.seq, run.id, flush=True)
asyncio.run(main())
"""


def kill_after(commits: int, path: Path) -> dict[str, str]:
    """Let a child process commit, kill it after so many answers; returns run ids by commit, as far as it told."""
    command = [sys.executable, "-c", COMMITTER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(commits)]
        child.kill()
        lines += child.stdout.readlines()
    return dict(line.split() for line in lines if line.endswith("\n"))


@pytest.mark.parametrize("commits", [25, 150], ids=["before the first checkpoint", "behind it"])
async def test_D1_what_was_acknowledged_survives_a_kill(tmp_path: Path, commits: int) -> None:
    acknowledged = kill_after(commits, tmp_path / "store.db")
    assert len(acknowledged) >= commits
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    fence = await stored_fence(store)
    assert fence.seq >= max(map(int, acknowledged))
    for run_id in acknowledged.values():
        assert await store.reader.run(ONE, run_id) is not None
    assert len((await store.load(ONE)).runs) == fence.seq - 1  # the first commit brought the definitions
    assert await store.claim() == {ONLY_GROUP: Fence(2, fence.seq)}
    await store.close()
    assert check(store.path) == []


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection with the functions of a reader, on the newest schema; the logs' tables are there too."""
    path = tmp_path / "fresh.db"
    writer = connect_writer(path)
    schema.prepare(writer, path, schema.migrations("store"), migrate=True)
    for text in schema.split(schema.migrations("logs")[0].script):
        writer.execute(text)
    reader = connect_reader(path)
    yield reader
    reader.close()
    writer.close()


def plan(connection: sqlite3.Connection, text: str) -> str:
    """What SQLite says about how it would run the statement."""
    names = set(re.findall(r":(\w+)", text))
    numbers = [int(number) for number in re.findall(r"\?(\d+)", text)]
    values: object = dict.fromkeys(names) if names else [None] * (max(numbers) if numbers else text.count("?"))
    return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("update_run", "SEARCH runs USING INTEGER PRIMARY KEY"),
        ("update_task", "SEARCH tasks USING INTEGER PRIMARY KEY"),
        ("delete_receipt", "SEARCH receipts USING INTEGER PRIMARY KEY"),
        ("unfinished_runs", "INDEX runs_unfinished"),
        ("tasks_of_unfinished_runs", "SEARCH tasks USING INDEX tasks_by_run"),
        ("run_by_child_ref", "INDEX runs_by_child_ref"),
        ("run_by_request", "INDEX runs_by_request"),
        ("run_keys_by_any_id", "INDEX runs_by_id"),
        ("run_keys_by_any_id", "INDEX tasks_by_id"),
        ("run_key_by_id", "INDEX runs_by_id"),
        ("task_key_by_id", "INDEX tasks_by_id"),
        ("inputs_by_key", "SEARCH runs USING INTEGER PRIMARY KEY"),
        ("whole_tasks_by_key", "SEARCH tasks USING INTEGER PRIMARY KEY"),
        ("tasks_by_run", "INDEX tasks_by_run"),
        ("events_by_task", "INDEX events_by_task"),
        ("receipts_to_load", "SEARCH receipts USING INTEGER PRIMARY KEY"),
        ("finished_runs", "INDEX runs_finished"),
        ("metadata_to_index", "SEARCH runs USING INTEGER PRIMARY KEY"),
        ("metadata_of_runs", "INDEX run_metadata_by_run"),
        ("overdue_tasks", "INDEX tasks_by_deadline"),
        ("log_lines_forward", "INDEX log_lines_by_task"),
        ("log_numbers_of_task", "INDEX log_lines_by_task"),
    ],
)
def test_hot_statements_take_their_index(fresh: sqlite3.Connection, name: str, expected: str) -> None:
    found = plan(fresh, statement(name))
    assert expected in found
    assert not re.search(
        r"SCAN (runs|tasks|events|receipts|run_metadata|log_lines|r|t)\b(?! USING INDEX runs_unfinished)", found
    ), found


@pytest.mark.parametrize(
    ("head", "source", "expected"),
    [
        ("runs_page", "runs_from_age", "INDEX runs_by_age (tenant_no=? AND created_at>? AND created_at<?)"),
        ("runs_page", "runs_from_parent", "INDEX runs_by_parent"),
        ("runs_page", "runs_from_metadata", "SEARCH m USING PRIMARY KEY (tenant_no=? AND name=? AND value=?)"),
        ("runs_page", "runs_from_metadata", "SEARCH r USING INTEGER PRIMARY KEY"),
        ("tasks_page", "tasks_from_age", "INDEX tasks_by_age (tenant_no=? AND created_at>? AND created_at<?)"),
        ("tasks_page", "tasks_from_parent", "INDEX tasks_by_run"),
        ("tasks_page", "tasks_from_metadata", "SEARCH m USING PRIMARY KEY (tenant_no=? AND name=? AND value=?)"),
        ("tasks_page", "tasks_from_metadata", "INDEX tasks_by_run"),
        ("status_counts", "tasks_from_age", "INDEX tasks_by_age"),
    ],
)
def test_pages_begin_with_what_is_rarest(fresh: sqlite3.Connection, head: str, source: str, expected: str) -> None:
    found = plan(fresh, with_source(head, source))
    assert expected in found
    assert not re.search(r"SCAN (r|t|m|runs|tasks|run_metadata)\b", found), found


def test_pages_by_age_are_not_sorted_row_by_row(fresh: sqlite3.Connection) -> None:
    assert "TEMP B-TREE FOR ORDER BY" not in plan(fresh, with_source("runs_page", "runs_from_age"))
    assert "TEMP B-TREE FOR ORDER BY" not in plan(fresh, with_source("tasks_page", "tasks_from_age"))


def test_the_backlogs_order_has_an_index(fresh: sqlite3.Connection) -> None:
    text = "SELECT key FROM tasks WHERE tenant_no = 1 AND class_id = 2 AND status = 1 ORDER BY level DESC, enqueue_key LIMIT 10"
    found = plan(fresh, text)
    assert "INDEX tasks_waiting" in found
    assert "TEMP B-TREE" not in found


def test_every_statement_is_valid_and_has_a_sentence(fresh: sqlite3.Connection) -> None:
    for one in statements().values():
        assert one.sentence.endswith("."), one.name
        if "{" + OPEN + "}" in one.text or one.name in PARTS or one.name.endswith("_columns") or "_from_" in one.name:
            continue
        plan(fresh, statement(one.name))


def test_every_statement_is_used() -> None:
    code = "".join(file.read_text() for file in PACKAGE.glob("*.py")) + "".join(one.text for one in statements().values())
    generic = {f"{kind}_from_{source}" for kind in ("runs", "tasks") for source in ("age", "parent", "event", "metadata")}
    generic |= {"events_from_age", "events_from_ids"}
    generic |= {f"planned_from_{place}_{way}" for place in ("age", "place") for way in ("up", "down")}
    generic |= {f"rate_limits_from_{order}_{way}" for order in ("name", "value", "limit") for way in ("up", "down")}
    for kind in ("event_run", "pushed_event", "expression_failure"):
        generic |= {f"{kind}s_to_prune", f"delete_{kind}"}
    unused = [
        name
        for name in statements()
        if f'"{name}"' not in code and "{" + name + "}" not in code and name not in generic and not name.startswith("check_")
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("row_type", "table"),
    [
        (core_rows.WorkflowRow, "workflows"), (core_rows.VersionRow, "versions"), (core_rows.WorkerRow, "workers"),
        (core_rows.RunRow, "runs"), (core_rows.TaskRow, "tasks"), (core_rows.ReceiptRow, "receipts"),
        (core_rows.EventRow, "events"), (CronRow, "crons"), (ScheduleRow, "schedules"), (ClaimRow, "claims"), (PauseRow, "pauses"),
        (RateLimitRow, "rate_limits"),
        (event_rows.PushedEventRow, "pushed_events"), (event_rows.EventRunRow, "event_runs"), (event_rows.FilterRow, "filters"),
        (event_rows.ExpressionFailureRow, "expression_failures"), (WebhookRow, "webhooks"),
    ],
)  # fmt: skip
def test_tables_have_the_columns_of_their_rows(fresh: sqlite3.Connection, row_type: type, table: str) -> None:
    kinds = {int: "INTEGER", str: "TEXT", bytes: "BLOB"}
    expected = [
        (column.name, kinds[column.types[0]], 0 if column.optional or column.name == "key" else 1)
        for column in tables.columns(row_type)
    ]
    assert [tuple(row) for row in fresh.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', (table,))] == expected


async def test_readers_see_a_commit_as_soon_as_it_is_answered(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    for count in range(1, 20):
        await sqlite_owner.open_run(rows)
        assert (await sqlite.reader.runs(ONE, RunQuery()))[1] == count


async def test_a_large_graph_is_one_commit(sqlite: SqliteStore, sqlite_owner: Owner, rows: Rows) -> None:
    run = rows.run()
    tasks = [rows.task(run, step=step) for step in range(1_000)]
    await sqlite_owner.commit(Changes(runs_opened=[run], tasks_opened=tasks))
    record = await sqlite.reader.run(ONE, run.id)
    assert record is not None
    assert record.tasks == tasks
