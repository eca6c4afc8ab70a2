"""A server on loopback over a fake door, and stubs that talk to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from limpet.contracts import stubs
from limpet.edges.grpc.server import GrpcServer
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.streams import StreamRegistry
from limpet.edges.traces import TraceShelf

from .fake_door import AT, FakeAccess, FakeDoor

MINE: tuple[tuple[str, str], ...] = (("authorization", "bearer one"),)
THEIRS: tuple[tuple[str, str], ...] = (("authorization", "bearer two"),)


class Ticker:
    """A monotonic clock that a test can push forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Edge:
    """Everything a test of this edge holds in its hands."""

    def __init__(self, **settings: Any) -> None:
        self.door = FakeDoor()
        self.access = FakeAccess()
        self.ticker = Ticker()
        self.streams = StreamRegistry(end_spread_s=0, clock=self.ticker)
        defaults: dict[str, Any] = {"heartbeat_patience_s": 0.0, "unknown_run_patience_s": 0.3}
        self.settings = GrpcSettings(**{**defaults, **settings})
        self.traces = TraceShelf()
        self.server = GrpcServer(self.door, self.streams, self.access, self.settings, clock=lambda: AT, traces=self.traces)
        self.port = 0

    async def __aenter__(self) -> Edge:
        self.port = await self.server.start("127.0.0.1", 0)
        self.channel = self.dial()
        self.dispatcher = stubs.DispatcherStub(self.channel)
        self.workflows = stubs.WorkflowServiceStub(self.channel)
        self.events = stubs.EventsServiceStub(self.channel)
        self.admin = stubs.AdminServiceStub(self.channel)
        self.durable = stubs.V1DispatcherStub(self.channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.server.stop(2)

    def dial(self, **more: Any) -> grpc.aio.Channel:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=options, **more)


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with Edge() as one:
        yield one


async def rest_of(call: Any) -> list[Any]:
    """The messages of a stream up to its good end."""
    messages = []
    async with asyncio.timeout(10):
        while (message := await call.read()) is not grpc.aio.EOF:
            messages.append(message)
    return messages


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """The code and text a call, or the rest of a stream, ends with."""
    try:
        if hasattr(call, "__aiter__"):
            await rest_of(call)
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""
