"""Loading: everything a core is rebuilt from, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from limpet.core.decision import Changes
from limpet.core.ids import first_key
from limpet.core.rows import RunStatus
from limpet.store.api import Store
from tests.store.builders import NOW, ONE, SECOND, TWO, Owner, Rows
from tests.store.conftest import ROW_BY_ROW, Reopen


async def test_an_unknown_tenant_is_empty(store: Store) -> None:
    snapshot = await store.load(TWO)
    assert snapshot.next_key == first_key(TWO)
    lists = (snapshot.workflows, snapshot.versions, snapshot.workers, snapshot.runs, snapshot.tasks, snapshot.receipts)
    assert [len(rows) for rows in lists] == [0] * 6


async def test_D4_unfinished_runs_come_with_all_their_tasks(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    run = rows.run(status=RunStatus.RUNNING, metadata=b'{"a":"b"}')
    done, waiting = rows.ended(rows.task(run, step=0)), rows.task(run, step=1)
    await owner.commit(Changes(runs_opened=[run], tasks_opened=[done, waiting]))
    snapshot = await (await reopen(store)).load(ONE)
    assert snapshot.runs == [run._replace(input=None)]
    assert snapshot.tasks == [done._replace(output=None), waiting]


async def test_finished_runs_are_left_out_with_their_tasks(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.end_run(rows, *await owner.open_run(rows))
    snapshot = await store.load(ONE)
    assert (snapshot.runs, snapshot.tasks) == ([], [])


async def test_a_run_that_is_replayed_comes_back(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    await owner.end_run(rows, run, task)
    await owner.commit(Changes(runs_changed=[run], tasks_changed=[task]))
    snapshot = await store.load(ONE)
    assert [row.key for row in (*snapshot.runs, *snapshot.tasks)] == [run.key, task.key]


async def test_the_newest_version_and_those_of_unfinished_runs_are_loaded(store: Store, owner: Owner, rows: Rows) -> None:
    first = rows.version_row
    second, third = (rows.version(rows.workflow_row, number=number, checksum=bytes([number])) for number in (2, 3))
    await owner.commit(Changes(versions=[second, third]))
    run, task = await owner.open_run(rows)
    assert (await store.load(ONE)).versions == [first, third]
    await owner.end_run(rows, run, task)
    assert (await store.load(ONE)).versions == [third]


async def test_deleted_workflows_are_left_out_but_not_the_versions_of_their_runs(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.open_run(rows)
    await owner.commit(Changes(workflows=[rows.workflow_row._replace(deleted_at=NOW)]))
    snapshot = await store.load(ONE)
    assert (snapshot.workflows, snapshot.versions) == ([], [rows.version_row])


async def test_S1_other_tenants_rows_stay_out(store: Store, owner: Owner, rows: Rows) -> None:
    theirs = Rows(TWO)
    await owner.commit(theirs.definitions(), tenant_no=TWO)
    run, task = await owner.open_run(theirs)
    await owner.commit(Changes(receipts=[theirs.receipt()]), tenant_no=TWO)
    ours, their = await store.load(ONE), await store.load(TWO)
    assert (ours.runs, ours.tasks, ours.receipts, ours.workers) == ([], [], [], [rows.worker_row])
    assert (their.runs, their.tasks, their.workers) == ([run._replace(input=None)], [task], [theirs.worker_row])
    assert (ours.next_key, their.next_key) == (rows.last_key + 1, theirs.last_key + 1)


@pytest.mark.parametrize("table", ["workflows", "versions", "workers", "runs", "tasks", "receipts", "events"])
async def test_the_next_key_is_above_every_table(store: Store, owner: Owner, rows: Rows, table: str) -> None:
    run, task = await owner.open_run(rows)
    makers: dict[str, Callable[[], Changes]] = {
        "workflows": lambda: Changes(workflows=[rows.workflow()]),
        "versions": lambda: Changes(versions=[rows.version(rows.workflow_row, number=2)]),
        "workers": lambda: Changes(workers=[rows.worker()]),
        "runs": lambda: Changes(runs_opened=[rows.run()]),
        "tasks": lambda: Changes(tasks_opened=[rows.task(run)]),
        "receipts": lambda: Changes(receipts=[rows.receipt()]),
        "events": lambda: Changes(events=[rows.event(task)]),
    }
    await owner.commit(makers[table]())
    assert (await store.load(ONE)).next_key == rows.last_key + 1


@ROW_BY_ROW
async def test_R29_keys_of_deleted_rows_are_never_given_again(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    run, task = await owner.open_run(rows)
    await owner.end_run(rows, run, task)
    worker, receipt = rows.worker(), rows.receipt()
    await owner.commit(Changes(workers=[worker], receipts=[receipt]))
    await owner.commit(Changes(receipts_folded=[receipt.key]))
    assert (await store.load(ONE)).next_key == receipt.key + 1
    await owner.commit(Changes(workers_forgotten=[worker.key]))
    await store.prune(rows.now + SECOND, 10)
    assert (await (await reopen(store)).load(ONE)).next_key == receipt.key + 1


@ROW_BY_ROW
async def test_pruned_keys_are_never_given_again(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    await owner.commit(Changes(events=[rows.event(task)]))
    await owner.end_run(rows, run, task)
    assert await store.prune(rows.now + SECOND, 10) == 1
    assert (await store.load(ONE)).next_key == rows.last_key + 1
