"""From committed deliveries to streams, in order, with their payloads.

Laws:
1. Deliveries leave in the order of their commits: one that waits for a payload holds back those behind it.
2. Between the last look at who wants a result and the hand-over nothing awaits, so no waiter is missed (E2).
3. The loop never waits for a socket or a payload here, only for room in the queue.
4. Nothing leaves while the ownership is in doubt (R14).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from limpet.core.decision import Delivery, PayloadRef, StartTask
from limpet.core.inputs import StartUndeliverable
from limpet.engine.door import Streams
from limpet.engine.inbox import Inbox
from limpet.engine.leases import Lease
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Patience
from limpet.engine.payloads import PayloadCache, events_of, fill_from_events, fill_from_rows, is_complete, lacking, rows_of
from limpet.engine.settings import EngineSettings
from limpet.store.api import Reader, StoreError, Tenant

_log = logging.getLogger(__name__)


class Parcel(NamedTuple):
    """Deliveries of one commit and tenant, or a slice of them."""

    tenant: Tenant
    deliveries: Sequence[Delivery]


class Deliverer:
    """Hands deliveries to the streams: at once when their payloads are at hand, else in order behind a read."""

    def __init__(
        self, streams: Streams, reader: Reader, cache: PayloadCache, lease: Lease, inbox: Inbox, patience: Patience,
        metrics: Metrics, settings: EngineSettings,
    ) -> None:  # fmt: skip
        self._streams, self._reader, self._cache, self._lease, self._inbox = streams, reader, cache, lease, inbox
        self._patience, self._metrics, self._settings = patience, metrics, settings
        self._queue: deque[Parcel] = deque()
        self._queued = 0
        self._changed = asyncio.Event()
        self._shrunk = asyncio.Event()

    def __len__(self) -> int:
        return self._queued

    def hand_over(self, tenant: Tenant, deliveries: Sequence[Delivery]) -> None:
        """Take committed deliveries; never waits."""
        if not deliveries:
            return
        parcel = Parcel(tenant, deliveries)
        if not self._queue and self._lease.is_trusted and not self._lacking(parcel):
            self._deliver(tenant, deliveries)
            return
        for start in range(0, len(deliveries), self._settings.payload_read_max):
            self._queue.append(Parcel(tenant, deliveries[start : start + self._settings.payload_read_max]))
        self._queued += len(deliveries)
        self._changed.set()

    async def run(self) -> None:
        """Read what is missing and deliver, parcel by parcel, for ever."""
        while True:
            await self._changed.wait()
            while self._queue:
                await self._send_guarded(self._queue[0])
            self._changed.clear()

    @property
    def has_room(self) -> bool:
        """Whether the queue is within its bound (R43)."""
        return self._queued <= self._settings.delivery_queue_max

    async def room(self) -> None:
        """Return once the queue is within its bound."""
        while not self.has_room:
            await self._shrinking()

    async def emptied(self) -> None:
        """Return once everything handed over has been delivered."""
        while self._queue:
            await self._shrinking()

    def clear(self) -> None:
        """Send nothing more: this engine is not the owner any more (R8, O2)."""
        self._queue.clear()
        self._queued = 0
        self._shrunk.set()

    async def _shrinking(self) -> None:
        self._shrunk.clear()
        await self._shrunk.wait()

    async def _send_guarded(self, parcel: Parcel) -> None:
        """A duty's loop: a parcel that cannot be sent, whatever the reason, must not hold back all others for ever."""
        try:
            await self._send(parcel)
        except Exception:
            self._report_failure(parcel.tenant, "A parcel of deliveries failed")
            if self._next_is(parcel):
                self._pop(parcel)
                self._take_back(parcel.tenant, _starts(parcel.deliveries))

    async def _send(self, parcel: Parcel) -> None:
        given_up: set[int] = set()
        while missing := [ref for ref in self._lacking(parcel) if id(ref) not in given_up]:
            given_up.update(id(ref) for ref in await self._read(missing))
        if not self._lease.is_trusted:
            await self._lease.trusted()
            return await self._send(parcel)  # somebody may have begun to wait for a result meanwhile
        if self._next_is(parcel):
            self._pop(parcel)
            self._deliver_complete(parcel)

    def _next_is(self, parcel: Parcel) -> bool:
        """False: the queue was cleared while the parcel waited."""
        return bool(self._queue) and self._queue[0] is parcel

    def _pop(self, parcel: Parcel) -> None:
        self._queue.popleft()
        self._queued -= len(parcel.deliveries)
        self._shrunk.set()

    def _deliver_complete(self, parcel: Parcel) -> None:
        """Deliver all but the starts whose payloads could not be had."""
        ready: list[Delivery] = []
        unfilled: list[tuple[str, int]] = []
        for one in parcel.deliveries:
            if isinstance(one, StartTask) and not is_complete(one):
                unfilled.append((one.task_run_id, one.retry_count))
            else:
                ready.append(one)
        self._take_back(parcel.tenant, unfilled)
        self._deliver(parcel.tenant, ready)

    def _lacking(self, parcel: Parcel) -> list[PayloadRef]:
        return lacking(parcel.deliveries, self._cache, lambda run_id: self._streams.wants_result(parcel.tenant.id, run_id))

    async def _read(self, refs: list[PayloadRef]) -> list[PayloadRef]:
        """Fill the references from the store; returns those that cannot be filled."""
        runs, tasks = rows_of(refs)
        events = events_of(refs)
        self._metrics.payload_reads.inc(len(runs) + len(tasks) + len(events))
        try:
            inputs, rows = await self._patience.insist("read payloads", lambda: self._reader.payloads(runs, tasks))
            if events:
                pushed = await self._patience.insist("read events", lambda: self._reader.event_payloads(events))
                fill_from_events(refs, pushed)
        except StoreError:
            self._metrics.internal_errors.labels("payloads").inc()
            _log.exception("Payloads could not be read; their starts are tried again.", extra={"event": "payloads.failed"})
            return refs
        return fill_from_rows(refs, dict(inputs), dict(rows))

    def _deliver(self, tenant: Tenant, deliveries: Sequence[Delivery]) -> None:
        for kind, count in Counter(map(type, deliveries)).items():
            self._metrics.deliveries.labels(kind.__name__).inc(count)
        self._take_back(tenant, self._hand_to_streams(tenant, deliveries))

    def _take_back(self, tenant: Tenant, starts: Sequence[tuple[str, int]]) -> None:
        self._metrics.undeliverable_starts.inc(len(starts))
        for task_run_id, retry_count in starts:
            self._inbox.put_own(tenant.no, StartUndeliverable(task_run_id, retry_count))

    def _hand_to_streams(self, tenant: Tenant, deliveries: Sequence[Delivery]) -> Sequence[tuple[str, int]]:
        try:
            return self._streams.deliver(tenant.id, deliveries)
        except Exception:  # the boundary to the edges: their bug must not end the loop
            self._report_failure(tenant, "The streams failed")
            return _starts(deliveries)

    def _report_failure(self, tenant: Tenant, what: str) -> None:
        self._metrics.internal_errors.labels("deliver").inc()
        _log.exception("%s; its starts are taken back.", what, extra={"event": "deliver.failed", "tenant_id": tenant.id})


def _starts(deliveries: Sequence[Delivery]) -> list[tuple[str, int]]:
    return [(one.task_run_id, one.retry_count) for one in deliveries if isinstance(one, StartTask)]
