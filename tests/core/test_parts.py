"""The small parts by themselves: graph, retry delays, slots, timers, queue order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.core import graph, retry
from limpet.core.definitions import DesiredLabel, WorkflowDefinition
from limpet.core.graph import Fate
from limpet.core.ids import ActionId, Instant, WorkerId, WorkerKey
from limpet.core.inputs import RunsTriggered, TaskCompleted, Trigger
from limpet.core.placement import Pools
from limpet.core.queue import NEVER_STARTED, SchedulingClass, aged_level, class_id_of, order_of
from limpet.core.records import TaskRun, Worker
from limpet.core.rows import TaskStatus
from limpet.core.settings import Settings
from limpet.core.slots import capable, fits, free_ratio, give_back, is_heavy, take
from limpet.core.timers import SWEEP_MIN, Due, Timers
from limpet.testing.builders import make_task, make_workflow
from limpet.testing.scenario import START, Scenario

DONE, FAILED, CANCELLED, SKIPPED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED
RUNNING, PENDING = TaskStatus.RUNNING, TaskStatus.PENDING
JOIN = make_workflow("W", "a", "b", make_task("join", "a", "b"), make_task("leaf", "join"), on_failure="oops")


@pytest.mark.parametrize(
    ("a", "b", "fate"),
    [
        pytest.param(DONE, DONE, Fate.QUEUE, id="W4_5_all_completed"),
        pytest.param(SKIPPED, SKIPPED, Fate.SKIP, id="A27_all_parents_skipped"),
        pytest.param(SKIPPED, DONE, Fate.QUEUE, id="A28_one_skipped_one_completed"),
        pytest.param(FAILED, DONE, Fate.CANCEL, id="W4_5_one_failed"),
        pytest.param(SKIPPED, CANCELLED, Fate.CANCEL, id="W4_6_one_cancelled"),
        pytest.param(FAILED, RUNNING, Fate.WAIT, id="W4_2_not_all_ended"),
        pytest.param(DONE, None, Fate.WAIT, id="W4_2_not_created"),
        pytest.param(PENDING, DONE, Fate.WAIT, id="replayed_parent"),
    ],
)
def test_W4_5_the_fate_of_a_task_follows_from_its_parents(a: TaskStatus, b: TaskStatus | None, fate: Fate) -> None:
    statuses = {0: a} if b is None else {0: a, 1: b}
    assert graph.fate(JOIN, 2, statuses) is fate


@pytest.mark.parametrize(
    ("statuses", "fate"),
    [
        ({0: FAILED}, Fate.QUEUE),
        ({0: DONE, 1: FAILED, 2: CANCELLED, 3: CANCELLED}, Fate.QUEUE),
        ({0: DONE, 1: CANCELLED, 2: CANCELLED, 3: CANCELLED}, Fate.SKIP),
        ({0: DONE, 1: DONE, 2: SKIPPED, 3: SKIPPED}, Fate.SKIP),
        ({0: DONE, 1: DONE, 2: RUNNING}, Fate.WAIT),
        ({0: DONE, 1: DONE, 2: DONE}, Fate.WAIT),
    ],
)
def test_W6_2_W6_3_the_fate_of_the_on_failure_task(statuses: Mapping[int, TaskStatus], fate: Fate) -> None:
    assert graph.fate(JOIN, 4, statuses) is fate


def test_the_graph_knows_roots_children_and_descendants() -> None:
    assert graph.roots(JOIN) == [0, 1]
    assert list(graph.candidates(JOIN, 0)) == [2, 4]
    assert list(graph.candidates(JOIN, 4)) == []
    assert graph.descendants(JOIN, [2]) == [2, 3, 4]
    assert graph.descendants(JOIN, [0]) == [0, 2, 3, 4]
    assert JOIN.on_failure_step == 4
    assert JOIN.action_ids == {"a", "b", "join", "leaf", "oops"}


@st.composite
def acyclic(draw: st.DrawFn) -> WorkflowDefinition:
    """Random graphs: a task's parents stand before it."""
    size = draw(st.integers(1, 8))
    parents = [draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else set() for n in range(size)]
    tasks = [make_task(f"t{n}", *(f"t{p}" for p in sorted(found))) for n, found in enumerate(parents)]
    return make_workflow("W", *tasks, on_failure=draw(st.sampled_from([None, "oops"])))


