"""Pauses of workflows in every store: kept with their commit, loaded, shown to people."""

from __future__ import annotations

from limpet.core.decision import Changes
from limpet.core.pause_rows import PauseRow
from limpet.store.api import Store
from tests.store.builders import NOW, ONE, TWO, Owner, Rows
from tests.store.conftest import Reopen


async def test_WK33_the_last_pause_of_a_workflow_is_kept_and_loaded(
    store: Store, owner: Owner, rows: Rows, reopen: Reopen
) -> None:
    other = rows.workflow(name="other")
    first = PauseRow(rows.workflow_row.key, ONE, NOW, 5, 0, 1, None)
    second, theirs = first._replace(paused_at=None, resumed_at=NOW + 7), PauseRow(other.key, ONE, NOW, 9, 1, 0, NOW - 1)
    await owner.commit(Changes(workflows=[other], pauses=[first]))
    assert list((await store.load(ONE)).pauses) == [first]
    await owner.commit(Changes(pauses=[second, theirs]))
    assert await store.reader.pauses(ONE) == {first.key: second, other.key: theirs}
    assert await store.reader.pauses(TWO) == {}
    again = await reopen(store)
    assert list((await again.load(ONE)).pauses) == [second, theirs]
    assert list((await again.load(TWO)).pauses) == []
