"""Rate limits over REST, answered by the real core over the rows of the world."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from limpet.core.ids import Instant
from limpet.core.rate_inputs import RateLimitPaused

from .world import NOW, OTHER, SECOND_US, TENANT, World

PATH = f"/api/v1/tenants/{TENANT.id}/rate-limits"


async def put(http: httpx.AsyncClient, key: str, limit: int, window: str = "MINUTE") -> None:
    answer = await http.put(PATH, json={"key": key, "limitValue": limit, "window": window})
    assert (answer.status_code, answer.content) == (204, b""), answer.text


async def keys(http: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await http.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return [row["key"] for row in answer.json()["rows"]]


async def test_F4_18_a_limit_makes_the_round_trip(world: World, http: httpx.AsyncClient) -> None:
    await put(http, "api/é [1]", 7, "DAY")
    answer = (await http.get(PATH)).json()
    assert (answer["pagination"]["current_page"], answer["pagination"]["num_pages"]) == (1, 1)
    [row] = answer["rows"]
    moment = row.pop("lastRefill")
    assert row == {
        "key": "api/é [1]", "tenantId": TENANT.id, "limitValue": 7, "value": 7, "window": "1 DAY", "pausedUntil": None,
        "refillAt": None,
    }  # fmt: skip
    assert moment.startswith("2026-09-21T")
    gone = await http.delete(PATH, params={"key": "api/é [1]"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert await keys(http) == []


async def test_B41_B42_F4_2_a_limit_is_changed(world: World, http: httpx.AsyncClient) -> None:
    await put(http, "api", 10)
    await put(http, "api", 3)
    [row] = (await http.get(PATH)).json()["rows"]
    assert (row["limitValue"], row["value"]) == (3, 3)
    await put(http, "api", 10)
    [row] = (await http.get(PATH)).json()["rows"]
    assert (row["limitValue"], row["value"]) == (10, 3)
    assert row["refillAt"] is not None


async def test_a_pause_is_shown(world: World, http: httpx.AsyncClient) -> None:
    await put(http, "api", 10)
    await world.submit(TENANT.id, RateLimitPaused("api", Instant(NOW + 60 * SECOND_US)))
    [row] = (await http.get(PATH)).json()["rows"]
    assert row["pausedUntil"] is not None


async def test_B49_F4_18_limits_are_searched_ordered_and_paged(world: World, http: httpx.AsyncClient) -> None:
    for key, limit in (("b1", 1), ("a2", 3), ("a1", 2)):
        await put(http, key, limit)
    assert await keys(http, search="a", orderByField="key") == ["a1", "a2"]
    assert await keys(http, search="") == ["a1", "a2", "b1"]
    assert await keys(http, orderByField="limitValue", orderByDirection="desc") == ["a2", "a1", "b1"]
    assert await keys(http, orderByField="value", orderByDirection="asc") == ["b1", "a1", "a2"]
    assert await keys(http, limit=1, offset=1) == ["a2"]


@pytest.mark.parametrize(
    "body",
    [
        {"key": "", "limitValue": 1}, {"limitValue": 1}, {"key": "a"}, {"key": "a", "limitValue": -1}, {"key": "a", "limitValue": 2**31},
        {"key": "a", "limitValue": "x"}, {"key": "a", "limitValue": 1, "window": "FORTNIGHT"}, {"key": "é" * 200, "limitValue": 1}, [],
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused(world: World, http: httpx.AsyncClient, body: Any) -> None:
    answer = await http.put(PATH, json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["description"]
    assert await keys(http) == []


@pytest.mark.parametrize("query", [{"orderByField": "name"}, {"orderByDirection": "up"}, {"limit": 0}, {"offset": -1}])
async def test_a_bad_question_is_refused(world: World, http: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await http.get(PATH, params=query)).status_code == 400


async def test_what_nobody_has_set_is_not_there(world: World, http: httpx.AsyncClient) -> None:
    assert (await http.delete(PATH, params={"key": "api"})).status_code == 404
    assert (await http.delete(PATH)).status_code == 400


async def test_X5_another_tenant_sees_nothing(world: World, http: httpx.AsyncClient) -> None:
    await put(http, "api", 1)
    assert (await http.get(PATH.replace(TENANT.id, OTHER.id))).status_code in (403, 404)
