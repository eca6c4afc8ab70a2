"""The engine: one process that owns a store. It composes the loop and its duties, and is the edges' `Door`.

Whoever composes it calls `start`, lets the edges serve, and waits in `run`, which returns after `stop` and raises
when the process must end.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from limpet.core.errors import EngineStopping, InternalError, LimitReached, NotFound, StoreUnavailable, TemporaryError
from limpet.core.explain import Explanation
from limpet.core.ids import SECOND_US, Instant, TenantId, TenantNo
from limpet.core.inputs import Input, ReplayRequested, RunsTriggered, TimePassed, WorkerRegistered, WorkflowPut
from limpet.core.limits_view import LimitsView
from limpet.core.machine import Machine
from limpet.core.rate_views import RatesView
from limpet.core.subscriptions import Candidate
from limpet.core.views import OutputView, WorkerView
from limpet.engine.clock import Clock
from limpet.engine.committing import Committer
from limpet.engine.delivering import Deliverer
from limpet.engine.door import Streams
from limpet.engine.duties.duty import Duty
from limpet.engine.duties.find_tenants import FindTenants
from limpet.engine.duties.prune_history import PruneHistory
from limpet.engine.duties.purge_claims import PurgeClaims
from limpet.engine.duties.renew_lease import RenewLease
from limpet.engine.duties.self_check import SelfCheck
from limpet.engine.duties.watch_lease import WatchLease
from limpet.engine.duties.write_logs import WriteLogs
from limpet.engine.ended import explain_ended
from limpet.engine.inbox import Inbox
from limpet.engine.leases import Lease
from limpet.engine.looking_back import Judge, Past, nothing_holds
from limpet.engine.loop import Loop, Parts
from limpet.engine.metrics import Metrics
from limpet.engine.ownership import Ownership
from limpet.engine.patience import Entropy, Patience
from limpet.engine.payloads import PayloadCache
from limpet.engine.presence import Presence
from limpet.engine.quarantine import Quarantine
from limpet.engine.recovery import Recovery
from limpet.engine.seats import Core, LoadCore, Seat, Seats
from limpet.engine.settings import EngineSettings
from limpet.store.api import FenceMismatch, LogLine, Reader, Store, StoreError, Tenant

EXPLAIN_TRIES = 3  # a task that ends, or is replayed, between two looks is looked at again
# What makes the store grow. Reports about work that was taken on still wait in line: they are answered late, not lost.
NEW_WORK = (RunsTriggered, ReplayRequested, WorkflowPut, WorkerRegistered)
# What is wrong, and with which file, stands in the engine's log; callers need not know where it keeps its data [X24].
OUTAGE = "the engine's store takes no commits right now, so nothing new is taken on: try again in a moment"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine is. Live: the loop turns. Ready: the store takes commits too. `reasons`: why not, as sentences."""

    is_live: bool
    is_ready: bool
    reasons: tuple[str, ...]
    epoch: int | None
    commit_seq: int | None
    inbox_items: int
    tenants: int
    tenants_halted: int


