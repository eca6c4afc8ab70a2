"""What lies between processes: calls with deadlines, streams in order, and the weather that spoils both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Protocol

from limpet.core.decision import Delivery
from limpet.core.errors import EngineStopping, NotJudged, SubscriptionsChanged, TemporaryError, WorkflowChanged
from limpet.core.event_inputs import EventsPushed
from limpet.core.ids import TenantNo
from limpet.core.inputs import Input, RunsTriggered, TaskCompleted
from tests.simulation.agenda import MS, SECOND, Agenda
from tests.simulation.condition_choice import judged
from tests.simulation.evaluating import evaluated
from tests.simulation.keys import with_keys
from tests.simulation.scenario import Weather
from tests.simulation.store import Fate

if TYPE_CHECKING:
    from tests.simulation.world import World

UNAVAILABLE = EngineStopping("the connection is gone")
DEADLINE = 5 * SECOND  # what the official client gives a call


class TimedOut(TemporaryError):
    """The caller has waited long enough."""


class Listener(Protocol):
    """The client's end of a stream."""

    def receive(self, stream: Stream, message: Delivery) -> None: ...

    def stream_broke(self, stream: Stream, why: Exception) -> None: ...


class Conditions:
    """The weather at this moment. Each fault that happened is counted (6.4)."""

    def __init__(self, agenda: Agenda, rng: Random, weather: Weather) -> None:
        self._agenda, self._rng = agenda, rng
        self.weather = weather
        self.calm = Weather()
        self.happened: Counter[str] = Counter()
        self.outage_until = 0

    def clear_up(self) -> None:
        """Faults stop."""
        self.weather = self.calm
        self.outage_until = 0

    def happens(self, fault: str) -> bool:
        chance: float = getattr(self.weather, fault)
        if chance and self._rng.random() < chance:
            self.happened[fault] += 1
            return True
        return False

    def latency(self) -> int:
        if self.happens("delayed"):
            return self._rng.randrange(8 * SECOND)
        return self._rng.randrange(200, 3 * MS)

    def commit(self) -> tuple[int, Fate]:
        """How long a commit takes, and what comes back."""
        delay = self._rng.randrange(500, 3 * MS)
        if self._agenda.now < self.outage_until:
            self.happened["outage"] += 1
            return delay, Fate.TRANSIENT
        if self.happens("slow_commit"):
            delay += self._rng.randrange(2 * SECOND)
        if self.happens("transient"):
            return delay, Fate.TRANSIENT
        if self.happens("answer_lost"):
            return delay, self._rng.choice((Fate.LOST_APPLIED, Fate.LOST_DROPPED))
        return delay, Fate.OK


class Call:
    """One unary call: it ends once, with a reply or an error."""

    __slots__ = ("_done", "_world")

    def __init__(self, world: World, tenant_no: TenantNo, item: Input, done: Callable[[object], None]) -> None:
        self._world, self._done = world, done
        weather = world.weather
        world.agenda.after(DEADLINE, partial(self._finish, TimedOut("no answer")))
        if not weather.happens("lost"):
            world.agenda.after(weather.latency(), partial(self._arrive, tenant_no, item, self._reply))
        if weather.happens("doubled"):
            world.agenda.after(world.spread(3 * SECOND), partial(self._arrive, tenant_no, item, None))

    def _arrive(self, tenant_no: TenantNo, item: Input, reply: Callable[[object], None] | None) -> None:
        engine = self._world.engine
        if engine is None or not engine.serving:
            if reply is not None:
                reply(UNAVAILABLE)
            return
        core = engine.seats[tenant_no].core
        if isinstance(item, EventsPushed) and core is not None:
            computed = evaluated(core, item, self._world.rng)
            engine.put(tenant_no, computed, partial(self._try_again, tenant_no, item, reply))
            return
        if isinstance(item, RunsTriggered) and core is not None:
            keyed = with_keys(core, item, self._world.rng)
            if keyed.items != item.items:
                engine.put(tenant_no, keyed, partial(self._try_again, tenant_no, item, reply))
                return
        if isinstance(item, TaskCompleted) and core is not None:
            engine.put(tenant_no, judged(core, item), partial(self._try_again, tenant_no, item, reply))
            return
        engine.put(tenant_no, item, reply)

    def _try_again(
        self, tenant_no: TenantNo, item: Input, reply: Callable[[object], None] | None, answer: object
    ) -> None:  # fmt: skip
        """The edge evaluates again when the workflow was registered anew, or more is looked at by now (R52)."""
        if isinstance(answer, WorkflowChanged | NotJudged | SubscriptionsChanged):
            self._arrive(tenant_no, item, reply)
        elif reply is not None:
            reply(answer)

    def _reply(self, reply: object) -> None:
        if not self._world.weather.happens("lost"):
            self._world.agenda.after(self._world.weather.latency(), partial(self._finish, reply))

    def _finish(self, reply: object) -> None:
        done, self._done = self._done, _ignore
        done(reply)


def _ignore(reply: object) -> None:
    """The call has ended already."""


class Stream:
    """An assignment stream: in order, one way. `deaf`: open, and nothing comes through."""

    __slots__ = ("_last", "_world", "deaf", "engine", "listener", "open", "session", "tenant_no", "worker_id")

    def __init__(self, world: World, tenant_no: TenantNo, worker_id: str, listener: Listener) -> None:
        self._world, self.tenant_no, self.worker_id, self.listener = world, tenant_no, worker_id, listener
        engine = world.engine
        assert engine is not None
        self.engine = engine
        self.open = True
        self.deaf = False
        self._last = 0
        self.session = engine.open_stream(tenant_no, worker_id, self)

    def send(self, message: Delivery) -> None:
        """From the engine; what is on its way when the stream breaks is lost."""
        if self.open and not self.deaf:
            self._in_order(partial(self._received, message))

    def _in_order(self, act: Callable[[], None]) -> None:
        now = self._world.agenda.now
        self._last = max(self._last, now + self._world.rng.randrange(200, 3 * MS))
        self._world.agenda.after(self._last - now, act)

    def _received(self, message: Delivery) -> None:
        if self.open:
            self.listener.receive(self, message)

    def server_ends(self, why: Exception, delay: int) -> None:
        """The engine ends it with a status."""
        self._world.agenda.after(delay, partial(self._broke, why))

    def _broke(self, why: Exception) -> None:
        if self.open:
            self.open = False
            self.listener.stream_broke(self, why)

    def cut(self, notice_after: int, *, tell_client: bool) -> None:
        """The connection breaks, or the client leaves; the engine notices after a while (half-open)."""
        if not self.open:
            return
        self.open = False
        self._world.agenda.after(notice_after, partial(self.engine.stream_ended, self.tenant_no, self.worker_id, self.session))
        if tell_client:
            self.listener.stream_broke(self, UNAVAILABLE)
