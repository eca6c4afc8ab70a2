"""Who is listening: the one place where committed deliveries meet open streams. Implements `engine.door.Streams`.

Laws:
1. Nothing here waits: a delivery goes into a bounded buffer, or it is answered that nobody takes it.
2. Everything here belongs to the event loop's thread, the engine's calls included.
3. Streams are ended, never just dropped, so that clients see UNAVAILABLE and connect again (R33).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from limpet.core.decision import CancelTask, CloseStreams, Delivery, KeysWanted, RunFinished, StartTask, TaskChanged
from limpet.core.ids import TenantId
from limpet.edges.chunk_order import Chunk
from limpet.edges.clock_keys import ClockKeys
from limpet.edges.outbox import STUCK_AFTER_S, Outbox
from limpet.edges.sessions import WorkerSession, WorkerSessions
from limpet.edges.waiters import Answer, ResultWaiter, ResultWaiters
from limpet.edges.watchers import Happening, RunWatcher, RunWatchers

END_SPREAD_S = 2.0  # clients have almost no jitter of their own [R33]


@dataclass(slots=True)
class StreamCounts:
    """What happened to streams so far; for the metrics page."""

    slow_readers_ended: int = 0
    chunks_without_watcher: int = 0
    starts_without_stream: int = 0


class StreamRegistry:
    """All open streams of this process. `stuck_after_s` and `end_spread_s` are settings, so that tests shorten them."""

    counts: StreamCounts
    sessions: WorkerSessions
    waiters: ResultWaiters
    watchers: RunWatchers
    clock_keys: ClockKeys

    def __init__(
        self,
        *,
        stuck_after_s: float = STUCK_AFTER_S,
        end_spread_s: float = END_SPREAD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_after_s, self._end_spread_s, self._clock = stuck_after_s, end_spread_s, clock
        self.counts = StreamCounts()
        self.sessions = WorkerSessions(self._box)
        self.waiters = ResultWaiters(self._box)
        self.watchers = RunWatchers(self._strict_box)
        self.clock_keys = ClockKeys()

    def deliver(self, tenant: TenantId, deliveries: Sequence[Delivery]) -> list[tuple[str, int]]:
        """Put committed deliveries into buffers; returns the starts that no open stream could take."""
        refused: list[tuple[str, int]] = []
        for delivery in deliveries:
            match delivery:
                case StartTask():
                    if not self.sessions.start(tenant, delivery):
                        refused.append((delivery.task_run_id, delivery.retry_count))
                case CancelTask():
                    self.sessions.cancel(tenant, delivery)
                case CloseStreams():
                    self.sessions.end(tenant, delivery)
                case RunFinished():
                    self.waiters.finished(tenant, delivery)
                    self.watchers.tell(tenant, delivery)
                case KeysWanted():
                    self.clock_keys.want(tenant, delivery)
                case TaskChanged():
                    self.watchers.tell(tenant, delivery)
        self.counts.starts_without_stream += len(refused)
        return refused

    def wants_result(self, tenant: TenantId, workflow_run_id: str) -> bool:
        """Whether somebody waits for the outputs of this run."""
        return self.waiters.is_waited_for(tenant, workflow_run_id)

    def put_chunk(self, tenant: TenantId, chunk: Chunk) -> None:
        """Pass a stream chunk on to whoever follows the run now; otherwise it is gone (W14.2)."""
        if not self.watchers.tell(tenant, chunk):
            self.counts.chunks_without_watcher += 1

    def end_all(self, reason: str) -> None:
        """End every stream that is open now, spread over a short while, none later (R33)."""
        loop = asyncio.get_running_loop()
        for box in self.boxes():
            delay = random.uniform(0, self._end_spread_s)
            loop.call_later(delay, box.end, reason) if delay else box.end(reason)

    def check_pace(self) -> None:
        """End the streams whose readers are slow; a duty calls it, for those that get no deliveries any more."""
        for box in self.boxes():
            box.check_pace()

    def boxes(self) -> Iterator[Outbox[Any]]:
        """The buffers of all open streams."""
        open_streams: Iterator[WorkerSession | ResultWaiter | RunWatcher] = chain(self.sessions, self.waiters, self.watchers)
        return iter([stream.box for stream in open_streams])

    def __len__(self) -> int:
        return sum(1 for _ in self.boxes())

    def _box(self) -> Outbox[Any]:
        return Outbox(patience_s=self._stuck_after_s, clock=self._clock, on_slow=self._count_slow)

    def _strict_box(self) -> Outbox[Any]:
        return Outbox(patience_s=0, clock=self._clock, on_slow=self._count_slow)

    def _count_slow(self) -> None:
        self.counts.slow_readers_ended += 1


__all__ = ["Answer", "Chunk", "Happening", "StreamCounts", "StreamRegistry"]
