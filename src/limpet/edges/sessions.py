"""The assignment streams of workers: who listens, and which stream gets what (WK-17).

Laws:
1. A start goes to the newest stream of its worker that takes it, once; a cancel goes to all of them.
2. A session counts as listening from the moment its call came in, before the engine has committed that, so that
   a slow store disconnects nobody (R10).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limpet.core.decision import CancelTask, CloseStreams, StartTask
from limpet.core.ids import TenantId
from limpet.edges.outbox import Outbox

CANCEL_BYTES = 512  # ids and names: all that a cancel carries
START_BYTES = 1024  # the same for a start; its payloads come on top


@dataclass(frozen=True, slots=True, eq=False)
class WorkerSession:
    """One assignment stream. `number` grows with each stream of this process; the core tells them apart by it."""

    tenant: TenantId
    worker_id: str
    number: int
    box: Outbox[StartTask | CancelTask]


class WorkerSessions:
    """All assignment streams, by worker. `new_box` makes their buffers."""

    def __init__(self, new_box: Callable[[], Outbox[StartTask | CancelTask]]) -> None:
        self._new_box = new_box
        self._numbers = itertools.count(1)
        self._by_worker: dict[tuple[str, str], list[WorkerSession]] = {}
        self._opened = asyncio.Event()

    def __iter__(self) -> Iterator[WorkerSession]:
        return (session for sessions in list(self._by_worker.values()) for session in sessions)

    def open(self, tenant: TenantId, worker_id: str) -> WorkerSession:
        """A new stream of that worker, newer than all others; give it back with `close`."""
        session = WorkerSession(tenant, worker_id, next(self._numbers), self._new_box())
        self._by_worker.setdefault((tenant, worker_id), []).append(session)
        self._opened.set()
        self._opened = asyncio.Event()
        return session

    def close(self, session: WorkerSession) -> None:
        """The stream is over; harmless when called twice."""
        key = (session.tenant, session.worker_id)
        left = [other for other in self._by_worker.get(key, ()) if other is not session]
        if left:
            self._by_worker[key] = left
        else:
            self._by_worker.pop(key, None)

    def is_listening(self, tenant: TenantId, worker_id: str) -> bool:
        """Whether the worker has an open stream."""
        return any(session.box.end_reason is None for session in self._by_worker.get((tenant, worker_id), ()))

    async def listening(self, tenant: TenantId, worker_id: str, patience_s: float) -> bool:
        """The same, after waiting a little for a stream that is about to open."""
        try:
            async with asyncio.timeout(patience_s):
                while not self.is_listening(tenant, worker_id):
                    await self._opened.wait()
        except TimeoutError:
            return False
        return True

    def start(self, tenant: TenantId, start: StartTask) -> bool:
        """Hand a start to the newest stream that takes it; False: none does."""
        size = START_BYTES + sum(len(ref.data or b"") for ref in (start.input, *start.parents, *start.errors))
        sessions = self._by_worker.get((tenant, start.worker_id), ())
        return any(session.box.put(start, size) for session in reversed(sessions))

    def cancel(self, tenant: TenantId, cancel: CancelTask) -> None:
        """Hand a cancel to every stream of the worker (CN-2)."""
        for session in self._by_worker.get((tenant, cancel.worker_id), ()):
            session.box.put(cancel, CANCEL_BYTES)

    def end(self, tenant: TenantId, order: CloseStreams) -> None:
        """End one stream of the worker, or all of them."""
        for session in self._by_worker.get((tenant, order.worker_id), ()):
            if order.session is None or order.session == session.number:
                session.box.end(order.reason)
