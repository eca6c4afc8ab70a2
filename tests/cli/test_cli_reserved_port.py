"""A port that is known before anybody listens on it."""

from __future__ import annotations

import asyncio
import socket

import grpc
import pytest

from limpet.cli.compose import EngineProcess
from limpet.cli.plan import Plan
from limpet.cli.reserved_port import ReservedPort


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_nobody_gets_a_reserved_port_by_chance_and_who_asks_for_it_can_listen(host: str) -> None:
    port = ReservedPort(host)
    with socket.socket() as chance, socket.socket() as plain, socket.socket() as server:
        chance.bind(("127.0.0.1", 0))
        assert chance.getsockname()[1] != port.number
        with pytest.raises(OSError, match="in use"):
            plain.bind((host, port.number))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port.number))
        server.listen()
        port.free()
        socket.create_connection(server.getsockname(), timeout=5).close()
    port.free()


async def test_an_engine_listens_on_the_port_that_it_said_before() -> None:
    process = EngineProcess(Plan(grpc_port=0, http_port=0, is_dev=True))
    said = process.plan.grpc_port
    assert said
    ready = await process.start()
    try:
        assert ready.grpc == f"127.0.0.1:{said}"
        async with grpc.aio.insecure_channel(ready.grpc) as channel:
            await asyncio.wait_for(channel.channel_ready(), 10)
    finally:
        await process.stop()


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        ReservedPort("192.0.2.1")
