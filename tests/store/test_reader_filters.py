"""Lists of runs and tasks: order, pages, filters. What holds for runs holds for their tasks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from limpet.core.decision import Changes
from limpet.core.rows import RunRow, RunStatus, TaskStatus
from limpet.store.api import RunQuery, Store
from tests.store.builders import NOW, ONE, SECOND, Owner, Rows


async def keys(store: Store, query: RunQuery) -> list[int]:
    """Keys of the matching runs; their tasks must match too, when the query isn't about statuses."""
    records, count = await store.reader.runs(ONE, query)
    found = [record.run.key for record in records]
    if query.statuses is None:
        tasks, task_count = await store.reader.tasks(ONE, query)
        assert [task.run.key for task in tasks] == found
        assert task_count == count
        assert sum((await store.reader.status_counts(ONE, query)).values()) == count
    assert len(found) == min(max(0, count - query.offset), query.limit)
    return found


async def open_runs(owner: Owner, rows: Rows, *metadata: bytes) -> list[RunRow]:
    return [(await owner.open_run(rows, metadata=each))[0] for each in metadata]


async def test_newest_come_first_and_pages_do_not_overlap(store: Store, owner: Owner, rows: Rows) -> None:
    runs = await open_runs(owner, rows, *[b"{}"] * 5)
    newest = [run.key for run in runs[::-1]]
    assert await keys(store, RunQuery()) == newest
    assert await keys(store, RunQuery(limit=2)) == newest[:2]
    assert await keys(store, RunQuery(limit=2, offset=2)) == newest[2:4]
    assert await keys(store, RunQuery(limit=2, offset=4)) == newest[4:]
    assert await keys(store, RunQuery(limit=0)) == []


async def test_runs_of_one_instant_come_in_reverse_order_of_keys(store: Store, owner: Owner, rows: Rows) -> None:
    runs = [(await owner.open_run(rows, created_at=NOW))[0] for _ in range(3)]
    assert await keys(store, RunQuery()) == [run.key for run in runs[::-1]]


async def test_a_limit_below_zero_is_none_at_all(store: Store, owner: Owner, rows: Rows) -> None:
    await open_runs(owner, rows, b"{}")
    assert await store.reader.runs(ONE, RunQuery(limit=-1)) == ([], 1)
    assert len((await store.reader.runs(ONE, RunQuery(offset=-3)))[0]) == 1


async def test_since_is_inclusive_and_until_exclusive(store: Store, owner: Owner, rows: Rows) -> None:
    first, second, third = await open_runs(owner, rows, b"{}", b"{}", b"{}")
    query = RunQuery(since=first.created_at, until=third.created_at)
    assert await keys(store, query) == [second.key, first.key]
    assert await keys(store, RunQuery(since=first.created_at + 1, until=second.created_at)) == []


async def test_a_clock_that_went_back_does_not_hide_runs(store: Store, owner: Owner, rows: Rows) -> None:
    now, _ = await owner.open_run(rows)
    rows.now -= 86_400 * SECOND
    yesterday, _ = await owner.open_run(rows)
    assert await keys(store, RunQuery(until=now.created_at)) == [yesterday.key]
    assert await keys(store, RunQuery()) == [now.key, yesterday.key]


async def test_statuses_are_of_runs_for_runs_and_of_tasks_for_tasks(store: Store, owner: Owner, rows: Rows) -> None:
    ended, _ = await owner.end_run(rows, *await owner.open_run(rows))
    waiting, _ = await owner.open_run(rows)
    assert await keys(store, RunQuery(statuses=[RunStatus.COMPLETED])) == [ended.key]
    assert await keys(store, RunQuery(statuses=[RunStatus.QUEUED, RunStatus.COMPLETED])) == [waiting.key, ended.key]
    assert await keys(store, RunQuery(statuses=[])) == []
    tasks, count = await store.reader.tasks(ONE, RunQuery(statuses=[TaskStatus.COMPLETED]))
    assert ([task.run.key for task in tasks], count) == ([ended.key], 1)


async def test_workflow_ids_name_one_of_several(store: Store, owner: Owner, rows: Rows) -> None:
    greet, _ = await owner.open_run(rows)
    other = Rows(last_key=rows.last_key, now=rows.now)
    await owner.commit(other.definitions())
    hail, _ = await owner.open_run(other)
    assert await keys(store, RunQuery(workflow_ids=[rows.workflow_row.id])) == [greet.key]
    assert await keys(store, RunQuery(workflow_ids=[rows.workflow_row.id, other.workflow_row.id])) == [hail.key, greet.key]
    assert await keys(store, RunQuery(workflow_ids=["nothing"])) == []


