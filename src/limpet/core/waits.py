"""What a core remembers of tasks with conditions: what is known of each condition, and which tasks await which events.

Laws:
1. A wait is *armed* from the moment the parents allow its task until a decision; only armed ones await events and time.
2. That a sleep is over is never stored: it follows from the arming and the instant that is asked about.
3. A wait is *ripe* when an event has decided it and its task's turn has not come: armed, and deaf for whatever else comes. That
   is not stored either: it follows from what it has seen.
4. A wait that asks for events of the past *looks* from its arming on until the store has answered, and decides nothing before.
   A condition without an event in the past is seen as not satisfied, until a later event satisfies it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from limpet.core.condition_rows import Seen, WaitRow, decode_seen, encode_seen
from limpet.core.conditions import BY_HAPPENING, Action, Condition, Kind, LookBack, Rules
from limpet.core.definitions import WorkflowDefinition
from limpet.core.ids import Instant, RunKey, TenantNo
from limpet.core.records import Run
from limpet.core.rows import TaskStatus

Name = tuple[RunKey, int]  # run, step
EVERY_EVENT = sys.maxsize


class Moment(NamedTuple):
    """What has brought something: the end of a sleep (no event key), or an event. In this order they count (W5.8)."""

    at: Instant
    event_key: int = 0


class Heard(NamedTuple):
    """What an event means to conditions of one kind.

    places: those that it satisfies
    alone:  what they decide when nothing else is satisfied
    """

    places: Mapping[int, Seen]
    moment: Moment
    alone: Action | None


class Decided(NamedTuple):
    """Which action the conditions have chosen, and what has brought it about."""

    action: Action
    moment: Moment


@dataclass(slots=True, eq=False)
class Wait:
    """The conditions of one task of a run, as they stand. Instants as in `WaitRow`.

    seen: by position; a sleep is never in it, a parent's condition only when an expression was evaluated
    """

    run: Run
    step: int
    armed_at: Instant | None = None
    decided_at: Instant | None = None
    seen: dict[int, Seen] = field(default_factory=dict)

    @property
    def name(self) -> Name:
        return self.run.key, self.step

    @property
    def rules(self) -> Rules:
        return self.run.definition.rules[self.step]

    @property
    def is_armed(self) -> bool:
        """Whether its conditions have still to decide, or its turn to come."""
        return self.armed_at is not None and self.decided_at is None

    @property
    def has_heard(self) -> bool:
        """Whether anything but sleeps may have decided it since its arming."""
        return self.rules.looks_first or any(seen.event_key is not None for seen in self.seen.values())

    def is_satisfied(self, place: int) -> bool:
        """Whether an event, or an output, has satisfied that condition."""
        seen = self.seen.get(place)
        return seen is not None and seen.is_met

    @property
    def open_look_backs(self) -> dict[int, LookBack]:
        """What the store has still to be asked, by place."""
        return {place: asked for place, asked in self.rules.look_backs.items() if place not in self.seen}

    def is_untouched(self, now: Instant) -> bool:
        """Whether nothing has satisfied any of its conditions, of which none is about a parent; it is armed."""
        rules = self.rules
        slept = rules.pauses_us and self.armed_at is not None and self.armed_at + rules.pauses_us[0] <= now
        return not self.seen and not rules.parents and not slept

    def met(self, at: Instant, event_key: int = EVERY_EVENT) -> set[int]:
        """Positions of the conditions that are satisfied at that instant, by the events up to that one of the instant."""
        rules, until = self.rules, (at, event_key)
        found = {place for place, seen in self.seen.items() if seen.is_met and (seen.at, seen.event_key or 0) <= until}
        if self.armed_at is not None:
            found.update(place for place in rules.sleeps if self.armed_at + rules.conditions[place].sleep_us <= at)
        found.update(place for place in rules.parents if self._holds_by_status(rules.conditions[place]))
        return found

    def decided_by(self, moment: Moment) -> Decided | None:
        """What the conditions say right then."""
        action = self.rules.first_to_hold(BY_HAPPENING, self.met(*moment))
        if self.looked is not None and moment <= self.looked and action in (None, Action.QUEUE) and self._may_run_at_once:
            action = Action.QUEUE if moment == self.looked else None  # nothing of the past skips or cancels it (W5.10)
        return None if action is None else Decided(action, moment)

    @property
    def _may_run_at_once(self) -> bool:
        """Whether it waits for nothing, or for what outputs had satisfied before its arming."""
        before = self.met(Instant((self.armed_at or 0) - 1))
        return not self.rules.groups(Action.QUEUE) or self.rules.holds(Action.QUEUE, before)

    @property
    def looked(self) -> Moment | None:
        """When all events of the past have counted, if these may skip or cancel a task that waits for nothing else."""
        return Moment(self.armed_at, EVERY_EVENT) if self.rules.looks_first and self.armed_at is not None else None

    def first_decision(self, until: Instant) -> Decided | None:
        """What the conditions have said by then, whichever came first of all that has happened."""
        moments = {Moment(Instant(seen.at), seen.event_key) for seen in self.seen.values() if seen.event_key is not None}
        moments.update(map(Moment, self.sleeps_end()))
        if self.looked is not None:
            moments.add(self.looked)
        found = (self.decided_by(moment) for moment in sorted(moments) if moment.at <= until)
        return next((decided for decided in found if decided is not None), None)

    def _holds_by_status(self, condition: Condition) -> bool:
        """Whether it is about a parent that was skipped, or whose output nobody needs to look at (W5.3, W5.4)."""
        parent = self.run.tasks.get(self.run.definition.step_by_name[condition.subject])
        if parent is None:
            return False
        if parent.status is TaskStatus.SKIPPED:
            return condition.holds_if_skipped
        return parent.status is TaskStatus.COMPLETED and not condition.expression

    def data(self) -> Iterator[tuple[Condition, Seen | None]]:
        """What let the task run and is handed to it: sleeps without, events with what was seen; outputs it has as a child."""
        if self.decided_at is None:
            return
        met = self.met(self.decided_at)
        for place, one in enumerate(self.rules.conditions):
            if one.action is Action.QUEUE and one.kind is not Kind.PARENT and place in met:
                yield one, self.seen.get(place)

    def sleeps_end(self) -> list[Instant]:
        """When the sleeps are over, in order."""
        armed_at = self.armed_at
        return [] if armed_at is None else [Instant(armed_at + pause_us) for pause_us in self.rules.pauses_us]


class Waits:
    """All waits of runs in memory. One owner: `State`."""

    def __init__(self) -> None:
        self.ripe: dict[Name, tuple[Wait, Decided]] = {}  # in the order of their turns
        self.looking: dict[Name, Wait] = {}
        self._by_run: dict[RunKey, dict[int, Wait]] = {}
        self._by_event: dict[str, dict[Name, Wait]] = {}
        self._changed: dict[Name, Wait] = {}
        self._expressions: dict[str, dict[str, None]] = {}

    def of(self, run: Run, step: int) -> Wait | None:
        """What is known of the conditions of that step; None: nothing."""
        return self._by_run.get(run.key, {}).get(step)

    def all(self) -> Iterator[Wait]:
        """Every wait, armed or not."""
        for waits in self._by_run.values():
            yield from waits.values()

    def for_event(self, event_key: str) -> list[Wait]:
        """The armed waits of which a condition awaits such an event, in the order of their arming."""
        return list(self._by_event.get(event_key, {}).values())

    def see(self, run: Run, step: int, place: int, seen: Seen) -> None:
        """Something became known of one condition."""
        self.note(self._made(run, step), {place: seen})

    def note(self, wait: Wait, places: Mapping[int, Seen]) -> None:
        """Something became known of some conditions."""
        if places:
            wait.seen.update(places)
            self._changed[wait.name] = wait

    def arm(self, run: Run, step: int, now: Instant) -> Wait:
        """From now on time and events count."""
        wait = self._made(run, step)
        assert wait.armed_at is None, f"the conditions of step {step} of run {run.id} are armed twice"
        wait.armed_at = now
        self._listen(wait)
        if wait.rules.look_backs:
            self.looking[wait.name] = wait
        self._changed[wait.name] = wait
        return wait

    def ripen(self, wait: Wait, decided: Decided) -> None:
        """The wait is decided, and its task's turn comes later; nothing else counts any more."""
        self._stop_listening(wait)
        self.ripe[wait.name] = wait, decided

    def settle(self, wait: Wait, at: Instant) -> None:
        """The wait is over: decided, or its task was cancelled."""
        self._stop_listening(wait)
        self.ripe.pop(wait.name, None)
        self.looking.pop(wait.name, None)
        wait.decided_at = at
        self._changed[wait.name] = wait

    def begin_anew(self, run: Run, steps: Iterable[int]) -> None:
        """The steps are replayed: only what outputs that stay mean to them is still known."""
        replayed = set(steps)
        names = {run.definition.steps[step].name for step in replayed}
        for step in replayed:
            wait = self.of(run, step)
            if wait is None:
                continue
            conditions = wait.rules.conditions
            wait.armed_at = wait.decided_at = None
            wait.seen = {
                place: seen
                for place, seen in wait.seen.items()
                if conditions[place].kind is Kind.PARENT and conditions[place].subject not in names
            }
            self._changed[wait.name] = wait

    def forget(self, run: Run) -> None:
        """The run leaves memory; its rows stay."""
        self._by_run.pop(run.key, None)

    def restore(self, row: WaitRow, run: Run) -> Wait:
        """From its row, as it stood."""
        armed_at = None if row.armed_at is None else Instant(row.armed_at)
        decided_at = None if row.decided_at is None else Instant(row.decided_at)
        wait = Wait(run, row.step, armed_at, decided_at, decode_seen(row.seen))
        self._by_run.setdefault(run.key, {})[row.step] = wait
        if wait.is_armed:
            self._listen(wait)
            if wait.open_look_backs:
                self.looking[wait.name] = wait
        return wait

    def to_ask(self, limit: int) -> list[LookBack]:
        """What the store is to be asked for those that look, at most so much."""
        asked: dict[LookBack, None] = {}
        for wait in self.looking.values():
            if len(asked) >= limit:
                break
            asked.update(dict.fromkeys(wait.open_look_backs.values()))
        return list(asked)[:limit]

    def restore_ripe(self, waits: Iterable[Wait], now: Instant) -> None:
        """Those of the waits that events had decided when nobody looked any more, in the order of their decisions."""
        heard = (wait for wait in waits if wait.is_armed and wait.name not in self.looking and wait.has_heard)
        found = [(wait, decided) for wait in heard if (decided := wait.first_decision(now)) is not None]
        found = [(wait, decided) for wait, decided in found if decided.moment.event_key]  # for sleeps there are timers
        for wait, decided in sorted(found, key=lambda one: (one[1].moment, one[0].armed_at, one[0].name)):
            self.ripen(wait, decided)

    def take_changed(self, tenant_no: TenantNo) -> list[WaitRow]:
        """The rows of what has changed since the last time."""
        rows = [wait_row(wait, tenant_no) for wait in self._changed.values()]
        self._changed.clear()
        return rows

    def learn(self, definition: WorkflowDefinition) -> None:
        """A version is in memory, so its tasks may come to await events."""
        for key, expressions in definition.event_expressions.items():
            self._expressions.setdefault(key, {}).update(dict.fromkeys(expressions))

    def expressions(self, event_key: str) -> tuple[str, ...]:
        """Every expression that some task may hold against the payload of such an event."""
        return tuple(self._expressions.get(event_key, ()))

    def listening(self) -> Mapping[str, Mapping[Name, Wait]]:
        """Who awaits which event; for the invariants."""
        return self._by_event

    def _made(self, run: Run, step: int) -> Wait:
        return self._by_run.setdefault(run.key, {}).setdefault(step, Wait(run, step))

    def _listen(self, wait: Wait) -> None:
        for key in wait.rules.event_keys:
            self._by_event.setdefault(key, {})[wait.name] = wait

    def _stop_listening(self, wait: Wait) -> None:
        for key in wait.rules.event_keys:
            waiting = self._by_event.get(key, {})
            waiting.pop(wait.name, None)
            if not waiting:
                self._by_event.pop(key, None)


def wait_row(wait: Wait, tenant_no: TenantNo) -> WaitRow:
    run = wait.run
    return WaitRow(run.key, wait.step, tenant_no, run.created_at, wait.armed_at, wait.decided_at, encode_seen(wait.seen))
