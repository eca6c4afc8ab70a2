"""P-EXPLAIN (AC-101): explain every waiting task between the two halves of a step, then place, and compare.

The oracle for *never* is written from the rule's words: with all slots free, and everybody back who may come back,
is there a worker that may take the task?
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limpet.core import reasons
from limpet.core.definitions import Comparator, LimitStrategy, StickyStrategy
from limpet.core.explain import Outlook, Reason
from limpet.core.ids import Instant
from limpet.core.inputs import StreamOpened
from limpet.core.pause_inputs import WorkflowPaused, WorkflowUnpaused
from limpet.core.rate_definitions import RateValue
from limpet.core.rate_windows import RateWindow
from limpet.core.records import TaskRun, Worker
from limpet.core.rows import TaskStatus
from limpet.core.settings import HardStickyPolicy, Settings
from limpet.testing.builders import computes, demand, limit, make_task, takes, us, wish
from limpet.testing.oracles import WatchedMachine, admits, units_of
from limpet.testing.scenario import Scenario

SOFT, HARD = StickyStrategy.SOFT, StickyStrategy.HARD
ACTIONS = ("a", "b")
WORKFLOWS = (
    "plain", "light", "heavy", "picky", "wishful", "soft", "hard", "retrying", "mixed", "limited", "chained", "whole",
    "metered", "dear", "personal",
)  # fmt: skip
LIMITS = ("api", "x")


class TruthfulMachine(WatchedMachine):
    """Asks `explain` about every waiting task, then looks what became of it."""

    asked = 0

    def place(self) -> None:
        said = {task.id: self.explain(task.id, self.state.now) for task in self._waiting()}
        never = {
            task.id: not any(may_ever_take(self, worker, task) for worker in self.state.workers.values())
            for task in self._waiting()
        }
        super().place()
        for task_id, answer in said.items():
            task = self.state.tasks[task_id]
            assert answer is not None
            TruthfulMachine.asked += 1
            placed_on = task.worker.id if task.status.is_live and task.worker is not None else None
            promised = answer.worker_id if answer.outlook is Outlook.NOW else None
            assert promised == placed_on, f"said {answer.outlook}: {answer.text}; placed on {placed_on}"
            assert (answer.outlook is Outlook.NEVER) is never[task_id], f"said {answer.outlook} ({answer.reason}): {answer.text}"

    def _waiting(self) -> list[TaskRun]:
        kinds = (TaskStatus.QUEUED, TaskStatus.BACKING_OFF)
        due = self.state.now
        return [t for t in self.state.tasks.values() if t.status in kinds and (t.due_by or due + 1) > due]


def may_ever_take(machine: WatchedMachine, worker: Worker, task: TaskRun) -> bool:
    """With every slot released, the paused unpaused and the disconnected back."""
    run = task.run
    if run.sticky is HARD and run.pin_worker_id not in (None, worker.id):
        return False
    enough = all(worker.slots.get(kind, 0) >= units for kind, units in task.definition.slot_requests)
    return enough and admits(worker, task) and all(may_ever_give(machine, *one, task) for one in units_of(task).items())


def may_ever_give(machine: WatchedMachine, name: str, units: int, task: TaskRun) -> bool:
    """With every unit back and no pause: the limit as it is set, or as the task sets it when it is queued."""
    bucket = machine.state.rates.buckets[name]
    if bucket.key is not None:
        return bucket.limit >= units
    declared = [value.limit for value in task.run.rates if isinstance(value, RateValue) and value.name == name]
    return any(limit is not None and limit >= units for limit in declared)


def tenant(policy: HardStickyPolicy) -> Scenario:
    """A scenario with one workflow for each kind of wish, whose core checks itself by explaining."""
    s = Scenario(Settings(hard_sticky_policy=policy, priority_age_us=7_000_000))
    s.machine = TruthfulMachine(s.machine.state)
    s.workflow("plain", make_task("p", action="a"))
    s.workflow("light", make_task("l", action="b"), priority=3)
    s.workflow("heavy", make_task("h", action="a", slots=2, schedule_timeout=9))
    s.workflow("picky", make_task("k", action="a", labels=[demand("zone", "x")]))
    s.workflow("wishful", make_task("w", action="b", labels=[wish("zone", "x"), demand("size", 1, Comparator.GREATER_THAN)]))
    s.workflow("soft", make_task("s1", action="a"), make_task("s2", "s1", action="b"), sticky=SOFT)
    s.workflow("hard", make_task("h1", action="a"), make_task("h2", action="b"), make_task("h3", "h1", action="b"), sticky=HARD)
    s.workflow("retrying", make_task("r", action="a", retries=2, backoff=2, backoff_max=2))
    s.workflow("limited", make_task("i", action="a", retries=1, concurrency=[limit("k", 2)]))
    chain = [limit("one", 2), limit("two", 1, LimitStrategy.CANCEL_IN_PROGRESS)]
    s.workflow("chained", make_task("c", action="b", labels=[wish("zone", "x")], concurrency=chain), sticky=SOFT)
    s.workflow("whole", make_task("g1", action="a"), make_task("g2", "g1", action="b"), concurrency=[limit("r")], priority=2)
    s.workflow("metered", make_task("t", action="a", rates=[takes("api")], retries=1))
    s.workflow("dear", make_task("d", action="b", rates=[takes("api", 3), computes("who", "size")]), priority=2)
    of_one = make_task("o", action="a", rates=[computes("who", "size", units="count", window=RateWindow.SECOND)])
    s.workflow("personal", of_one, concurrency=[limit("k", 2)])
    s.workflow("mixed", make_task("m", action="b", slots={"default": 1, "gpu": 1}), priority=2)
    return s


def add_worker(s: Scenario, n: int, labelled: bool) -> None:
    name = f"w{len(s.workers)}"
    offers = ACTIONS if n % 3 else ACTIONS[:1]
    labels = {"zone": "x", "size": n} if labelled else {"zone": "y"}
    s.worker(name, offers, slots={"default": n % 4, "gpu": n % 2}, labels=labels, confirms=n != 3)


def on_a_worker(what: Callable[[Scenario, str], None]) -> Callable[[Scenario, int, bool], None]:
    def doing(s: Scenario, n: int, _: bool) -> None:
        if s.workers:
            what(s, list(s.workers)[n % len(s.workers)])

    return doing


def reopen(s: Scenario, name: str) -> None:
    if s.machine.state.workers_by_id[s.workers[name].id].gone_at is None:
        s.reopen(name)


def if_there(what: Callable[[Scenario, str], None]) -> Callable[[Scenario, str], None]:
    def doing(s: Scenario, name: str) -> None:
        if s.machine.state.workers_by_id[s.workers[name].id].gone_at is None:
            what(s, name)

    return doing


def trigger(s: Scenario, n: int, pinned: bool) -> None:
    desired = list(s.workers)[n % len(s.workers)] if pinned and s.workers else None
    keys = {"k": "xy"[n % 2], "two": "xy"[n % 2], "who": "xy"[n % 2], "size": 1 + n % 3, "count": 1 + n % 4}
    name = WORKFLOWS[n % len(WORKFLOWS)]
    s.trigger(name, priority=1 + n % 3 if n % 2 else None, desired_worker=desired, keys=keys)


def change_limit(s: Scenario, n: int, flag: bool) -> None:
    """Set, pause or delete a rate limit."""
    name = LIMITS[n % 2]
    if s.units(name) is None or n % 3 == 0:
        s.rate_limit(name, n % 5, RateWindow.MINUTE if flag else RateWindow.SECOND)
    elif n % 3 == 1:
        s.pause_rate_limit(name, -1 if flag else n)
    elif flag:
        s.delete_rate_limit(name)


def end_one(s: Scenario, n: int, well: bool) -> None:
    live = [task for task in s.machine.state.tasks.values() if task.status.is_live]
    if live:
        (s.complete if well else s.fail)(live[n % len(live)].id)


def pause_workflow(s: Scenario, n: int, lasts: bool) -> None:
    """Now paused, now not (WK-33)."""
    workflow = s.machine.state.workflows[WORKFLOWS[n % len(WORKFLOWS)]]
    s.do(WorkflowUnpaused(workflow.id) if workflow.is_paused else WorkflowPaused(workflow.id, us(60 if lasts else 4)))


OPERATIONS: tuple[Callable[[Scenario, int, bool], None], ...] = (
    trigger,
    trigger,
    trigger,
    add_worker,
    end_one,
    end_one,
    pause_workflow,
    on_a_worker(if_there(lambda s, name: s.pause(name))),
    on_a_worker(if_there(lambda s, name: s.unpause(name))),
    on_a_worker(lambda s, name: s.close_stream(name)),
    on_a_worker(reopen),
    on_a_worker(lambda s, name: s.freeze(name)),
    on_a_worker(if_there(lambda s, name: s.label(name, zone="x"))),
    on_a_worker(if_there(lambda s, name: s.label(name, zone="y", size=0))),
    lambda s, n, _: s.unsubscribe(f"w{n}") if n == 1 and "w1" in s.workers else None,
    change_limit,
    lambda s, n, far: s.advance(n * 5 if far else n / 2),
)
STEPS = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 14), st.booleans()), min_size=10, max_size=50)


@given(policy=st.sampled_from(HardStickyPolicy), fleet=st.lists(st.integers(0, 11), min_size=1, max_size=4), steps=STEPS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_AC101_explain_tells_the_truth_about_the_next_step(
    policy: HardStickyPolicy, fleet: list[int], steps: list[tuple[Callable[[Scenario, int, bool], None], int, bool]]
) -> None:
    s = tenant(policy)
    for n in fleet:
        add_worker(s, n, n % 2 == 0)
    for operation, n, flag in steps:
        operation(s, n, flag)


def test_AC101_explaining_changes_nothing() -> None:
    """Two tenants live the same life; one is asked before every placing. Ties must fall alike."""

    def life(s: Scenario) -> list[tuple[str, str]]:
        for n in range(4):
            add_worker(s, 3 + 4 * n, True)
        s.rate_limit("api", 3)
        for n in range(30):
            trigger(s, n, n % 5 == 0)
            if n % 3 == 0:
                end_one(s, n, n % 2 == 0)
        s.run_to_end()
        return [(start.task, start.worker) for start in s.log.starts]

    asked, plain = tenant(HardStickyPolicy.FAIL), tenant(HardStickyPolicy.FAIL)
    plain.machine = WatchedMachine(plain.machine.state)
    before = TruthfulMachine.asked
    assert life(asked) == life(plain)
    assert TruthfulMachine.asked > before + 30


@pytest.mark.parametrize("workers", [0, 1])
def test_OB14_a_task_that_backs_off_without_any_capable_worker_is_never_placed(workers: int) -> None:
    s = Scenario()
    s.workflow("W", make_task("a", retries=1, backoff=30))
    s.worker("w1")
    s.trigger("W")
    s.fail("a")
    if not workers:
        s.unsubscribe("w1")
    answer = s.explain("a")
    assert answer.outlook is (Outlook.SOON if workers else Outlook.NEVER)
    assert answer.reason is (Reason.BACKING_OFF if workers else Reason.NO_WORKER_FOR_ACTION)


def test_OB14_a_paused_worker_is_not_now_and_unpausing_would_help() -> None:
    s = Scenario()
    s.workflow("W", "a")
    s.worker("w1")
    s.pause("w1")
    s.trigger("W")
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NOT_NOW, Reason.WORKERS_PAUSED)
    assert "Unpause worker w1" in answer.unblock[0]


def test_the_capacity_sentence_names_the_slot_type_that_is_too_small() -> None:
    s = Scenario()
    s.workflow("Hold", make_task("hold", slots={"default": 2}))
    s.workflow("W", make_task("a", slots={"default": 1, "gpu": 5}))
    s.worker("w1", slots={"default": 2, "gpu": 3})
    s.trigger("Hold")
    s.trigger("W")
    answer = s.explain("a")
    assert (answer.outlook, answer.reason) == (Outlook.NEVER, Reason.CAPACITY_TOO_SMALL)
    [verdict] = answer.verdicts
    assert (verdict.cause, verdict.asked, verdict.total) == ("capacity", 5, 3)


def test_the_position_counts_everybody_who_stands_before() -> None:
    s = Scenario()
    s.workflow("W", "a")
    s.workflow("V", make_task("b", slots=2))
    s.worker("w1", slots=1)
    s.trigger("W")
    runs = [s.trigger("W") for _ in range(3)] + [s.trigger("W", priority=3)]
    assert [s.explain("a", run).position for run in runs] == [2, 3, 4, 1]


def test_many_workers_are_grouped_by_cause() -> None:
    s = Scenario()
    s.workflow("W", make_task("a", labels=[demand("gpu", "yes")]))
    for n in range(30):
        s.worker(f"w{n}", slots=0, labels={"gpu": "yes"} if n < 5 else None)
    s.trigger("W")
    counts = {verdict.cause: verdict.count for verdict in s.explain("a").verdicts}
    assert counts == {"capacity": 5, "label": 25}


def test_explain_of_what_does_not_wait() -> None:
    s = Scenario()
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1")
    run = s.trigger("W")
    assert s.explain("a").outlook is Outlook.RUNNING
    s.complete("a")
    assert s.explain("a").outlook is Outlook.ENDED
    s.complete("b")
    assert s.machine.explain(s.task("b", run).id, s.now) is None


def test_a_task_past_its_schedule_timeout_is_about_to_end() -> None:
    """Two deadlines have passed and one fits a step (R53): the other is not placed although a worker has come."""
    s = Scenario(Settings(due_batch_max=1))
    s.workflow("W", make_task("a", schedule_timeout=2))
    w1 = s.worker("w1", listens=False)
    runs = [s.trigger("W") for _ in range(2)]
    now = Instant(s.now + 3_000_000)
    s.machine.apply([StreamOpened(w1, 1)], now)
    answer = s.machine.explain(s.task("a", runs[1]).id, now)
    assert answer is not None
    assert answer.outlook is Outlook.NOT_NOW
    assert "schedule timeout has passed" in answer.text


def test_a_replayed_task_waits_for_its_parents() -> None:
    s = Scenario()
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1")
    run = s.trigger("W")
    s.run_to_end()
    s.replay(run)
    assert s.explain("b").reason is Reason.WAITING_FOR_PARENTS


def test_the_position_is_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "POSITION_MAX", 3)
    s = Scenario()
    s.workflow("W", "a")
    runs = [s.trigger("W") for _ in range(6)]
    assert [s.explain("a", run).position for run in runs] == [1, 2, 3, 3, 3, 3]
    assert "position 3+" in s.explain("a", runs[5]).text
