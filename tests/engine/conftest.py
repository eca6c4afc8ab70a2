"""Fixtures of the engine's tests; see `engine_house`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_house import House, MakeHouse


@pytest.fixture
async def make_house() -> AsyncIterator[MakeHouse]:
    houses: list[House] = []

    async def make(*, started: bool = True, **settings: Any) -> House:
        house = House(**settings)
        houses.append(house)
        return await house.start() if started else house

    yield make
    for house in houses:
        if house.is_started and not house.store.is_closed:
            await house.engine.stop(drain=False)


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house()
