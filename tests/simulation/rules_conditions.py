"""Checks of conditions, by brute force over rows and inputs: G1, W5.2, W5.4 to W5.10. Nothing of the core's evaluation is used.

What is satisfied is known within bounds: an event that comes in the step in which a task begins to wait may count or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from limpet.core.condition_rows import WaitRow, decode_seen
from limpet.core.conditions import Action, Condition, Kind
from limpet.core.event_inputs import EventsPushed, PushedEvent
from limpet.core.event_rows import PushedEventRow
from limpet.core.inputs import ReplayRequested
from limpet.core.rows import RunRow, TaskRow, TaskStatus
from tests.simulation.condition_choice import answer
from tests.simulation.mirror import Mirror, Step

S = TaskStatus
BEGUN = frozenset({S.QUEUED, S.ASSIGNED, S.COMPLETED})
BAD = frozenset({S.FAILED, S.CANCELLED})


@dataclass(slots=True)
class Waiting:
    """What a task that awaits its conditions has heard: for sure, or perhaps, because it came in the same step."""

    armed_at: int
    surely: set[int] = field(default_factory=set)
    perhaps: set[int] = field(default_factory=set)


Name = tuple[int, int]


def conditions_of(mirror: Mirror, run: RunRow, step: int) -> tuple[Condition, ...]:
    return mirror.definition(run).steps[step].conditions


def heard_before(mirror: Mirror) -> dict[Name, Waiting]:
    """Who waits when a core was loaded, and what had been heard by then."""
    found: dict[Name, Waiting] = {}
    for name, row in mirror.tables.waits.items():
        if row.armed_at is not None and row.decided_at is None:
            given = conditions_of(mirror, mirror.tables.runs[row.run_key], row.step)
            past = _past(mirror, given) if mirror.looks(row) else set()
            found[name] = Waiting(row.armed_at, _stored(mirror, row) | past)
    return found


def _stored(mirror: Mirror, row: WaitRow) -> set[int]:
    """Places of the conditions that events have satisfied, as the store knows it."""
    given = conditions_of(mirror, mirror.tables.runs[row.run_key], row.step)
    return {place for place, seen in decode_seen(row.seen).items() if seen.is_met and given[place].kind is Kind.EVENT}


def conditions(step: Step, before: dict[Name, WaitRow | None]) -> Iterator[str]:
    """One step: what it heard, what it decided, and that nobody waits whose conditions hold. `before`: of the waits it changed."""
    mirror = step.mirror
    _hear(step, mirror.awaiting.items())
    yield from _arm(step, before)
    for old, new in step.tasks:
        if old is None or S(old.status) is S.PENDING:
            yield from _began(step, new)
    for name in [name for name in mirror.awaiting if not _still_waits(mirror, name)]:
        del mirror.awaiting[name]
    yield from _forgotten(step)
    if not step.is_paced:
        yield from _overlooked(step)


def _still_waits(mirror: Mirror, name: Name) -> bool:
    row = mirror.tables.waits[name]
    return row.armed_at is not None and row.decided_at is None


def _hear(step: Step, waits: Iterable[tuple[Name, Waiting]]) -> None:
    """Everybody who waited before the step hears every event of it."""
    events = list(_events(step))
    for (run_key, number), waiting in waits if events else ():
        run = step.mirror.tables.runs[run_key]
        waiting.surely |= _satisfied(conditions_of(step.mirror, run, number), events)


def _events(step: Step) -> Iterator[PushedEvent]:
    """Those that the step stored; a repeated push brings nothing anew."""
    stored = {row.id for row in step.decision.changes.pushed_events}
    for item, reply in zip(step.items, step.decision.replies, strict=True):
        if isinstance(item, EventsPushed) and not isinstance(reply, Exception):
            yield from (event for event in item.events if event.id in stored)


def _satisfied(given: tuple[Condition, ...], events: list[PushedEvent]) -> set[int]:
    return {
        place
        for place, one in enumerate(given)
        for event in events
        if one.kind is Kind.EVENT and one.subject == event.name and one.scope in ("", event.scope or "")
        if answer(one.expression, event.payload)
    }


def _arm(step: Step, before: dict[Name, WaitRow | None]) -> Iterator[str]:
    """Waits that begin, and that each is decided once."""
    mirror = step.mirror
    replayed = any(isinstance(item, ReplayRequested) for item in step.items)
    for name, old in before.items():
        row = mirror.tables.waits[name]
        same = old is not None and old.armed_at == row.armed_at
        if old is not None and same and not replayed and old.decided_at not in (None, row.decided_at):
            yield f"W5.8: step {row.step} of run {row.run_key} was decided at {old.decided_at} and again at {row.decided_at}"
        again = replayed and row.armed_at == step.now  # perhaps: it was armed at this very instant before
        if row.armed_at is None or (same and not again):
            continue
        if row.armed_at != step.now:
            yield f"W5.7: step {row.step} of run {row.run_key} begins to wait at {row.armed_at}, and it is {step.now}"
        given = conditions_of(mirror, mirror.tables.runs[row.run_key], row.step)
        known = mirror.awaiting.get(name) if same else None
        heard = known.surely | known.perhaps if known is not None else set()
        past = _past(mirror, given)
        mirror.awaiting[name] = Waiting(row.armed_at, past, heard | _satisfied(given, list(_events(step))))


def _past(mirror: Mirror, given: tuple[Condition, ...]) -> set[int]:
    """Conditions that events of the past satisfy, with those of this step."""
    events = mirror.tables.pushed_events.values() if any(one.since_us for one in given) else ()
    return {
        place
        for place, one in enumerate(given)
        if one.since_us and any(_is_like(one, event) for event in events if event.created_at >= one.since_us)
    }


def _is_like(one: Condition, event: PushedEventRow) -> bool:
    return one.subject == event.name and one.scope in ("", event.scope or "") and answer(one.expression, event.payload)


def _by_parents(step: Step, run: RunRow, given: tuple[Condition, ...]) -> set[int]:
    """Conditions that the outputs of the parents satisfy."""
    definition = step.mirror.definition(run)
    rows = {definition.steps[row.step].name: row for row in step.mirror.tables.tasks_of(run.key)}
    found = set()
    for place, one in enumerate(given):
        row = rows.get(one.subject) if one.kind is Kind.PARENT else None
        if row is not None and S(row.status) is S.SKIPPED and answer(one.expression, b"skipped"):
            found.add(place)
        if row is not None and S(row.status) is S.COMPLETED and answer(one.expression, row.output or b""):
            found.add(place)
    return found


def _slept(given: tuple[Condition, ...], waiting: Waiting, now: int) -> set[int]:
    return {place for place, one in enumerate(given) if one.kind is Kind.SLEEP and waiting.armed_at + one.sleep_us <= now}


def fires(given: tuple[Condition, ...], action: Action, met: set[int]) -> bool:
    """Conjunctive normal form, spelled out (W5.1, W5.2)."""
    groups = {one.group for one in given if one.action is action}
    return bool(groups) and all(
        any(place in met for place, one in enumerate(given) if one.action is action and one.group == group) for group in groups
    )


def _began(step: Step, new: TaskRow) -> Iterator[str]:
    """A task with conditions begins, or is skipped, only when they say so."""
    mirror, status = step.mirror, S(new.status)
    run = mirror.tables.runs[new.run_key]
    given = conditions_of(mirror, run, new.step)
    if not given or status not in BEGUN | {S.SKIPPED}:
        return
    waiting = mirror.awaiting.get((new.run_key, new.step))
    met = _by_parents(step, run, given)
    if waiting is not None:
        met |= _slept(given, waiting, step.now) | waiting.surely | waiting.perhaps
    if status is S.SKIPPED:
        parents = [row for row in mirror.tables.tasks_of(run.key) if row.step in mirror.definition(run).parent_steps[new.step]]
        if not fires(given, Action.SKIP, met) and not (parents and all(S(row.status) is S.SKIPPED for row in parents)):
            yield f"W5.8: task {new.id} is skipped, and its skip conditions do not hold: {given}, met {sorted(met)}"
    elif any(one.action is Action.QUEUE for one in given) and not fires(given, Action.QUEUE, met):
        yield f"G1: task {new.id} is {status.name}, and its wait conditions do not hold: {given}, met {sorted(met)}"


def _forgotten(step: Step) -> Iterator[str]:
    """What an event meant is stored with it, for all who heard it: no crash makes anybody forget it (R53)."""
    mirror = step.mirror
    if not any(_events(step)):
        return
    for name, waiting in mirror.awaiting.items():
        run, stored = mirror.tables.runs[name[0]], _stored(mirror, mirror.tables.waits[name])
        given = conditions_of(mirror, run, name[1])
        met = _by_parents(step, run, given) | _slept(given, waiting, step.now) | stored
        if mirror.looks(mirror.tables.waits[name]):
            continue
        if not waiting.surely <= stored and not any(fires(given, action, met) for action in Action):
            yield f"W5.14: step {name[1]} of run {run.id} heard {sorted(waiting.surely)}, and {sorted(stored)} are stored"


def _overlooked(step: Step) -> Iterator[str]:
    """Nobody waits whose conditions hold, or can never hold."""
    mirror = step.mirror
    for (run_key, number), waiting in mirror.awaiting.items():
        run = mirror.tables.runs[run_key]
        given = conditions_of(mirror, run, number)
        met = _by_parents(step, run, given) | _slept(given, waiting, step.now) | waiting.surely
        for action in Action:
            if fires(given, action, met):
                yield f"W5.8: step {number} of run {run.id} waits, and {action.name} holds: {given}, met {sorted(met)}"
        if not fires(given, Action.QUEUE, met | {place for place, one in enumerate(given) if one.kind is not Kind.PARENT}):
            yield f"W5.6: step {number} of run {run.id} waits for what can never hold, or for nothing"
