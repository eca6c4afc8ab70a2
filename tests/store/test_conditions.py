"""Conditions of tasks in every store: written with their commit, loaded with their runs, gone with them."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.condition_rows import Seen, WaitRow, decode_seen, encode_seen
from limpet.core.decision import Changes
from limpet.core.needs import Needs
from limpet.core.rows import RunRow
from limpet.store.api import Store
from tests.store.builders import NOW, ONE, SECOND, Owner, Rows
from tests.store.conftest import ROW_BY_ROW, Reopen

GONE = NOW + 3 * 86_400 * SECOND


def wait(run: RunRow, **values: Any) -> WaitRow:
    seen = encode_seen({3: Seen(True), 1: Seen(False, "no such key")})
    return WaitRow(run.key, 0, run.tenant_no, run.created_at, NOW, None, seen)._replace(**values)


async def waits_of(store: Store, run: RunRow) -> list[WaitRow]:
    """As a step finds them that asks for the run."""
    return list((await store.look_up(ONE, Needs(run_or_task_ids={run.id}))).waits)


def test_what_was_seen_comes_back_by_place() -> None:
    seen = {2: Seen(True, event_key=7, payload_bytes=2), 0: Seen(False, "why")}
    assert decode_seen(encode_seen(seen)) == seen


async def test_R46_the_conditions_of_unfinished_runs_are_loaded_as_they_were_written(
    store: Store, owner: Owner, rows: Rows, reopen: Reopen
) -> None:
    open_run, _ = await owner.open_run(rows)
    ended, task = await owner.open_run(rows)
    await owner.commit(Changes(waits=[wait(open_run), wait(open_run, step=2, armed_at=None), wait(ended)]))
    await owner.end_run(rows, ended, task)
    expected = [wait(open_run), wait(open_run, step=2, armed_at=None)]
    assert list((await store.load(ONE)).waits) == expected
    assert list((await (await reopen(store)).load(ONE)).waits) == expected


async def test_a_later_row_replaces_what_changes(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    later = wait(run, armed_at=NOW + 1, decided_at=NOW + SECOND, seen=b"{}")
    await owner.commit(Changes(waits=[wait(run), wait(run, step=1)]))
    await owner.commit(Changes(waits=[later]))
    assert await waits_of(store, run) == [later, wait(run, step=1)]


async def test_W12_5_a_step_that_asks_for_an_ended_run_gets_its_conditions(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    other, _ = await owner.open_run(rows)
    await owner.commit(Changes(waits=[wait(run), wait(other)]))
    await owner.end_run(rows, run, task)
    assert await waits_of(store, run) == [wait(run)]


@ROW_BY_ROW
async def test_R50_conditions_go_with_their_run(store: Store, owner: Owner, rows: Rows) -> None:
    run, task = await owner.open_run(rows)
    kept, _ = await owner.open_run(rows)
    await owner.commit(Changes(waits=[wait(run), wait(run, step=1), wait(kept)]))
    ended, _ = await owner.end_run(rows, run, task)
    assert ended.finished_at is not None
    assert await store.prune(ended.finished_at + 1, 10) == 1
    assert await waits_of(store, run) == []
    assert await waits_of(store, kept) == [wait(kept)]


async def test_W5_16_payloads_of_events_are_read_by_key_and_those_that_are_gone_are_absent(
    store: Store, owner: Owner, rows: Rows
) -> None:
    one, two = rows.pushed_event(payload=b'{"n":1}'), rows.pushed_event(payload=b"{}")
    await owner.commit(Changes(pushed_events=[one, two]))
    assert await store.reader.event_payloads([two.key, one.key, 7]) == {one.key: b'{"n":1}', two.key: b"{}"}
    assert await store.reader.event_payloads([]) == {}


@pytest.mark.parametrize("why", ["", 'of "event_key":1 and \0'])
async def test_W5_16_an_event_that_a_condition_has_seen_is_kept_until_the_run_ends(
    store: Store, owner: Owner, rows: Rows, why: str
) -> None:
    """Its task may be started, or tried again, long after the retention of events."""
    waiting, _ = await owner.open_run(rows)
    ended, task = await owner.open_run(rows)
    seen, other, unseen = rows.pushed_event(), rows.pushed_event(), rows.pushed_event()
    places = {0: Seen(False, why), 2: Seen(True, event_key=seen.key), 3: Seen(True, event_key=seen.key)}
    await owner.commit(Changes(pushed_events=[seen, other, unseen], waits=[
        wait(waiting, seen=encode_seen(places)), wait(ended, seen=encode_seen({0: Seen(True, event_key=other.key)})),
    ]))  # fmt: skip
    await owner.end_run(rows, ended, task)
    assert await store.prune_events(GONE, 100) == 2
    keys = [one.key for one in (seen, other, unseen)]
    assert set(await store.reader.event_payloads(keys)) == {seen.key}
    assert await store.prune_events(GONE, 100) == 0
    await owner.commit(Changes(waits=[wait(waiting, seen=b"{}")]))  # as a replay leaves it
    assert await store.prune_events(GONE, 100) == 1


async def test_W5_16_held_events_do_not_stand_in_the_way_of_those_behind_them(store: Store, owner: Owner, rows: Rows) -> None:
    run, _ = await owner.open_run(rows)
    events = [rows.pushed_event() for _ in range(6)]
    held = encode_seen({place: Seen(True, event_key=event.key) for place, event in enumerate(events[:4])})
    await owner.commit(Changes(pushed_events=events, waits=[wait(run, seen=held)]))
    assert [await store.prune_events(GONE, 1) for _ in range(3)] == [1, 1, 0]
    assert set(await store.reader.event_payloads([one.key for one in events])) == {one.key for one in events[:4]}
