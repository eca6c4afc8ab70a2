"""What a burst of calls meets: a queue, never a refusal by chance."""

from __future__ import annotations

import asyncio

from limpet.contracts.dispatcher_pb2 import GetVersionRequest

from .conftest import MINE, Edge

BURST = 4_000  # beyond the number from which the library would cancel every call


async def test_R33_a_burst_of_calls_waits_instead_of_being_cancelled(edge: Edge) -> None:
    """An outcome that is answered with CANCELLED may be lost: official clients do not repeat all of them."""
    calls = [edge.dispatcher.GetVersion(GetVersionRequest(), metadata=MINE) for _ in range(BURST)]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*calls)
    assert len(answers) == BURST
