"""Hypothesis drives one core through any order of inputs; a naive model of rows and loops judges every step (reliability 6.2).

The model is the mirror of the simulation: plain tables, brute force, no index. `explain` is asked between the two halves
of each step, so that P-EXPLAIN is held against what the second half does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from limpet.core.decision import Decision, StartTask
from limpet.core.event_inputs import EventsPushed, PushedEvent
from limpet.core.explain import Explanation, Outlook
from limpet.core.ids import Instant, TenantNo, first_key
from limpet.core.inputs import (
    CancelRequested,
    Input,
    LabelsUpserted,
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
)
from limpet.core.machine import Machine
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.rate_windows import RateWindow
from limpet.core.rows import TaskStatus
from limpet.core.settings import HardStickyPolicy, Settings
from tests.simulation import rules_conditions, rules_life
from tests.simulation.agenda import MS, SECOND
from tests.simulation.condition_choice import EVENTS, OUTPUTS, judged, payload
from tests.simulation.digest import differences
from tests.simulation.evaluating import evaluated
from tests.simulation.keys import with_keys
from tests.simulation.ledger import violations_of
from tests.simulation.meters import COMPUTED, NAMED
from tests.simulation.mirror import Mirror
from tests.simulation.pushing import NAMES
from tests.simulation.scenario import ACTIONS, choose_labels, choose_worker_labels, choose_workers, choose_workflow
from tests.simulation.tables import Tables

NO = TenantNo(1)
SALT = b"s" * 16
START = 1_760_000_000 * SECOND
ABLE = (("zone", "north"), ("memory", 1024))  # labels that most demands accept
WORKFLOWS = ("alpha", "beta", "gamma")
NOBODY = "00000000-0000-7000-8000-000000000000"
INDEX = st.integers(0, 50)  # chooses among what there is
CHANCE = st.integers(0, 2**16)  # seeds the shape of what is made new
STEPS, EXAMPLES = 50, 300  # some 20 s; the bound is 60 s


class CoreMachine(RuleBasedStateMachine):
    """One tenant's core, its committed rows, and everything ever said by it."""

    @initialize(chance=CHANCE, wait=st.booleans(), hold=st.sampled_from([0, 2 * SECOND]), heard=st.sampled_from([1, 500]))
    def begin(self, chance: int, wait: bool, hold: int, heard: int) -> None:
        self.now = START
        self.settings = Settings(
            hard_sticky_policy=HardStickyPolicy.WAIT if wait else HardStickyPolicy.FAIL,
            slot_hold_us=hold,
            heard_batch_max=heard,
            internal_retries_max=2,
            worker_forgotten_after_us=120 * SECOND,
        )
        self.sent: list[StartTask] = []
        self.attempts: set[tuple[str, int]] = set()
        self.confirmed: set[tuple[str, int]] = set()
        self.streams: list[tuple[str, int]] = []
        self.sessions = self.requests = 0
        self.store = Tables()
        self.load()
        for name in WORKFLOWS:
            self.step(WorkflowPut(choose_workflow(Random(f"{name}{chance}"), name)))
        for number in range(2):
            (worker_id,) = self.step(WorkerRegistered(f"able-{number}", ACTIONS, (("default", 3), ("gpu", 1)), ABLE))
            self.listen(str(worker_id))

    # The engine's part

    def load(self) -> None:
        self.machine = Machine.load(
            self.store.snapshot(first_key(NO)), tenant_no=NO, now=Instant(self.now), salt=SALT, settings=self.settings
        )
        self.mirror = Mirror(NO, self.store.copy(), self.settings, self.now, {})
        self.mirror.awaiting = rules_conditions.heard_before(self.mirror)
        assert self.machine.check() == []

    def step(self, *items: Input) -> Sequence[object]:
        """One whole step, judged; then its commit."""
        mirror, machine = self.mirror, self.machine
        items = tuple(judged(machine, one) if isinstance(one, TaskCompleted) else one for one in items)
        old_live = {row.id: row for row in map(mirror.tables.tasks.__getitem__, mirror.live)}
        needs = machine.needs(items)
        replies = machine.apply(list(items), Instant(self.now), self.store.look_up(needs) if needs else None)
        foretold: dict[str, Explanation | None] = {
            task.id: machine.explain(task.id, Instant(self.now))
            for task in list(machine.state.tasks.values())
            if task.status is TaskStatus.QUEUED
        }
        machine.place()
        state = machine.state
        decision = Decision(state.collect(), replies, state.deliveries, machine.wake_at)
        step = mirror.follow(self.now, self.now, list(items), decision)
        found = list(violations_of(step, old_live, self.confirmed))
        found += self.explained(foretold, {one.task_run_id: one.worker_id for one in step.starts})
        assert not found, "\n".join(found)
        self.store.apply(decision.changes)
        self.confirmed.update(rules_life.confirmations(step, old_live))
        self.take(step.starts)
        return replies

    def explained(self, foretold: Mapping[str, Explanation | None], placed: dict[str, str]) -> list[str]:
        """P-EXPLAIN: "now on W" exactly when W gets it; never "never" for one that is placed."""
        found = []
        for task_id, told in foretold.items():
            says = told.worker_id if told is not None and told.outlook is Outlook.NOW else None
            if says != placed.get(task_id):
                found.append(f"P-EXPLAIN: task {task_id}: said to go to {says}, and the step places it on {placed.get(task_id)}")
        return found

    def take(self, starts: list[StartTask]) -> None:
        for start in starts:
            attempt = (start.task_run_id, start.retry_count)
            assert attempt not in self.attempts, f"R25: attempt {attempt} is sent twice"
            self.attempts.add(attempt)
            self.sent.append(start)

    # What there is

    @property
    def workers(self) -> list[str]:
        return [worker.worker_id for worker in self.machine.workers()]

    def some_worker(self, index: int) -> str:
        return self.workers[index % len(self.workers)] if self.workers else NOBODY

    def some_ids(self, index: int, count: int) -> tuple[str, ...]:
        known = [*self.store.run_keys, *self.store.task_keys]
        return tuple(known[(index + 7 * n) % len(known)] for n in range(count)) if known else (NOBODY,)

    # Workers

    @rule(chance=CHANCE)
    def register(self, chance: int) -> None:
        if len(self.workers) < 6:
            kind = choose_workers(Random(chance))[0]
            (worker_id,) = self.step(WorkerRegistered(kind.name, kind.actions, kind.slots, kind.labels))
            assert isinstance(worker_id, str)
            self.listen(worker_id)

    @rule(index=INDEX)
    def open_stream(self, index: int) -> None:
        self.listen(self.some_worker(index))

    def listen(self, worker_id: str) -> None:
        self.sessions += 1
        self.step(StreamOpened(worker_id, self.sessions))
        self.streams.append((worker_id, self.sessions))

    @precondition(lambda self: self.streams)
    @rule(index=INDEX)
    def close_stream(self, index: int) -> None:
        self.step(StreamClosed(*self.streams.pop(index % len(self.streams))))

    @rule(index=INDEX)
    def heartbeat(self, index: int) -> None:
        self.step(WorkerSeen(self.some_worker(index)))

    @rule(index=INDEX, chance=CHANCE, remove=st.booleans())
    def change_labels(self, index: int, chance: int, remove: bool) -> None:
        removed = ("zone",) if remove else ()
        self.step(LabelsUpserted(self.some_worker(index), choose_worker_labels(Random(chance)), removed))

    @rule(index=INDEX, paused=st.booleans())
    def pause(self, index: int, paused: bool) -> None:
        self.step(WorkerPaused(self.some_worker(index), paused))

    @rule(index=INDEX)
    def unsubscribe(self, index: int) -> None:
        self.step(WorkerUnsubscribed(self.some_worker(index)))

    # Callers

    @rule(name=st.sampled_from(WORKFLOWS), chance=CHANCE)
    def redefine(self, name: str, chance: int) -> None:
        self.step(WorkflowPut(choose_workflow(Random(chance), name)))

    @rule(names=st.lists(st.sampled_from([*EVENTS, *NAMES]), min_size=1, max_size=2), number=st.integers(0, OUTPUTS - 1))
    def push(self, names: list[str], number: int) -> None:
        """Events that tasks wait for, and others."""
        self.requests += 1
        ids = [f"00000000-0000-4000-8000-{self.requests:011x}{place}" for place in range(len(names))]
        events = tuple(PushedEvent(one, name, payload(number)) for one, name in zip(ids, names, strict=True))
        self.step(evaluated(self.machine, EventsPushed(events, is_repeatable=True), Random(number)))

    @rule(
        names=st.lists(st.sampled_from(WORKFLOWS), min_size=1, max_size=3),
        priority=st.sampled_from([None, 1, 2, 3, 4]),
        pinned=st.sampled_from(["no", "no", "worker", "nobody"]),
        chance=CHANCE,
        again=st.booleans(),
    )
    def trigger(self, names: list[str], priority: int | None, pinned: str, chance: int, again: bool) -> None:
        """Single or bulk, sticky or not; the same request again is the same runs (I5)."""
        self.requests += 1
        desired = {"no": None, "worker": self.some_worker(chance), "nobody": NOBODY}[pinned]
        items = tuple(
            Trigger(
                name,
                priority=priority,
                desired_worker_id=desired,
                desired_labels=choose_labels(Random(chance), 0.3),
                request_id=f"r{self.requests}-{number}",
            )
            for number, name in enumerate(names)
        )
        (reply,) = self.step(self.keyed(items, chance))
        assert isinstance(reply, Exception) is (priority == 4), "PR-3"
        if again and priority != 4:
            assert self.step(self.keyed(items, chance + 1)) == [reply], "I5"

    def keyed(self, items: tuple[Trigger, ...], chance: int) -> RunsTriggered:
        """With the concurrency keys that an edge would have computed."""
        return with_keys(self.machine, RunsTriggered(items), Random(chance))

    @rule(
        name=st.sampled_from([*NAMED, *COMPUTED]),
        limit=st.integers(0, 4),
        window=st.sampled_from([RateWindow.SECOND, RateWindow.MINUTE]),
        what=st.sampled_from(["set", "set", "set", "paused", "deleted"]),
    )
    def change_limit(self, name: str, limit: int, window: RateWindow, what: str) -> None:
        """Of a rate limit; one that nobody has set can only be set."""
        until = Instant(self.now + (limit - 1) * SECOND)
        made = {
            "set": RateLimitPut(name, limit, window),
            "paused": RateLimitPaused(name, until),
            "deleted": RateLimitDeleted(name),
        }
        (reply,) = self.step(made[what])
        assert isinstance(reply, Exception) <= (what != "set")

    @precondition(lambda self: self.sent)
    @rule(index=INDEX, key=st.sampled_from(["k", None]), name=st.sampled_from(WORKFLOWS))
    def spawn(self, index: int, key: str | None, name: str) -> None:
        """A child; the same key or index under the same parent is the same child (I2)."""
        start = self.sent[-1 - index % len(self.sent)]
        child = Trigger(
            name,
            parent_run_id=start.workflow_run_id,
            parent_task_id=start.task_run_id,
            child_key=key,
            child_index=None if key else 0,
            desired_worker_id=start.worker_id,
        )
        assert self.step(self.keyed((child,), index)) == self.step(self.keyed((child,), index)), "I2"

    @rule(index=INDEX, count=st.integers(1, 3))
    def cancel(self, index: int, count: int) -> None:
        self.step(CancelRequested(self.some_ids(index, count)))

    @rule(index=INDEX, count=st.integers(1, 3))
    def replay(self, index: int, count: int) -> None:
        self.step(ReplayRequested(self.some_ids(index, count)))

    # Reports: right, late, doubled, in another's name

    @precondition(lambda self: self.sent)
    @rule(
        index=INDEX,
        kind=st.sampled_from(["started", "completed", "completed", "failed", "fatal", "gave up", "released", "refreshed"]),
        speaker=st.sampled_from(["owner", "owner", "name", "other"]),
        exact=st.sampled_from([True, True, True, False]),
    )
    def report(self, index: int, kind: str, speaker: str, exact: bool) -> None:
        start = self.sent[-1 - index % min(8, len(self.sent))]
        ref = {"owner": start.worker_id, "name": "some name", "other": self.some_worker(index)}[speaker]
        task_id, attempt = start.task_run_id, start.retry_count if exact else None
        reports: dict[str, Input] = {
            "started": TaskStarted(task_id, attempt, ref),
            "completed": TaskCompleted(task_id, attempt, ref, output=b"{}"),
            "failed": TaskFailed(task_id, attempt, ref, error="boom"),
            "fatal": TaskFailed(task_id, attempt, ref, error="boom", retryable=False),
            "gave up": TaskGaveUp(task_id, attempt, ref),
            "released": SlotReleased(task_id),
            "refreshed": TimeoutRefreshed(task_id, 3 * SECOND),
        }
        self.step(reports[kind])

    @precondition(lambda self: self.sent)
    @rule(index=INDEX)
    def undeliverable(self, index: int) -> None:
        start = self.sent[-1 - index % len(self.sent)]
        self.step(StartUndeliverable(start.task_run_id, start.retry_count))

    @precondition(lambda self: self.superseded)
    @rule(index=INDEX, fails=st.booleans())
    def late_report(self, index: int, fails: bool) -> None:
        """A worker speaks of an attempt that has a successor (T6)."""
        start = self.superseded[index % len(self.superseded)]
        kind = TaskFailed if fails else TaskCompleted
        self.step(kind(start.task_run_id, start.retry_count, start.worker_id))

    @property
    def superseded(self) -> list[StartTask]:
        rows = self.store.tasks
        return [one for one in self.sent if rows[one.task_key].retry_count > one.retry_count]

    @precondition(lambda self: self.sent)
    @rule()
    def all_start(self) -> None:
        self.step(*(TaskStarted(one.task_run_id, one.retry_count, one.worker_id) for one in self.sent[-5:]))

    @precondition(lambda self: self.sent)
    @rule()
    def all_complete(self) -> None:
        """One batch with many reports, so that steps with more than one input occur."""
        last = self.sent[-5:]
        self.step(*(TaskCompleted(one.task_run_id, one.retry_count, one.worker_id, output=b"{}") for one in last))

    # Time and trouble

    @rule(span=st.sampled_from([MS, 100 * MS, SECOND, 4 * SECOND, 6 * SECOND, 16 * SECOND, 31 * SECOND, 130 * SECOND]))
    def time_passes(self, span: int) -> None:
        """Nothing is said meanwhile; every date on the way is kept."""
        until = self.now + span
        while (wake_at := self.machine.wake_at) is not None and wake_at <= until:
            self.now = max(self.now, wake_at)
            self.step(TimePassed())
        self.now = until
        self.step(TimePassed())

    @rule(span=st.sampled_from([SECOND, 5 * SECOND, 20 * SECOND]))
    def workers_live_on(self, span: int) -> None:
        """Time passes, and every worker says so."""
        until = self.now + span
        while self.now < until:
            self.now += min(4 * SECOND, until - self.now)
            self.step(*(WorkerSeen(worker_id) for worker_id in self.workers))

    @rule(away=st.sampled_from([0, SECOND, 40 * SECOND]))
    def crash_and_take_over(self, away: int) -> None:
        """Memory is gone; streams end; another engine loads the rows (D4)."""
        twin = Machine.load(
            self.store.snapshot(first_key(NO)), tenant_no=NO, now=Instant(self.now), salt=SALT, settings=self.settings
        )
        assert not differences(self.machine, twin), "D4"
        self.now += away
        self.streams.clear()
        self.load()
        self.step(TimePassed())

    @invariant()
    def core_agrees_with_itself(self) -> None:
        """The ●-lines of section 4."""
        if hasattr(self, "machine"):
            assert self.machine.check() == []


CoreMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestCore = pytest.mark.timeout(300)(CoreMachine.TestCase)  # on a busy machine it takes two minutes
