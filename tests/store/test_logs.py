"""Log lines of tasks."""

from __future__ import annotations

import pytest

from limpet.core.rows import TaskRow
from limpet.store.api import LogQuery, Store
from tests.store.builders import ONE, TWO, Owner, Rows, stored_fence
from tests.store.conftest import Reopen


@pytest.fixture
async def task(owner: Owner, rows: Rows) -> TaskRow:
    return (await owner.open_run(rows))[1]


async def messages(store: Store, query: LogQuery) -> list[str]:
    return [line.message for line in await store.reader.log_lines(ONE, query)]


async def test_lines_come_back_as_they_were_written(store: Store, rows: Rows, task: TaskRow, reopen: Reopen) -> None:
    lines = [rows.line(task, "one", metadata='{"a":1}'), rows.line(task, "zwei ü", level="ERROR", retry_count=2)]
    await store.append_logs(lines)
    assert list(await (await reopen(store)).reader.log_lines(ONE, LogQuery(task.id))) == lines


async def test_nothing_is_found_for_other_tasks_and_tenants(store: Store, rows: Rows, task: TaskRow) -> None:
    await store.append_logs([rows.line(task)])
    assert list(await store.reader.log_lines(ONE, LogQuery("other"))) == []
    assert list(await store.reader.log_lines(TWO, LogQuery(task.id))) == []


async def test_lines_of_one_instant_keep_their_order(store: Store, rows: Rows, task: TaskRow) -> None:
    await store.append_logs([rows.line(task, "b", at=5), rows.line(task, "c", at=5)])
    await store.append_logs([rows.line(task, "a", at=4), rows.line(task, "d", at=5)])
    assert await messages(store, LogQuery(task.id)) == ["a", "b", "c", "d"]
    assert await messages(store, LogQuery(task.id, newest_first=True)) == ["d", "c", "b", "a"]
    assert await messages(store, LogQuery(task.id, newest_first=True, limit=1)) == ["d"]


async def test_lines_are_filtered(store: Store, rows: Rows, task: TaskRow) -> None:
    await store.append_logs(
        [
            rows.line(task, "one", at=1, level="DEBUG"),
            rows.line(task, "TWO ÄPFEL", at=2, retry_count=1),
            rows.line(task, "three%", at=3, level="ERROR"),
        ]
    )
    assert await messages(store, LogQuery(task.id, since=2)) == ["TWO ÄPFEL", "three%"]
    assert await messages(store, LogQuery(task.id, until=2)) == ["one"]
    assert await messages(store, LogQuery(task.id, levels=["DEBUG", "ERROR"])) == ["one", "three%"]
    assert await messages(store, LogQuery(task.id, levels=[])) == []
    assert await messages(store, LogQuery(task.id, retry_count=1)) == ["TWO ÄPFEL"]
    assert await messages(store, LogQuery(task.id, retry_count=0, limit=1)) == ["one"]
    assert await messages(store, LogQuery(task.id, limit=-1)) == []


@pytest.mark.parametrize(("search", "found"), [("two äpfel", 1), ("Wo", 1), ("%", 1), ("_", 0), ("' OR 1=1", 0), ("e", 3)])
async def test_search_is_a_plain_substring_in_any_case(store: Store, rows: Rows, task: TaskRow, search: str, found: int) -> None:
    await store.append_logs([rows.line(task, text) for text in ("one", "TWO ÄPFEL", "three%")])
    assert len(await messages(store, LogQuery(task.id, search=search))) == found


async def test_answers_are_bounded(store: Store, rows: Rows, task: TaskRow, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("limpet.store.memory.reader", "limpet.store.sqlite.logs", "limpet.store.postgres.logs"):
        monkeypatch.setattr(f"{module}.LOG_LINES_MAX", 3)
    await store.append_logs([rows.line(task, str(number)) for number in range(5)])
    assert await messages(store, LogQuery(task.id, limit=100)) == ["0", "1", "2"]


async def test_no_lines_are_no_trouble(store: Store) -> None:
    await store.append_logs([])


async def test_T_LOG_FLOOD_logs_are_in_no_commit(store: Store, rows: Rows, task: TaskRow) -> None:
    before = await stored_fence(store)
    await store.append_logs([rows.line(task, "x" * 1_000) for _ in range(1_000)])
    assert await stored_fence(store) == before