async def test_a_workflow_that_is_deleted_still_names_its_runs(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    await owner.commit(Changes(workflows=[rows.workflow_row._replace(deleted_at=NOW)]))
    assert await keys(store, RunQuery(workflow_ids=[rows.workflow_row.id])) == [run.key]


async def test_a_worker_names_the_runs_it_has_tasks_of(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    await owner.open_run(rows)
    await owner.commit(Changes(tasks_changed=[rows.assigned(task)]))
    assert await keys(store, RunQuery(worker_id=rows.worker_row.id)) == [run.key]
    assert await keys(store, RunQuery(worker_id="nobody")) == []


async def test_children_are_found_by_their_parent(store: Store, owner: Owner, rows: Rows) -> None:
    _, parent = await owner.open_run(rows)
    child, _ = await owner.open_run(rows, parent_task_id=parent.id, metadata=b'{"a":"b"}')
    other, _ = await owner.open_run(rows, parent_task_id=parent.id)
    assert await keys(store, RunQuery(parent_task_id=parent.id)) == [other.key, child.key]
    assert await keys(store, RunQuery(parent_task_id=parent.id, metadata=[("a", "b")])) == [child.key]
    assert await keys(store, RunQuery(parent_task_id="nobody")) == []


async def test_children_are_found_by_their_parents_run(store: Store, owner: Owner, rows: Rows) -> None:
    parent, task = await owner.open_run(rows)
    child, _ = await owner.open_run(rows, parent_run_id=parent.id, parent_task_id=task.id)
    await owner.open_run(rows, parent_run_id="another")
    assert await keys(store, RunQuery(parent_run_id=parent.id)) == [child.key]
    assert await keys(store, RunQuery(parent_run_id=parent.id, parent_task_id="nobody")) == []
    assert await keys(store, RunQuery(parent_run_id="nobody")) == []


async def test_runs_are_found_by_their_end_inclusive_and_exclusive(store: Store, owner: Owner, rows: Rows) -> None:
    first, _ = await owner.end_run(rows, *await owner.open_run(rows))
    second, _ = await owner.end_run(rows, *await owner.open_run(rows))
    await owner.open_run(rows)
    assert first.finished_at is not None
    assert second.finished_at is not None
    assert await keys(store, RunQuery(finished_since=first.finished_at)) == [second.key, first.key]
    assert await keys(store, RunQuery(finished_since=first.finished_at, finished_until=second.finished_at)) == [first.key]
    assert await keys(store, RunQuery(finished_until=first.finished_at)) == []


@pytest.fixture(params=[False, True], ids=["not yet indexed", "indexed"])
async def metadata_runs(
    store: Store, owner: Owner, rows: Rows, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Sequence[RunRow]:
    """Four runs whose metadata is in the index, or not yet; a store without an index takes both the same way."""
    upkeep = getattr(store, "upkeep", None)
    if upkeep is not None:
        await upkeep.stop()
    runs = await open_runs(owner, rows, b'{"env":"prod","zone":"a"}', b'{"env":"test","zone":"a"}', b'{"env":"prod"}', b"{}")
    if upkeep is not None and request.param:
        assert await upkeep.index_metadata() == 4
    return runs


async def test_W9_4_any_pair_is_enough_by_default(store: Store, metadata_runs: Sequence[RunRow]) -> None:
    one, two, three, _ = (run.key for run in metadata_runs)
    assert await keys(store, RunQuery(metadata=[("env", "prod")])) == [three, one]
    assert await keys(store, RunQuery(metadata=[("env", "prod"), ("zone", "a")])) == [three, two, one]
    assert await keys(store, RunQuery(metadata=[("env", "nowhere")])) == []
    assert await keys(store, RunQuery(metadata=[("env", "prod"), ("env", "prod")])) == [three, one]


async def test_W9_4_all_pairs_are_needed_on_demand(store: Store, metadata_runs: Sequence[RunRow]) -> None:
    one = metadata_runs[0].key
    assert await keys(store, RunQuery(metadata=[("env", "prod"), ("zone", "a")], metadata_all=True)) == [one]
    assert await keys(store, RunQuery(metadata=[("env", "prod"), ("env", "test")], metadata_all=True)) == []


async def test_metadata_joins_the_other_filters(store: Store, metadata_runs: Sequence[RunRow]) -> None:
    one, two, three, _ = metadata_runs
    query = RunQuery(metadata=[("zone", "a")], since=two.created_at, until=three.created_at)
    assert await keys(store, query) == [two.key]
    assert await keys(store, RunQuery(metadata=[("env", "prod")], limit=1, offset=1)) == [one.key]


@pytest.mark.parametrize(
    ("metadata", "pair", "matches"),
    [
        (b'{"n":5}', ("n", "5"), True),
        (b'{"n":5}', ("n", "5.0"), False),
        (b'{"n":true}', ("n", "true"), True),
        (b'{"n":null}', ("n", "null"), True),
        (b'{"n":{"a": [1, 2]}}', ("n", '{"a":[1,2]}'), True),
        (b'{"n":"5"}', ("n", "5"), True),
        (b'{"n":"Prod"}', ("n", "prod"), False),
        (b'{"n":"a:b"}', ("n", "a:b"), True),
        ('{"ключ":"да"}'.encode(), ("ключ", "да"), True),
        (b'{"n":"%"}', ("n", "x"), False),
        (b'{"n":"x\' OR 1=1 --"}', ("n", "x' OR 1=1 --"), True),
        (b'{"n":' + b"[" * 900 + b"]" * 900 + b',"m":"x"}', ("m", "x"), True),
        (b"[1]", ("0", "1"), False),
        (b"null", ("n", "null"), False),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
async def test_values_are_compared_as_text(
    store: Store, owner: Owner, rows: Rows, metadata: bytes, pair: tuple[str, str], matches: bool, indexed: bool
) -> None:
    run, _ = await owner.open_run(rows, metadata=metadata)
    if indexed and hasattr(store, "upkeep"):
        await store.upkeep.index_metadata()
    assert await keys(store, RunQuery(metadata=[pair])) == ([run.key] if matches else [])


async def test_values_that_differ_behind_the_indexed_length_are_told_apart(store: Store, owner: Owner, rows: Rows) -> None:
    long = "x" * 500
    one, _ = await open_runs(owner, rows, b'{"n":"%b1"}' % long.encode(), b'{"n":"%b2"}' % long.encode())
    if hasattr(store, "upkeep"):
        await store.upkeep.index_metadata()
    assert await keys(store, RunQuery(metadata=[("n", long + "1")])) == [one.key]
    assert await keys(store, RunQuery(metadata=[("n", long[:200])])) == []


async def test_X_SQLI_hostile_filters_find_nothing_and_break_nothing(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    for evil in ("' OR 1=1 --", '"; DROP TABLE runs; --', "%", "\x00", "{source}", ":tenant_no", "[]", "\\"):
        for query in (
            RunQuery(workflow_ids=[evil]), RunQuery(worker_id=evil), RunQuery(parent_task_id=evil), RunQuery(metadata=[(evil, evil)]),
            RunQuery(parent_run_id=evil),
        ):  # fmt: skip
            assert await keys(store, query) == []
    assert await keys(store, RunQuery()) == [run.key]


async def test_R50_B108_runs_past_their_retention_are_in_no_list(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.end_run(rows, *await owner.open_run(rows, metadata=b'{"a":"b"}', parent_task_id="p"))
    open_run, _ = await owner.open_run(rows)
    await store.prune(rows.now + SECOND, 0)
    assert await keys(store, RunQuery()) == [open_run.key]
    assert await keys(store, RunQuery(metadata=[("a", "b")])) == []
    assert await keys(store, RunQuery(parent_task_id="p")) == []
    assert await store.reader.run(ONE, run.id) is None
    assert await store.reader.task(ONE, task.id) is None


async def test_matches_are_counted_up_to_a_bound(store: Store, owner: Owner, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("limpet.store.memory.reader", "limpet.store.sqlite.reader", "limpet.store.postgres.reader"):
        monkeypatch.setattr(f"{module}.COUNT_MAX", 3)
        monkeypatch.setattr(f"{module}.LIST_ROWS_MAX", 4)
    await open_runs(owner, rows, *[b"{}"] * 5)
    records, count = await store.reader.runs(ONE, RunQuery(limit=10))
    assert (len(records), count) == (4, 3)
    tasks, count = await store.reader.tasks(ONE, RunQuery(limit=10))
    assert (len(tasks), count) == (4, 3)
