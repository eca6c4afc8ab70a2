"""The loop: take inputs, step, commit, tell. The only place where core, store and streams meet.

Laws (decision 0001):
1. No reply and no delivery leaves before the commit that carries its step has returned (R5, D2).
2. One commit is in flight; what arrives meanwhile is the next batch. So no step ever sees undurable state (R6).
3. Nothing is decided while the ownership is in doubt: an answer without a change would leave without a fence (O3).
4. A tenant whose step or rows are at fault loses its memory and is rebuilt; the others do not notice (R8, L7).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from limpet.core.decision import Decision
from limpet.core.errors import InternalError, LimpetError
from limpet.core.ids import Instant, TenantNo
from limpet.core.inputs import Input, TimePassed
from limpet.core.needs import Found, Needs
from limpet.engine.alarm import Alarm
from limpet.engine.clock import Clock
from limpet.engine.committing import Committer
from limpet.engine.delivering import Deliverer
from limpet.engine.inbox import Entry, Inbox, Portion
from limpet.engine.leases import Lease
from limpet.engine.looking_back import Past
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Patience
from limpet.engine.payloads import PayloadCache
from limpet.engine.presence import STREAM_INPUTS
from limpet.engine.quarantine import Quarantine
from limpet.engine.recovery import ENDS_OWNERSHIP, Recovery
from limpet.engine.seats import Seat, Seats
from limpet.store.api import DataError, Store

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Move:
    """One tenant's inputs of a turn and what its core decided about them."""

    seat: Seat
    portion: Portion
    decision: Decision


@dataclass(slots=True)
class Parts:
    """What the loop holds in one hand."""

    store: Store
    seats: Seats
    inbox: Inbox
    committer: Committer
    recovery: Recovery
    quarantine: Quarantine
    deliverer: Deliverer
    cache: PayloadCache
    patience: Patience
    clock: Clock
    metrics: Metrics
    lease: Lease
    past: Past