@given(acyclic(), st.data())
def test_L3_every_graph_ends_whatever_its_tasks_do(definition: WorkflowDefinition, data: st.DataObject) -> None:
    """Walk the graph by fates alone: each task gets exactly one, and in the end all have ended (G1, G3)."""
    statuses: dict[int, TaskStatus] = {}
    started: list[int] = []
    while len(statuses) < len(definition.steps):
        ready = [
            step
            for step in range(len(definition.steps))
            if step not in statuses and graph.fate(definition, step, statuses) is not Fate.WAIT
        ]
        assert ready, "somebody can always go on"
        step = data.draw(st.sampled_from(ready))
        fate = graph.fate(definition, step, statuses)
        if fate is Fate.QUEUE:
            started.append(step)
            statuses[step] = data.draw(st.sampled_from([DONE, FAILED]))
        else:
            statuses[step] = SKIPPED if fate is Fate.SKIP else CANCELLED
    assert all(all(statuses[parent] is DONE for parent in definition.parent_steps[step]) for step in started)
    if definition.on_failure_step is not None:
        others = [status for step, status in statuses.items() if step != definition.on_failure_step]
        assert (definition.on_failure_step in started) is (FAILED in others)


# Retry


@pytest.mark.parametrize(
    ("factor", "cap", "delays"),
    [(None, None, [0, 0]), (2, 10, [2, 4, 8, 10, 10]), (1, 50, [1, 1, 1]), (1.5, 100, [1.5, 2.25, 3.375]), (1000, 3, [3, 3])],
)
def test_RT03_delays(factor: float | None, cap: float | None, delays: list[float]) -> None:
    task = make_task("a", backoff=factor, backoff_max=cap)
    assert [retry.backoff_us(task, k) / 1_000_000 for k in range(1, len(delays) + 1)] == delays


@given(st.floats(1, 1000), st.integers(1, 86_400), st.integers(1, 10**9))
def test_RT03_a_delay_never_exceeds_its_cap_nor_overflows(factor: float, cap: int, k: int) -> None:
    task = make_task("a", backoff=max(1.001, factor), backoff_max=cap)
    assert 1_000_000 <= retry.backoff_us(task, k) <= cap * 1_000_000 or cap == 1


def test_WK20_the_delay_of_an_undeliverable_start_doubles_up_to_five_seconds() -> None:
    assert [retry.undeliverable_delay_us(n, Settings()) for n in (0, 1, 5, 6, 10**6)] == [
        100_000,
        200_000,
        3_200_000,
        5_000_000,
        5_000_000,
    ]


# Slots


def worker(**slots: int) -> Worker:
    key = WorkerKey(1)
    return Worker(key, WorkerId("w"), "w", frozenset({ActionId("a")}), slots, {}, b"{}", START, START)


def test_units_are_taken_and_given_back_whole() -> None:
    one = worker(default=3, gpu=1)
    request = (("default", 2), ("gpu", 1))
    assert fits(one, request)
    take(one, request)
    assert (one.free("default"), one.free("gpu"), one.free("unknown")) == (1, 0, 0)
    assert not fits(one, request)
    assert capable(one, request)
    give_back(one, request)
    assert fits(one, request)
    assert not capable(one, (("default", 4),))
    assert not fits(one, (("tpu", 1),))


def test_SL08_taking_too_much_or_giving_back_twice_asserts() -> None:
    one = worker(default=1)
    take(one, (("default", 1),))
    with pytest.raises(AssertionError, match="has not the units"):
        take(one, (("default", 1),))
    give_back(one, (("default", 1),))
    with pytest.raises(AssertionError, match="gets back more"):
        give_back(one, (("default", 1),))


def test_SL15_the_scarcest_pool_decides_the_free_share() -> None:
    one = worker(default=10, gpu=2)
    take(one, (("gpu", 1),))
    assert free_ratio(one, (("default", 1),)) == 1_000_000
    assert free_ratio(one, (("default", 1), ("gpu", 1))) == 500_000
    assert is_heavy((("default", 1), ("gpu", 1)))
    assert not is_heavy((("default", 1),))


# Timers


def test_timers_give_what_is_due_in_order_and_not_more_than_asked() -> None:
    timers = Timers()
    for at in (5, 3, 9, 3):
        timers.arm(at, Due.HOLD, f"at {at}")
    assert timers.next_at() == 3
    assert [(at, subject) for at, _, subject in timers.due(5, 2)] == [(3, "at 3"), (3, "at 3")]
    assert [at for at, _, _ in timers.due(5, 10)] == [5]
    assert len(timers) == 1
    assert list(timers.due(8, 10)) == []


