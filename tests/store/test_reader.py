"""What people read: single records, and everything that is not a list of runs or tasks."""

from __future__ import annotations

import pytest

from limpet.core.decision import Changes, PayloadRef
from limpet.core.rows import TaskStatus
from limpet.store import api
from limpet.store.api import RunQuery, RunRecord, Store, TaskRecord
from tests.store.builders import NOW, ONE, TWO, Owner, Rows

NOBODY = "00000000-0000-7000-8000-000000000000"
UNKNOWN = PayloadRef(99, "unknown")


async def test_unknown_things_are_none_or_empty(store: Store, owner: Owner) -> None:
    reader = store.reader
    assert await reader.run(ONE, NOBODY) is None
    assert await reader.task(ONE, NOBODY) is None
    assert await reader.run(ONE, "\ud800") is None
    assert await reader.runs(ONE, RunQuery()) == ([], 0)
    assert await reader.tasks(ONE, RunQuery()) == ([], 0)
    assert await reader.status_counts(ONE, RunQuery()) == {}
    assert await reader.events(ONE, [UNKNOWN]) == []
    assert await reader.events(ONE, []) == []
    assert await reader.versions(ONE, NOBODY) == []
    assert await reader.workers_by_key(ONE, [1]) == {}
    assert await reader.payloads([UNKNOWN], [UNKNOWN]) == ({}, {})
    assert await reader.payloads([], []) == ({}, {})


async def test_a_run_comes_with_its_tasks_in_order_of_steps(store: Store, owner: Owner, rows: Rows) -> None:
    run = rows.run()
    tasks = [rows.task(run, step=2), rows.ended(rows.task(run, step=0))]
    await owner.commit(Changes(runs_opened=[run], tasks_opened=tasks))
    record = await store.reader.run(ONE, run.id)
    assert record == RunRecord(run, rows.workflow_row, rows.version_row, tasks[::-1])


async def test_a_task_comes_with_its_run(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.end_run(rows, *await owner.open_run(rows))
    assert await store.reader.task(ONE, task.id) == TaskRecord(task, run, rows.workflow_row, rows.version_row)


async def test_a_run_of_a_deleted_workflow_still_shows_it(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    deleted = rows.workflow_row._replace(deleted_at=NOW)
    await owner.commit(Changes(workflows=[deleted]))
    record = await store.reader.run(ONE, run.id)
    assert record is not None
    assert record.workflow == deleted


async def test_X11_other_tenants_things_look_unknown(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    await owner.commit(Changes(events=[rows.event(task)]))
    reader = store.reader
    assert await reader.run(TWO, run.id) is None
    assert await reader.task(TWO, task.id) is None
    assert await reader.events(TWO, [task]) == []
    assert await reader.workflows(TWO) == []
    assert await reader.versions(TWO, rows.workflow_row.id) == []
    assert await reader.workers_by_key(TWO, [rows.worker_row.key]) == {}
    assert await reader.runs(TWO, RunQuery(workflow_ids=[rows.workflow_row.id])) == ([], 0)
    assert await reader.status_counts(TWO, RunQuery()) == {}


async def test_events_come_oldest_first(store: Store, owner: Owner, rows: Rows) -> None:
    _, task = await owner.open_run(rows)
    _, other = await owner.open_run(rows)
    late, early, same = rows.event(task, at=NOW + 9), rows.event(task, at=NOW + 1), rows.event(task, at=NOW + 1, worker_key=3)
    await owner.commit(Changes(events=[late, early, same, rows.event(other)]))
    assert await store.reader.events(ONE, [task]) == [early, same, late]
    assert len(await store.reader.events(ONE, [task, other])) == 4


async def test_workflows_are_those_not_deleted_by_name(store: Store, owner: Owner, rows: Rows) -> None:
    first, gone = rows.workflow(name="alpha"), rows.workflow(name="beta", deleted_at=NOW)
    await owner.commit(Changes(workflows=[first, gone]))
    assert await store.reader.workflows(ONE) == [first, rows.workflow_row]


async def test_versions_come_newest_first(store: Store, owner: Owner, rows: Rows) -> None:
    second = rows.version(rows.workflow_row, number=2)
    await owner.commit(Changes(versions=[second]))
    assert await store.reader.versions(ONE, rows.workflow_row.id) == [second, rows.version_row]


async def test_workers_are_found_by_key(store: Store, owner: Owner, rows: Rows) -> None:
    assert await store.reader.workers_by_key(ONE, [rows.worker_row.key, 99]) == {rows.worker_row.key: rows.worker_row}


async def test_payloads_are_inputs_and_whole_tasks(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows, input=b"x" * 100_000)
    _, ended = await owner.end_run(rows, run, task)
    _, waiting = await owner.open_run(rows)
    inputs, tasks = await store.reader.payloads([run, UNKNOWN], [task, waiting, UNKNOWN])
    assert inputs == {run.key: run.input}
    assert tasks == {task.key: ended, waiting.key: waiting}


async def test_an_empty_output_is_not_a_missing_one(store: Store, owner: Owner, rows: Rows) -> None:
    _, task = await owner.open_run(rows)
    ended = rows.ended(task, output=b"", output_bytes=0)
    await owner.commit(Changes(tasks_changed=[ended]))
    record = await store.reader.task(ONE, task.id)
    assert record is not None
    assert record.task.output == b""


async def test_payloads_beyond_a_pages_budget_are_left_out_and_still_readable(
    store: Store, owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = 1_000
    for module in ("limpet.store.memory.reader", "limpet.store.sqlite.reader", "limpet.store.postgres.reader"):
        monkeypatch.setattr(f"{module}.PAGE_PAYLOAD_BYTES_MAX", budget)
    run = rows.run(input=b"i" * 400)
    outputs = [b"a" * 300, b"b" * 400, b"c" * 300]
    tasks = [
        rows.ended(rows.task(run, step=step), output=output, output_bytes=len(output)) for step, output in enumerate(outputs)
    ]
    await owner.commit(Changes(runs_opened=[run], tasks_opened=tasks))
    record = await store.reader.run(ONE, run.id)
    assert record is not None
    assert record.run.input == run.input
    assert [task.output for task in record.tasks] == [outputs[0], None, outputs[2]]
    assert [task.output_bytes for task in record.tasks] == [300, 400, 300]
    assert (await store.reader.payloads([], [tasks[1]]))[1] == {tasks[1].key: tasks[1]}


def test_the_budget_of_a_page_holds_several_of_the_largest_payloads() -> None:
    assert api.PAGE_PAYLOAD_BYTES_MAX >= 5 * 3 * 1024 * 1024


async def test_status_counts_are_of_tasks(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.end_run(rows, *await owner.open_run(rows))
    await owner.open_run(rows)
    await owner.open_run(rows)
    counts = await store.reader.status_counts(ONE, RunQuery())
    assert counts == {TaskStatus.QUEUED: 2, TaskStatus.COMPLETED: 1}
    assert await store.reader.status_counts(ONE, RunQuery(statuses=[TaskStatus.COMPLETED])) == {TaskStatus.COMPLETED: 1}
