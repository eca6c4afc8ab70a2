"""The sending side of a stream, over a call whose client goes at the worst moment."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from limpet.edges.grpc.binding import Stream


class LeavingClient:
    """What gRPC offers of a call whose client leaves while the opening is on its way."""

    def __init__(self) -> None:
        self.is_opening, self.has_left = asyncio.Event(), asyncio.Event()

    async def send_initial_metadata(self, _: object) -> None:
        self.is_opening.set()
        await self.has_left.wait()
        raise ConnectionError("the call is over")


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """What asyncio would write into the operator's log."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    return heard


async def test_a_client_that_leaves_while_its_stream_opens_leaves_no_trace_in_the_log(complaints: list[dict[str, Any]]) -> None:
    client = LeavingClient()
    stream = Stream(client)  # type: ignore[arg-type]
    handler = asyncio.create_task(stream.opened())
    await client.is_opening.wait()
    handler.cancel()  # gRPC cancels the handler of a call whose client is gone
    await asyncio.wait([handler])
    client.has_left.set()
    await stream.endable()
    del stream, handler
    gc.collect()  # asyncio complains when it throws away a failure that nobody looked at
    assert complaints == []


async def test_whoever_still_waits_hears_that_the_opening_failed(complaints: list[dict[str, Any]]) -> None:
    client = LeavingClient()
    client.has_left.set()
    with pytest.raises(ConnectionError):
        await Stream(client).opened()  # type: ignore[arg-type]
    assert complaints == []
