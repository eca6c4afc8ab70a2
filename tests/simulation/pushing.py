"""Events and filters in a simulated tenant: who pushes, and the laws that each event acts once (E1, D1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from limpet.core.errors import TemporaryError
from limpet.core.event_inputs import (
    EventInput,
    EventsPushed,
    FilterCreated,
    FilterDeleted,
    FilterUpdated,
    PushedEvent,
)
from tests.simulation import claims
from tests.simulation.agenda import SECOND
from tests.simulation.network import Call

if TYPE_CHECKING:
    from tests.simulation.mirror import Step
    from tests.simulation.tables import Tables
    from tests.simulation.tenant import Tenant

NAMES = ("order:created", "order:paid", "invoice", "silent")
SCOPES = ("eu", "us", None)
FILTERS_MAX = 4
TRIES = 5


class Pusher:
    """A program that pushes events, and a person who changes filters meanwhile."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.world, self.no = tenant, tenant.world, tenant.no
        self.rng = Random(tenant.world.seed * 37 + tenant.no)
        self.count = 0

    def act(self) -> None:
        """One act, then another one later, until the callers fall silent."""
        if not self.tenant.triggering:
            return
        item = self._choose()
        self._send(item, TRIES if isinstance(item, EventsPushed) and item.is_repeatable else 1)
        self.world.agenda.after(int(self.rng.expovariate(1 / (7 * SECOND))), self.act)

    def _send(self, item: EventInput, tries: int) -> None:
        Call(self.world, self.no, item, partial(self._told, item, tries - 1))

    def _told(self, item: EventInput, tries_left: int, reply: object) -> None:
        """Our client repeats a push whose answer is unknown, with the same ids (I5)."""
        if isinstance(reply, TemporaryError) and tries_left:
            self.world.agenda.after(SECOND, partial(self._send, item, tries_left))

    def _choose(self) -> EventInput:
        rng, tables = self.rng, self.world.store.tables[self.no]
        filters = [row.id for row in tables.filters.values()]
        workflows = [row.id for row in tables.workflows.values() if row.deleted_at is None]
        luck = rng.random()
        if filters and luck < 0.15:
            return FilterDeleted(rng.choice(filters))
        if filters and luck < 0.3:
            return FilterUpdated(rng.choice(filters), scope=rng.choice(("eu", "us")))
        if workflows and len(filters) < FILTERS_MAX and luck < 0.4:
            return FilterCreated(rng.choice(workflows), rng.choice(("eu", "us")), "x", b'{"f":%d}' % rng.randrange(9))
        events = tuple(self._event() for _ in range(1 if luck < 0.8 else rng.randint(2, 5)))
        return EventsPushed(events, is_repeatable=rng.random() < 0.7)

    def _event(self) -> PushedEvent:
        self.count += 1
        return PushedEvent(event_id(self.no, self.count), self.rng.choice(NAMES), b'{"x":1}', scope=self.rng.choice(SCOPES))


def event_id(tenant: int, number: int) -> str:
    """A UUID that nobody else has."""
    return f"00000000-0000-4000-{0x8000 + tenant:04x}-{number:012x}"


def laws(step: Step) -> Iterator[str]:
    """E1: an accepted event and all that it starts are one commit, once each."""
    changes = step.decision.changes
    opened = {row.key: row for row in changes.runs_opened}
    events = {row.key: row for row in changes.pushed_events}
    for started in changes.event_runs:
        event, run = events.get(started.event_key), opened.get(started.key)
        if event is None or run is None:
            yield f"E1: run {started.run_id} and event {started.event_id} that started it are not one commit"
        elif (run.input, run.id) != (event.payload, started.run_id):
            yield f"F5.11: run {run.id} does not have what event {event.id} brought"
    wanted: dict[str, PushedEvent] = {}
    for item, reply in zip(step.items, step.decision.replies, strict=True):
        if isinstance(item, EventsPushed) and isinstance(reply, tuple):
            wanted.update({event.id: event for event in item.events if event.id not in wanted})
    new = {row.id for row in changes.pushed_events}
    counts = Counter(started.event_id for started in changes.event_runs)
    for one, event in wanted.items():
        most = len(event.starts)
        if (
            one in new
            and not most - claims.may_collide(step, (start.keys for start in event.starts if start.keys is not None))
            <= counts[one]
            <= most
        ):
            yield f"E1: event {one} was to start {most} runs, and started {counts[one]}"
    twice = [pair for pair, count in Counter(_causes(step)).items() if count > 1]
    if twice:
        yield f"F5.9: one event started two runs for {twice[0]}"


def _causes(step: Step) -> Iterator[tuple[int, int, str | None]]:
    tables = step.mirror.tables
    return ((one.event_key, tables.runs[one.key].workflow_key, one.filter_id) for one in step.decision.changes.event_runs)


def acknowledged(items: Sequence[object], replies: Sequence[object]) -> Iterator[str]:
    """Ids of events that somebody was told are stored."""
    for item, reply in zip(items, replies, strict=True):
        if isinstance(item, EventsPushed) and isinstance(reply, tuple):
            yield from (row.id for row in reply)


def lost(told: Mapping[str, None], tables: Tables) -> Iterator[str]:
    """D1: whoever was told of an event finds it, with runs that exist."""
    known = {row.id for row in tables.pushed_events.values()}
    yield from (f"D1: event {one} was acknowledged and is gone" for one in told if one not in known)
    yield from (f"D1: run {one.run_id} of an event is gone" for one in tables.event_runs.values() if one.key not in tables.runs)
