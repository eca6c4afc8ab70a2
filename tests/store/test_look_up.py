"""Looking up what a step lacks: one batch, absent when unknown."""

from __future__ import annotations

from limpet.core.decision import Changes
from limpet.core.needs import Found, Needs
from limpet.core.rows import RunRow, TaskRow
from limpet.store.api import Store
from tests.store.builders import ONE, SECOND, TWO, Owner, Rows


def slim(run: RunRow, *tasks: TaskRow) -> tuple[RunRow, list[TaskRow]]:
    """A look-up brings neither inputs nor outputs."""
    return run._replace(input=None), [task._replace(output=None) for task in tasks]


async def test_unknown_names_are_absent(store: Store, owner: Owner) -> None:
    found = await store.look_up(ONE, Needs({"p k:1"}, {"q"}, {"x", "\ud800", "", "a\x00b"}))
    assert found == Found({}, {}, [], [])


async def test_I2_a_child_is_found_by_the_name_its_parent_gave(store: Store, owner: Owner, rows: Rows) -> None:
    first, _ = await owner.open_run(rows, child_ref="p k:1")
    await owner.open_run(rows, child_ref="p k:2")
    found = await store.look_up(ONE, Needs(child_refs={"p k:1", "p k:3"}))
    assert found.runs_by_ref == {"p k:1": first.id}


async def test_a_name_that_goes_on_behind_a_nul_is_another_name(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.open_run(rows, child_ref="p k:1")
    assert (await store.look_up(ONE, Needs(child_refs={"p k:1\x00more"}))).runs_by_ref == {}


async def test_I5_a_run_is_found_by_its_request(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows, request_id="q1")
    found = await store.look_up(ONE, Needs(request_ids={"q1", "q2"}))
    assert found.runs_by_request == {"q1": run.id}


async def test_R52_runs_come_whole_by_their_id_or_a_tasks(store: Store, owner: Owner, rows: Rows) -> None:
    one, two = rows.run(), rows.run(metadata=b'{"a":"b"}')
    tasks = [rows.ended(rows.task(one)), rows.task(two, step=0), rows.task(two, step=1)]
    await owner.commit(Changes(runs_opened=[one, two], tasks_opened=tasks))
    found = await store.look_up(ONE, Needs(run_or_task_ids={one.id, tasks[2].id, "unknown"}))
    assert found.runs == [slim(one, tasks[0]), slim(two, *tasks[1:])]
    assert found.versions == [rows.version_row]


async def test_a_run_named_in_several_ways_comes_once(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    found = await store.look_up(ONE, Needs(run_or_task_ids={run.id, task.id}))
    assert found.runs == [slim(run, task)]


async def test_finished_runs_are_found_with_the_versions_they_were_made_with(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.end_run(rows, *await owner.open_run(rows))
    await owner.commit(Changes(versions=[rows.version(rows.workflow_row, number=2)]))
    found = await store.look_up(ONE, Needs(run_or_task_ids={run.id}))
    assert found.runs == [slim(run, task)]
    assert found.versions == [rows.version_row]


async def test_S1_names_of_other_tenants_are_unknown(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows, child_ref="ref", request_id="q")
    found = await store.look_up(TWO, Needs({"ref"}, {"q"}, {run.id, task.id}))
    assert found == Found({}, {}, [], [])


async def test_R50_a_run_past_its_retention_is_unknown(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.end_run(rows, *await owner.open_run(rows, child_ref="ref", request_id="q"))
    await store.prune(rows.now + SECOND, 0)
    assert await store.look_up(ONE, Needs({"ref"}, {"q"}, {run.id, task.id})) == Found({}, {}, [], [])


async def test_what_was_committed_is_found_at_once(store: Store, owner: Owner, rows: Rows) -> None:
    for number in range(20):
        run, _ = await owner.open_run(rows, request_id=f"q{number}")
        assert (await store.look_up(ONE, Needs(request_ids={f"q{number}"}))).runs_by_request == {f"q{number}": run.id}
