"""The work between the commits: the index, days to come, and days that go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import asyncpg
import pytest

from limpet.core.decision import Changes
from limpet.core.needs import Needs
from limpet.core.rows import RunRow, TaskRow
from limpet.store.api import FenceMismatch, LogQuery, RunQuery
from limpet.store.postgres import PostgresStore, maintenance, retention, upkeep
from limpet.store.postgres.days import DAY_US, KEPT, day_of
from tests.store.builders import NOW, ONE, SECOND, Owner, Rows, own

DAY = day_of(NOW)
LATER = (DAY + 1) * DAY_US  # the day is over
LIMIT = 10


@pytest.fixture
async def daily(own_database: str, rows: Rows) -> AsyncIterator[tuple[PostgresStore, Owner]]:
    """A store on a database of its own, whose partitions may go."""
    store = PostgresStore(own_database)
    await store.open()
    yield store, await own(store, rows)
    await store.close()


async def value(store: PostgresStore, text: str, *arguments: Any) -> Any:
    async with store._owner.link() as link:
        return await link.connection.fetchval(text, *arguments)


async def days(store: PostgresStore, table: str = "runs") -> Collection[int]:
    """The days that have a partition of the table."""
    async with store._owner.link() as link:
        rows = await link.connection.fetch(
            "SELECT substring(relname FROM '_d(\\d+)$')::integer FROM pg_class WHERE relkind = 'r' AND relname ~ $1",
            f"^{table}_d\\d+$",
        )
    return {day for (day,) in map(tuple, rows)}


async def end_day(store: PostgresStore, before: int = LATER) -> int:
    """Hide what ended, and a round later let its day go; returns how many runs went."""
    assert await store.prune(before, LIMIT) == 0
    return await store.prune(before, LIMIT)


async def test_the_index_is_filled_in_small_transactions(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgres.upkeep.stop()
    monkeypatch.setattr(upkeep, "INDEX_RUNS_MAX", 3)
    monkeypatch.setattr(upkeep, "INDEX_PAIRS_MAX", 2)
    for number in range(10):
        await postgres_owner.open_run(rows, metadata=b'{"a":"%d","b":"c"}' % number if number % 3 else b"{}")
    assert await postgres.upkeep.index_metadata() == 10
    assert await value(postgres, "SELECT count(*) FROM limpet.run_metadata") == 12
    assert await postgres.upkeep.index_metadata() == 0
    assert (await postgres.reader.runs(ONE, RunQuery(metadata=[("a", "4")])))[1] == 1


async def test_an_index_entry_is_written_once_whoever_writes_it(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows
) -> None:
    await postgres.upkeep.stop()
    await postgres_owner.open_run(rows, metadata=b'{"a":"b"}')
    await postgres.upkeep.index_metadata()
    await value(postgres, "UPDATE limpet.tenants SET metadata_cursor = 0")
    assert await postgres.upkeep.index_metadata() == 1
    assert await value(postgres, "SELECT count(*) FROM limpet.run_metadata") == 1


async def test_two_servers_that_index_the_same_run_at_once_do_not_disturb_each_other(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows, database: str
) -> None:
    """Every server indexes, the standby too: the second one waits for the first, and finds that nothing is left to write."""
    await postgres.upkeep.stop()
    await postgres_owner.open_run(rows, metadata=b'{"a":"b"}')
    await postgres.upkeep.index_metadata()
    await value(postgres, "UPDATE limpet.tenants SET metadata_cursor = 0")
    other = await asyncpg.connect(database)
    try:
        await other.execute("CREATE TEMPORARY TABLE entry AS SELECT * FROM limpet.run_metadata; DELETE FROM limpet.run_metadata")
        await other.execute("BEGIN; INSERT INTO limpet.run_metadata SELECT * FROM entry")
        indexing = asyncio.ensure_future(postgres.upkeep.index_metadata())
        while not await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert not indexing.done()
        await other.execute("COMMIT")
        assert await indexing == 1
    finally:
        await other.close()
    assert await value(postgres, "SELECT count(*) FROM limpet.run_metadata") == 1


async def test_partitions_are_there_before_their_day(daily: tuple[PostgresStore, Owner]) -> None:
    store, _ = daily
    today = day_of(await value(store, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))
    for table in retention.PARTITIONED:
        assert {today, today + 1, today + 2, today + 3, KEPT} <= set(await days(store, table))
    assert await store.upkeep.add_days_ahead() == 0
    assert await store.upkeep.add_days([today + 9, today + 9, today + 10]) == 2


async def test_two_servers_may_add_days_at_once(daily: tuple[PostgresStore, Owner]) -> None:
    import asyncio

    store, _ = daily
    other = PostgresStore(store.at.url)
    await other.open()
    added = await asyncio.gather(store.upkeep.add_days(range(30_000, 30_005)), other.upkeep.add_days(range(30_000, 30_005)))
    assert sum(added) == 5
    await other.close()


async def test_a_commit_goes_on_while_days_come_and_go(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    """Neither takes a lock that a commit waits for: the commit's transaction is open all the time."""
    store, owner = daily
    async with store._commits.link() as link, link.writing():
        await link.rows("renew", fences=[], lease_us=1)
        await link.connection.execute("LOCK TABLE limpet.runs, limpet.tasks, limpet.events IN ROW EXCLUSIVE MODE")
        assert await store.upkeep.add_days([30_000]) == 1
    await owner.open_run(rows)


