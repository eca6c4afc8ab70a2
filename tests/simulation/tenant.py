"""One tenant's world: its workflows, its workers, and the people and programs that call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from limpet.core.decision import RunFinished, StartTask
from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import TemporaryError
from limpet.core.ids import TenantNo
from limpet.core.inputs import (
    CancelRequested,
    KeyTaken,
    LabelsUpserted,
    ReplayRequested,
    RunsTriggered,
    Trigger,
    WorkerPaused,
    WorkflowPut,
)
from tests.simulation.agenda import MS, SECOND
from tests.simulation.claims import with_rule
from tests.simulation.limiter import Limiter
from tests.simulation.network import Call
from tests.simulation.pauses import choose as choose_pause
from tests.simulation.pushing import Pusher
from tests.simulation.scenario import choose_labels, choose_worker_labels, choose_workers, choose_workflow
from tests.simulation.store import POISON
from tests.simulation.timetable import Planner
from tests.simulation.waking import Waker
from tests.simulation.worker import SimWorker

if TYPE_CHECKING:
    from tests.simulation.world import World

TRIGGER_TRIES = 5  # R38
RESUBSCRIBE_AFTER = 3 * SECOND  # R33
WORKFLOWS = ("alpha", "beta", "gamma", "delta")


@dataclass(slots=True, eq=False)
class Waiter:
    """A program that awaits the result of a run."""

    run_id: str
    answer: RunFinished | None = None
    gave_up: bool = False


@dataclass(slots=True)
class Known:
    """What the callers of this tenant have been told."""

    runs: list[str] = field(default_factory=list)
    depths: dict[str, int] = field(default_factory=dict)
    children: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: int = 0


class Tenant:
    """Workers and callers of one tenant."""

    def __init__(self, world: World, no: TenantNo) -> None:
        self.world, self.no, self.rng = world, no, world.rng
        self.rules = Random(world.seed * 37 + no)
        self.workflows: dict[str, WorkflowDefinition] = {}
        for name in WORKFLOWS:
            self.workflows[name] = with_rule(choose_workflow(world.rng, name), self.rules)
        self.workers = [SimWorker(self, kind) for kind in choose_workers(world.rng)]
        self.waiters: list[Waiter] = []
        self.known = Known()
        self.planner = Planner(self)
        self.limiter = Limiter(self)
        self.pusher = Pusher(self)
        self.waker = Waker(self)
        self.executions = 0
        self.triggering = True

    def begin(self) -> None:
        """Workers boot, callers call."""
        for worker in self.workers:
            self.world.agenda.after(self.world.spread(2 * SECOND), worker.boot)
        self.world.agenda.after(2 * SECOND, self._trigger_soon)
        self.world.agenda.after(5 * SECOND, self._operate_soon)
        self.world.agenda.after(3 * SECOND, self.planner.act)
        self.world.agenda.after(SECOND, self.limiter.begin)
        self.world.agenda.after(3 * SECOND, self.pusher.act)
        self.world.agenda.after(3 * SECOND, self.waker.act)
        self.world.agenda.after(4 * SECOND, self._pause_soon)

    # Facts that others ask for

    def some_worker_id(self, rng: Random) -> str | None:
        ids = [worker.id for worker in self.workers if worker.id is not None]
        return rng.choice(ids) if ids else None

    def depth_of(self, run_id: str) -> int:
        return self.known.depths.get(run_id, 0)

    def executed(self, worker: SimWorker, start: StartTask) -> None:
        """A start reached user code."""
        self.executions += 1

    def worker_died(self, worker: SimWorker) -> None:
        self.world.count("worker died")

    # Triggers

    def _trigger_soon(self) -> None:
        if not self.triggering:
            return
        self._trigger()
        self.world.agenda.after(int(self.rng.expovariate(1 / self.world.scenario.trigger_mean)), self._trigger_soon)

    def _trigger(self) -> None:
        rng = self.rng
        luck = rng.random()
        count = 1 if luck < 0.8 else rng.randint(2, 6)
        items = tuple(self._choose_trigger() for _ in range(count))
        if luck > 0.97:
            items = (*items, replace(items[0], priority=9, request_id=None))
        if self.world.weather.weather.poison and rng.random() < 0.05:
            items = (*items, replace(items[0], input=POISON, request_id=self.new_request_id()))
        self._send_trigger(items, 0)

    def new_request_id(self) -> str | None:
        """Our own SDK sends one; other clients do not (P4)."""
        self.known.requests += 1
        return f"request-{self.no}-{self.known.requests}" if self.rng.random() < 0.85 else None

    def _choose_trigger(self) -> Trigger:
        rng = self.rng
        desired = self.some_worker_id(rng) if rng.random() < 0.12 else None
        if desired is not None and rng.random() < 0.1:
            desired = "00000000-0000-7000-8000-000000000000"
        return Trigger(
            rng.choice(WORKFLOWS),
            b'{"x":1}',
            priority=rng.choice((None, None, 1, 2, 3)),
            desired_worker_id=desired,
            desired_labels=choose_labels(rng, 0.15),
            request_id=self.new_request_id(),
        )

    def _send_trigger(self, items: tuple[Trigger, ...], tries: int) -> None:
        Call(self.world, self.no, RunsTriggered(items), partial(self._triggered, items, tries))

    def _triggered(self, items: tuple[Trigger, ...], tries: int, reply: object) -> None:
        if isinstance(reply, TemporaryError):
            if tries < TRIGGER_TRIES:
                self.world.agenda.after(200 * MS << tries, partial(self._send_trigger, items, tries + 1))
        elif isinstance(reply, tuple):
            self._told(reply, 0)
            if self.world.weather.happens("doubled"):  # the answer never reached the program: it calls again
                self._send_trigger(items, TRIGGER_TRIES)

    def _told(self, replies: tuple[str | KeyTaken, ...], depth: int) -> None:
        for run_id in replies:
            if isinstance(run_id, KeyTaken):
                self.world.count("key taken")
            elif run_id not in self.known.depths:
                self.known.runs.append(run_id)
                self.known.depths[run_id] = depth
                if self.rng.random() < 0.5:
                    waiter = Waiter(run_id)
                    self.waiters.append(waiter)
                    self.world.agenda.after(self.world.spread(SECOND), partial(self._subscribe, waiter))

    def child_of(self, start: StartTask, worker_id: str | None) -> Trigger:
        """What a task triggers: always the same child for the same task."""
        name = WORKFLOWS[start.task_key % len(WORKFLOWS)]
        by_key = start.task_key % 2 == 0
        return Trigger(
            name,
            desired_worker_id=worker_id if self.rng.random() < 0.5 else None,
            parent_run_id=start.workflow_run_id,
            parent_task_id=start.task_run_id,
            child_index=None if by_key else 0,
            child_key="child" if by_key else None,
            request_id=self.new_request_id(),
        )

    def child_answered(self, parent: StartTask, trigger: Trigger, reply: object) -> None:
        if isinstance(reply, tuple):
            self._told(reply, self.depth_of(parent.workflow_run_id) + 1)

    # Waiting for results

    def _subscribe(self, waiter: Waiter) -> None:
        """Ask the engine; when it dies, ask again after three seconds, for ever (R33)."""
        if waiter.answer is not None or waiter.gave_up:
            return
        engine = self.world.engine if self.world.engine is not None and self.world.engine.serving else None
        if engine is not None:
            engine.subscribe(self.no, waiter.run_id, partial(self._result, waiter))
        self.world.agenda.after(RESUBSCRIBE_AFTER, partial(self._check_stream, waiter, engine))

    def _check_stream(self, waiter: Waiter, engine: object) -> None:
        if self.world.engine is engine and engine is not None:
            if waiter.answer is None and not waiter.gave_up:
                self.world.agenda.after(RESUBSCRIBE_AFTER, partial(self._check_stream, waiter, engine))
        else:
            self._subscribe(waiter)

    def _result(self, waiter: Waiter, answer: RunFinished | Exception) -> None:
        if isinstance(answer, RunFinished):
            waiter.answer = answer
        else:
            waiter.gave_up = True

    # Operators

    def _operate_soon(self) -> None:
        if not self.triggering:
            return
        self.rng.choice((self._cancel, self._cancel, self._replay, self._replay, self._pause, self._relabel, self._redefine))()
        self.world.agenda.after(int(self.rng.expovariate(1 / (2 * SECOND))), self._operate_soon)

    def _call(self, item: object) -> None:
        Call(self.world, self.no, item, _nothing)  # type: ignore[arg-type]

    def _some_ids(self) -> tuple[str, ...]:
        known = self.known.runs
        ids = tuple(self.rng.choice(known[-30:]) for _ in range(self.rng.randint(1, 3))) if known else ()
        return tuple(self.world.ledgers[self.no].task_ids_of(one, self.rng) if self.rng.random() < 0.4 else one for one in ids)

    def _cancel(self) -> None:
        self._call(CancelRequested(self._some_ids()))

    def _replay(self) -> None:
        self._call(ReplayRequested(self._some_ids()))

    def _pause(self) -> None:
        worker_id = self.some_worker_id(self.rng)
        if worker_id is not None:
            self._call(WorkerPaused(worker_id, True))
            later: Callable[[], None] = partial(self._call, WorkerPaused(worker_id, False))
            self.world.agenda.after(self.world.spread(10 * SECOND), later)

    def _pause_soon(self) -> None:
        """Workflows are paused and go on; when the callers fall silent, all go on, so that the story can end."""
        rows, rng = list(self.world.store.tables[self.no].workflows.values()), self.rules
        if not self.triggering:
            for row in rows:
                self._call(choose_pause(rng, row.id, pause=False))
        elif rows and rng.random() < 0.4:
            chosen = rng.choice(rows).id
            self._call(choose_pause(rng, chosen, pause=True))
            self.world.agenda.after(rng.randint(1, 6) * SECOND, partial(self._call, choose_pause(rng, chosen, pause=False)))
        self.world.agenda.after(3 * SECOND if self.triggering else SECOND, self._pause_soon)

    def _relabel(self) -> None:
        worker_id = self.some_worker_id(self.rng)
        if worker_id is not None:
            removed = ("zone",) if self.rng.random() < 0.2 else ()
            self._call(LabelsUpserted(worker_id, choose_worker_labels(self.rng), removed))

    def _redefine(self) -> None:
        name = self.rng.choice(WORKFLOWS)
        self.workflows[name] = with_rule(choose_workflow(self.rng, name), self.rules)
        self._call(WorkflowPut(self.workflows[name]))


def _nothing(reply: object) -> None:
    """Whoever asked does not care."""
