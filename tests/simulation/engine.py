"""The engine side in virtual time: take inputs, step, commit, tell; the contract of `limpet.engine.loop` without asyncio.

Order (decision 0001): needs, look up, step, commit, then replies and deliveries. One commit in flight. A transient
error keeps the batch; a lost answer is decided by the fence; a mismatch ends the ownership; a data error rebuilds the
tenant's memory and applies the inputs one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from limpet.core.decision import CloseStreams, Decision, Delivery, KeysWanted, RunFinished, StartTask
from limpet.core.errors import InternalError, StoreUnavailable
from limpet.core.ids import Instant, TenantNo
from limpet.core.inputs import Input, StartUndeliverable, StreamClosed, StreamOpened, TimePassed
from limpet.core.machine import Machine
from limpet.core.rows import RunStatus
from limpet.engine.presence import STREAM_INPUTS, Presence
from limpet.store.api import ONLY_GROUP, Batch, DataError, Fence, FenceMismatch
from tests.simulation.agenda import MS, SECOND, EngineClock
from tests.simulation.keys import answer
from tests.simulation.network import UNAVAILABLE, Stream
from tests.simulation.store import Fate

if TYPE_CHECKING:
    from tests.simulation.world import World

Answer = Callable[[object], None]
BACKOFF_FIRST, BACKOFF_MAX = 50 * MS, 5 * SECOND  # R8
UNKNOWN_RUN_FOR = 10 * SECOND  # R36


@dataclass(slots=True)
class Entry:
    """One input and who waits for its reply."""

    item: Input
    answer: Answer | None = None


@dataclass(slots=True)
class Seat:
    """One tenant in this engine."""

    tenant_no: TenantNo
    core: Machine | None = None
    presence: Presence = field(default_factory=Presence)
    inbox: deque[Entry] = field(default_factory=deque)
    streams: dict[str, dict[int, Stream]] = field(default_factory=dict)
    waiters: dict[str, list[Callable[[RunFinished], None]]] = field(default_factory=dict)
    alarm: int = 0


@dataclass(slots=True)
class Move:
    """One tenant's part of a turn."""

    seat: Seat
    entries: list[Entry]
    decision: Decision


