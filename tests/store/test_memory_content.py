"""What only the store in memory can do: outlive a crash, and go back in time, for simulations."""

from __future__ import annotations

import pytest

from limpet.core.decision import Changes
from limpet.store.api import FenceMismatch, LogQuery, TransientStoreError
from limpet.store.memory import MemoryStore
from tests.store.builders import ONE, Owner, Rows, own, stored_fence


async def opened(store: MemoryStore) -> MemoryStore:
    await store.open()
    return store


async def test_a_second_store_over_the_same_content_sees_every_commit_and_fences_the_first(rows: Rows) -> None:
    crashed = await opened(MemoryStore())
    owner = await own(crashed, rows)
    run, _ = await owner.open_run(rows)
    heir = await opened(MemoryStore(crashed.content))
    assert await heir.reader.run(ONE, run.id) is not None
    await Owner(heir).claim()
    with pytest.raises(FenceMismatch):
        await owner.open_run(rows)


async def test_T_REWIND_a_copy_of_the_content_is_a_store_that_went_back(rows: Rows) -> None:
    store = await opened(MemoryStore())
    owner = await own(store, rows)
    run, task = await owner.open_run(rows)
    await store.append_logs([rows.line(task)])
    saved = store.content.copy()
    await owner.end_run(rows, run, task)
    await store.append_logs([rows.line(task)])
    await store.prune(rows.now + 1, 10)
    store.rewind(saved)
    record = await store.reader.run(ONE, run.id)
    assert record is not None
    assert record.run == run
    assert len(await store.reader.log_lines(ONE, LogQuery(task.id))) == 1
    with pytest.raises(FenceMismatch):
        await owner.commit(Changes())


async def test_a_closed_store_says_so(rows: Rows) -> None:
    store = MemoryStore()
    with pytest.raises(TransientStoreError, match="not open"):
        await stored_fence(store)
