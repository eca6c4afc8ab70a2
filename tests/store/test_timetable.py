"""Crons and scheduled runs in every store: written with their commit, found by what a step needs, shown to people."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.decision import Changes
from limpet.core.ids import Instant, external_id
from limpet.core.needs import Needs
from limpet.core.timetable_rows import DUE_BYTES_MAX, CronMethod, CronRow, ScheduleRow, TimetableFound, TimetableNeeds
from limpet.store.api import DataError, Store, TimetableQuery
from tests.store.builders import NOW, ONE, SECOND, TWO, Owner, Rows
from tests.store.conftest import Reopen


def cron(rows: Rows, **values: Any) -> CronRow:
    key = rows.key()
    row = CronRow(
        key, external_id(key, Instant(NOW), b"salt"), rows.tenant_no, rows.workflow_row.key, "nightly", "0 3 * * *", b'{"a":1}', 7,
        b"{}", None, 1, CronMethod.API, NOW + 10 * SECOND, rows.at(),
    )  # fmt: skip
    return row._replace(**values)


def schedule(rows: Rows, **values: Any) -> ScheduleRow:
    key = rows.key()
    row = ScheduleRow(
        key, external_id(key, Instant(NOW), b"salt"), rows.tenant_no, rows.workflow_row.key, NOW + 10 * SECOND, b'{"a":1}', 7,
        b"{}", None, None, None, rows.at(),
    )  # fmt: skip
    return row._replace(**values)


async def asked(store: Store, needs: TimetableNeeds) -> TimetableFound:
    return (await store.look_up(ONE, Needs(timetable=needs))).timetable


async def test_without_needs_nothing_is_found(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.commit(Changes(crons=[cron(rows)], schedules=[schedule(rows)]))
    assert await asked(store, TimetableNeeds()) == TimetableFound()


async def test_rows_come_back_by_their_ids_as_they_were_written(store: Store, owner: Owner, rows: Rows) -> None:
    one, two = cron(rows, priority=3, metadata=b'{"m":"n"}'), schedule(rows, parent_run_id="p", parent_task_id="t", priority=2)
    await owner.commit(Changes(crons=[one], schedules=[two]))
    needs = TimetableNeeds(cron_ids={one.id, "unknown"}, schedule_ids={two.id, "unknown"})
    assert await asked(store, needs) == TimetableFound({one.id: one}, {two.id: two})


async def test_crons_come_by_workflow_and_name_whatever_their_expressions(store: Store, owner: Owner, rows: Rows) -> None:
    same, other = [cron(rows), cron(rows, expression="@daily")], cron(rows, name="")
    await owner.commit(Changes(crons=[*same, other]))
    found = await asked(store, TimetableNeeds(cron_names={(rows.workflow_row.key, "nightly"), (0, ""), (1, "a\x00b")}))
    assert found.crons == {row.id: row for row in same}


async def test_R53_what_is_due_comes_earliest_first_and_no_more_than_asked(store: Store, owner: Owner, rows: Rows) -> None:
    crons = [cron(rows, name=f"c{n}", next_at=NOW + n * SECOND) for n in (3, 1, 2)] + [cron(rows, name="off", next_at=None)]
    schedules = [schedule(rows, at=NOW + n * SECOND) for n in (5, 1, 4)]
    await owner.commit(Changes(crons=crons, schedules=schedules))
    found = await asked(store, TimetableNeeds(due_until=NOW + 2 * SECOND, due_max=10))
    assert (set(found.crons), set(found.schedules)) == ({crons[1].id, crons[2].id}, {schedules[1].id})
    assert (found.read_until, found.next_at) == (NOW + 2 * SECOND, NOW + 3 * SECOND)
    few = await asked(store, TimetableNeeds(due_until=NOW + 9 * SECOND, due_max=1))
    assert (set(few.crons), set(few.schedules)) == ({crons[1].id}, {schedules[1].id})
    assert few.next_at == NOW + 2 * SECOND
    every = await asked(store, TimetableNeeds(due_until=NOW + 9 * SECOND, due_max=10))
    assert (len(every.crons), len(every.schedules), every.next_at) == (3, 3, None)


async def test_large_inputs_come_in_smaller_batches(store: Store, owner: Owner, rows: Rows) -> None:
    large = [schedule(rows, at=NOW + n, input_bytes=DUE_BYTES_MAX // 2 + 1) for n in range(3)]
    await owner.commit(Changes(schedules=large))
    found = await asked(store, TimetableNeeds(due_until=NOW + SECOND, due_max=10))
    assert (set(found.schedules), found.next_at) == ({large[0].id}, NOW + 1)


async def test_a_load_tells_when_the_first_is_due(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    assert (await store.load(ONE)).due_at is None
    late, soon = cron(rows, next_at=NOW + 7 * SECOND), schedule(rows, at=NOW + 5 * SECOND)
    await owner.commit(Changes(crons=[late], schedules=[soon]))
    assert (await store.load(ONE)).due_at == NOW + 5 * SECOND
    assert (await store.load(TWO)).due_at is None
    await owner.commit(Changes(schedules_dropped=[soon.key]))
    again = await reopen(store)
    assert (await again.load(ONE)).due_at == NOW + 7 * SECOND


async def test_rows_change_and_go_and_their_keys_never_return(store: Store, owner: Owner, rows: Rows) -> None:
    one, two = cron(rows), schedule(rows)
    await owner.commit(Changes(crons=[one], schedules=[two]))
    changed = one._replace(enabled=0, next_at=None, input=b"{}", input_bytes=2), two._replace(at=NOW)
    await owner.commit(Changes(crons=[changed[0]], schedules=[changed[1]]))
    found = await asked(store, TimetableNeeds(cron_ids={one.id}, schedule_ids={two.id}))
    assert (found.crons, found.schedules) == ({one.id: changed[0]}, {two.id: changed[1]})
    await owner.commit(Changes(crons_dropped=[one.key], schedules_dropped=[two.key]))
    assert await asked(store, TimetableNeeds(cron_ids={one.id}, schedule_ids={two.id})) == TimetableFound()
    assert (await store.load(ONE)).next_key > two.key


async def test_F6_11_name_and_expression_are_unique_and_free_again_in_the_commit_that_drops_them(
    store: Store, owner: Owner, rows: Rows
) -> None:
    one = cron(rows)
    await owner.commit(Changes(crons=[one]))
    with pytest.raises(DataError):
        await owner.commit(Changes(crons=[cron(rows)]))
    await owner.commit(Changes(crons_dropped=[one.key], crons=[cron(rows)]))


async def test_I3_a_run_and_the_advance_are_one_commit(store: Store, owner: Owner, rows: Rows) -> None:
    one = cron(rows)
    run, task = await owner.open_run(rows)
    await owner.commit(Changes(crons=[one]))
    with pytest.raises(DataError):  # the run is there already, so the cron does not move either
        await owner.commit(Changes(runs_opened=[run], tasks_opened=[task], crons=[one._replace(next_at=NOW)]))
    assert (await asked(store, TimetableNeeds(cron_ids={one.id}))).crons == {one.id: one}


async def test_pages_tell_crons_with_their_workflow_and_input(store: Store, owner: Owner, rows: Rows) -> None:
    row = cron(rows)
    await owner.commit(Changes(crons=[row]))
    (record,), total = await store.reader.crons(ONE, TimetableQuery())
    assert (record.cron, record.input, total) == (row._replace(input=b""), row.input, 1)
    assert (record.workflow, record.version_id) == (rows.workflow_row, rows.version_row.id)
    assert await store.reader.crons(TWO, TimetableQuery()) == ([], 0)


async def test_pages_tell_schedules_with_their_workflow_and_input(store: Store, owner: Owner, rows: Rows) -> None:
    row = schedule(rows)
    await owner.commit(Changes(schedules=[row]))
    (record,), total = await store.reader.schedules(ONE, TimetableQuery())
    assert (record.schedule, record.input, total) == (row._replace(input=b""), row.input, 1)
    assert (record.workflow, record.version_id) == (rows.workflow_row, rows.version_row.id)


async def test_F6_15_crons_are_filtered_and_ordered(store: Store, owner: Owner, rows: Rows) -> None:
    b, a, c = (
        cron(rows, name=name, metadata=data) for name, data in (("b", b'{"x":"1"}'), ("a", b'{"x":1,"y":2}'), ("c", b"{}"))
    )
    await owner.commit(Changes(crons=[b, a, c]))

    async def names(**wanted: Any) -> list[str]:
        return [record.cron.name for record in (await store.reader.crons(ONE, TimetableQuery(**wanted)))[0]]

    assert await names() == ["c", "a", "b"]
    assert await names(descending=False) == ["b", "a", "c"]
    assert await names(by_creation=False, descending=False) == ["a", "b", "c"]
    assert await names(limit=1, offset=1) == ["a"]
    assert await names(name="a") == ["a"]
    assert await names(id=b.id) == ["b"]
    assert await names(metadata=[("x", "1")]) == ["a", "b"]
    assert await names(metadata=[("x", "1"), ("y", "2")]) == ["a"]
    assert await names(workflow_id=rows.workflow_row.id, workflow_name="greet") == ["c", "a", "b"]
    assert await names(workflow_id="other") == await names(workflow_name="a\x00b") == await names(name="\ud800") == []


async def test_F7_11_schedules_are_filtered_and_ordered(store: Store, owner: Owner, rows: Rows) -> None:
    late, soon = (
        schedule(rows, at=NOW + 9, parent_run_id="p"),
        schedule(rows, at=NOW + 1, parent_task_id="t", metadata=b'{"x":"1"}'),
    )
    await owner.commit(Changes(schedules=[late, soon]))

    async def ids(**wanted: Any) -> list[str]:
        return [record.schedule.id for record in (await store.reader.schedules(ONE, TimetableQuery(**wanted)))[0]]

    assert await ids() == [soon.id, late.id]
    assert await ids(by_creation=False) == [late.id, soon.id]
    assert await ids(by_creation=False, descending=False) == [soon.id, late.id]
    assert await ids(parent_run_id="p") == [late.id]
    assert await ids(parent_task_id="t", metadata=[("x", "1")]) == [soon.id]
    assert await ids(workflow_id="other") == []


async def test_W3_8_what_belongs_to_a_deleted_workflow_is_shown_no_more(store: Store, owner: Owner, rows: Rows) -> None:
    await owner.commit(Changes(crons=[cron(rows)], schedules=[schedule(rows)]))
    await owner.commit(Changes(workflows=[rows.workflow_row._replace(deleted_at=NOW)]))
    assert await store.reader.crons(ONE, TimetableQuery()) == ([], 0)
    assert await store.reader.schedules(ONE, TimetableQuery()) == ([], 0)
