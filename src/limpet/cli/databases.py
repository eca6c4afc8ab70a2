"""How commands ask a store in a database: one question, one event loop. Imported late, because asyncpg is an extra."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any


def asked(work: Callable[[ModuleType], Awaitable[Any]]) -> Any:
    """What a function of `limpet.store.postgres.maintenance` returns. Raises StoreError."""
    from limpet.store.postgres import maintenance

    async def answer() -> Any:
        return await work(maintenance)

    return asyncio.run(answer())
