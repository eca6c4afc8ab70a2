"""The one task of the benchmarks, declared with the SDK that is asked for: both have the same interface."""

from __future__ import annotations

import importlib
import time
from typing import Any

from pydantic import BaseModel

OURS, OFFICIAL = "limpet", "hatchet_sdk"


class Order(BaseModel):
    """About 90 bytes of input."""

    name: str = "abcdefghijklmnopqrstuvwxyz0123456789"
    more: str = "................................"


class Done(BaseModel):
    """About 30 bytes of output. `started_ns`: when the body began, on the clock that all processes share."""

    started_ns: int


def declare(sdk: str) -> tuple[Any, Any]:
    """A client and its no-op task."""
    client = importlib.import_module(sdk).Hatchet()

    @client.task(name="bench-noop", input_validator=Order)  # type: ignore[untyped-decorator]
    async def noop(input: Order, ctx: Any) -> Done:
        return Done(started_ns=time.monotonic_ns())

    return client, noop
