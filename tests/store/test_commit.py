"""Commits: all or nothing, and what each list of changes does."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from limpet.core.decision import Changes
from limpet.core.needs import Needs
from limpet.core.rows import PinState, RunRow, RunStatus, TaskRow, TaskStatus
from limpet.store.api import DataError, Store
from tests.store.builders import ONE, TWO, Owner, Rows, stored_fence
from tests.store.conftest import Reopen


async def whole(store: Store, run: RunRow, *tasks: TaskRow) -> tuple[RunRow, list[TaskRow]]:
    """The rows as they are stored."""
    found = (await store.look_up(ONE, Needs(run_or_task_ids={run.id}))).runs
    inputs, by_key = await store.reader.payloads([run], tasks)
    return found[0][0]._replace(input=inputs[run.key]), [by_key[task.key] for task in tasks]


async def test_a_run_and_its_tasks_are_kept_as_they_were_given(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    run = rows.run(metadata=b'{"env":"prod"}')
    tasks = [rows.task(run, step=0), rows.task(run, step=1, not_before=5)]
    await owner.commit(Changes(runs_opened=[run], tasks_opened=tasks))
    assert await whole(await reopen(store), run, *tasks) == (run, tasks)


async def test_a_run_with_every_rare_column_is_kept(store: Store, owner: Owner, rows: Rows) -> None:
    run = rows.run(
        sticky=1, desired_worker_id="w-1", desired_labels=b"[]", pin_state=PinState.BOUND, pin_worker_id="w-1", pin_task_key=9,
        parent_run_id="r-0", parent_task_id="t-0", child_index=3, child_key="k", child_ref="t-0 k:k", request_id="q",
        status=RunStatus.RUNNING, started_at=4, finished_at=5, limit_keys=b'["a",{"error":"x"}]', stage=1,
    )  # fmt: skip
    assert None not in run, "a column was forgotten"
    task = rows.ended(rows.task(run), error="boom", not_before=1, stage=2)
    assert None not in task
    plain = rows.run()
    await owner.commit(Changes(runs_opened=[plain, run], tasks_opened=[task, rows.task(plain)]))
    assert await whole(store, run, task) == (run, [task])


async def test_a_changed_run_keeps_what_it_was_born_with(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows, metadata=b'{"a":"b"}', priority=3)
    changed = run._replace(
        status=RunStatus.RUNNING, pin_state=PinState.BOUND, pin_worker_id="w", pin_task_key=8, started_at=1, finished_at=2,
        stage=3,
    )  # fmt: skip
    other = changed._replace(input=None, metadata=None, priority=1, workflow_key=0, request_id="late", limit_keys=b"[]")
    await owner.commit(Changes(runs_changed=[other]))
    assert (await whole(store, run))[0] == changed


async def test_a_changed_task_takes_everything_behind_created_at(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    changed = TaskRow(
        task.key, task.id, ONE, run.key, task.step, task.created_at,
        TaskStatus.FAILED, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 1, 14, 15, b'"x"', 3, "boom", 16,
    )  # fmt: skip
    await owner.commit(Changes(tasks_changed=[changed._replace(step=9, run_key=0)]))
    assert (await whole(store, run, task))[1] == [changed]


async def test_a_task_that_runs_again_loses_its_output(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    await owner.end_run(rows, run, task)
    again = rows.assigned(task, retry_count=1)
    await owner.commit(Changes(tasks_changed=[again]))
    assert (await whole(store, run, task))[1] == [again]


async def test_an_ended_task_that_comes_without_its_output_keeps_it(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    _, ended = await owner.end_run(rows, run, task)
    await owner.commit(Changes(tasks_changed=[ended._replace(output=None, error="late")]))
    assert (await whole(store, run, task))[1] == [ended._replace(error="late")]


async def test_workflows_and_workers_are_replaced_by_key(store: Store, owner: Owner, rows: Rows) -> None:
    worker = rows.worker_row._replace(name="renamed", paused=1, lost_at=5, seen_at=4, labels=b'[["a",1]]')
    workflow = rows.workflow_row._replace(name="hail")
    await owner.commit(Changes(workers=[worker], workflows=[workflow]))
    snapshot = await store.load(ONE)
    assert snapshot.workers == [worker]
    assert snapshot.workflows == [workflow]


async def test_R29_forgotten_workers_are_gone(store: Store, owner: Owner, rows: Rows) -> None:
    other = rows.worker()
    await owner.commit(Changes(workers=[other]))
    await owner.commit(Changes(workers_forgotten=[rows.worker_row.key]))
    assert (await store.load(ONE)).workers == [other]


async def test_R26_receipts_stay_until_they_are_folded(store: Store, owner: Owner, rows: Rows) -> None:
    first, second = rows.receipt(), rows.receipt(items=b"")
    await owner.commit(Changes(receipts=[first, second]))
    await owner.commit(Changes(receipts_folded=[first.key]))
    assert (await store.load(ONE)).receipts == [second]


async def test_one_commit_carries_all_tenants(store: Store, owner: Owner, rows: Rows) -> None:
    ours, theirs = rows.run(), Rows(TWO)
    their_run = theirs.run()
    batch = owner.next_batch(Changes(runs_opened=[ours]))
    batch.changes = [*batch.changes, (TWO, theirs.definitions()), (TWO, Changes(runs_opened=[their_run]))]
    await store.commit(batch)
    assert await store.reader.run(ONE, ours.id) is not None
    assert await store.reader.run(TWO, their_run.id) is not None
    assert await store.reader.run(ONE, their_run.id) is None


def unfit_batches() -> dict[str, Any]:
    """Changes that no store can keep, each by a function of valid rows: a stored run and its task."""
    return {
        "run key": lambda rows, run, task: Changes(runs_opened=[rows.run(key=run.key)]),
        "run id": lambda rows, run, task: Changes(runs_opened=[rows.run(id=run.id)]),
        "task key": lambda rows, run, task: Changes(tasks_opened=[rows.task(run, key=task.key)]),
        "task id": lambda rows, run, task: Changes(tasks_opened=[rows.task(run, id=task.id)]),
        "child ref": lambda rows, run, task: Changes(runs_opened=[rows.run(child_ref=run.child_ref)]),
        "request id": lambda rows, run, task: Changes(runs_opened=[rows.run(request_id=run.request_id)]),
        "worker id": lambda rows, run, task: Changes(workers=[rows.worker(id=rows.worker_row.id)]),
        "workflow id": lambda rows, run, task: Changes(workflows=[rows.workflow(id=rows.workflow_row.id)]),
        "version number": lambda rows, run, task: Changes(versions=[rows.version(rows.workflow_row)]),
        "twice in one batch": lambda rows, run, task: Changes(runs_opened=[rows.run(request_id="x"), rows.run(request_id="x")]),
        "a list for a number": lambda rows, run, task: Changes(runs_opened=[rows.run(priority=[1])]),
        "a text for a number": lambda rows, run, task: Changes(runs_opened=[rows.run(priority="high")]),
        "a text for bytes": lambda rows, run, task: Changes(runs_opened=[rows.run(metadata="{}")]),
        "a number beyond 64 bits": lambda rows, run, task: Changes(runs_opened=[rows.run(child_index=2**63)]),
        "a lone surrogate": lambda rows, run, task: Changes(runs_opened=[rows.run(child_key="\ud800")]),
        "no input": lambda rows, run, task: Changes(runs_opened=[rows.run(input=None)]),
        "nothing for a text": lambda rows, run, task: Changes(events=[rows.event(task, message=None)]),
        "a change of an unknown run": lambda rows, run, task: Changes(runs_changed=[rows.run()]),
        "a change of an unknown task": lambda rows, run, task: Changes(tasks_changed=[rows.task(run)]),
    }


@pytest.mark.parametrize("fault", unfit_batches())
async def test_R8_an_unfit_batch_is_a_data_error_and_leaves_nothing_behind(
    store: Store, owner: Owner, rows: Rows, fault: str
) -> None:
    run, task = await owner.open_run(rows, child_ref="p k:1", request_id="q")
    fine, fence = rows.run(), await stored_fence(store)
    before = await store.load(ONE)
    fit = Changes(runs_opened=[fine], tasks_opened=[rows.task(fine)], receipts=[rows.receipt()], workers=[rows.worker()])
    batch = owner.next_batch(fit, unfit_batches()[fault](rows, run, task))
    with pytest.raises(DataError):
        await store.commit(batch)
    assert await stored_fence(store) == fence
    after = await store.load(ONE)
    assert [getattr(after, each.name) for each in fields(after)] == [getattr(before, each.name) for each in fields(before)]
    assert await store.reader.run(ONE, fine.id) is None


async def test_after_a_data_error_the_good_part_can_be_committed(store: Store, owner: Owner, rows: Rows) -> None:
    run = rows.run()
    with pytest.raises(DataError):
        await owner.commit(Changes(runs_opened=[run, run]))
    await owner.commit(Changes(runs_opened=[run]))
    assert await store.reader.run(ONE, run.id) is not None


@pytest.mark.parametrize("column", ["child_ref", "request_id", "id"])
async def test_names_are_unique_within_a_tenant_only(store: Store, owner: Owner, rows: Rows, column: str) -> None:
    theirs = Rows(TWO)
    await owner.commit(theirs.definitions(), tenant_no=TWO)
    await owner.open_run(rows, **{column: "same"})
    await owner.open_run(theirs, **{column: "same"})
    assert [len((await store.load(tenant_no)).runs) for tenant_no in (ONE, TWO)] == [1, 1]


async def test_the_statistics_count_commits_and_rows(store: Store, owner: Owner, rows: Rows) -> None:
    stats = store.stats  # type: ignore[attr-defined]
    commits, written = stats.commits, stats.rows_written
    await owner.open_run(rows)
    assert (stats.commits, stats.rows_written) == (commits + 1, written + 2)
