"""An engine that says when something has changed, so that a test waits for events instead of asking again and again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from limpet.core.ids import TenantId
from limpet.core.inputs import Input, StreamClosed, StreamOpened
from limpet.edges import condition_answers
from limpet.engine.clock import Clock
from limpet.engine.door import Streams
from limpet.engine.engine import Engine
from limpet.engine.settings import EngineSettings
from limpet.store.api import Batch
from limpet.store.memory import MemoryStore

T = TypeVar("T")
LOOK_AGAIN_S = 0.25  # real time alone changes some answers: a silent worker stops being assignable without any input


class Pulse:
    """Beats after everything that may have changed what the engine would answer. One event loop only."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def beat(self) -> None:
        """Wake everybody who waits for a change."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, look: Callable[[], Awaitable[T | None]], within_s: float) -> T:
        """What `look` finds, asked after every beat until it is something. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                beat = self._next
                found = await look()
                if found is not None:
                    return found
                with suppress(TimeoutError):
                    await asyncio.wait_for(beat.wait(), LOOK_AGAIN_S)


class ObservedStore(MemoryStore):
    """A store in memory that beats after every commit."""

    def __init__(self, pulse: Pulse) -> None:
        super().__init__()
        self._pulse = pulse

    async def commit(self, batch: Batch) -> None:
        """See `Store.commit`."""
        await super().commit(batch)
        self._pulse.beat()


class ObservedEngine(Engine):
    """An engine in memory that beats after every answered input. `streams_open` counts assignment streams by worker id."""

    pulse: Pulse
    store: ObservedStore

    def __init__(self, streams: Streams, clock: Clock, settings: EngineSettings) -> None:
        self.pulse = Pulse()
        self.store = ObservedStore(self.pulse)
        self.streams_open: Counter[str] = Counter()
        super().__init__(self.store, streams, clock, settings, judge=condition_answers.holds)

    async def submit(self, tenant: TenantId, item: Input) -> object:
        """See `Door.submit`."""
        reply = await super().submit(tenant, item)
        if isinstance(item, StreamOpened):
            self.streams_open[item.worker_id] += 1
        elif isinstance(item, StreamClosed):
            self.streams_open[item.worker_id] -= 1
        self.pulse.beat()
        return reply