class Loop:
    """Turns inputs into committed facts, then tells the world."""

    def __init__(self, parts: Parts) -> None:
        self._store, self._seats, self._inbox = parts.store, parts.seats, parts.inbox
        self._committer, self._recovery, self._quarantine = parts.committer, parts.recovery, parts.quarantine
        self._deliverer, self._cache, self._patience = parts.deliverer, parts.cache, parts.patience
        self._clock, self._metrics, self._lease = parts.clock, parts.metrics, parts.lease
        self._past = parts.past
        self._alarm = Alarm(parts.clock, parts.inbox.ring)
        self._stopping = False
        self._in_hand: Sequence[Portion] = ()
        self._suspects: list[Portion] = []
        self._observers: list[asyncio.Future[None]] = []
        self.turn_began_at: Instant | None = None  # since when something is pending without a commit

    async def run(self) -> None:
        """Turn after turn, until `stop` and nothing is left. Raises what ends the ownership of the store."""
        while portions := await self._take():
            self._begin_turn(portions)
            moves = await self._decide_each(portions)
            moves = await self._commit(moves)
            self._tell(moves)
            await self._repair_suspects()
            self._end_turn()
            await asyncio.sleep(0)  # sockets and callers get their turn too, whatever the store is made of

    def begin(self) -> None:
        """Let every tenant see the time once: what was due while nobody looked, and what waits for a place."""
        for seat in self._seats:
            self._wake_later(seat)

    def stop(self) -> None:
        """Finish what waits, take nothing from the clock any more, then return from `run`."""
        self._stopping = True
        self._alarm.stop()
        self._inbox.ring()

    def abandon(self, reason: LimpetError) -> None:
        """Refuse everything that waits or is in hand: its fate is not this engine's to tell any more (R8)."""
        entries = [entry for portion in self._in_hand for entry in portion.entries] + self._inbox.take_all()
        for entry in entries:
            entry.answer(_copy(reason))
        for observer in self._observers:
            if not observer.done():
                observer.set_exception(_copy(reason))
        self._observers.clear()
        self._suspects.clear()
        self._in_hand, self.turn_began_at = (), None
        self._alarm.stop()

    async def settled(self) -> None:
        """Return once all that memory shows is durable (R6)."""
        if self._in_hand:
            future = asyncio.get_running_loop().create_future()
            self._observers.append(future)
            await future

    async def _take(self) -> Sequence[Portion]:
        while True:
            await self._room_for_deliveries()
            await self._lease.trusted()
            for tenant_no in self._alarm.due():
                self._inbox.put_time(tenant_no)
            if portions := self._inbox.take():
                return portions
            if self._stopping:
                return ()
            await self._inbox.arrival()

    async def _room_for_deliveries(self) -> None:
        if not self._deliverer.has_room:
            self.turn_began_at = self._clock.now()
            await self._deliverer.room()
            self.turn_began_at = None

    def _begin_turn(self, portions: Sequence[Portion]) -> None:
        self._in_hand = portions
        self.turn_began_at = self._clock.now()
        self._metrics.batch_inputs.observe(sum(len(portion.entries) for portion in portions))

    def _end_turn(self) -> None:
        self._in_hand, self.turn_began_at = (), None
        for observer in self._observers:
            if not observer.done():
                observer.set_result(None)
        self._observers.clear()

    async def _decide_each(self, portions: Sequence[Portion]) -> list[Move]:
        """Step every tenant; those that fail are put aside, those that are halted are refused."""
        moves = []
        for portion in portions:
            seat = self._seats.numbered(portion.tenant_no)
            if seat.core is None and not await self._seat_is_usable(seat):
                _refuse(portion.entries, seat)
                continue
            try:
                moves.append(await self._decide(seat, portion))
            except ENDS_OWNERSHIP:
                raise
            except Exception:
                self._suspect(portion, seat)
        return moves

    async def _decide(self, seat: Seat, portion: Portion) -> Move:
        core, items = seat.core, [entry.item for entry in portion.entries]
        assert core is not None, "only a loaded tenant is stepped"
        needs = core.needs(items)
        found = await self._look_up(seat.tenant.no, needs) if needs else None
        decision = core.step(items, self._clock.now(), found)
        assert len(decision.replies) == len(items), f"{len(decision.replies)} replies to {len(items)} inputs"
        return Move(seat, portion, decision)

    async def _look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        """One batched read of what memory lacks."""
        found = Found()
        if needs.has_records:
            found = await self._patience.insist("look up records", lambda: self._store.look_up(tenant_no, needs))
        if needs.look_backs:
            found.look_backs = await self._past.find(tenant_no, needs.look_backs)
        return found

    async def _commit(self, moves: list[Move]) -> list[Move]:
        """Make the turn durable; returns the moves that are. When the data is at fault its tenants become suspects."""
        changing = [move for move in moves if move.decision.changes]
        if not changing:
            return moves
        try:
            await self._committer.commit([(move.seat.tenant, move.decision.changes) for move in changing])
        except DataError:
            for move in changing:
                self._suspect(move.portion, move.seat)
            return [move for move in moves if not move.decision.changes]
        return moves

    def _tell(self, moves: Iterable[Move]) -> None:
        """Everything in here is durable: answer, deliver, set the alarm."""
        for move in moves:
            seat, decision = move.seat, move.decision
            if decision.changes:
                self._cache.keep(decision.changes)
            for entry, reply in zip(move.portion.entries, decision.replies, strict=True):
                entry.answer(reply)
                if type(entry.item) in STREAM_INPUTS:
                    seat.presence.note_input(entry.item, reply)
            if decision.deliveries:
                seat.presence.note_deliveries(decision.deliveries)
                self._deliverer.hand_over(seat.tenant, decision.deliveries)
            self._alarm.set(seat.tenant.no, decision.wake_at)
            self._report(seat, decision)

    def _report(self, seat: Seat, decision: Decision) -> None:
        for cause, count in decision.stale.items():
            self._metrics.stale_reports.labels(cause).inc(count)
        for notice in decision.notices:
            _log.warning("%s", notice, extra={"event": "core.notice", "tenant_id": seat.tenant.id})

    def _suspect(self, portion: Portion, seat: Seat) -> None:
        """Called while the error is being handled: log it, and put the inputs aside to be applied one by one."""
        self._suspects.append(portion)
        self._metrics.internal_errors.labels("step").inc()
        _log.exception(
            "A turn of %d inputs failed; its tenant is reloaded and they are applied one by one.", len(portion.entries),
            extra={"event": "turn.failed", "tenant_id": seat.tenant.id},
        )  # fmt: skip

    async def _repair_suspects(self) -> None:
        while self._suspects:
            portion = self._suspects[0]
            seat = self._seats.numbered(portion.tenant_no)
            await self._rebuild(seat)
            for entry in portion.entries:
                await self._apply_alone(seat, entry)
            self._suspects.pop(0)

    async def _apply_alone(self, seat: Seat, entry: Entry) -> None:
        """One input, one commit: the failing one is recorded and refused, and hurts only itself (L7)."""
        if seat.core is None:
            _refuse([entry], seat)
            return
        try:
            move = await self._decide(seat, Portion(seat.tenant.no, [entry], 1))
            if move.decision.changes:
                await self._committer.commit([(seat.tenant, move.decision.changes)])
        except ENDS_OWNERSHIP:
            raise
        except Exception as error:
            entry.answer(await self._quarantine.record(seat.tenant, entry.item, error))
            await self._rebuild(seat)
        else:
            self._tell([move])

    async def _seat_is_usable(self, seat: Seat) -> bool:
        """A tenant without memory: new, or halted until an instant that may have come."""
        if seat.halt is not None and self._clock.now() < seat.halt.until:
            return False
        return await self._rebuild(seat)

    async def _rebuild(self, seat: Seat) -> bool:
        """Drop a tenant's memory, load it, tell it about open streams and the time. False: it is halted now."""
        self._recovery.drop(seat)
        try:
            await self._recovery.load(seat)
            opened, closed = self._recovery.reopen_streams(seat)
            items: list[Input] = [*opened, TimePassed()]
            entries = [Entry(item, None, 0) for item in items]
            move = await self._decide(seat, Portion(seat.tenant.no, entries, len(entries)))
            if move.decision.changes:
                await self._committer.commit([(seat.tenant, move.decision.changes)])
        except ENDS_OWNERSHIP:
            raise
        except Exception as error:
            self._recovery.halt(seat, error)
            self._wake_later(seat)
            return False
        seat.halt = None
        self._deliverer.hand_over(seat.tenant, list(closed))
        self._tell([move])
        return True

    def _wake_later(self, seat: Seat) -> None:
        if seat.halt is None:
            self._inbox.put_time(seat.tenant.no)
        else:
            self._alarm.set(seat.tenant.no, seat.halt.until)


def _refuse(entries: Iterable[Entry], seat: Seat) -> None:
    why = "" if seat.halt is None else f" ({seat.halt.reason})"
    for entry in entries:
        entry.answer(InternalError(f"tenant {seat.tenant.id} is halted after a failure inside the engine{why}: try again later"))


def _copy(error: LimpetError) -> LimpetError:
    """Each waiter gets an error of its own, because raising one writes its traceback into it."""
    return type(error)(*error.args)
