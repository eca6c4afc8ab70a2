"""Retention: what ended long ago is gone at once for readers, and deleted in small steps."""

from __future__ import annotations

from limpet.core.decision import Changes
from limpet.store.api import LogQuery, RunQuery, Store
from tests.store.builders import ONE, SECOND, Owner, Rows, stored_fence
from tests.store.conftest import ROW_BY_ROW, Reopen


@ROW_BY_ROW
async def test_a_finished_run_goes_with_everything(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows, metadata=b'{"a":"b"}', request_id="q", child_ref="c")
    await owner.commit(Changes(events=[rows.event(task)]))
    await store.append_logs([rows.line(task)])
    await owner.end_run(rows, run, task)
    assert await store.prune(rows.now + 1, 10) == 1
    assert await store.reader.payloads([run], [task]) == ({}, {})
    assert await store.reader.events(ONE, [task]) == []
    assert list(await store.reader.log_lines(ONE, LogQuery(task.id))) == []
    assert await store.reader.runs(ONE, RunQuery(metadata=[("a", "b")])) == ([], 0)


@ROW_BY_ROW
async def test_names_of_a_pruned_run_are_free_again(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.end_run(rows, *await owner.open_run(rows, request_id="q", child_ref="c"))
    await store.prune(rows.now + 1, 10)
    run, _ = await owner.open_run(rows, request_id="q", child_ref="c")
    assert await store.reader.run(ONE, run.id) is not None


async def test_F9_5_an_old_run_that_has_not_ended_stays(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    assert await store.prune(rows.now + 1_000_000 * SECOND, 10) == 0
    assert await store.reader.run(ONE, run.id) is not None


@ROW_BY_ROW
async def test_the_instant_itself_is_not_before(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.end_run(rows, *await owner.open_run(rows))
    assert run.finished_at is not None
    assert await store.prune(run.finished_at, 10) == 0
    assert await store.reader.run(ONE, run.id) is not None
    assert await store.prune(run.finished_at + 1, 10) == 1


async def test_a_run_that_was_replayed_stays(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    await owner.end_run(rows, run, task)
    await owner.commit(Changes(runs_changed=[run], tasks_changed=[task]))
    assert await store.prune(rows.now + SECOND, 10) == 0
    assert await store.reader.task(ONE, task.id) is not None


@ROW_BY_ROW
async def test_the_oldest_go_first_up_to_the_limit(store: Store, owner: Owner, rows: Rows) -> None:
    runs = [(await owner.end_run(rows, *await owner.open_run(rows)))[0] for _ in range(5)]
    assert await store.prune(rows.now + SECOND, 3) == 3
    inputs, _ = await store.reader.payloads(runs, [])
    assert sorted(inputs) == [run.key for run in runs[3:]]
    assert await store.prune(rows.now + SECOND, 3) == 2
    assert await store.prune(rows.now + SECOND, 3) == 0


async def test_R50_what_waits_for_its_deletion_is_gone_already(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    run, task = await owner.end_run(rows, *await owner.open_run(rows))
    assert await store.prune(rows.now + SECOND, 0) == 0
    again = await reopen(store)
    assert await again.reader.run(ONE, run.id) is None
    assert await again.reader.task(ONE, task.id) is None
    assert (await again.reader.payloads([run], []))[0] != {}


async def test_a_retention_that_grows_brings_nothing_back(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.end_run(rows, *await owner.open_run(rows))
    await store.prune(rows.now + SECOND, 0)
    await store.prune(0, 0)
    assert await store.reader.run(ONE, run.id) is None


@ROW_BY_ROW
async def test_pruning_is_no_commit(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.end_run(rows, *await owner.open_run(rows))
    before = await stored_fence(store)
    assert await store.prune(rows.now + SECOND, 10) == 1
    assert await stored_fence(store) == before
    await owner.open_run(rows)
