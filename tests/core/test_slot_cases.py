"""Slots (assignment section 4): whole requests on one worker, never too many, kept for heavy tasks, shared by all actions."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from limpet.core import placement, state
from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.inputs import SlotReleased, TaskCompleted, WorkerRegistered, WorkflowPut
from limpet.core.rows import EventType
from limpet.testing.builders import make_task, make_workflow, wish
from limpet.testing.scenario import Scenario


def heavy(cost: int, *, schedule_timeout: float = 300) -> Scenario:
    """H costs `cost` slots, L costs one."""
    s = Scenario(checks_reload=True)
    s.workflow("H", make_task("h", slots=cost, schedule_timeout=schedule_timeout))
    s.workflow("L", "l")
    return s


def test_AC49_two_tasks_that_do_not_fit_together_run_one_after_the_other() -> None:
    s = heavy(5)
    s.worker("w1", slots=9)
    first, second = s.trigger("H"), s.trigger("H")
    assert (s.status("h", first), s.status("h", second)) == ("RUNNING", "QUEUED")
    s.complete("h", first)
    assert s.status("h", second) == "RUNNING"


def test_AC50_a_cost_above_every_capacity_times_out_and_says_so() -> None:
    s = heavy(5, schedule_timeout=2)
    s.worker("w1", slots=4)
    s.worker("w2", slots=4)
    s.trigger("H")
    s.advance(2)
    assert s.status("h") == "FAILED"
    assert "need 5 on one worker" in s.error("h")
    assert "capacity max 4" in s.error("h")
    assert not s.log.starts


def test_AC51_units_add_up_on_one_worker() -> None:
    s = heavy(5)
    s.worker("w1", slots=6)
    s.trigger("H")
    first, second = s.trigger("L"), s.trigger("L")
    assert (s.status("h"), s.status("l", first), s.status("l", second)) == ("RUNNING", "RUNNING", "QUEUED")


def test_AC52_a_heavy_task_is_not_starved_by_a_flood_of_light_ones() -> None:
    s = heavy(5)
    s.worker("w1", slots=5)
    for _ in range(5):
        s.trigger("L")
    run = s.trigger("H")
    waited = 0.0
    while s.status("h", run) == "QUEUED":
        assert waited <= 10, "10 s after the first release"
        for _ in range(2):
            s.trigger("L")
        live = [task.id for task in s.machine.state.tasks.values() if task.status.is_live]
        s.complete(live[0])
        s.advance(0.5)
        waited += 0.5
    assert s.status("h", run) == "RUNNING"


def test_SL06_a_hold_ends_after_its_time_so_that_light_tasks_go_on() -> None:
    s = heavy(5)
    s.worker("w1", slots=5)
    lights = [s.trigger("L") for _ in range(5)]
    s.trigger("H")
    s.complete("l", lights[0])
    extra = s.trigger("L")
    assert s.status("l", extra) == "QUEUED", "the freed unit is kept for the heavy task"
    s.advance(5)
    assert s.status("l", extra) == "RUNNING", "a hold lasts 5 s, nothing else became free"


def test_AC53_a_slot_request_without_units_is_refused() -> None:
    s = heavy(1)
    for units in (0, -1):
        with pytest.raises(InvalidArgument, match="1 or more units"):
            s.do(WorkflowPut(make_workflow("V", make_task("a", slots=units))))


@pytest.mark.parametrize("seed", range(4))
def test_AC54_capacity_holds_at_every_step_while_workers_come_and_go(seed: int) -> None:
    """`Scenario` checks W1 (used units <= capacity) after every step."""
    chance = random.Random(seed)
    s = Scenario(checks_reload=seed == 0)
    s.workflow("W", make_task("a", retries=1))
    s.workflow("V", make_task("b", slots=3))
    for n in range(200):
        s.trigger(chance.choice("WV"))
        if n % 20 == 0:
            s.worker(f"w{n}", slots=10)
        elif n % 33 == 0:
            chance.choice([s.unsubscribe, s.kill])(chance.choice([name for name, w in s.workers.items() if w.is_alive]))
        for task in [task for task in s.machine.state.tasks.values() if task.status.is_live]:
            if chance.random() < 0.1:
                chance.choice([s.complete, s.fail, s.release_slot])(task.id)
        s.advance(chance.choice([0, 0, 0.5, 3]))
    s.advance(120)
    while s.complete_all():
        s.advance(60)
    assert s.log.finished
    assert all(s.free_slots(name) == 10 for name, worker in s.workers.items() if worker.is_alive)


def test_AC55_a_released_slot_is_free_while_the_task_runs_on() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1", slots=1)
    first, second = s.trigger("W"), s.trigger("W")
    s.release_slot("a", first)
    assert (s.status("a", first), s.status("a", second)) == ("RUNNING", "RUNNING")
    s.release_slot("a", first)
    assert len(s.moments(EventType.SLOT_RELEASED, "a", first)) == 1, "a second call changes nothing"
    s.complete_all()
    assert {s.run_status(first), s.run_status(second)} == {"COMPLETED"}
    assert s.free_slots("w1") == 1
    with pytest.raises(NotFound):
        s.do(SlotReleased(s.task("a", first).id))


def test_AC56_a_task_that_released_its_slot_is_reassigned_when_its_worker_dies() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1")
    run = s.trigger("W")
    s.release_slot("a")
    s.worker("w2")
    s.kill("w1")
    s.advance(29.9)
    assert s.ran_on("a") == "w1"
    s.advance(1)
    assert s.ran_on("a") == "w2"
    s.complete("a")
    assert s.run_status(run) == "COMPLETED"


def test_AC57_equal_idle_workers_share_the_work() -> None:
    s = Scenario()
    s.workflow("W", "a")
    for name in ("w1", "w2", "w3"):
        s.worker(name)
    for _ in range(90):
        s.trigger("W")
    counts = Counter(start.worker for start in s.log.starts)
    assert all(29 <= count <= 31 for count in counts.values())
    assert len(counts) == 3


def test_AC93_pools_of_different_types_do_not_take_from_each_other() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Normal", "n")
    s.workflow("Durable", make_task("d", slots={"durable": 1}))
    s.worker("w1", slots={"default": 1, "durable": 1})
    runs = [s.trigger(name) for name in ("Normal", "Durable", "Normal", "Durable")]
    assert [s.run_status(run) for run in runs] == ["RUNNING", "RUNNING", "QUEUED", "QUEUED"]


def test_AC94_many_actions_do_not_multiply_capacity() -> None:
    s = Scenario(checks_reload=True)
    for n in range(20):
        s.workflow(f"W{n}", f"a{n}")
    s.worker("w1", slots=3)
    for n in range(20):
        s.trigger(f"W{n}")
    while live := [task for task in s.machine.state.tasks.values() if task.status.is_live]:
        assert len(live) <= 3
        s.complete(live[0].id)
    assert len(s.log.finished) == 20


def test_SL04_all_types_of_a_request_come_from_one_worker() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", slots={"default": 1, "gpu": 1}))
    s.worker("w1", slots={"default": 5})
    s.worker("w2", slots={"gpu": 5})
    assert s.status("a", s.trigger("W")) == "QUEUED"
    s.worker("w3", slots={"default": 1, "gpu": 1})
    assert s.ran_on("a") == "w3"


def test_SL09_units_are_free_again_after_every_way_to_end() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", execution_timeout=10))
    s.worker("w1", slots=1)
    for end in (s.complete, s.fail, s.give_up, lambda task, run: s.cancel(run), lambda task, run: s.advance(10)):
        run = s.trigger("W")
        assert s.status("a", run) == "RUNNING"
        end("a", run)
        assert s.free_slots("w1") == 1


def test_SL15_the_emptier_worker_is_chosen_by_share_not_by_number() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("small", slots=2)
    s.worker("large", slots=10)
    counts = Counter(s.ran_on("a", s.trigger("W")) for _ in range(6))
    assert counts == {"small": 1, "large": 5}


def test_a_worker_without_units_or_with_a_negative_number() -> None:
    s = Scenario()
    s.workflow("W", "a")
    s.worker("w0", slots=0)
    assert s.status("a", s.trigger("W")) == "QUEUED"
    with pytest.raises(InvalidArgument, match="0 or more units"):
        s.do(WorkerRegistered("w", (), (("default", -1),)))


def test_a_report_in_the_same_step_as_a_trigger_frees_the_slot_for_it() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1", slots=1)
    first, second = s.trigger("W"), s.trigger("W")
    row = s.task("a", first)
    s.step(TaskCompleted(row.id, 0, ""), TaskCompleted(row.id, 0, ""))
    assert s.status("a", second) == "RUNNING"
    assert sum(s.log.stale.values()) == 1


@pytest.mark.parametrize(("pools_max", "classes_max"), [(4, 100), (100, 6), (4, 6)])
def test_S2_forgotten_pools_and_classes_come_back_as_they_should_be(
    monkeypatch: pytest.MonkeyPatch, pools_max: int, classes_max: int
) -> None:
    """Distinct filters are remembered up to a bound; what was dropped is built anew from the workers of then."""
    monkeypatch.setattr(placement, "POOLS_MAX", pools_max)
    monkeypatch.setattr(state, "CLASSES_MAX", classes_max)
    s = Scenario(checks_reload=True)
    for n in range(12):
        s.workflow(f"W{n}", make_task(f"t{n}", action="x", labels=[wish("n", n)]))
    for round_ in range(3):
        s.worker(f"w{round_}", slots=2)
        for n in range(12):
            s.trigger(f"W{n}")
            s.trigger(f"W{n}")
            s.trigger(f"W{n}")
            s.run_to_end()
        s.unsubscribe(f"w{round_}")
        s.trigger(f"W{round_}")
    assert len(s.log.finished) == 3 * 36 + 2
    assert sum(1 for _ in s.machine.state.pools.all()) <= pools_max
    assert len(s.machine.state.classes) <= classes_max
