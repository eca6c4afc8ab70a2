"""Crons and scheduled runs in a simulated tenant: who plans them, and the law that each slot runs once (I3)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from limpet.core.ids import Instant
from limpet.core.limits_view import StartAsked
from limpet.core.rows import RunRow
from limpet.core.timetable_inputs import (
    CronCreated,
    CronDeleted,
    CronSwitched,
    CronTriggered,
    ScheduleDeleted,
    ScheduleMoved,
    SchedulesCreated,
    ScheduleTriggered,
    TimetableInput,
)
from limpet.core.timetable_rows import ScheduleRow
from tests.simulation.agenda import SECOND
from tests.simulation.keys import keys_of
from tests.simulation.network import Call
from tests.simulation.slots import slot_of

if TYPE_CHECKING:
    from tests.simulation.mirror import Step
    from tests.simulation.tenant import Tenant

PLAN = "plan"
CRONS_MAX = 4
EXPRESSIONS = ("*/2 * * * * *", "*/5 * * * * *", "* * * * * *", "1,7,30 * * * * *")
QUIET = 12 * SECOND  # twice what the clock waits for an edge, and some
SOON = 4 * SECOND  # so that all that is planned is over when the story ends
WORKFLOWS = ("alpha", "beta", "gamma", "delta")


class Planner:
    """A person who plans. When the callers fall silent, it deletes all crons, so that the story can end."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.world, self.no = tenant, tenant.world, tenant.no
        self.rng = Random(tenant.world.seed * 31 + tenant.no)
        self.count = 0
        self.repeatable: SchedulesCreated | None = None

    def act(self) -> None:
        """One act, then another one later. A clock that was set back lets a cron that is switched on again see a slot twice."""
        if self.tenant.triggering:
            self._call(self._choose())
            self.world.agenda.after(int(self.rng.expovariate(1 / (2 * SECOND))), self.act)
            return
        crons = self.world.store.tables[self.no].crons
        for row in list(crons.values()):
            self._call(CronDeleted(row.id))
        self.world.agenda.after(SECOND, self.act)

    def _call(self, item: TimetableInput) -> None:
        def again(reply: object) -> None:
            """A start that is wanted now, of a workflow with expressions: the edge computes its keys."""
            if isinstance(reply, StartAsked) and isinstance(item, CronTriggered | ScheduleTriggered):
                self._call(replace(item, keys=keys_of(reply.limits, self.rng)))

        Call(self.world, self.no, item, again)

    def _choose(self) -> TimetableInput:
        rng, tables = self.rng, self.world.store.tables[self.no]
        crons, schedules = [row.id for row in tables.crons.values()], [row.id for row in tables.schedules.values()]
        luck, soon = rng.random(), Instant(self.world.wall.honest() + rng.randint(-SECOND, SOON))
        if crons and luck < 0.3:
            cron = rng.choice(crons)
            switches = () if self.world.weather.weather.clock_jumps else (CronSwitched(cron, False), CronSwitched(cron, True))
            return rng.choice((*switches, CronDeleted(cron), CronTriggered(cron)))
        if len(crons) < CRONS_MAX and luck < 0.5:
            return CronCreated(rng.choice(WORKFLOWS), self._name(), rng.choice(EXPRESSIONS))
        if schedules and luck < 0.7:
            one = rng.choice(schedules)
            return rng.choice((ScheduleMoved(one, soon), ScheduleDeleted(one), ScheduleTriggered(one)))
        if self.repeatable is not None and luck < 0.85:
            again, self.repeatable = self.repeatable, None
            return again
        metadata = json.dumps({PLAN: self._name()}).encode()
        ids = (str(UUID(int=rng.getrandbits(128), version=4)),)
        self.repeatable = SchedulesCreated(rng.choice(WORKFLOWS), (soon,), metadata=metadata, ids=ids)
        return self.repeatable

    def _name(self) -> str:
        self.count += 1
        return f"plan-{self.count}"


def plan_of(metadata: bytes | None) -> str | None:
    """The name of a scheduled run, which stands in its metadata."""
    found = json.loads(metadata or b"{}").get(PLAN)
    return None if found is None else str(found)


def laws(step: Step, dropped: list[ScheduleRow]) -> Iterator[str]:
    """I3: a run and what makes its slot impossible to run again are one commit."""
    changes = step.decision.changes
    moved = {(row.workflow_key, row.name): row.next_at for row in changes.crons}
    for run in changes.runs_opened:
        slot = slot_of(run)
        if slot is not None and slot[:2] not in moved:
            yield f"I3: run {run.id} starts for slot {slot[2]} of cron {slot[1]}, which does not move on"
    opened = Counter(plan_of(run.metadata) for run in changes.runs_opened)
    ready = Counter(plan_of(row.metadata) for row in (*dropped, *born(step)))
    for plan, count in opened.items():
        if plan is not None and count > ready[plan]:
            yield f"I3: {count} runs start for {plan}, of which {ready[plan]} are planned no more"


def born(step: Step) -> Iterator[ScheduleRow]:
    """Rows that an input made in this step."""
    for item, reply in zip(step.items, step.decision.replies, strict=True):
        if isinstance(item, SchedulesCreated) and isinstance(reply, tuple):
            yield from reply


def acknowledged(items: Sequence[object], replies: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Ids and names of scheduled runs that somebody was told of."""
    for item, reply in zip(items, replies, strict=True):
        if isinstance(item, SchedulesCreated) and isinstance(reply, tuple):
            for row in reply:
                yield row.id, plan_of(row.metadata) or ""


def left_behind(left: Iterable[ScheduleRow], now: int) -> Iterator[str]:
    """L1: when all is quiet, nothing that is due still waits, whatever answers of edges got lost."""
    for row in left:
        if row.at < now - QUIET:
            yield f"L1: scheduled run {row.id} was due {now - row.at} us ago and has not started"


def doubled(runs: Iterable[RunRow]) -> Iterator[str]:
    """I5: a call that was repeated has planned one run."""
    for plan, count in Counter(plan_of(run.metadata) for run in runs).items():
        if plan is not None and count > 1:
            yield f"I5: {plan} was planned by one call and has {count} runs"


def given_up(items: Sequence[object]) -> Iterator[str]:
    """Ids that somebody asked to delete."""
    return (item.schedule_id for item in items if isinstance(item, ScheduleDeleted))


def lost(planned: Mapping[str, str], given_up: set[str], left: Iterable[ScheduleRow], runs: Iterable[RunRow]) -> Iterator[str]:
    """D1: whoever was told of a scheduled run finds it, or its run, unless somebody deleted it."""
    waiting, started = {row.id for row in left}, {plan_of(run.metadata) for run in runs}
    for one, plan in planned.items():
        if one not in given_up and one not in waiting and plan not in started:
            yield f"D1: scheduled run {one} ({plan}) was acknowledged and is gone"
