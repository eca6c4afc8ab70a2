"""A whole tenant in one object: the real core, committed rows, scripted workers, and time that moves when told.

    s = Scenario()
    s.workflow("Order", "pay", make_task("ship", "pay"), sticky=StickyStrategy.HARD)
    s.worker("w1")
    s.trigger("Order")
    s.complete("pay")
    assert s.ran_on("ship") == "w1"

Laws:
1. Every step goes the way it goes in an engine: needs, step, commit, then deliveries reach workers (decision 0001).
2. After every step the core's invariants and the promises of placement are checked; a broken one raises AssertionError.
3. Nothing sleeps and nothing is random: the same calls give the same answers.

A task is named by its name and means the newest run that has it; another run is told by `run=`. Ids work everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from limpet.core.clock_starts import StartKeyed, StartsKeyed
from limpet.core.decision import CancelTask, CloseStreams, Decision, Delivery, KeysWanted, RunFinished, StartTask
from limpet.core.definitions import (
    ConcurrencyLimit,
    DefaultFilter,
    DesiredLabel,
    Idempotency,
    LabelValue,
    StickyStrategy,
    TaskDefinition,
)
from limpet.core.errors import IdempotencyCollision, LimpetError
from limpet.core.event_inputs import EventsPushed, EventStart, PushedEvent
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import ActionId, Instant, TenantNo, first_key
from limpet.core.inputs import (
    CancelRequested,
    Input,
    KeyTaken,
    LabelsUpserted,
    OutputVerdicts,
    ReplayRequested,
    RunsTriggered,
    SlotReleased,
    StartUndeliverable,
    StreamClosed,
    StreamOpened,
    TaskCompleted,
    TaskFailed,
    TaskGaveUp,
    TaskStarted,
    TimeoutRefreshed,
    TimePassed,
    Trigger,
    WorkerPaused,
    WorkerRegistered,
    WorkerSeen,
    WorkerUnsubscribed,
    WorkflowPut,
    WorkflowPutReply,
)
from limpet.core.limits_view import LimitsView, StartAsked
from limpet.core.machine import Machine
from limpet.core.rate_definitions import RateUse, RateValue
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.rate_rows import as_of
from limpet.core.rate_windows import RateWindow
from limpet.core.records import LimitKey, SizedKey, UnusableKey
from limpet.core.rows import TaskStatus
from limpet.core.run_keys import RunKeys
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.testing.builders import Slots, make_workflow, slots_of, us
from limpet.testing.equivalence import differences, unsaved
from limpet.testing.oracles import WatchedMachine
from limpet.testing.readings import Readings, ScriptedWorker, Started
from limpet.testing.tables import Tables, newest_like

START = Instant(1_750_000_000_000_000)  # any round instant
HEARTBEAT = 4.0  # seconds; what the official clients do (WK-1)
SALT = b"limpet-scenario!"
_Reply = TypeVar("_Reply")
Answers = Mapping[str, bool | str]
"""What expressions of conditions give, by expression; a text: why one gave nothing."""


class Scenario(Readings):
    """One tenant's life in a test.

    settings:       the core's, for instance with shorter grace times
    checks:         whether every step is checked; off for scenarios with very many tasks
    checks_reload:  whether after every step the core is also rebuilt from its rows and compared (D4)
    """

    settings: Settings
    tenant_no: TenantNo
    tables: Tables
    now: Instant
    machine: Machine

    def __init__(self, settings: Settings | None = None, *, checks: bool = True, checks_reload: bool = False) -> None:
        self.settings = settings or Settings()
        self.checks = checks
        self.checks_reload = checks_reload
        self.tenant_no = TenantNo(1)
        self.now, self.tables = START, Tables(first_key(self.tenant_no))
        super().__init__(self._load(), self.tables, self.now)
        self.clock_keys: dict[str, Any] = {}
        self.keyless = False
        self._sessions = 0
        self._events = 0
        self._answers: dict[str, Mapping[str, bool]] = {}  # by event id
        self._actions: dict[str, None] = {}
        self._beat_at = us(HEARTBEAT) + START
        self._sent: set[tuple[str, int]] = set()

    def _load(self) -> Machine:
        kind = WatchedMachine if self.checks else Machine
        return kind.load(self.tables.snapshot(), tenant_no=self.tenant_no, now=self.now, salt=SALT, settings=self.settings)

    # Steps

    def step(self, *inputs: Input) -> Decision:
        """One step with these inputs; then what it set in motion: closed streams, receipts."""
        decision = self._decide(inputs)
        self._deliver(decision)
        due_at = self.machine.state.timetable.wake_at
        is_due = due_at is not None and due_at <= self.now
        state = self.machine.state
        if is_due or state.rates.unread or state.waits.ripe or state.waits.looking:  # an engine's next turn comes at once
            self.step(TimePassed())
        return decision

    def _decide(self, inputs: Sequence[Input]) -> Decision:
        machine = self.machine
        needs = machine.needs(inputs)
        found = self.tables.found(needs)
        found.look_backs = {one: newest_like(one, self.tables.pushed_events.values(), self._holds) for one in needs.look_backs}
        decision = machine.step(inputs, self.now, found)
        self.tables.apply(decision.changes)
        self.log.decisions.append((self.now, decision))
        for cause, count in decision.stale.items():
            self.log.stale[cause] = self.log.stale.get(cause, 0) + count
        if self.checks_reload:
            broken = unsaved(machine, self.tables) + differences(machine, self._load())
            assert not broken, "D4: after a reload\n" + "\n".join(broken)
        return decision

    def _holds(self, expression: str, event: PushedEventRow) -> bool:
        return self._answers[event.id].get(expression, False)

    def ask(self, item: Input, reply_type: type[_Reply]) -> _Reply:
        """One step with one input; its reply, or the error it is refused with."""
        reply = self.step(item).replies[0]
        if isinstance(reply, LimpetError):
            raise reply
        assert isinstance(reply, reply_type)
        return reply

    def do(self, item: Input) -> None:
        """One step with one input; raises what it is refused with."""
        self.ask(item, object)

    # What decisions lead to

    def _deliver(self, decision: Decision) -> None:
        following: list[Input] = []
        for delivery in decision.deliveries:
            following += self.react(delivery)
        if following:
            self.step(*following)

    def react(self, delivery: Delivery) -> list[Input]:
        """What the outside does with a delivery; the inputs that follow from it."""
        if isinstance(delivery, StartTask):
            return self._read_start(delivery)
        if isinstance(delivery, CancelTask):
            self.log.cancels.append(delivery)
        elif isinstance(delivery, RunFinished):
            self.log.finished.append(delivery)
        elif isinstance(delivery, KeysWanted):
            return self._compute_keys(delivery)
        elif isinstance(delivery, CloseStreams):
            worker = self._by_id(delivery.worker_id)
            if worker is not None and worker.session is not None and delivery.session in (None, worker.session):
                session, worker.session = worker.session, None
                return [StreamClosed(worker.id, session)]
        return []

    def _compute_keys(self, wanted: KeysWanted) -> list[Input]:
        """An edge evaluates at once, unless it is `keyless`; an expression's value is its text, or stands in `clock_keys`."""
        if self.keyless:
            return []
        return [StartsKeyed(tuple(self.keyed(start) for start in wanted.starts))]

    def keyed(self, start: StartAsked) -> StartKeyed:
        """What an edge would answer."""
        return StartKeyed(start.row_id, start.due_at, start.slot, keys_for(start.limits, self.clock_keys))

    def _read_start(self, start: StartTask) -> list[Input]:
        attempt = (start.task_run_id, start.retry_count)
        assert attempt not in self._sent, f"R25: attempt {attempt} was sent twice"
        self._sent.add(attempt)
        worker = self._by_id(start.worker_id)
        assert worker is not None, f"a start for an unknown worker {start.worker_id}"
        self.log.starts.append(Started(self.now, worker.name, start))
        if worker.confirms and worker.is_alive and worker.session is not None:
            return [TaskStarted(start.task_run_id, start.retry_count, worker.id)]
        return []

    def _by_id(self, worker_id: str) -> ScriptedWorker | None:
        return next((worker for worker in self.workers.values() if worker.id == worker_id), None)

    # Time

    def advance(self, seconds: float) -> None:
        """Let time pass: due dates are handled when they are due, and living workers beat."""
        target = Instant(self.now + us(seconds))
        while self.now < target:
            wake_at = self.machine.wake_at
            stops = [target, self._beat_at] if wake_at is None else [target, self._beat_at, wake_at]
            self.now = Instant(max(min(stops), self.now + 1))
            self.step(*(self._beats() if self.now >= self._beat_at else [TimePassed()]))

    def _beats(self) -> list[Input]:
        self._beat_at = self.now + us(HEARTBEAT)
        beating = [worker for worker in self.workers.values() if worker.is_alive and worker.session is not None]
        return [WorkerSeen(worker.id) for worker in beating] or [TimePassed()]

    def advance_until_due(self) -> None:
        """To the next instant at which time alone changes something."""
        assert self.machine.wake_at is not None, "time alone changes nothing any more"
        self.advance((max(self.machine.wake_at, self.now + 1) - self.now) / 1_000_000)

    # Workflows and runs

    def workflow(
        self,
        name: str,
        *tasks: TaskDefinition | str,
        sticky: StickyStrategy | None = None,
        priority: int | None = None,
        on_failure: TaskDefinition | str | None = None,
        crons: Sequence[str] = (),
        cron_input: bytes = b"{}",
        concurrency: Iterable[ConcurrencyLimit] = (),
        idempotency: Idempotency | None = None,
        events: Iterable[str] = (),
        filters: Iterable[DefaultFilter] = (),
    ) -> WorkflowPutReply:
        """Register a workflow. Workers made later offer its actions unless they name their own."""
        definition = make_workflow(
            name, *tasks, sticky=sticky, priority=priority, on_failure=on_failure, crons=crons, cron_input=cron_input,
            concurrency=concurrency, idempotency=idempotency, events=events, filters=filters,
        )  # fmt: skip
        reply = self.ask(WorkflowPut(definition), WorkflowPutReply)
        self._actions.update(dict.fromkeys(step.action_id for step in definition.steps))
        return reply

    def trigger(
        self,
        workflow: str,
        *,
        input: bytes = b"{}",
        priority: int | None = None,
        desired_worker: str | None = None,
        labels: Iterable[DesiredLabel] = (),
        parent: str | None = None,
        child_key: str | None = None,
        child_index: int | None = None,
        request_id: str | None = None,
        keys: Mapping[str, Any] | None = None,
    ) -> str:
        """Start one run; its id. `desired_worker`: a worker's name or any id; `parent`: a task's id.

        keys: the values of expressions: texts, numbers, or an `UnusableKey`; a key that is not named has its own text as value,
              a number is 1. Raises IdempotencyCollision.
        """
        worker = self.workers.get(desired_worker or "")
        item = Trigger(
            workflow,
            input,
            priority=priority,
            desired_worker_id=worker.id if worker is not None else desired_worker,
            desired_labels=tuple(labels),
            parent_run_id=None if parent is None else self.tables.runs[self.task(parent).run_key].id,
            parent_task_id=parent,
            child_key=child_key,
            child_index=child_index,
            request_id=request_id,
            keys=self.keys_of(workflow, keys or {}),
        )
        reply = self.trigger_bulk(item)[0]
        if isinstance(reply, KeyTaken):
            raise IdempotencyCollision(reply.run_id)
        return reply

    def trigger_bulk(self, *items: Trigger) -> tuple[str | KeyTaken, ...]:
        """Start several runs in one call; their ids, or who holds their keys."""
        whole = tuple(one if one.keys else replace(one, keys=self.keys_of(one.workflow_name, {})) for one in items)
        return self.ask(RunsTriggered(whole), tuple)

    def pushed(
        self, name: str, payload: bytes = b"{}", *, scope: str | None = None, priority: int | None = None,
        metadata: bytes = b"{}", passes: Callable[[Candidate], bool] = lambda _: True, answers: Mapping[str, bool] | None = None,
    ) -> PushedEvent:  # fmt: skip
        """What an edge would hand in for an event. `passes`: what the filters say; without keys limits count as their texts.

        answers: what expressions of conditions give for the payload; False for those that are not named
        """
        candidates = self.machine.candidates(name, scope)
        starts = tuple(
            EventStart(one.stamp, metadata, self.keys_of(one.workflow_name, {}))
            for one in candidates
            if one.filter_id is None or passes(one)
        )
        self._events += 1
        event_id = f"00000000-0000-4000-8000-{self._events:012x}"
        considered = tuple(one.stamp for one in candidates)
        self._answers[event_id] = answers or {}
        given = tuple((one, (answers or {}).get(one, False)) for one in self.machine.awaited(name))
        return PushedEvent(event_id, name, payload, metadata, priority, scope, None, considered, starts, answers=given)

    def push(self, name: str, payload: bytes = b"{}", **values: Any) -> tuple[str, ...]:
        """Push one event; the ids of the runs it started."""
        (row,) = self.ask(EventsPushed((self.pushed(name, payload, **values),)), tuple)
        return tuple(one.run_id for one in self.tables.event_runs.values() if one.event_key == row.key)

    def keys_of(self, workflow: str, values: Mapping[str, Any]) -> RunKeys | None:
        """What an edge would hand in: the values of the expressions that are in force."""
        limits = self.machine.limits_of(workflow)
        return None if limits is None else keys_for(limits, values)

    # Rate limits

    def rate_limit(self, name: str, limit: int, window: RateWindow = RateWindow.MINUTE) -> None:
        """Set a rate limit."""
        self.do(RateLimitPut(name, limit, window))

    def pause_rate_limit(self, name: str, seconds: float) -> Instant:
        """Until when it is paused now."""
        return Instant(self.ask(RateLimitPaused(name, Instant(self.now + us(seconds))), int))

    def delete_rate_limit(self, name: str) -> None:
        self.do(RateLimitDeleted(name))

    def units(self, name: str) -> tuple[int, int] | None:
        """What a list shows now: units left, and the limit; None: there is no such limit."""
        row = next((as_of(row, self.now) for row in self.tables.rate_limits.values() if row.name == name), None)
        return None if row is None else (row.value, row.limit_value)

    def cancel(self, *ids: str) -> tuple[str, ...]:
        """Cancel runs or tasks by id; the ids of the tasks taken on."""
        return self.ask(CancelRequested(ids), tuple)

    def replay(self, *ids: str) -> tuple[str, ...]:
        """Replay runs or tasks by id; the ids of the tasks taken on."""
        return self.ask(ReplayRequested(ids), tuple)

    # Workers

    def worker(
        self,
        name: str,
        actions: Iterable[str] | None = None,
        *,
        slots: Slots = 100,
        labels: Mapping[str, LabelValue] | None = None,
        confirms: bool = True,
        listens: bool = True,
    ) -> str:
        """Register a worker and open its stream; its id. Without actions it offers all that were declared so far."""
        offered = tuple(ActionId(action) for action in (self._actions if actions is None else actions))
        item = WorkerRegistered(name, offered, slots_of(slots), tuple((labels or {}).items()))
        worker = ScriptedWorker(name, self.ask(item, str), confirms)
        assert name not in self.workers, f"this scenario already has a worker {name}"
        self.workers[name] = worker
        if listens:
            self.reopen(name)
        return worker.id

    def reopen(self, name: str) -> None:
        """The worker opens its stream, with the id it has. After a kill or a freeze it lives again."""
        worker = self.workers[name]
        self._sessions += 1
        worker.session, worker.is_alive = self._sessions, True
        self.do(StreamOpened(worker.id, worker.session))

    def close_stream(self, name: str) -> None:
        """The stream breaks; the process lives on and has not noticed."""
        worker = self.workers[name]
        session, worker.session = worker.session, None
        if session is not None:
            self.do(StreamClosed(worker.id, session))

    def kill(self, name: str) -> None:
        """The process dies: no more beats, and its stream ends."""
        self.workers[name].is_alive = False
        self.close_stream(name)

    def freeze(self, name: str) -> None:
        """The process stands still: no more beats, its stream stays open (SIGSTOP)."""
        self.workers[name].is_alive = False

    def thaw(self, name: str) -> None:
        """The process goes on, and shows it."""
        self.workers[name].is_alive = True
        self.do(WorkerSeen(self.workers[name].id))

    def pause(self, name: str) -> None:
        self.do(WorkerPaused(self.workers[name].id, True))

    def unpause(self, name: str) -> None:
        self.do(WorkerPaused(self.workers[name].id, False))

    def unsubscribe(self, name: str, *, drains: bool = False) -> None:
        """The worker leaves for good; one that drains still reports what it has begun."""
        worker = self.workers[name]
        worker.is_alive = False
        self.do(WorkerUnsubscribed(worker.id, drains))
        worker.session = None

    def label(self, name: str, /, **labels: LabelValue) -> None:
        """Merge labels into the worker's."""
        self.do(LabelsUpserted(self.workers[name].id, tuple(labels.items())))

    def seen(self, name: str) -> None:
        self.do(WorkerSeen(self.workers[name].id))

    # Reports

    def started(self, task: str, run: str | None = None, *, attempt: int | None = None, by: str | None = None) -> None:
        """The receipt of a start; `attempt` counted as `retry_count`, `by` the text of the worker field."""
        self.do(TaskStarted(*self._about(task, run, attempt, by)))

    def complete(
        self,
        task: str,
        run: str | None = None,
        *,
        output: bytes = b"{}",
        answers: Answers | None = None,
        attempt: int | None = None,
        by: str | None = None,
    ) -> None:
        """The attempt ended well.

        answers: what the expressions of conditions give for the output; False for those that are not named
        """
        about = self._about(task, run, attempt, by)
        self.do(TaskCompleted(*about, output=output, verdicts=self._verdicts(about[0], answers or {})))

    def _verdicts(self, task_run_id: str, answers: Answers) -> OutputVerdicts | None:
        """What an edge would hand in with the output."""
        view = self.machine.output_view(task_run_id)
        if view is None:
            return None
        return OutputVerdicts(view.version_id, tuple(answers.get(one, False) for one in view.expressions))

    def fail(
        self,
        task: str,
        run: str | None = None,
        *,
        error: str = "boom",
        retryable: bool = True,
        attempt: int | None = None,
        by: str | None = None,
    ) -> None:
        """The attempt failed in the user's code."""
        self.do(TaskFailed(*self._about(task, run, attempt, by), error=error, retryable=retryable))

    def give_up(self, task: str, run: str | None = None) -> None:
        """The worker reports the attempt as cancelled."""
        self.do(TaskGaveUp(*self._about(task, run, None, None)))

    def undeliverable(self, task: str, run: str | None = None) -> None:
        """No stream took the start."""
        row = self.task(task, run)
        self.do(StartUndeliverable(row.id, row.retry_count))

    def release_slot(self, task: str, run: str | None = None) -> None:
        self.do(SlotReleased(self.task(task, run).id))

    def refresh_timeout(self, task: str, run: str | None = None, *, seconds: float) -> Instant:
        return Instant(self.ask(TimeoutRefreshed(self.task(task, run).id, us(seconds)), int))

    def _about(self, task: str, run: str | None, attempt: int | None, by: str | None) -> tuple[str, int, str]:
        """(task run id, retry_count, worker field) of a report; by default the truth about the live attempt."""
        row = self.task(task, run)
        speaker = by if by is not None else self.ran_on(row.id) or ""
        known = self.workers.get(speaker)
        return row.id, row.retry_count if attempt is None else attempt, speaker if known is None else known.id

    def complete_all(self, *, output: bytes = b"{}") -> int:
        """Complete whatever runs now, in one step; how many tasks that were."""
        live = [row for row in self.tables.tasks.values() if TaskStatus(row.status).is_live]
        if live:
            self.step(
                *(TaskCompleted(row.id, row.retry_count, "", output, self._verdicts(row.id, {})) for row in live)
            )  # fmt: skip
        return len(live)

    def run_to_end(self) -> None:
        """Complete everything, round after round, until nothing runs any more."""
        while self.complete_all():
            pass

    def run_in_order(self) -> list[str]:
        """Complete one task after the other, oldest start first, until nothing runs; the tasks' ids in that order."""
        done: list[str] = []
        while live := [start for start in self.log.starts if self._is_live(start)]:
            first = live[0].message
            self.complete(first.task_run_id)
            done.append(first.task_run_id)
        return done

    def _is_live(self, start: Started) -> bool:
        row = self.task(start.message.task_run_id)
        return TaskStatus(row.status).is_live and row.retry_count == start.message.retry_count

    # The engine

    def restart(self, *, down_for: float = 0.0) -> None:
        """The engine dies and is rebuilt from committed rows; every stream breaks, living workers come back at once."""
        self.now = Instant(self.now + us(down_for))
        self.machine = self._load()
        for worker in self.workers.values():
            worker.session = None
        self.step(TimePassed())
        for worker in self.workers.values():
            if worker.is_alive:
                self.reopen(worker.name)