def test_S2_pointless_entries_are_swept_away_in_bulk() -> None:
    timers = Timers()
    for n in range(2 * SWEEP_MIN):
        timers.arm(n, Due.SCHEDULE, n)
    for _ in range(SWEEP_MIN - 1):
        timers.forget_one()
    timers.sweep(lambda due, subject: subject % 2 == 0)
    assert len(timers) == 2 * SWEEP_MIN, "too few are pointless to be worth a pass"
    timers.forget_one()
    timers.sweep(lambda due, subject: subject % 2 == 0)
    assert len(timers) == SWEEP_MIN
    assert [at for at, _, _ in timers.due(10, 10)] == [0, 2, 4, 6, 8, 10]


def test_S2_timers_of_ended_work_do_not_pile_up() -> None:
    s = Scenario()
    s.workflow("W", "a")
    s.worker("w1", slots=1)
    for _ in range(3 * SWEEP_MIN):
        [(run,)] = s.machine.step([RunsTriggered((Trigger("W"),))], s.now).replies
        s.machine.step([TaskCompleted(run, 0, "")], s.now)
    assert len(s.machine.state.timers) < 2 * SWEEP_MIN


# Queue


def queued(*priorities: int, settings: Settings | None = None) -> list[TaskRun]:
    """Waiting tasks of one class, in order of their triggers."""
    s = Scenario(settings)
    s.workflow("W", "a")
    runs = [s.trigger("W", priority=priority) for priority in priorities]
    return [s.machine.state.tasks[run] for run in runs]


def test_PR10_order_is_level_then_age() -> None:
    tasks = queued(1, 3, 2, 3)
    ordered = sorted(tasks, key=lambda task: order_of(task, START, Settings()))
    assert [tasks.index(task) for task in ordered] == [1, 3, 2, 0]


def test_PR15_a_level_grows_with_every_interval_up_to_three() -> None:
    [task] = queued(1)
    settings = Settings(priority_age_us=1_000)
    assert [aged_level(task, Instant(START + 1_000 * n), settings) for n in (0, 1, 2, 3, 99)] == [1, 2, 3, 3, 3]
    assert aged_level(task, Instant(START + 99_000), Settings()) == 1
    task.level = 4
    assert aged_level(task, START, settings) == 4


def test_depth_first_puts_runs_that_started_ahead_of_those_that_did_not() -> None:
    [task] = queued(1)
    settings = Settings(depth_first=True)
    assert order_of(task, START, settings)[2] == NEVER_STARTED
    task.run.started_at = START
    assert order_of(task, START, settings)[2] == START
    assert order_of(task, START, Settings())[2] == 0


def test_a_class_gives_its_first_task_and_forgets_those_that_left() -> None:
    tasks = queued(1, 1, 1)
    key = (ActionId("a"), (), (("default", 1),), None, None, False)
    cls = SchedulingClass(key, Pools().of(key[:4], ()))
    for task in tasks:
        cls.push(order_of(task, START, Settings()), task, cls.plain)
    assert cls.head() is not None
    assert cls.head()[1] is tasks[0]  # type: ignore[index]
    assert cls.before(order_of(tasks[2], START, Settings()), 10) == 2
    assert cls.before(order_of(tasks[2], START, Settings()), 1) == 1
    cls.drop(tasks[0])
    assert cls.head()[1] is tasks[1]  # type: ignore[index]
    assert (cls.size, cls.tasks(1)) == (2, [tasks[1]])
    for task in tasks[1:]:
        cls.drop(task)
    assert cls.head() is None


def test_S2_entries_of_tasks_that_left_do_not_pile_up() -> None:
    [task] = queued(1)
    key = (ActionId("a"), (), (("default", 1),), None, None, False)
    cls = SchedulingClass(key, Pools().of(key[:4], ()))
    for _ in range(1_000):
        cls.push(order_of(task, START, Settings()), task, cls.plain)
        cls.drop(task)
    assert len(cls.plain._heap) <= 65


def test_R39_everything_that_decides_where_a_task_may_go_makes_another_class() -> None:
    base = (ActionId("a"), (), (("default", 1),), None, None, False)
    label = (DesiredLabel("zone", "a"),)
    others = [
        (ActionId("b"), *base[1:]),
        (base[0], label, *base[2:]),
        (*base[:2], (("default", 2),), *base[3:]),
        (*base[:3], frozenset({ActionId("a")}), *base[4:]),
        (*base[:4], "w1", False),
        (*base[:4], "w1", True),
    ]
    assert len({class_id_of(key) for key in [base, *others]}) == 7
    assert all(0 < class_id_of(key) < 2**63 for key in others)