class Engine:
    """One engine process, from its start until it is killed or steps down."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.agenda, self.store, self.rng = world.agenda, world.store, world.rng
        self.clock = EngineClock(world.wall)
        self.seats = {tenant_no: Seat(tenant_no) for tenant_no in world.store.tables}
        self.alive = True
        self.serving = False
        self.owned = Fence(0, 0)
        self.rewinds = 0  # how often the store had gone back when this engine loaded
        self.busy = False
        self._sent_at = 0
        self.sessions = 0
        self._frozen: list[Callable[[], None]] | None = None
        self._in_hand: list[Entry] = []

    # Start and end

    def start(self) -> None:
        """Claim the store, then load, then serve (R16)."""
        self.later(self.world.spread(2 * MS), self.take_over)

    def take_over(self) -> None:
        """(a) epoch, (c) one snapshot, (e) self-check, (f) serve."""
        self.owned = self.store.claim()
        self.rewinds = self.world.rewinds
        for seat in self.seats.values():
            self.load(seat)
        self.serve()

    def serve(self) -> None:
        """Take calls; whatever was due meanwhile comes first."""
        self.serving = True
        self.world.serves(self)
        for seat in self.seats.values():
            self.put(seat.tenant_no, TimePassed())

    def load(self, seat: Seat) -> None:
        """Rebuild a tenant's memory from its rows."""
        now, seen = Instant(self.clock.now()), seat.presence.seen
        salt = self.rng.getrandbits(128).to_bytes(16, "big")
        snapshot = self.store.load(seat.tenant_no)
        seat.core = Machine.load(
            snapshot, tenant_no=seat.tenant_no, now=now, salt=salt, settings=self.world.scenario.settings, seen=seen
        )
        self.world.ledgers[seat.tenant_no].loaded(self, seat.core, now, seen)

    def kill(self) -> None:
        """`kill -9`: nothing is said to anybody; the kernel ends the connections."""
        self.stop(answer_pending=self.rng.random() < 0.5)

    def step_down(self) -> None:
        """Somebody else owns the store, or it went back in time: forget all, close every stream, start anew (R8)."""
        self.stop(answer_pending=True)
        self.world.engine_gone(self)

    def stop(self, *, answer_pending: bool) -> None:
        if not self.alive:
            return
        self.alive = self.serving = False
        pending = self._in_hand
        for seat in self.seats.values():
            pending = [*pending, *seat.inbox]
            for streams in seat.streams.values():
                for stream in streams.values():
                    stream.server_ends(UNAVAILABLE, self.world.spread(2 * SECOND))
        if answer_pending:
            for entry in pending:
                if entry.answer is not None:
                    entry.answer(UNAVAILABLE)

    def freeze(self) -> None:
        """SIGSTOP: whatever was under way happens when it is thawed."""
        if self._frozen is None:
            self._frozen = []

    def thaw(self) -> None:
        frozen, self._frozen = self._frozen or [], None
        for act in frozen:
            if self.alive:
                act()

    def later(self, delay: int, act: Callable[[], None]) -> None:
        """Something this process does after a while, if it still lives."""
        self.agenda.after(delay, partial(self._act, act))

    def _act(self, act: Callable[[], None]) -> None:
        if not self.alive:
            return
        if self._frozen is not None:
            self._frozen.append(act)
        else:
            act()

    # Inputs

    def put(self, tenant_no: TenantNo, item: Input, answer: Answer | None = None) -> None:
        """An edge, a stream or the alarm has something; a turn follows when none is under way."""
        seat = self.seats[tenant_no]
        seat.inbox.append(Entry(item, answer))
        self.wake(seat)

    def wake(self, seat: Seat) -> None:
        """A turn follows when something waits and none is under way."""
        if seat.inbox and self.serving and not self.busy:
            self.busy = True
            self.later(0, self._turn)

    def _turn(self) -> None:
        """Decide, then commit what changed in one batch."""
        limit = self.world.scenario.batch
        moves, suspects = [], []
        for seat in self.seats.values():
            if not seat.inbox:
                continue
            entries = [seat.inbox.popleft() for _ in range(min(limit, len(seat.inbox)))]
            moves.append(self._decide(seat, entries))
        self._in_hand = [entry for move in moves for entry in move.entries]
        suspects = [move for move in moves if move.decision.changes]
        if not suspects:
            self._end_turn(moves)
            return
        self._commit(suspects, partial(self._end_turn, moves), partial(self._repair, moves))

    def _end_turn(self, moves: list[Move]) -> None:
        for move in moves:
            self.tell(move)
        self._next_turn()

    def _next_turn(self) -> None:
        self._in_hand = []
        if not self.alive:
            return
        self.busy = any(seat.inbox for seat in self.seats.values())
        if self.busy:
            self.later(0, self._turn)

    def _decide(self, seat: Seat, entries: list[Entry]) -> Move:
        core, items = seat.core, [entry.item for entry in entries]
        assert core is not None
        found = None
        if needs := core.needs(items):
            found = self.store.look_up(seat.tenant_no, needs)
        now = Instant(self.clock.now())
        decision = core.step(items, now, found)
        self.world.ledgers[seat.tenant_no].stepped(self, core, now, items, decision)
        return Move(seat, entries, decision)

    # Commit (R8)

    def _commit(self, moves: Sequence[Move], done: Callable[[], None], refused: Callable[[DataError], None]) -> None:
        batch = Batch({ONLY_GROUP: self.owned.next()}, [(move.seat.tenant_no, move.decision.changes) for move in moves])
        self._send(batch, 0, done, refused)

    def _send(self, batch: Batch, tries: int, done: Callable[[], None], refused: Callable[[DataError], None]) -> None:
        delay, fate = self.world.weather.commit()
        self._sent_at = self.clock.now()
        self.later(delay, partial(self._arrive, batch, tries, fate, done, refused))

    def _arrive(
        self, batch: Batch, tries: int, fate: Fate, done: Callable[[], None], refused: Callable[[DataError], None]
    ) -> None:
        again = partial(self._send, batch, tries + 1, done, refused)
        pause = min(BACKOFF_MAX, BACKOFF_FIRST << min(tries, 10))
        try:
            if fate in (Fate.OK, Fate.LOST_APPLIED):
                self._apply(batch)
        except FenceMismatch:
            self.step_down()
            return
        except DataError as error:
            refused(error)
            return
        if fate is Fate.OK:
            self._committed(batch, done)
        elif fate is Fate.TRANSIENT:
            self.later(pause, again)
        else:
            self.later(pause, partial(self._read_fence, batch, again, done))

    def _apply(self, batch: Batch) -> None:
        self.store.commit(batch)

    def _note_commit(self, sent_at: int) -> None:
        """A batch that was sent at that instant is known to be durable; servers with a lease care."""

    def _read_fence(self, batch: Batch, again: Callable[[], None], done: Callable[[], None]) -> None:
        """The outcome is unknown: (epoch, seq) tells it."""
        stored = self.store.fence()
        if stored == batch.fences[ONLY_GROUP]:
            self._committed(batch, done)
        elif stored == self.owned:
            again()
        else:
            self.step_down()

    def _committed(self, batch: Batch, done: Callable[[], None]) -> None:
        self.owned = batch.fences[ONLY_GROUP]
        self._note_commit(self._sent_at)
        for tenant_no, _ in batch.changes:
            self.world.ledgers[tenant_no].committed(self)
        if self.rng.random() < 0.1:
            self.later(self.world.spread(20 * MS), done)  # a kill may come in between
        else:
            done()

    # A batch that cannot be stored (L7)

    def _repair(self, moves: list[Move], error: DataError) -> None:
        """Reload its tenants and apply the inputs one by one; the others are told what they wait for."""
        for move in moves:
            if not move.decision.changes:
                self.tell(move)
        suspects = [move for move in moves if move.decision.changes]
        for move in suspects:
            self.rebuild(move.seat)
        self._apply_alone([(move.seat, entry) for move in suspects for entry in move.entries])

    def rebuild(self, seat: Seat) -> None:
        """Drop a tenant's memory and load it again, inside one process (R31)."""
        assert seat.core is not None
        seat.presence.remember(seat.core.workers())
        self.load(seat)
        opened, closed = seat.presence.reopen(
            Instant(self.clock.now()), within_us=self.world.scenario.settings.worker_assignable_us
        )
        again: list[Input] = [*opened, TimePassed()]
        seat.inbox.extendleft(Entry(item) for item in reversed(again))
        self.deliver(seat, list(closed))

    def _apply_alone(self, entries: list[tuple[Seat, Entry]]) -> None:
        if not entries:
            self._next_turn()
            return
        seat, entry = entries[0]
        opened = [
            seat.inbox.popleft() for _ in range(len(seat.inbox)) if isinstance(seat.inbox[0].item, StreamOpened | TimePassed)
        ]
        move = self._decide(seat, [*opened, entry])
        go_on = partial(self._apply_alone, entries[1:])
        if not move.decision.changes:
            self.tell(move)
            go_on()
            return
        self._commit([move], partial(self._alone_done, move, go_on), partial(self._alone_refused, move, entries))

    def _alone_done(self, move: Move, go_on: Callable[[], None]) -> None:
        self.tell(move)
        go_on()

    def _alone_refused(self, move: Move, entries: list[tuple[Seat, Entry]], error: DataError) -> None:
        entry = move.entries[-1]
        self.world.count("poison refused")
        if entry.answer is not None:
            entry.answer(InternalError(f"recorded in quarantine: {error}"))
        self.rebuild(move.seat)
        self._apply_alone(entries[1:])

    # Telling

    def tell(self, move: Move) -> None:
        """Everything in here is durable."""
        seat, decision = move.seat, move.decision
        ledger = self.world.ledgers[seat.tenant_no]
        ledger.leaves(self, decision, [entry.item for entry in move.entries])
        for entry, reply in zip(move.entries, decision.replies, strict=True):
            if entry.answer is not None:
                entry.answer(reply)
            if type(entry.item) in STREAM_INPUTS:
                seat.presence.note_input(entry.item, reply)
        seat.presence.note_deliveries(decision.deliveries)
        self.deliver(seat, decision.deliveries)
        self._set_alarm(seat, decision.wake_at)

    def _set_alarm(self, seat: Seat, at: Instant | None) -> None:
        seat.alarm += 1
        if at is not None:
            delay = self.world.wall.true_delay(at - self.clock.now())
            self.later(delay, partial(self._ring, seat, seat.alarm))

    def _ring(self, seat: Seat, alarm: int) -> None:
        if alarm == seat.alarm:
            self.put(seat.tenant_no, TimePassed())

    def deliver(self, seat: Seat, deliveries: Sequence[Delivery]) -> None:
        """Hand everything to streams and subscribers; nobody waits."""
        for one in deliveries:
            if isinstance(one, StartTask):
                self._start(seat, one)
            elif isinstance(one, CloseStreams):
                self._close(seat, one)
            elif isinstance(one, KeysWanted):
                self._compute_keys(seat, one)
            elif isinstance(one, RunFinished):
                for waiter in seat.waiters.pop(one.workflow_run_id, []):
                    waiter(one)
            else:
                worker_id = getattr(one, "worker_id", None)
                for stream in seat.streams.get(worker_id, {}).values() if worker_id else ():
                    stream.send(one)

    def _compute_keys(self, seat: Seat, wanted: KeysWanted) -> None:
        """An edge answers after a while, or never, or twice; the core asks again by itself."""
        weather = self.world.weather
        for happened in ("keys lost", "keys doubled"):
            if self.rng.random() < 0.05:
                self.world.count(happened)
                if happened == "keys lost":
                    return
                self.later(weather.latency() * 3, partial(self.put, seat.tenant_no, answer(wanted, self.rng)))
        self.later(weather.latency(), partial(self.put, seat.tenant_no, answer(wanted, self.rng)))

    def _start(self, seat: Seat, start: StartTask) -> None:
        """To the newest stream; when there is none that takes it, the core hears of it (WK-20)."""
        streams = seat.streams.get(start.worker_id)
        if not streams or self.world.weather.happens("undeliverable"):
            self.put(seat.tenant_no, StartUndeliverable(start.task_run_id, start.retry_count))
            return
        self.world.ledgers[seat.tenant_no].sent(start)
        streams[max(streams)].send(start)

    def _close(self, seat: Seat, close: CloseStreams) -> None:
        streams = seat.streams.get(close.worker_id, {})
        for session in [one for one in streams if close.session in (None, one)]:
            streams[session].server_ends(UNAVAILABLE, 0)
            self.stream_ended(seat.tenant_no, close.worker_id, session)

    # What edges call

    def open_stream(self, tenant_no: TenantNo, worker_id: str, stream: Stream) -> int:
        """A worker listens. The core is told; a refusal ends the stream."""
        self.sessions += 1
        session = self.sessions
        self.seats[tenant_no].streams.setdefault(worker_id, {})[session] = stream
        self.put(tenant_no, StreamOpened(worker_id, session), partial(self._opened, tenant_no, worker_id, session))
        return session

    def _opened(self, tenant_no: TenantNo, worker_id: str, session: int, reply: object) -> None:
        if isinstance(reply, Exception):
            stream = self.seats[tenant_no].streams.get(worker_id, {}).pop(session, None)
            if stream is not None:
                stream.server_ends(reply, 0)

    def stream_ended(self, tenant_no: TenantNo, worker_id: str, session: int) -> None:
        """A stream is over, whoever ended it."""
        streams = self.seats[tenant_no].streams.get(worker_id, {})
        if streams.pop(session, None) is not None and self.alive:
            self.put(tenant_no, StreamClosed(worker_id, session))

    def subscribe(self, tenant_no: TenantNo, run_id: str, waiter: Callable[[RunFinished | Exception], None]) -> None:
        """Registered first, looked up second (R36)."""
        self.register_waiter(tenant_no, run_id, waiter)
        self.later(self.world.spread(5 * MS), partial(self.look_up_result, tenant_no, run_id, waiter, self.agenda.now))

    def register_waiter(self, tenant_no: TenantNo, run_id: str, waiter: Callable[[RunFinished], None]) -> None:
        self.seats[tenant_no].waiters.setdefault(run_id, []).append(waiter)

    def look_up_result(
        self, tenant_no: TenantNo, run_id: str, waiter: Callable[[RunFinished | Exception], None], since: int
    ) -> None:
        """A result that came before the subscription is told from the store."""
        tables = self.store.tables[tenant_no]
        key = tables.run_keys.get(run_id)
        if key is None:
            if self.agenda.now - since > UNKNOWN_RUN_FOR:
                waiter(StoreUnavailable(f"run {run_id} is unknown"))
            else:
                self.later(SECOND, partial(self.look_up_result, tenant_no, run_id, waiter, since))
            return
        run = tables.runs[key]
        if RunStatus(run.status).is_terminal:
            at = Instant(run.finished_at or 0)
            waiter(RunFinished(run_id, key, RunStatus(run.status), at, ()))  # type: ignore[arg-type]