class Engine:
    """Owns a store, or stands by for the server that does, from `start` to `stop`; answers the edges."""

    settings: EngineSettings
    metrics: Metrics
    reader: Reader
    write_logs: WriteLogs
    prune_history: PruneHistory
    purge_claims: PurgeClaims
    self_check: SelfCheck
    find_tenants: FindTenants
    renew_lease: RenewLease
    watch_lease: WatchLease

    def __init__(
        self, store: Store, streams: Streams, clock: Clock, settings: EngineSettings | None = None, *,
        entropy: Entropy = os.urandom, load_core: LoadCore = Machine.load, judge: Judge = nothing_holds,
    ) -> None:  # fmt: skip
        self.settings = settings or EngineSettings()
        self.metrics = Metrics()
        self.reader = store.reader
        self._store, self._streams, self._clock = store, streams, clock
        self._seats, self._inbox = Seats(), Inbox(self.settings)
        self._patience = Patience(clock, entropy, self.settings, self.metrics)
        self._cache = PayloadCache(self.settings.payload_cache_bytes_max)
        self._lease = Lease(store.lease_us, clock, self.settings)
        self._committer = Committer(store, self._lease, self._patience, clock, self.metrics)
        self._recovery = Recovery(
            store, self._seats, self._committer, self._patience, clock, entropy, self.metrics, self.settings, load_core
        )
        self._deliverer = Deliverer(
            streams, store.reader, self._cache, self._lease, self._inbox, self._patience, self.metrics, self.settings
        )  # fmt: skip
        self._ownership = Ownership(self._recovery, clock, self.settings)
        quarantine = Quarantine(store, self._patience, clock, entropy, self.metrics, self.settings)
        self._loop = Loop(Parts(
            store, self._seats, self._inbox, self._committer, self._recovery, quarantine, self._deliverer,
            self._cache, self._patience, clock, self.metrics, self._lease, Past(store.reader, self._patience, judge),
        ))  # fmt: skip
        # Logs have a patience of their own: a log file in trouble does not make the engine unready.
        logs_patience = Patience(clock, entropy, self.settings, self.metrics)
        self.write_logs = WriteLogs(store, logs_patience, clock, self.metrics, self.settings)
        self.prune_history = PruneHistory(store, lambda: self._is_owner, clock, self.metrics, self.settings)
        self.purge_claims = PurgeClaims(store, lambda: self._is_owner, clock, self.metrics, self.settings)
        self.self_check = SelfCheck(self._seats, self._recovery, clock, self.metrics, self.settings)
        self.find_tenants = FindTenants(
            store, self._seats, lambda: self._is_owner, self._inbox.put_time, clock, self.metrics, self.settings
        )
        self.renew_lease = RenewLease(
            store, self._lease, self._committer, self._standstill_us, self._lose, clock, self.metrics, self.settings
        )
        self.watch_lease = WatchLease(
            self._lease, lambda: self._is_owner, self._let_go, clock, self.metrics, self.settings
        )  # fmt: skip
        self._serving: asyncio.Task[None] | None = None
        self._helpers: list[asyncio.Task[None]] = []
        self._loss: asyncio.Future[None] | None = None  # set while this engine owns the store
        self._is_accepting = False
        self._step_downs = 0
        self._show_gauges()

    # --- life

    async def start(self) -> None:
        """Open and claim the store, load all tenants, begin to serve; or stand by while another server owns it.

        Raises what the store has against it.
        """
        await self._store.open()
        is_owner = await self._ownership.try_once()
        if is_owner:
            self._begin()
        spawn = asyncio.get_running_loop().create_task
        self._serving = spawn(self._serve(), name="limpet-loop")
        self._helpers = [spawn(self._deliverer.run(), name="limpet-deliverer")]
        self._helpers += [spawn(duty.run(), name=f"limpet-{duty.name}") for duty in self._duties()]

    async def run(self) -> None:
        """Wait until the engine has stopped. Raises what ended it: then this process must not go on (R8)."""
        assert self._serving is not None, "run an engine after its start"
        await asyncio.wait([self._serving])
        if not self._serving.cancelled():
            self._serving.result()

    async def hand_over(self, *, drain: bool = True) -> None:
        """Take nothing new, finish what waits (or refuse it), give the store up: from here on a standby may own it (R49).

        Streams are still open, so that answers leave by them. `stop` comes next. Harmless when called twice.
        """
        self._is_accepting = False
        if not drain:
            for entry in self._inbox.take_all():
                entry.answer(EngineStopping("the engine is stopping: try again"))
        self._loop.stop()
        if self._serving is not None:
            if self._is_owner:
                await self._within_drain_time(self._drained())
            await _cancel([self._serving])
        self._loop.abandon(EngineStopping("the engine stopped before this was durable: try again"))
        await self._within_drain_time(self._release())

    async def stop(self, *, drain: bool = True) -> None:
        """End in order: hand the store over, end the streams, close the store."""
        await self.hand_over(drain=drain)
        self._streams.end_all("the engine is stopping")
        await self._within_drain_time(self.write_logs.flushed())
        await _cancel(self._helpers)
        await self._store.close()

    # --- the door

    async def submit(self, tenant: TenantId, item: Input) -> object:
        """See `Door.submit`."""
        seat = self._seat(tenant)
        if isinstance(item, NEW_WORK) and self._patience.troubles.lasting_us > self.settings.refuse_work_after_us:
            self.metrics.refused_inputs.inc()
            raise StoreUnavailable(OUTAGE)
        reply = asyncio.get_running_loop().create_future()
        try:
            self._inbox.put(seat.tenant.no, item, reply)
        except LimitReached as error:
            self.metrics.refused_inputs.inc()
            if not self._patience.troubles:
                raise
            raise StoreUnavailable(OUTAGE) from error
        return await reply

    def notify(self, tenant: TenantId, item: Input) -> None:
        """See `Door.notify`."""
        seat = self._seats.of(tenant) if self._is_accepting else None
        if seat is not None and not self._inbox.put_notice(seat.tenant.no, item):
            self.metrics.dropped_notices.inc()

    def tenant_no(self, tenant: TenantId) -> TenantNo | None:
        """See `Door.tenant_no`."""
        if self._ownership.is_standing_by:
            raise self._ownership.refusal()
        seat = self._seats.of(tenant)
        return None if seat is None else seat.tenant.no

    def worker(self, tenant: TenantId, worker_id: str) -> WorkerView | None:
        """See `Door.worker`."""
        return self._core(tenant).worker(worker_id)

    def workers(self, tenant: TenantId) -> Sequence[WorkerView]:
        """See `Door.workers`."""
        return self._core(tenant).workers()

    def started_at(self, tenant: TenantId, task_run_ids: Sequence[str]) -> dict[str, int]:
        """See `Door.started_at`."""
        return self._core(tenant).started_at(task_run_ids)

    def limits(self, tenant: TenantId, workflow_name: str) -> LimitsView | None:
        """See `Door.limits`. What is not durable yet may be told: the core refuses keys of another version."""
        return self._core(tenant).limits_of(workflow_name)

    def candidates(self, tenant: TenantId, event_key: str, scope: str | None) -> Sequence[Candidate]:
        """See `Door.candidates`. What is not durable yet may be told: the core looks again when the event is there."""
        return self._core(tenant).candidates(event_key, scope)

    def output_view(self, tenant: TenantId, task_run_id: str) -> OutputView | None:
        """See `Door.output_view`."""
        return self._core(tenant).output_view(task_run_id)

    def rates(self, tenant: TenantId) -> RatesView:
        """See `Door.rates`. What is not durable yet may be told: it is a number at a glance."""
        return self._core(tenant).rates(self._clock.now())

    def awaited(self, tenant: TenantId, event_key: str) -> tuple[str, ...]:
        """See `Door.awaited`. What is not durable yet may be told: the core refuses answers that lack one."""
        return self._core(tenant).awaited(event_key)

    async def explain(self, tenant: TenantId, task_run_id: str) -> Explanation:
        """See `Door.explain`. What memory says is told only once it is durable (R6)."""
        for _ in range(EXPLAIN_TRIES):
            core = self._core(tenant)
            explanation = core.explain(task_run_id, self._clock.now())
            await self._loop.settled()
            if core is not self._seat(tenant).core:
                continue  # memory was rebuilt meanwhile, so what it said may never have become durable
            explanation = explanation or await explain_ended(self.reader, self._seat(tenant).tenant.no, task_run_id)
            if explanation is not None:
                return explanation
        raise InternalError(f"task {task_run_id} could not be explained while it changed: try again")

    def log(self, line: LogLine) -> bool:
        """See `Door.log`."""
        return self.write_logs.put(line)

    @property
    def is_ready(self) -> bool:
        """See `Door.is_ready`."""
        return not self._obstacles()

    @property
    def standby(self) -> str | None:
        """See `Door.standby`."""
        return str(self._ownership.refusal()) if self._ownership.is_standing_by else None

    # --- for those who run it

    def next_due(self, tenant: TenantId) -> Instant | None:
        """When time alone will next change something for the tenant; None: never."""
        return self._core(tenant).wake_at

    async def create_tenant(self, tenant: TenantId, name: str) -> Tenant:
        """Make a tenant, or find the one that has this id, and serve it."""
        created = await self._patience.insist(
            "create a tenant", lambda: self._store.create_tenant(tenant, name, self._clock.now())
        )  # fmt: skip
        self._seats.add(created)
        await self.submit(created.id, TimePassed())
        return created

    def health(self) -> Health:
        """For probes and people."""
        obstacles = self._obstacles()
        halted = sum(seat.halt is not None for seat in self._seats)
        return Health(
            is_live=self._is_live(),
            is_ready=not obstacles,
            reasons=tuple(obstacles),
            epoch=self._committer.epoch,
            commit_seq=self._committer.seq,
            inbox_items=len(self._inbox),
            tenants=len(self._seats),
            tenants_halted=halted,
        )

    # --- inside

    async def _serve(self) -> None:
        """Run the loop; lost ownership is either taken up again or ends the engine, everything else ends it."""
        try:
            while True:
                if not self._is_owner:
                    await self._ownership.acquire()
                    self._begin()
                try:
                    return await self._turn()
                except FenceMismatch as error:
                    self._step_down(error)
                    if not self._may_reclaim:
                        raise
                    await self._patience.pause(self._step_downs)  # two owners that both reclaim must not do it ever faster
        except Exception:
            self._is_accepting = False
            self._loop.abandon(EngineStopping("the engine ended because its store failed it: try again"))
            self._deliverer.clear()
            self._streams.end_all("the engine ended")
            _log.critical("The engine ends; the process must be started again.", extra={"event": "engine.ended"}, exc_info=True)
            raise

    @property
    def _is_owner(self) -> bool:
        return self._loss is not None

    @property
    def _may_reclaim(self) -> bool:
        """Whether losing the store is an ordinary event: with leases, servers come and go."""
        return self.settings.reclaim_after_fence_mismatch or self._lease.lease_us is not None

    def _begin(self) -> None:
        """The store is owned and loaded: let calls in."""
        self._loss = asyncio.get_running_loop().create_future()
        self._loop.begin()
        self._is_accepting = True

    async def _turn(self) -> None:
        """Run the loop until it ends, or until the ownership turns out to be lost."""
        assert self._loss is not None, "the loop turns for an owner only"
        turning = asyncio.ensure_future(self._loop.run())
        try:
            await asyncio.wait([turning, self._loss], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not turning.done():
                await _cancel([turning])
        (turning if not turning.cancelled() else self._loss).result()

    def _let_go(self) -> None:
        """The lease has run out, and the store does not answer: streams end, so that workers find whoever owns it (R33).

        Those that come back meanwhile are ended too, each time.
        """
        self._streams.end_all("the engine cannot reach its store, which may have another owner by now")

    def _lose(self, error: FenceMismatch) -> None:
        """A renewal found another owner."""
        if self._loss is not None and not self._loss.done():
            self._loss.set_exception(error)

    def _standstill_us(self) -> int:
        """Since when the loop has not come round for a reason of its own, not of the store's (R15)."""
        return 0 if self._patience.troubles else self._turn_us()

    def _step_down(self, error: FenceMismatch) -> None:
        """Drop everything of the lost ownership and send nothing more (R8, R33)."""
        _log.error("This engine does not own the store any more: %s", error, extra={"event": "engine.stepped_down"})
        self._is_accepting, self._loss = False, None
        self._committer.disown()
        self._step_downs += 1
        self.metrics.step_downs.inc()
        self._deliverer.clear()
        self._loop.abandon(EngineStopping("the engine lost its store to another owner: try again"))
        self._cache.clear()
        for seat in self._seats:
            seat.core, seat.presence = None, Presence()
        self._streams.end_all("the engine lost its store to another owner")

    async def _release(self) -> None:
        """Let a standby take over at once (R49)."""
        if not self._is_owner:
            return
        self._loss = None
        try:
            await self._store.release(self._committer.fences)
        except StoreError as error:
            _log.warning("The lease was not given up, and ends by itself: %s", error, extra={"event": "engine.unreleased"})
        self._committer.disown()

    async def _drained(self) -> None:
        assert self._serving is not None
        await asyncio.wait([self._serving])
        await self._deliverer.emptied()

    async def _within_drain_time(self, work: Awaitable[None]) -> None:
        """Wait for the work, but not longer than whoever stops us would."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._clock.wait_until(Instant(self._clock.now() + self.settings.drain_max_us)))
        await asyncio.wait([task, timer], return_when=asyncio.FIRST_COMPLETED)
        await _cancel([task, timer])

    def _duties(self) -> tuple[Duty, ...]:
        always = self.write_logs, self.prune_history, self.purge_claims, self.self_check, self.find_tenants
        return always if self._lease.lease_us is None else (*always, self.renew_lease, self.watch_lease)

    def _seat(self, tenant: TenantId) -> Seat:
        if not self._is_accepting:
            raise self._closed()
        seat = self._seats.of(tenant)
        if seat is None:
            raise NotFound("tenant", tenant)
        return seat

    def _closed(self) -> TemporaryError:
        """Why nobody is let in now."""
        if self._ownership.is_standing_by:
            return self._ownership.refusal()
        return EngineStopping("the engine is not serving now: try again")

    def _core(self, tenant: TenantId) -> Core:
        """The tenant's core. While it is being rebuilt nobody answers for it, least of all with an empty list (R20)."""
        core = self._seat(tenant).core
        if core is None:
            raise InternalError(f"tenant {tenant} is being rebuilt after a failure inside the engine: try again")
        return core

    def _is_live(self) -> bool:
        is_running = self._serving is not None and not self._serving.done()
        return is_running and (bool(self._patience.troubles) or not self._turn_is_stuck())

    def _turn_is_stuck(self) -> bool:
        return self._turn_us() > self.settings.turn_stuck_after_us

    def _turn_us(self) -> int:
        began_at = self._loop.turn_began_at
        return 0 if began_at is None else self._clock.now() - began_at

    def _obstacles(self) -> list[str]:
        """Why this engine is not ready, as sentences."""
        if self._serving is None or self._serving.done():
            return ["The loop does not run."]
        obstacles = self._patience.troubles.sentences()
        if self._ownership.is_standing_by:
            obstacles.append(str(self._ownership.refusal()))
        elif not self._is_accepting:
            obstacles.append("The engine is stopping or does not own the store.")
        elif not self._lease.is_trusted:
            obstacles.append("The engine cannot be sure that it still owns the store: its lease was not prolonged in time.")
        if self._turn_is_stuck():
            obstacles.append(f"A turn of the loop has taken {self._turn_us() // SECOND_US} s so far.")
        if len(self._seats) and all(seat.halt is not None for seat in self._seats):
            obstacles.append("All tenants are halted after failures; see the log.")
        return obstacles

    def _show_gauges(self) -> None:
        show = self.metrics.gauge
        show("limpet_inbox_items", "Inputs that wait for a turn.", lambda: len(self._inbox))
        show("limpet_inbox_bytes", "Bytes of inputs that wait for a turn.", lambda: self._inbox.size)
        show("limpet_seconds_without_commit", "How long the inputs in hand wait for their commit; 0: none do.", self._turn_age)
        show("limpet_delivery_queue", "Deliveries that wait for their payloads.", lambda: len(self._deliverer))
        show("limpet_payload_cache_bytes", "Bytes of payloads kept for deliveries.", lambda: self._cache.size)
        show("limpet_log_queue", "Log lines that wait to be written.", lambda: len(self.write_logs))
        show("limpet_tenants_halted", "Tenants left alone after a failure.", lambda: self.health().tenants_halted)
        show("limpet_ready", "1 when the engine is ready.", lambda: float(self.is_ready))
        self.metrics.watch_workers(self._workers_by_state)

    def _turn_age(self) -> float:
        return self._turn_us() / SECOND_US

    def _workers_by_state(self) -> Counter[str]:
        return Counter(_state_of(view) for seat in self._seats if seat.core is not None for view in seat.core.workers())


def _state_of(view: WorkerView) -> str:
    if view.gone_at is not None:
        return "gone"
    if view.lost_at is not None:
        return "lost"
    if view.paused:
        return "paused"
    return "active" if view.stream_open else "disconnected"


async def _cancel(tasks: Sequence[asyncio.Task[None] | asyncio.Future[None]]) -> None:
    """Cancel and wait; what a task raised was told where it happened."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
