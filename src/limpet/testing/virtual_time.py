"""Time that a test lets pass at once: what it brings falls due in its order, while liveness stays real.

A worker that is connected now is not taken for lost because of a jump; only a FakeWorker that fell silent is. And time
does not go on while a start is on its way to a worker, or the end of a stream on its way to the engine.
"""

from __future__ import annotations

from limpet.core.ids import SECOND_US, TenantId
from limpet.core.inputs import TimePassed, WorkerSeen
from limpet.core.views import WorkerView
from limpet.edges.streams import StreamRegistry
from limpet.testing.observed import ObservedEngine
from limpet.testing.shifting_clock import ShiftingClock

SETTLE_PATIENCE_S = 2.0  # workers on this machine answer within milliseconds; one that does not is deaf


class VirtualTime:
    """Lets time pass for one tenant. `scripted`: worker ids that confirm on command only; `silent`: that beat no more."""

    def __init__(self, engine: ObservedEngine, streams: StreamRegistry, clock: ShiftingClock, tenant: TenantId) -> None:
        self._engine, self._streams, self._clock, self._tenant = engine, streams, clock, tenant
        self.scripted: set[str] = set()
        self.silent: set[str] = set()

    async def advance(self, seconds: float) -> None:
        """Jump from one due date to the next until so much time has passed."""
        target = self._clock.now() + round(seconds * SECOND_US)
        while True:
            await self._settled()
            due = self._engine.next_due(self._tenant)
            stop_at = target if due is None else min(target, due)
            self._keep_alive()
            self._clock.shift(max(0, stop_at - self._clock.now()))
            await self._engine.submit(self._tenant, TimePassed())
            due = self._engine.next_due(self._tenant)
            if self._clock.now() >= target and (due is None or due > target):
                return

    def _keep_alive(self) -> None:
        """In front of the jump: the signs of life and the new time are looked at in one step."""
        for worker in self._engine.workers(self._tenant):
            if worker.stream_open and worker.worker_id not in self.silent:
                self._engine.notify(self._tenant, WorkerSeen(worker.worker_id))

    async def _settled(self) -> None:
        """Let what is on its way over the wire arrive."""

        async def look() -> bool | None:
            owed = any(self._owes_receipt(worker) for worker in self._engine.workers(self._tenant))
            return None if owed or self._streams_change() else True

        try:
            await self._engine.pulse.until(look, SETTLE_PATIENCE_S)
        except TimeoutError:
            return  # it stays unconfirmed, and the engine does what it does with deaf workers

    def _streams_change(self) -> bool:
        """Whether the engine has yet to hear of a stream that opened or ended."""
        standing = sum(session.box.end_reason is None for session in self._streams.sessions)
        return standing != self._engine.streams_open.total()

    def _owes_receipt(self, worker: WorkerView) -> bool:
        if not worker.stream_open or worker.worker_id in self.scripted:
            return False
        return len(self._engine.started_at(self._tenant, worker.task_run_ids)) < len(worker.task_run_ids)
