"""Rate limits in every store: written with their commit, found by name, shown to people as they stand at an instant."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.decision import Changes
from limpet.core.needs import Needs
from limpet.core.rate_definitions import LIMIT_MAX
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rate_windows import RateWindow
from limpet.store.api import DataError, RateLimitOrder, RateLimitQuery, Store
from tests.store.builders import NOW, ONE, SECOND, TWO, Owner, Rows
from tests.store.conftest import Reopen


def rate_limit(rows: Rows, name: str = "api", **values: Any) -> RateLimitRow:
    row = RateLimitRow(
        rows.key(), rows.tenant_no, name, 10, 4, RateWindow.MINUTE, NOW, NOW + 60 * SECOND, None, rows.at()
    )  # fmt: skip
    return row._replace(**values)


async def asked(store: Store, *names: str) -> dict[str, RateLimitRow | None]:
    return dict((await store.look_up(ONE, Needs(rate_limits=set(names)))).rate_limits)


async def shown(store: Store, **wanted: Any) -> list[str]:
    wanted.setdefault("now", NOW)
    return [row.name for row in (await store.reader.rate_limits(ONE, RateLimitQuery(**wanted)))[0]]


async def test_every_name_that_is_asked_for_is_answered(store: Store, owner: Owner, rows: Rows, reopen: Reopen) -> None:
    one, two = rate_limit(rows), rate_limit(rows, "é 'x' [1]", limit_value=LIMIT_MAX, paused_until=NOW, refill_at=None)
    await owner.commit(Changes(rate_limits=[one, two]))
    names = ("api", two.name, "API", "a\x00b", "\ud800", "")
    assert await asked(store, *names) == dict.fromkeys(names) | {"api": one, two.name: two}
    assert await asked(store) == {}
    assert (await store.look_up(TWO, Needs(rate_limits={"api"}))).rate_limits == {"api": None}
    again = await reopen(store)
    assert await asked(again, "api") == {"api": one}


async def test_rows_change_and_go_and_their_keys_never_return(store: Store, owner: Owner, rows: Rows) -> None:
    one = rate_limit(rows)
    await owner.commit(Changes(rate_limits=[one]))
    changed = one._replace(
        limit_value=3, value=0, window_unit=RateWindow.DAY, refilled_at=NOW + 1, refill_at=None, paused_until=NOW + 9
    )
    await owner.commit(Changes(rate_limits=[changed]))
    assert await asked(store, "api") == {"api": changed}
    await owner.commit(Changes(rate_limits_dropped=[one.key]))
    assert await asked(store, "api") == {"api": None}
    assert (await store.load(ONE)).next_key > one.key


async def test_a_name_is_unique_in_its_tenant_and_free_again_in_the_commit_that_drops_it(
    store: Store, owner: Owner, rows: Rows
) -> None:
    one = rate_limit(rows)
    await owner.commit(Changes(rate_limits=[one]))
    with pytest.raises(DataError):
        await owner.commit(Changes(rate_limits=[rate_limit(rows)]))
    other = rate_limit(rows)
    await owner.commit(Changes(rate_limits_dropped=[one.key], rate_limits=[other]))
    assert await asked(store, "api") == {"api": other}


async def test_R23_units_and_the_assignment_are_one_commit(store: Store, owner: Owner, rows: Rows) -> None:
    one = rate_limit(rows)
    run, task = await owner.open_run(rows)
    await owner.commit(Changes(rate_limits=[one]))
    with pytest.raises(DataError):  # the run is there already, so no unit is spent either
        await owner.commit(Changes(runs_opened=[run], tasks_opened=[task], rate_limits=[one._replace(value=0)]))
    assert await asked(store, "api") == {"api": one}


async def test_a_refill_needs_no_commit_to_be_seen(store: Store, owner: Owner, rows: Rows) -> None:
    row = rate_limit(rows, paused_until=NOW + 5)
    await owner.commit(Changes(rate_limits=[row]))

    async def at(now: int) -> RateLimitRow:
        [found], total = await store.reader.rate_limits(ONE, RateLimitQuery(now))
        assert total == 1
        return found

    assert await at(NOW) == row
    assert await at(NOW + 60 * SECOND - 1) == row._replace(paused_until=None)
    full = row._replace(paused_until=None, value=10, refilled_at=NOW + 60 * SECOND, refill_at=None)
    assert await at(NOW + 60 * SECOND) == full
    assert await store.reader.rate_limits(TWO, RateLimitQuery(NOW)) == ([], 0)


async def test_B49_F4_18_limits_are_searched_and_ordered(store: Store, owner: Owner, rows: Rows) -> None:
    a1, a2, b1 = (
        rate_limit(rows, name, value=value, limit_value=limit_value, refill_at=None if value == limit_value else NOW + SECOND)
        for name, value, limit_value in (("a1", 4, 5), ("a2", 2, 9), ("b1", 3, 3))
    )
    await owner.commit(Changes(rate_limits=[b1, a2, a1]))
    assert await shown(store) == ["a1", "a2", "b1"]
    assert await shown(store, search="a") == ["a1", "a2"]
    assert await shown(store, search="1") == ["a1", "b1"]
    assert await shown(store, search="A") == await shown(store, search="a%") == await shown(store, search="\ud800") == []
    assert await shown(store, search="a\x00") == []
    assert await shown(store, descending=True) == ["b1", "a2", "a1"]
    assert await shown(store, order=RateLimitOrder.VALUE) == ["a2", "b1", "a1"]
    assert await shown(store, order=RateLimitOrder.VALUE, now=NOW + SECOND) == ["b1", "a1", "a2"]
    assert await shown(store, order=RateLimitOrder.LIMIT, descending=True) == ["a2", "a1", "b1"]
    assert await shown(store, limit=1, offset=1) == ["a2"]
    assert (await store.reader.rate_limits(ONE, RateLimitQuery(NOW, limit=1)))[1] == 3
