"""Pushed events and filters in every store: written with their commit, loaded with a core, shown to people, and pruned."""

from __future__ import annotations

import pytest

from limpet.core.decision import Changes
from limpet.core.event_rows import FailureSource
from limpet.core.needs import Needs
from limpet.core.rows import RunStatus
from limpet.store.api import DataError, EventQuery, FilterQuery, RunQuery, StartedRun, Store
from tests.store.builders import NOW, ONE, SECOND, TWO, Owner, Rows
from tests.store.conftest import Reopen

LATER = NOW + 100 * SECOND
GONE = NOW + 3 * 86_400 * SECOND  # a day goes as a whole, in a database


async def names(store: Store, query: EventQuery) -> list[str]:
    return [record.event.name for record in (await store.reader.pushed_events(ONE, query))[0]]


async def test_an_event_comes_back_as_it_was_written_with_its_runs(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    other, task = await owner.open_run(rows)
    await owner.end_run(rows, other, task)
    event = rows.pushed_event(metadata=b'{"m":1}', priority=3, scope="s", webhook="w")
    started = [rows.event_run(event, run), rows.event_run(event, other, filter_id="f", filter_payload=b'{"x":1}')]
    await owner.commit(Changes(pushed_events=[event], event_runs=started))
    ((record,), total) = await store.reader.pushed_events(ONE, EventQuery())
    assert total == 1
    assert record.event == event._replace(payload=b"")
    assert record.payload == event.payload
    assert list(record.runs) == [StartedRun(run.id, None), StartedRun(other.id, "f")]
    assert record.statuses == {RunStatus.QUEUED: 1, RunStatus.COMPLETED: 1}


async def test_F5_23_events_are_found_by_everything_a_list_may_name(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    one = rows.pushed_event(name="a", scope="s", metadata=b'{"m":1,"n":"x"}', created_at=NOW + SECOND)
    two = rows.pushed_event(name="b", scope="t", metadata=b'{"m":1}', created_at=NOW + 2 * SECOND)
    three = rows.pushed_event(name="c", created_at=NOW + 3 * SECOND)
    await owner.commit(Changes(pushed_events=[one, two, three], event_runs=[rows.event_run(two, run)]))
    assert await names(store, EventQuery()) == ["c", "b", "a"]
    assert await names(store, EventQuery(limit=1, offset=1)) == ["b"]
    assert await names(store, EventQuery(names=["a", "c", "nul\0"])) == ["c", "a"]
    assert await names(store, EventQuery(scopes=["s", "t"])) == ["b", "a"]
    assert await names(store, EventQuery(ids=[one.id, three.id, "unknown"])) == ["c", "a"]
    assert await names(store, EventQuery(since=two.created_at, until=three.created_at)) == ["b"]
    assert await names(store, EventQuery(metadata=[("m", "1")])) == ["b", "a"]
    assert await names(store, EventQuery(metadata=[("m", "1"), ("n", "x")])) == ["a"]
    assert await names(store, EventQuery(workflow_ids=[rows.workflow_row.id])) == ["b"]
    assert await names(store, EventQuery(workflow_ids=["unknown"])) == []
    assert await names(store, EventQuery(run_statuses=[RunStatus.QUEUED])) == ["b"]
    assert await names(store, EventQuery(run_statuses=[RunStatus.FAILED])) == []
    assert await names(store, EventQuery(names=[])) == []
    assert (await store.reader.pushed_events(TWO, EventQuery())) == ([], 0)
    assert list(await store.reader.event_names(ONE)) == ["a", "b", "c"]
    assert list(await store.reader.event_names(TWO)) == []


async def test_F5_13_runs_and_tasks_are_found_by_the_event_that_started_them(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows, metadata=b'{"m":1}')
    await owner.open_run(rows, metadata=b'{"m":1}')
    event = rows.pushed_event()
    await owner.commit(Changes(pushed_events=[event], event_runs=[rows.event_run(event, run)]))
    for query in (RunQuery(event_id=event.id), RunQuery(event_id=event.id, metadata=[("m", "1")])):
        records, total = await store.reader.runs(ONE, query)
        assert ([one.run.id for one in records], total) == ([run.id], 1)
        found, _ = await store.reader.tasks(ONE, query)
        assert [one.task.id for one in found] == [task.id]
        assert await store.reader.status_counts(ONE, query) == {task.status: 1}
    assert (await store.reader.runs(ONE, RunQuery(event_id="unknown"))) == ([], 0)
    assert (await store.reader.runs(TWO, RunQuery(event_id=event.id))) == ([], 0)


async def test_a_core_is_rebuilt_with_its_filters_and_what_started_its_runs(
    store: Store, owner: Owner, rows: Rows, reopen: Reopen
) -> None:
    run, _ = await owner.open_run(rows)
    ended, task = await owner.open_run(rows)
    await owner.end_run(rows, ended, task)
    event, kept = rows.pushed_event(), rows.filter(payload=b'{"x":1}')
    started = [rows.event_run(event, one, filter_id=kept.id, filter_payload=kept.payload) for one in (run, ended)]
    await owner.commit(Changes(pushed_events=[event], event_runs=started, filters=[kept]))
    store = await reopen(store)
    snapshot = await store.load(ONE)
    assert list(snapshot.filters) == [kept]
    assert list(snapshot.event_runs) == started[:1]
    assert snapshot.next_key > max(event.key, kept.key)
    found = await store.look_up(ONE, Needs(run_or_task_ids={ended.id}, event_ids={event.id, "unknown", "nul\0"}))
    assert found.event_runs == started[1:]
    assert found.events == {event.id: event._replace(payload=b"")}


async def test_filters_change_and_go(store: Store, owner: Owner, rows: Rows) -> None:
    one, two = rows.filter(), rows.filter(scope="t", declared=1)
    await owner.commit(Changes(filters=[one, two]))
    changed = one._replace(scope="u", expression="false", payload=b'{"a":1}', revision=99, updated_at=NOW + SECOND)
    await owner.commit(Changes(filters=[changed]))
    found = await store.reader.filters(ONE, FilterQuery())
    assert [(record.filter, record.workflow_id) for record in found] == [
        (two, rows.workflow_row.id), (changed, rows.workflow_row.id)
    ]  # fmt: skip
    await owner.commit(Changes(filters_dropped=[two.key]))
    assert [record.filter for record in await store.reader.filters(ONE, FilterQuery())] == [changed]
    assert (await store.load(ONE)).next_key > two.key


async def test_F5_21_filters_are_found_by_workflow_and_scope(store: Store, owner: Owner, rows: Rows) -> None:
    one, two = rows.filter(), rows.filter(scope="t")
    await owner.commit(Changes(filters=[one, two]))

    async def found(query: FilterQuery) -> list[str]:
        return [record.filter.id for record in await store.reader.filters(ONE, query)]

    assert await found(FilterQuery(scopes=["t"])) == [two.id]
    assert await found(FilterQuery(ids=[one.id])) == [one.id]
    assert await found(FilterQuery(workflow_ids=[rows.workflow_row.id], limit=1)) == [two.id]
    assert await found(FilterQuery(offset=1)) == [one.id]
    assert await found(FilterQuery(workflow_ids=["unknown"])) == []
    assert list(await store.reader.filters(TWO, FilterQuery())) == []
    await owner.commit(Changes(workflows=[rows.workflow_row._replace(deleted_at=NOW)]))
    assert await found(FilterQuery()) == []


async def test_F5_20_failures_are_kept_for_people(store: Store, owner: Owner, rows: Rows) -> None:
    one, two = rows.failure(), rows.failure(source=FailureSource.WEBHOOK, event_id=None, about="github")
    await owner.commit(Changes(expression_failures=[one, two]))
    assert list(await store.reader.expression_failures(ONE, 10)) == [two, one]
    assert list(await store.reader.expression_failures(ONE, 1)) == [two]
    assert list(await store.reader.expression_failures(TWO, 10)) == []


async def test_an_event_is_written_with_all_it_starts_or_not_at_all(store: Store, owner: Owner, rows: Rows) -> None:
    event = rows.pushed_event()
    await owner.commit(Changes(pushed_events=[event]))
    run = rows.run()
    again = rows.pushed_event(id=event.id)
    with pytest.raises(DataError):
        await owner.commit(Changes(runs_opened=[run], pushed_events=[again], event_runs=[rows.event_run(again, run)]))
    assert await store.reader.run(ONE, run.id) is None
    assert (await store.reader.pushed_events(ONE, EventQuery()))[1] == 1


async def test_F9_3_an_event_goes_after_its_retention_when_no_run_of_it_is_left(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    old, held, young = rows.pushed_event(), rows.pushed_event(), rows.pushed_event(created_at=LATER)
    failure = rows.failure()
    started = rows.event_run(held, run)
    await owner.commit(Changes(pushed_events=[old, held, young], event_runs=[started], expression_failures=[failure]))
    before = NOW + 50 * SECOND
    await store.prune(before, 100)
    assert await names(store, EventQuery()) == [young.name]  # hidden at once
    assert await store.prune_events(before, 100) == 2
    assert list((await store.load(ONE)).event_runs) == [started]
    assert list(await store.reader.expression_failures(ONE, 10)) == []
    await owner.end_run(rows, run, task)
    for _ in range(2):  # of a database a day goes one round after it was hidden
        await store.prune(GONE, 100)
    assert await store.prune_events(before, 1) == 1
    assert await store.prune_events(before, 100) == 1
    assert await store.prune_events(before, 100) == 0
    assert (await store.load(ONE)).next_key > young.key


async def test_webhooks_are_stored_changed_and_dropped(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    one, two = rows.webhook(), rows.webhook(scope_expression="'s'", static_payload=b'{"a":1}', returns_event=0)
    await owner.commit(Changes(webhooks=[one, two]))
    assert list(await store.reader.webhooks(ONE)) == [one, two]
    assert list(await store.reader.webhooks(TWO)) == []
    changed = one._replace(
        key_expression="'l'", scope_expression="'t'", static_payload=b'{"b":1}', returns_event=0, updated_at=NOW + SECOND
    )
    await owner.commit(Changes(webhooks=[changed], webhooks_dropped=[two.key]))
    store = await reopen(store)
    snapshot = await store.load(ONE)
    assert list(snapshot.webhooks) == [changed]
    assert snapshot.next_key > two.key


async def test_F8_1_a_name_of_a_webhook_is_taken_once_and_free_when_it_is_dropped(store: Store, owner: Owner, rows: Rows) -> None:
    one = rows.webhook()
    await owner.commit(Changes(webhooks=[one]))
    again = rows.webhook(name=one.name)
    with pytest.raises(DataError):
        await owner.commit(Changes(webhooks=[again]))
    await owner.commit(Changes(webhooks_dropped=[one.key], webhooks=[again]))
    assert list(await store.reader.webhooks(ONE)) == [again]
