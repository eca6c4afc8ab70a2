"""Several reads of one answer side by side, few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

READS_AT_ONCE = 8  # the store's readers serve others too

Item = TypeVar("Item")
Read = TypeVar("Read")


async def side_by_side(read: Callable[[Item], Awaitable[Read]], items: Iterable[Item]) -> list[Read]:
    """What is read for each item, in their order."""
    turn = asyncio.Semaphore(READS_AT_ONCE)

    async def one(item: Item) -> Read:
        async with turn:
            return await read(item)

    return list(await asyncio.gather(*map(one, items)))