def keys_for(limits: LimitsView, values: Mapping[str, Any]) -> RunKeys:
    """The values of expressions; a key that is not named has its own text as value, a number is 1."""
    keys = tuple(_limit_key(text, size, values) for text, size in limits.of_limits)
    rates = tuple(_rate_value(use, values) for use in limits.rates)
    key = None if limits.idempotency is None else values.get(limits.idempotency, limits.idempotency)
    return RunKeys(limits.version_id, keys, rates=rates, idempotency=key)


def _limit_key(text: str, size: str, values: Mapping[str, Any]) -> LimitKey:
    """What an edge would make of a concurrency limit."""
    key: str | UnusableKey = values.get(text, text)
    most: int | UnusableKey = values.get(size, 1)
    if not size or isinstance(key, UnusableKey):
        return key
    return most if isinstance(most, UnusableKey) else SizedKey(key, most)


def _rate_value(use: RateUse, values: Mapping[str, Any]) -> RateValue | UnusableKey:
    """What an edge would make of a computed use."""
    name = values.get(use.key_expression, use.key_expression) if use.key_expression else use.key
    units = values.get(use.units_expression, 1) if use.units_expression else use.units
    limit = values.get(use.limit_expression, 1) if use.limit_expression else None
    unusable = next((value for value in (name, units, limit) if isinstance(value, UnusableKey)), None)
    return RateValue(name, units, limit) if unusable is None else unusable
