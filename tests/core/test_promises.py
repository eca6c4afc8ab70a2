"""A check that cannot fail proves nothing: every promise is broken here on purpose, and the check must say so."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from limpet.core import affinity, assignment, attempts, machine, placement
from limpet.core.assignment import Plan
from limpet.core.decision import Changes, StartTask
from limpet.core.definitions import StickyStrategy
from limpet.core.ids import first_key
from limpet.core.inputs import TimePassed
from limpet.core.rows import PinState, RunStatus, TaskStatus
from limpet.core.state import State
from limpet.testing.builders import demand, make_task, wish
from limpet.testing.scenario import Scenario
from limpet.testing.tables import Tables

SOFT, HARD = StickyStrategy.SOFT, StickyStrategy.HARD
Patch = pytest.MonkeyPatch


def labelled(sticky: StickyStrategy | None = None, slots: int = 1) -> Scenario:
    """Workers w1 (plain, first to be taken) and w2 (zone=a), and workflows of every kind."""
    s = Scenario()
    s.workflow("Demand", make_task("d", action="x", labels=[demand("zone", "a")]))
    s.workflow("Wish", make_task("w", action="x", labels=[wish("zone", "a")]))
    s.workflow("Plain", make_task("p", action="x"))
    s.workflow("Sticky", make_task("s1", action="x"), make_task("s2", "s1", action="x"), sticky=sticky)
    s.worker("w1", slots=slots)
    s.worker("w2", slots=slots, labels={"zone": "a"})
    return s


def test_PREQ_is_noticed(monkeypatch: Patch) -> None:
    s = labelled()
    monkeypatch.setattr(affinity, "first_unmet", lambda desired, labels: None)
    s.trigger("Demand")  # the worker that matches is full now
    with pytest.raises(AssertionError, match="P-REQ"):
        s.trigger("Demand")


def test_PWEIGHT_is_noticed(monkeypatch: Patch) -> None:
    s = labelled()
    monkeypatch.setattr(affinity, "score", lambda desired, labels: 0)
    with pytest.raises(AssertionError, match="P-WEIGHT"):
        s.trigger("Wish")


def test_PSOFT_is_noticed(monkeypatch: Patch) -> None:
    s = labelled(SOFT, slots=4)
    s.trigger("Sticky")
    s.label("w1", name="w1")
    s.trigger("Plain", labels=[demand("name", "w1")])  # so that w2 is emptier
    monkeypatch.setattr(assignment, "takes", lambda *_: False)
    assert s.ran_on("s1") == "w1"
    with pytest.raises(AssertionError, match="P-SOFT"):
        s.complete("s1")


def test_PHARD_is_noticed(monkeypatch: Patch) -> None:
    s = labelled(HARD)
    run = s.trigger("Sticky")
    s.trigger("Plain")
    s.trigger("Plain", priority=3)  # takes the pinned worker's slot when s1 ends
    monkeypatch.setattr(State, "pin_of", lambda self, run: (None, False))
    s.complete("s1", run)
    with pytest.raises(AssertionError, match="P-HARD"):
        s.complete(next(t.id for t in s.machine.state.tasks.values() if t.worker is not None and t.worker.name == "w2"))


def test_PPRIO_is_noticed(monkeypatch: Patch) -> None:
    s = labelled()
    s.trigger("Demand")  # w2 is busy
    for module in (attempts, assignment):
        monkeypatch.setattr(module, "order_of", lambda task, now, settings: (task.level, 0, 0, task.enqueue_key))
    first = s.trigger("Plain")
    s.trigger("Plain", priority=1)
    s.trigger("Plain", priority=3)
    with pytest.raises(AssertionError, match="P-PRIO"):
        s.complete("p", first)


def test_L1_is_noticed(monkeypatch: Patch) -> None:
    s = labelled()
    monkeypatch.setattr(machine, "plan", lambda state, now: Plan())
    with pytest.raises(AssertionError, match="L1"):
        s.trigger("Plain")


@pytest.mark.parametrize("harm", ["pause", "freeze"])
def test_W2_is_noticed(monkeypatch: Patch, harm: str) -> None:
    s = labelled()
    for module in (placement, assignment):
        monkeypatch.setattr(module, "is_assignable", lambda worker, now, settings: True)
    for name in ("w1", "w2"):
        getattr(s, harm)(name)
    s.advance(13)
    with pytest.raises(AssertionError, match="W2"):
        s.trigger("Plain")


def test_R25_a_second_send_of_one_attempt_is_noticed() -> None:
    s = labelled()
    s.trigger("Plain")
    [start] = [d for _, decision in s.log.decisions for d in decision.deliveries if isinstance(d, StartTask)]
    with pytest.raises(AssertionError, match="R25"):
        s.react(start)


def test_D4_a_change_that_is_not_written_is_noticed(monkeypatch: Patch) -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=1))
    s.trigger("W")
    monkeypatch.setattr(attempts, "move", lambda state, task, cause: setattr(task, "status", TaskStatus.ASSIGNED))
    with pytest.raises(AssertionError, match="D4"):
        s.worker("w1")


def test_D4_derived_memory_that_a_reload_would_not_give_is_noticed() -> None:
    s = Scenario(checks_reload=True, checks=False)
    s.workflow("W", "a")
    s.worker("w1")
    s.trigger("W")
    next(iter(s.machine.state.workers.values())).used["default"] = 7
    with pytest.raises(AssertionError, match="used slots"):
        s.step(TimePassed())


def running() -> Scenario:
    """A run of a and b with an on-failure task; a is running on w1, w2 is idle, `other` waits."""
    s = Scenario()
    s.workflow("W", make_task("a", retries=1), make_task("b", "a"), on_failure="oops", sticky=HARD)
    s.workflow("Other", make_task("other", action="nobody's"))
    s.worker("w1", ["a", "b", "oops"])
    s.worker("w2", [])
    s.trigger("W")
    s.trigger("Other")
    return s


def _end_run(s: Scenario) -> None:
    s.machine.state.runs[s.tables.runs[min(s.tables.runs)].id].status = RunStatus.COMPLETED


def _fail_task(s: Scenario) -> None:
    _end_run(s)
    task = s.machine.state.tasks[s.task("a").id]
    task.status = TaskStatus.FAILED


def _set_task(name: str, **fields: object) -> Callable[[Scenario], None]:
    def harm(s: Scenario) -> None:
        task = s.machine.state.tasks[s.task(name).id]
        for field, value in fields.items():
            setattr(task, field, value)

    return harm


def _bind_elsewhere(s: Scenario) -> None:
    run = s.machine.state.tasks[s.task("a").id].run
    run.pin_state, run.pin_worker_id = PinState.BOUND, s.workers["w2"].id


def _rescue(s: Scenario) -> None:
    state = s.machine.state
    task = state.tasks[s.task("a").id]
    task.run.tasks[2] = type(task)(
        task.key, task.id, task.run, 2, task.created_at, TaskStatus.COMPLETED, 1, task.enqueue_key, task.queued_at
    )


def _count(units: int) -> Callable[[Scenario], None]:
    def harm(s: Scenario) -> None:
        next(iter(s.machine.state.workers.values())).used["default"] = units

    return harm


def _shrink(s: Scenario) -> None:
    next(iter(s.machine.state.workers.values())).slots["default"] = 0


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_end_run, "G2: run .* is COMPLETED, its tasks say otherwise"),
        (_fail_task, "G2: run .* is COMPLETED with a failed task"),
        (_rescue, "G3: the on-failure task .* is COMPLETED though nothing failed"),
        (_set_task("other", status=TaskStatus.COMPLETED), "T1: task .* is COMPLETED and still in a queue"),
        (_set_task("a", status=TaskStatus.QUEUED), "T1: task .* is QUEUED, in no queue, before no gate and not held by a pause"),
        (_set_task("a", worker=None), "T4: task .* is RUNNING, its worker says otherwise"),
        (_set_task("a", app_retries=2), "T7: task .* has used 2 of 1 retries"),
        (_set_task("a", internal_retries=11), "T7: task .* was reassigned 11 times"),
        (_bind_elsewhere, "P-HARD: task .* its run is bound to"),
        (_count(5), "W1: worker .* counts 5 used default units, its attempts use 1"),
        (_shrink, "W1: worker .* has 0 default units, 1 are used"),
    ],
)
def test_a_broken_invariant_is_said_in_a_sentence(harm: Callable[[Scenario], None], sentence: str) -> None:
    s = running()
    assert s.machine.check() == []
    harm(s)
    found = s.machine.check()
    assert any(re.search(sentence, one) for one in found), found


def test_the_tables_refuse_what_a_store_would() -> None:
    s = running()
    opened = Changes(tasks_opened=[s.task("a")])
    with pytest.raises(AssertionError, match="exists already"):
        s.tables.apply(opened)
    with pytest.raises(AssertionError, match="never changes"):
        s.tables.apply(Changes(tasks_changed=[s.task("a")._replace(step=9)]))
    with pytest.raises(KeyError):
        Tables(first_key(s.tenant_no)).apply(Changes(tasks_changed=[s.task("a")]))
