"""An engine with a real memory store behind planned faults, the echo core, kept streams and a clock moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from engine_echo import EchoMachine
from engine_faults import FaultyStore, KeepingStreams

from limpet.core.ids import TenantId
from limpet.core.inputs import Input, RunsTriggered, Trigger
from limpet.core.needs import Snapshot
from limpet.engine.clock import ManualClock
from limpet.engine.engine import Engine
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings
from limpet.store.api import Store
from limpet.store.memory import MemoryStore

OTHER_TENANT = TenantId("11111111-1111-4111-8111-111111111111")


def verb(name: str, argument: str = "", *, worker: str = "{}") -> RunsTriggered:
    """One scripted trigger for the echo core."""
    return RunsTriggered((Trigger(name, argument.encode(), worker.encode()),))


class House:
    """One engine and everything around it."""

    def __init__(self, *, store: Store | None = None, clock: ManualClock | None = None, **settings: Any) -> None:
        self.clock = clock or ManualClock()
        self.store = FaultyStore(store or MemoryStore())
        self.streams = KeepingStreams()
        self.settings = replace(EngineSettings(), **settings)
        self.engine = Engine(
            self.store, self.streams, self.clock, self.settings,
            entropy=lambda count: b"\x80" * count, load_core=EchoMachine.load,
        )  # type: ignore[arg-type]  # fmt: skip
        self.is_started = False

    async def start(self) -> House:
        await self.engine.start()
        self.is_started = True
        await self.until(lambda: not self.engine.health().inbox_items)  # the first look at the time
        await self.engine._loop.settled()
        return self

    def submit(self, item: Input, tenant: TenantId = DEFAULT_TENANT_ID) -> asyncio.Task[object]:
        """Hand in an input without waiting for its reply."""
        return asyncio.ensure_future(self.engine.submit(tenant, item))

    async def say(self, item: Input, tenant: TenantId = DEFAULT_TENANT_ID) -> Any:
        """Hand in an input; its reply, the only one of a single trigger unpacked."""
        reply = await self.engine.submit(tenant, item)
        return reply[0] if isinstance(reply, tuple) and len(reply) == 1 else reply

    def core(self, tenant: TenantId = DEFAULT_TENANT_ID) -> EchoMachine:
        core = self.engine._core(tenant)
        assert isinstance(core, EchoMachine)
        return core

    async def snapshot(self, tenant: TenantId = DEFAULT_TENANT_ID) -> Snapshot:
        tenant_no = self.engine.tenant_no(tenant)
        assert tenant_no is not None
        return await self.store.store.load(tenant_no)

    async def stored(self, tenant: TenantId = DEFAULT_TENANT_ID) -> list[str]:
        """Names of the facts that are durable."""
        return sorted(row.name for row in (await self.snapshot(tenant)).workers)

    def metric(self, name: str, **labels: str) -> float:
        return self.engine.metrics.registry.get_sample_value(name, labels) or 0.0

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once that holds; a bounded number of turns of the event loop must do."""
        for _ in range(1_000):
            if holds():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"it never held; {self.engine.health()}")

    async def idle(self) -> None:
        """Let the event loop turn often enough for whatever could happen now to happen."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def pass_pauses(self, count: int = 1) -> list[int]:
        """Let that many back-offs go by; returns their lengths in microseconds."""
        lengths = []
        for _ in range(count):
            began = self.clock.now()
            await self.clock.until_awaited(began + self.settings.backoff_max_us)
            lengths.append(self.clock.next_at() - began)
            self.clock.advance(lengths[-1])
        return lengths


MakeHouse = Callable[..., Awaitable[House]]