async def test_R50_a_day_goes_whole_one_round_after_it_was_hidden(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    run, task = await owner.open_run(rows, metadata=b'{"a":"b"}', request_id="q", child_ref="c")
    await owner.commit(Changes(events=[rows.event(task)]))
    await store.append_logs([rows.line(task)])
    await owner.end_run(rows, run, task)
    await store.upkeep.index_metadata()
    assert await store.prune(LATER, LIMIT) == 0
    assert await store.reader.run(ONE, run.id) is None
    assert DAY in await days(store)
    assert await store.prune(LATER, LIMIT) == 1
    for table in retention.PARTITIONED:
        assert DAY not in await days(store, table)
    assert await store.reader.payloads([run], [task]) == ({}, {})
    assert await store.reader.events(ONE, [task]) == []
    assert list(await store.reader.log_lines(ONE, LogQuery(task.id))) == []
    assert await value(store, "SELECT count(*) FROM limpet.run_names") == 0
    assert (await store.load(ONE)).next_key == rows.last_key + 1
    again, _ = await owner.open_run(rows, request_id="q", child_ref="c")
    assert (await store.look_up(ONE, Needs(request_ids={"q"}))).runs_by_request == {"q": again.id}
    assert await maintenance.check(store.at) == []


async def test_R50_a_day_that_is_not_over_stays_and_hides_what_ended(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    run, _ = await owner.end_run(rows, *await owner.open_run(rows))
    assert await end_day(store, rows.now + SECOND) == 0
    assert DAY in await days(store)
    assert await store.reader.run(ONE, run.id) is None


async def test_a_name_of_a_hidden_run_is_free_before_its_row_goes(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    await owner.end_run(rows, *await owner.open_run(rows, request_id="q", child_ref="c"))
    await store.prune(rows.now + SECOND, LIMIT)
    run, _ = await owner.open_run(rows, request_id="q", child_ref="c")
    assert (await store.look_up(ONE, Needs({"c"}, {"q"}))).runs_by_ref == {"c": run.id}


async def whole(store: PostgresStore, run: RunRow, task: TaskRow) -> tuple[Any, ...]:
    """Everything that is known of a run and its task."""
    return (
        await store.reader.run(ONE, run.id),
        await store.reader.task(ONE, task.id),
        await store.reader.events(ONE, [task]),
        await store.reader.payloads([run], [task]),
        list(await store.reader.log_lines(ONE, LogQuery(task.id))),
        (await store.reader.runs(ONE, RunQuery(metadata=[("a", "b")])))[1],
        (await store.reader.runs(ONE, RunQuery(since=NOW, until=LATER)))[1],
        (await store.look_up(ONE, Needs({"c"}, {"q"}, {run.id, task.id}))),
        await store.load(ONE),
    )


@pytest.mark.parametrize("ending", ["never", "late"])
async def test_R50_stragglers_stay_whole_when_their_day_goes(daily: tuple[PostgresStore, Owner], rows: Rows, ending: str) -> None:
    store, owner = daily
    run, task = await owner.open_run(rows, metadata=b'{"a":"b"}', request_id="q", child_ref="c")
    await owner.commit(Changes(events=[rows.event(task)]))
    await store.append_logs([rows.line(task), rows.line(task)])
    await owner.end_run(rows, *await owner.open_run(rows))
    await store.upkeep.index_metadata()
    if ending == "late":
        rows.now = LATER + SECOND
        run, task = await owner.end_run(rows, run, task)
    assert await store.prune(LATER, LIMIT) == 0
    before = await whole(store, run, task)
    assert await store.prune(LATER, LIMIT) == 1
    assert DAY not in await days(store)
    after = await whole(store, run, task)
    assert after[:-2] == before[:-2]
    assert after[-2] == before[-2]
    assert (after[-1].runs, after[-1].tasks, after[-1].next_key) == (before[-1].runs, before[-1].tasks, before[-1].next_key)
    assert await maintenance.check(store.at) == []


async def test_a_straggler_goes_on_ends_and_goes_by_itself(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    run, task = await owner.open_run(rows, metadata=b'{"a":"b"}', request_id="q")
    await store.append_logs([rows.line(task)])
    await store.upkeep.index_metadata()
    assert await end_day(store) == 0
    rows.now = LATER
    await owner.commit(Changes(tasks_changed=[rows.assigned(task)]))
    await owner.commit(Changes(events=[rows.event(task)]))
    await owner.end_run(rows, run, task)
    assert await store.prune(rows.now, LIMIT) == 0
    assert await store.prune(rows.now + SECOND, LIMIT) == 1
    assert await value(store, "SELECT (SELECT count(*) FROM limpet.runs) + (SELECT count(*) FROM limpet.tasks)") == 0
    assert await value(store, "SELECT (SELECT count(*) FROM limpet.events) + (SELECT count(*) FROM limpet.run_metadata)") == 0
    assert await value(store, "SELECT (SELECT count(*) FROM limpet.log_lines) + (SELECT count(*) FROM limpet.run_names)") == 0
    assert (await store.load(ONE)).next_key == rows.last_key + 1


async def test_a_graph_over_two_days_keeps_the_task_of_the_second(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    run, first = await owner.open_run(rows)
    rows.now += DAY_US
    second = rows.task(run, step=1, created_at=rows.now)
    await owner.commit(Changes(tasks_opened=[second], tasks_changed=[rows.ended(first)], events=[rows.event(second)]))
    for day in (DAY + 1, DAY + 2):
        assert await end_day(store, day * DAY_US) == 0
        record = await store.reader.run(ONE, run.id)
        assert record is not None
        assert [task.key for task in record.tasks] == [first.key, second.key]
        assert len(await store.reader.events(ONE, [second])) == 1
    assert not {DAY, DAY + 1} & set(await days(store, "tasks"))
    assert await maintenance.check(store.at) == []


async def test_R19_who_is_not_the_owner_any_more_moves_and_deletes_nothing(
    daily: tuple[PostgresStore, Owner], rows: Rows
) -> None:
    store, owner = daily
    run, _ = await owner.open_run(rows)
    await owner.end_run(rows, *await owner.open_run(rows))
    await store.prune(LATER, LIMIT)
    await value(store, "UPDATE limpet.leases SET epoch = epoch + 1")
    with pytest.raises(FenceMismatch):
        await store.prune(LATER, LIMIT)
    assert DAY in await days(store)
    assert await value(store, "SELECT day FROM limpet.runs WHERE key = $1", run.key) == DAY
    stranger = PostgresStore(store.at.url)
    await stranger.open()
    with pytest.raises(FenceMismatch, match="owns no tenants"):
        await stranger.prune(LATER, LIMIT)
    await stranger.close()


async def test_R19_no_commit_runs_while_rows_move(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    import asyncio

    store, owner = daily
    run, task = await owner.open_run(rows)
    async with store.retention._held() as link:
        commit = asyncio.ensure_future(owner.commit(Changes(tasks_changed=[rows.assigned(task)])))
        async with store._owner.link() as looker:
            while not await looker.connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                pass
        await link.rows("keep_tasks", day=DAY, keys=[task.key])
        await link.rows("keep_runs", day=DAY, keys=[run.key])
    await commit
    assert [row.worker_key for row in (await store.load(ONE)).tasks] == [rows.worker_row.key]


async def test_T_RETENTION_no_transaction_moves_or_deletes_more_than_its_bound(
    daily: tuple[PostgresStore, Owner], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PRUNE_ROWS_MAX", 10)
    store, owner = daily
    run = rows.run(metadata=b'{"a":"b","c":"d"}', request_id="q")
    tasks = [rows.task(run, step=step) for step in range(12)]
    await owner.commit(Changes(runs_opened=[run], tasks_opened=tasks, events=[rows.event(task) for task in tasks]))
    await store.append_logs([rows.line(task) for task in tasks for _ in range(2)])
    await store.upkeep.index_metadata()
    touched: list[int] = []
    counted = store.retention._fenced

    async def fenced(name: str, **where: Any) -> int:
        touched.append(await counted(name, **where))
        return touched[-1]

    monkeypatch.setattr(store.retention, "_fenced", fenced)
    assert await end_day(store) == 0
    assert sum(touched) == 1 + 12 + 12 + 2 + 24
    assert max(touched) == 10
    rows.now = LATER
    ended = [rows.ended(task) for task in tasks]
    await owner.commit(Changes(runs_changed=[rows.ended_run(run)], tasks_changed=ended))
    batches: list[int] = []
    deleted = store.retention._delete

    async def delete(items: Any, before: int) -> None:
        batches.append(len(items))
        await deleted(items, before)

    monkeypatch.setattr(store.retention, "_delete", delete)
    assert await store.prune(rows.now + SECOND, LIMIT) == 1
    assert sum(batches) == 12 + 12 + 2 + 1 + 1
    assert max(batches) == 10
    assert await maintenance.check(store.at) == []


async def test_a_drop_that_was_interrupted_is_finished(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    await owner.end_run(rows, *await owner.open_run(rows))
    await store.prune(LATER, LIMIT)
    async with store._upkeep_lane.link() as link:  # as if the server had died in the middle
        await link.rows("forget_day", day=DAY)
        await link.connection.execute(f"ALTER TABLE limpet.events DETACH PARTITION limpet.events_d{DAY} CONCURRENTLY")
        await link.connection.execute(f"DROP TABLE limpet.run_metadata_d{DAY}")
    assert await store.prune(LATER, LIMIT) == 1
    for table in retention.PARTITIONED:
        assert DAY not in await days(store, table)


async def test_R19_a_kept_run_that_is_replayed_during_its_deletion_stays(daily: tuple[PostgresStore, Owner], rows: Rows) -> None:
    store, owner = daily
    run, task = await owner.open_run(rows)
    await end_day(store)
    rows.now = LATER
    await owner.end_run(rows, run, task)
    items = [retention.Item(run.key, "tasks", task.key), retention.Item(run.key, "runs", run.key)]
    await owner.commit(Changes(runs_changed=[run], tasks_changed=[task]))
    await store.retention._delete(items, rows.now + SECOND)
    assert [row.key for row in (await store.load(ONE)).tasks] == [task.key]


async def test_what_ends_is_no_open_run_and_what_is_replayed_is_one_again(
    postgres: PostgresStore, postgres_owner: Owner, rows: Rows
) -> None:
    run, task = await postgres_owner.open_run(rows)
    await postgres_owner.end_run(rows, run, task)
    assert await value(postgres, "SELECT count(*) FROM limpet.open_runs") == 0
    for _ in range(2):
        await postgres_owner.commit(Changes(runs_changed=[run], tasks_changed=[task]))
        assert await value(postgres, "SELECT count(*) FROM limpet.open_runs") == 1


async def test_the_check_finds_what_is_broken(postgres: PostgresStore, postgres_owner: Owner, rows: Rows) -> None:
    await postgres_owner.open_run(rows, request_id="q")
    assert await maintenance.check(postgres.at) == []
    await value(postgres, "DELETE FROM limpet.open_runs")
    await value(postgres, "DELETE FROM limpet.run_names")
    await value(postgres, "UPDATE limpet.tasks SET status = 5")
    problems = await maintenance.check(postgres.at)
    for word in ("list of open runs", "found by it", "must have ended at some time", "has a task that has not ended"):
        assert any(word in problem.replace("must have a task", "has a task") for problem in problems), problems
