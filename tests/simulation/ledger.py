"""The checker of one tenant: what was said to the outside, and a mirror of every loaded core. It raises `Violation`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

from limpet.core.decision import Decision, StartTask
from limpet.core.ids import Instant, TenantNo
from limpet.core.inputs import Input, RunsTriggered
from limpet.core.machine import Machine
from limpet.core.rate_rows import as_of
from limpet.core.rows import RunStatus, TaskRow
from tests.simulation import (
    claims,
    meters,
    pauses,
    pushing,
    rules_conditions,
    rules_gates,
    rules_life,
    rules_places,
    rules_runs,
    timetable,
)
from tests.simulation.digest import differences
from tests.simulation.mirror import Mirror, Step
from tests.simulation.tables import Broken, Tables

if TYPE_CHECKING:
    from tests.simulation.engine import Engine
    from tests.simulation.tenant import Tenant
    from tests.simulation.world import World

RELOAD_COMPARED = 0.04  # share of commits after which memory is held against a load (D4)
SELF_CHECKED = 0.1  # share of steps after which the core checks itself


class Violation(AssertionError):
    """An invariant does not hold; the text begins with its id."""


def violations_of(step: Step, old_live: dict[str, TaskRow], confirmed: set[tuple[str, int]]) -> Iterator[str]:
    """All laws that one step shows. `confirmed`: attempts whose STARTED was acknowledged."""
    yield from rules_life.changes(step, confirmed)
    yield from rules_life.accepted_reports(step, old_live)
    yield from rules_life.cancels(step, old_live)
    yield from rules_life.deadlines(step)
    yield from rules_life.losses(step)
    yield from rules_gates.gates(step)
    yield from rules_conditions.conditions(step, step.waits_before)
    yield from rules_runs.graph(step)
    yield from rules_runs.pins(step)
    yield from rules_runs.triggers(step)
    yield from timetable.laws(step, step.schedules_dropped)
    yield from meters.laws(step, step.limits_before)
    yield from pushing.laws(step)
    yield from claims.laws(step, step.claims_before)
    yield from pauses.laws(step)
    yield from rules_places.capacity(step.mirror)
    yield from rules_places.placements(step)
    if not step.is_paced:
        yield from rules_places.work_conservation(step.mirror, step.now)


class Ledger:
    """Everything that the checker remembers of one tenant."""

    def __init__(self, world: World, tenant_no: TenantNo) -> None:
        self.world, self.no = world, tenant_no
        self.chance = Random(world.seed * 7 + tenant_no)  # its own, so that checking less never changes a story
        self.mirrors: dict[Engine, Mirror] = {}
        self.confirming: dict[int, list[tuple[str, int]]] = {}
        self.confirmed: set[tuple[str, int]] = set()
        self.was_sent: set[tuple[str, int]] = set()
        self.acknowledged: dict[str, None] = {}
        self.planned: dict[str, str] = {}
        self.pushed: dict[str, None] = {}
        self.given_up: set[str] = set()
        self.steps = 0

    def fail(self, sentences: Iterable[str]) -> None:
        found = [*self.world.store.violations, *sentences]
        if found:
            raise Violation("\n".join(found[:5]))

    # Told by the engine

    def loaded(self, engine: Engine, core: Machine, now: Instant, seen: dict[str, int]) -> None:
        """A core was rebuilt from the rows."""
        tables = self.world.store.tables[self.no].copy()
        mirror = self.mirrors[engine] = Mirror(self.no, tables, self.world.scenario.settings, engine.clock.honest(), seen)
        mirror.awaiting = rules_conditions.heard_before(mirror)
        self.fail(f"after a load: {sentence}" for sentence in core.check())
        self.fail(f"D1: run {one} was acknowledged and is gone" for one in self.acknowledged if one not in tables.run_keys)

    def stepped(self, engine: Engine, core: Machine, now: Instant, items: list[Input], decision: Decision) -> None:
        """A core has decided; nothing of it is durable yet."""
        mirror = self.mirrors[engine]
        old_live = {row.id: row for row in map(mirror.tables.tasks.__getitem__, mirror.live)}
        try:
            step = mirror.follow(now, engine.clock.honest(), items, decision)
        except Broken as error:
            raise Violation(f"G3, I2, I5: rows that no table would take: {error}") from error
        self.steps += 1
        self.given_up.update([*timetable.given_up(items), *pauses.dropped(step), *claims.collided(step)])
        self.fail(violations_of(step, old_live, self.confirmed))
        if self.chance.random() < SELF_CHECKED:
            self.fail(core.check())
        self.confirming[id(decision)] = list(rules_life.confirmations(step, old_live))
        self.world.outputs.update(repr((now, decision.deliveries, decision.replies)).encode())

    def committed(self, engine: Engine) -> None:
        """The last decision is durable: sometimes memory is held against a load (D3, D4)."""
        store = self.world.store
        self.fail(())
        if engine.owned != store.fence() and engine.rewinds == self.world.rewinds and engine is self.world.engine:
            raise Violation(f"D3: the engine is at {engine.owned}, the store at {store.fence()}")
        if self.chance.random() >= RELOAD_COMPARED:
            return
        self.compare(engine)

    def compare(self, engine: Engine) -> None:
        """D4: a load gives what memory has."""
        core = engine.seats[self.no].core
        if core is None or engine.owned != self.world.store.fence():
            return
        snapshot = self.world.store.load(self.no)
        settings = self.world.scenario.settings
        twin = Machine.load(
            snapshot, tenant_no=self.no, now=core.state.now, salt=b"0" * 16, settings=settings, seen=core.signs_of_life()
        )
        self.fail(f"D4: {one}" for one in differences(core, twin))
        self.fail(f"D4: {one}" for one in _limits_differ(core, self.world.store.tables[self.no]))
        mine, due_at = core.state.timetable.due_at, snapshot.due_at
        if due_at is not None and (mine is None or mine > due_at):
            raise Violation(f"D4: memory looks at the timetable at {mine}, and {due_at} is due before")

    def leaves(self, engine: Engine, decision: Decision, items: list[Input]) -> None:
        """Replies and deliveries of a decision leave the engine (D2)."""
        confirming = self.confirming.pop(id(decision), [])
        if engine.rewinds != self.world.rewinds:
            return
        if (decision.changes and engine.owned.seq > self.world.store.seq) or not self._is_durable(engine, decision):
            raise Violation("D2: an answer leaves before its commit")
        self.confirmed.update(confirming)
        for item, reply in zip(items, decision.replies, strict=True):
            if isinstance(item, RunsTriggered) and isinstance(reply, tuple):
                self.acknowledged.update(dict.fromkeys(one for one in reply if isinstance(one, str)))
        self.planned.update(timetable.acknowledged(items, decision.replies))
        self.pushed.update(dict.fromkeys(pushing.acknowledged(items, decision.replies)))

    def _is_durable(self, engine: Engine, decision: Decision) -> bool:
        """Every row that the decision opens is in the store; a receipt may be gone again if another owner came meanwhile."""
        tables, changes = self.world.store.tables[self.no], decision.changes
        return (
            all(row.key in tables.runs for row in changes.runs_opened)
            and all(
                tables.tasks[row.key].retry_count >= row.retry_count for row in changes.tasks_changed if row.key in tables.tasks
            )
            and (engine.owned.epoch != self.world.store.epoch or all(row.key in tables.receipts for row in changes.receipts[-1:]))
        )

    def sent(self, start: StartTask) -> None:
        """A start is handed to a stream (R25)."""
        attempt = (start.task_run_id, start.retry_count)
        if attempt in self.was_sent:
            raise Violation(f"R25: attempt {attempt[1]} of task {attempt[0]} is sent a second time")
        self.was_sent.add(attempt)

    def rewound(self) -> None:
        """The store went back: what was said about the lost commits cannot be held against anybody (P1)."""
        self.confirmed.clear()
        self.was_sent.clear()
        tables = self.world.store.tables[self.no]
        self.acknowledged = {one: None for one in self.acknowledged if one in tables.run_keys}
        self.planned.clear()
        self.pushed.clear()

    # Asked by callers

    def task_ids_of(self, run_id: str, rng: Random) -> str:
        """The id of some task of the run, as a caller knows it from a page."""
        tables = self.world.store.tables[self.no]
        rows = tables.tasks_of(tables.run_keys[run_id]) if run_id in tables.run_keys else []
        return rng.choice(rows).id if rows else run_id

    # At the end

    def at_the_end(self, tenant: Tenant) -> None:
        """Faults have stopped and all is quiet: D1, E2, L1, L3, L6, and D4 once more."""
        engine = self.world.engine
        if engine is None or not engine.serving:
            raise Violation("L6: no engine serves after the faults have stopped")
        tables = self.world.store.tables[self.no]
        self.fail(f"D1: run {one} was acknowledged and is gone" for one in self.acknowledged if one not in tables.run_keys)
        self.fail(timetable.left_behind(tables.schedules.values(), self.world.wall.honest()))
        self.fail(timetable.lost(self.planned, self.given_up, tables.schedules.values(), tables.runs.values()))
        self.fail(timetable.doubled(tables.runs.values()))
        self.fail(pushing.lost(self.pushed, tables))
        self.fail(f"L3: run {row.id} has not ended" for row in tables.runs.values() if not RunStatus(row.status).is_terminal)
        self.fail(f"R26: receipt row {key} is left, and no attempt lives" for key in tables.receipts)
        self.fail(
            f"E2: the result of run {one.run_id} was never told"
            for one in tenant.waiters
            if one.answer is None and one.run_id in tables.run_keys
        )
        self.compare(engine)


def _limits_differ(core: Machine, tables: Tables) -> Iterator[str]:
    """Rate limits that memory has otherwise than the store."""
    stored, now = {row.name: as_of(row, core.state.now) for row in tables.rate_limits.values()}, core.state.now
    for bucket in core.state.rates.buckets.values():
        mine = as_of(bucket.row(core.state.tenant_no), now) if bucket.exists else None
        if bucket.is_read and mine != stored.get(bucket.name):
            yield f"rate limit {bucket.name}: memory {mine}, stored {stored.get(bucket.name)}"
