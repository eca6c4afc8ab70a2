"""Concurrency limits in the core (flow control section 2): strategies, chains, keys, priority, and what gives a place up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from limpet.core.definitions import ConcurrencyLimit, Feature, LimitStrategy, StickyStrategy
from limpet.core.errors import InvalidArgument, LimitReached, NotSupported, WorkflowChanged
from limpet.core.explain import Outlook, Reason
from limpet.core.inputs import RunsTriggered, TaskCompleted, Trigger, WorkflowPut, WorkflowPutReply
from limpet.core.records import UnusableKey
from limpet.core.rows import EventType
from limpet.core.run_keys import RunKeys
from limpet.core.settings import RetryPriority, Settings
from limpet.testing.builders import limit, make_task, make_workflow
from limpet.testing.scenario import Scenario

PROGRESS, NEWEST = LimitStrategy.CANCEL_IN_PROGRESS, LimitStrategy.CANCEL_NEWEST
LEVELS = pytest.mark.parametrize("of_task", [True, False], ids=["task level", "workflow level"])


def single(*limits: ConcurrencyLimit, of_task: bool = True, worker: bool = True, **options: object) -> Scenario:
    """A workflow W of one task a with these limits, declared at the task or at the workflow."""
    s = Scenario(checks_reload=True)
    task = make_task("a", concurrency=limits if of_task else (), **options)  # type: ignore[arg-type]
    s.workflow("W", task, concurrency=() if of_task else limits)
    if worker:
        s.worker("w1")
    return s


def live(s: Scenario, runs: Iterable[str]) -> list[str]:
    return [run for run in runs if s.run_status(run) == "RUNNING"]


def statuses(s: Scenario, runs: Iterable[str]) -> list[str]:
    return [s.run_status(run) for run in runs]


# Definition


@pytest.mark.parametrize("bad", [limit("  "), limit("k", 0), limit("k", -1)])
@LEVELS
def test_B05_F2_1_a_limit_without_expression_or_runs_is_refused(bad: ConcurrencyLimit, of_task: bool) -> None:
    with pytest.raises(InvalidArgument, match="concurrency limit"):
        single(bad, of_task=of_task)


def test_more_limits_than_allowed_are_refused_by_name() -> None:
    with pytest.raises(LimitReached, match="concurrency_limits_max"):
        single(*[limit(f"k{n}") for n in range(11)])


def test_F2_4_limits_of_a_workflow_with_one_task_are_the_tasks_own_and_come_first() -> None:
    definition = make_workflow("W", make_task("a", concurrency=[limit("own")]), concurrency=[limit("whole")])
    assert not definition.run_gates
    assert [(gate.number, gate.limit.expression) for gate in definition.task_gates[0]] == [(0, "whole"), (1, "own")]


def test_F2_5_limits_of_a_graph_are_passed_by_the_run() -> None:
    definition = make_workflow(
        "W", make_task("a", concurrency=[limit("x")]), make_task("b", "a"), make_task("c", concurrency=[limit("y")]),
        concurrency=[limit("r1"), limit("r2")],
    )  # fmt: skip
    assert [(gate.number, gate.limit.expression, gate.of_run) for gate in definition.gates] == [
        (0, "r1", True), (1, "r2", True), (2, "x", False), (3, "y", False),
    ]  # fmt: skip


def test_R47_a_definition_of_a_release_without_concurrency_asks_to_be_registered_again() -> None:
    s = Scenario()
    old = replace(make_workflow("W", "a"), undelivered=((Feature.CONCURRENCY, "workflow"),))
    s.ask(WorkflowPut(old), WorkflowPutReply)
    with pytest.raises(NotSupported, match="register it again"):
        s.trigger("W")


# Keys


def test_B08_B09_F2_8_a_key_that_cannot_be_computed_fails_the_task_at_birth() -> None:
    s = single(limit("input.n"), retries=3)
    run = s.trigger("W", keys={"input.n": UnusableKey("failed to parse step expression (input.n): no such key: n")})
    assert s.run_status(run) == "FAILED"
    assert "failed to parse step expression (input.n)" in s.error("a", run)
    assert s.events("a", run) == ["FAILED"]
    assert not s.log.starts


def test_F2_8_an_unusable_key_of_the_run_fails_its_tasks_and_the_on_failure_task_runs() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"), on_failure="rescue", concurrency=[limit("k")])
    s.worker("w1")
    run = s.trigger("W", keys={"k": UnusableKey("failed to parse step expression (k)")})
    assert s.statuses(run) == {"a": "FAILED", "b": "CANCELLED", "rescue": "RUNNING"}
    s.run_to_end()
    assert s.run_status(run) == "FAILED"


def test_F2_9_the_empty_text_is_a_key_and_keys_are_compared_exactly() -> None:
    s = single(limit("k"))
    runs = [s.trigger("W", keys={"k": key}) for key in ("", "", "a", "A", "a ")]
    assert statuses(s, runs) == ["RUNNING", "QUEUED", "RUNNING", "RUNNING", "RUNNING"]


def test_a_key_that_is_too_long_is_unusable() -> None:
    s = single(limit("k"))
    run = s.trigger("W", keys={"k": "é" * 501})
    assert "1002 bytes; at most 1000 (concurrency_key_bytes_max)" in s.error("a", run)


def test_the_stand_in_for_the_runs_id_becomes_the_runs_id() -> None:
    s = single(limit("workflow_run_id"))
    limits = s.machine.limits_of("W")
    assert limits is not None
    runs = s.trigger_bulk(*(Trigger("W", keys=RunKeys(limits.version_id, (f"x-{n}",), f"{n}")) for n in "pq"))
    assert live(s, runs) == list(runs)
    groups = sorted(group.key for group in s.machine.state.gates.groups.values())
    assert groups == sorted(f"x-{run}" for run in runs)


def test_R52_keys_of_another_version_are_refused_and_nothing_is_made() -> None:
    s = single(limit("k"))
    old = s.keys_of("W", {})
    s.workflow("W", make_task("a", concurrency=[limit("k", 2)]))
    for keys in (old, None):
        reply = s.step(RunsTriggered((Trigger("W", keys=keys),))).replies[0]
        assert isinstance(reply, WorkflowChanged)
    assert not s.tables.runs


def test_F2_6_versions_do_not_share_a_limit() -> None:
    s = single(limit("k"))
    first = s.trigger("W")
    s.workflow("W", make_task("a", concurrency=[limit("k")], retries=1))
    second = s.trigger("W")
    assert live(s, [first, second]) == [first, second]


def test_F2_7_a_replay_competes_again_with_the_same_key() -> None:
    s = single(limit("k"))
    first = s.trigger("W", keys={"k": "x"})
    s.complete("a", first)
    second = s.trigger("W", keys={"k": "x"})
    s.replay(first)
    assert statuses(s, [first, second]) == ["QUEUED", "RUNNING"]
    s.restart()
    s.complete("a", second)
    assert s.run_status(first) == "RUNNING"


# GROUP_ROUND_ROBIN


@LEVELS
def test_B07_F2_16_no_more_than_the_limit_run_and_all_complete(of_task: bool) -> None:
    s = single(limit("'constant'", 2), of_task=of_task)
    runs = [s.trigger("W") for _ in range(5)]
    seen = []
    while now := live(s, runs):
        seen.append(len(now))
        s.complete("a", now[0])
    assert seen == [2, 2, 2, 2, 1]
    assert set(statuses(s, runs)) == {"COMPLETED"}


def test_B16_each_key_has_its_own_limit() -> None:
    s = single(limit("k"))
    runs = [s.trigger("W", keys={"k": key}) for key in ("a", "a", "b", "b")]
    assert live(s, runs) == [runs[0], runs[2]]


def test_F2_10_a_place_is_taken_before_there_is_a_worker() -> None:
    s = single(limit("k"), worker=False)
    s.trigger("W")
    second = s.trigger("W")
    assert s.explain("a", second).reason is Reason.NO_WORKER_FOR_ACTION
    s.worker("w1")
    assert s.explain("a", second).reason is Reason.CONCURRENCY_FULL


@pytest.mark.parametrize("level", ["task", "workflow"])
def test_B17_B18_two_limits_hold_together_at_every_moment(level: str) -> None:
    s = Scenario(checks=True)
    limits = [limit("digit", 8), limit("name", 3)]
    tasks = [make_task("a", concurrency=limits)] if level == "task" else [make_task("a"), make_task("b", "a")]
    s.workflow("W", *tasks, concurrency=limits if level == "workflow" else ())
    s.worker("w1", slots=1_000)
    keys = [{"digit": str(n % 2), "name": "abcdef"[n * n % 6]} for n in range(100)]
    runs = {s.trigger("W", keys=one): one for one in keys}
    begun = set[str]()
    while open_runs := [run for run in runs if s.run_status(run) == "RUNNING"]:
        for name, most in (("digit", 8), ("name", 3)):
            for value in {one[name] for one in keys}:
                assert sum(runs[run][name] == value for run in open_runs) <= most
        begun.update(open_runs)
        first = open_runs[0]
        s.complete("a" if s.status("a", first) == "RUNNING" else "b", first)
    assert len(begun) == 100
    assert set(statuses(s, runs)) == {"COMPLETED"}


def test_C2_two_keys_with_backlog_take_turns() -> None:
    """One slot, and a burst of one key that came first: starts differ by at most the limit of one."""
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", concurrency=[limit("k", 2)]))
    s.worker("w1", slots=1)
    keys = {s.trigger("W", keys={"k": key}): key for key in "aaaaaaaabbbbbbbb"}
    done = s.run_in_order()
    counts = {"a": 0, "b": 0}
    for run in done[:12]:
        counts[keys[run]] += 1
        assert abs(counts["a"] - counts["b"]) <= 2
    assert len(done) == 16


def test_C2_keys_that_become_free_together_are_served_longest_ago_first() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", concurrency=[limit("k")]))
    s.worker("w1", slots=3)
    first = [s.trigger("W", keys={"k": key}) for key in "xyz"]
    waiting = {s.trigger("W", keys={"k": key}): key for key in "zyx"}
    s.step(*(TaskCompleted(run, 0, "", output=b"") for run in reversed(first)))
    assert [waiting[start.run] for start in s.log.starts[3:]] == ["x", "y", "z"]


def test_PR18_the_place_in_the_queue_counts_from_the_admission() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", concurrency=[limit("k")]))
    s.workflow("Plain", make_task("p"))
    s.worker("w1", slots=1)
    first = s.trigger("W")
    late = s.trigger("W")
    plain = s.trigger("Plain")
    s.complete("a", first)
    assert [s.run_status(run) for run in (plain, late)] == ["RUNNING", "QUEUED"]


@pytest.mark.parametrize("restart", [False, True])
def test_AC33_B24_PR17_the_higher_priority_is_admitted_first(restart: bool) -> None:
    s = single(limit("k"))
    first = s.trigger("W")
    low = [s.trigger("W", priority=1) for _ in range(5)]
    high = s.trigger("W", priority=3)
    if restart:
        s.restart()
    s.complete("a", first)
    assert live(s, [*low, high]) == [high]
    s.complete("a", high)
    assert live(s, low) == low[:1]


def test_F2_27_runs_of_a_graph_are_admitted_by_priority_then_arrival() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"), concurrency=[limit("k")])
    s.worker("w1")
    runs = [s.trigger("W", priority=priority) for priority in (1, 1, 2, 3, 1)]
    order = []
    while now := live(s, runs):
        order.append(runs.index(now[0]))
        s.complete("a", now[0])
        s.complete("b", now[0])
    assert order == [0, 3, 2, 1, 4]


# CANCEL_IN_PROGRESS


@LEVELS
def test_B10_B11_C3_the_newest_stays(of_task: bool) -> None:
    s = single(limit("k", 1, PROGRESS), of_task=of_task)
    runs = []
    for _ in range(10):
        runs.append(s.trigger("W"))
        s.advance(1)
    s.complete("a", runs[-1])
    assert statuses(s, runs) == ["CANCELLED"] * 9 + ["COMPLETED"]


def test_B12_F2_20_the_worker_of_a_cancelled_task_is_told_and_the_timeline_says_why() -> None:
    s = single(limit("k", 1, PROGRESS))
    first, _ = s.trigger("W"), s.trigger("W")
    assert s.cancels_for("a", first) == [("w1", 0)]
    [moment] = s.moments(EventType.CANCELLED, "a", first)
    assert "concurrency limit k = 'k' (1 at a time, CANCEL_IN_PROGRESS)" in moment.message


def test_F2_18_as_many_of_the_newest_stay_as_the_limit_allows() -> None:
    s = single(limit("k", 3, PROGRESS))
    runs = s.trigger_bulk(*(Trigger("W") for _ in range(8)))
    assert statuses(s, runs) == ["CANCELLED"] * 5 + ["RUNNING"] * 3


def test_B25_F2_26_a_newcomer_of_lower_priority_is_the_one_cancelled() -> None:
    s = single(limit("k", 1, PROGRESS))
    holder, newcomer = s.trigger("W", priority=3), s.trigger("W", priority=1)
    assert statuses(s, [holder, newcomer]) == ["RUNNING", "CANCELLED"]


def test_B26_F2_26_with_equal_or_higher_priority_the_newcomer_stays() -> None:
    s = single(limit("k", 1, PROGRESS))
    runs = [s.trigger("W", priority=priority) for priority in (1, 1, 2)]
    assert statuses(s, runs) == ["CANCELLED", "CANCELLED", "RUNNING"]


def test_F2_26_the_worst_of_several_gives_way() -> None:
    s = single(limit("k", 2, PROGRESS))
    runs = [s.trigger("W", priority=priority) for priority in (1, 3, 2)]
    assert statuses(s, runs) == ["CANCELLED", "RUNNING", "RUNNING"]


@pytest.mark.parametrize("strategy", [PROGRESS, NEWEST])
def test_F2_27_a_graphs_strategies_that_cancel_go_by_arrival_alone(strategy: LimitStrategy) -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"), concurrency=[limit("k", 1, strategy)])
    s.worker("w1")
    high, low = s.trigger("W", priority=3), s.trigger("W", priority=1)
    cancelled = high if strategy is PROGRESS else low
    assert s.run_status(cancelled) == "CANCELLED"


def test_B28_F2_21_a_run_that_gives_way_ends_with_all_its_tasks() -> None:
    s = Scenario(checks_reload=True)
    tasks = (make_task("a"), make_task("b", "a"), make_task("c", "b"))
    s.workflow("W", *tasks, on_failure="rescue", concurrency=[limit("k", 1, PROGRESS)])
    s.worker("w1")
    old = s.trigger("W")
    s.complete("a", old)
    new = s.trigger("W")
    assert s.statuses(old) == {"a": "COMPLETED", "b": "CANCELLED", "c": "CANCELLED", "rescue": "SKIPPED"}
    assert s.run_status(old) == "CANCELLED"
    assert s.run_status(new) == "RUNNING"
    assert "c" not in {start.task for start in s.log.starts}


def test_a_reassigned_holder_still_gives_way_to_a_newer_run_of_equal_priority() -> None:
    """Level 4 is a place in line that a lost worker earns, not importance (PR-21)."""
    s = single(limit("k", 1, PROGRESS))
    first = s.trigger("W")
    s.worker("w2")
    s.unsubscribe("w1")
    assert s.ran_on("a", first) == "w2"
    second = s.trigger("W")
    assert statuses(s, [first, second]) == ["CANCELLED", "RUNNING"]


# CANCEL_NEWEST


@LEVELS
def test_B13_B14_B15_those_that_are_in_stay(of_task: bool) -> None:
    s = single(limit("k", 1, NEWEST), of_task=of_task)
    first = s.trigger("W")
    others = s.trigger_bulk(*(Trigger("W") for _ in range(10)))
    assert set(statuses(s, others)) == {"CANCELLED"}
    s.complete("a", first)
    again = s.trigger("W")
    assert statuses(s, [first, again]) == ["COMPLETED", "RUNNING"]


def test_B23_an_arrival_is_cancelled_while_the_first_still_waits_for_a_worker() -> None:
    s = single(limit("k", 1, NEWEST), worker=False)
    first, second = s.trigger("W"), s.trigger("W")
    assert statuses(s, [first, second]) == ["QUEUED", "CANCELLED"]
    s.worker("w1")
    s.complete("a", first)
    assert s.run_status(first) == "COMPLETED"


def test_F2_24_a_run_cancelled_by_a_strategy_is_not_retried() -> None:
    s = single(limit("k", 1, NEWEST), retries=5)
    s.trigger("W")
    second = s.trigger("W")
    s.advance(60)
    assert s.run_status(second) == "CANCELLED"
    assert s.task("a", second).retry_count == 0


# Chains


def test_F2_13_a_place_is_kept_while_the_next_one_is_waited_for() -> None:
    s = single(limit("x"), limit("y"))
    first = s.trigger("W", keys={"x": "1", "y": "1"})
    second = s.trigger("W", keys={"x": "2", "y": "1"})  # has x=2, waits for y=1
    third = s.trigger("W", keys={"x": "2", "y": "2"})  # waits for x=2 although y=2 is free
    assert statuses(s, [first, second, third]) == ["RUNNING", "QUEUED", "QUEUED"]
    s.restart()
    s.complete("a", first)
    assert live(s, [second, third]) == [second]
    s.complete("a", second)
    assert live(s, [third]) == [third]


def test_B19_F2_22_a_burst_against_two_limits_settles() -> None:
    s = Scenario(checks_reload=False)
    limits = [limit("one", 1, PROGRESS), limit("two", 5)]
    names = ["a", "b", "c", "d"]
    s.workflow("W", make_task("a"), *(make_task(below, above) for above, below in pairwise(names)), concurrency=limits)
    s.worker("w1", slots=1)
    runs = [s.trigger("W", keys={"one": str(n % 3), "two": str(n % 2)}) for n in range(30)]
    s.run_to_end()
    assert set(statuses(s, runs)) == {"COMPLETED", "CANCELLED"}
    assert statuses(s, runs).count("COMPLETED") == 3
    assert not s.machine.state.gates.groups


def test_B20_F2_23_a_task_over_its_timeout_frees_both_places() -> None:
    s = single(limit("x"), limit("y"), execution_timeout=2)
    first, second = s.trigger("W"), s.trigger("W")
    s.advance(2)
    assert statuses(s, [first, second]) == ["FAILED", "RUNNING"]
    s.advance(2)
    assert s.run_status(second) == "FAILED"
    assert not s.machine.state.gates.groups


def test_a_graph_passes_the_runs_limits_and_then_each_tasks_own() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", concurrency=[limit("x")]), make_task("b", "a"), concurrency=[limit("r", 2)])
    s.worker("w1")
    runs = [s.trigger("W") for _ in range(3)]
    assert [s.status("a", run) for run in runs] == ["RUNNING", "QUEUED", "QUEUED"]
    s.complete("a", runs[0])
    assert [s.status("a", run) for run in runs] == ["COMPLETED", "RUNNING", "QUEUED"]
    assert s.explain("a", runs[2]).text.startswith("concurrency limit r = 'r' (2 at a time")
    s.complete("b", runs[0])
    assert s.explain("a", runs[2]).text.startswith("concurrency limit x = 'x' (1 at a time")


# Runs of graphs


def test_B21_F2_14_a_graph_does_not_block_itself() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", "b", make_task("c", "a", "b"), concurrency=[limit("k")])
    s.worker("w1")
    run, other = s.trigger("W"), s.trigger("W")
    for name in ("a", "b", "c"):
        assert s.run_status(other) == "QUEUED"
        s.complete(name, run)
    assert statuses(s, [run, other]) == ["COMPLETED", "RUNNING"]


def test_W6_6_F2_14_the_on_failure_task_neither_waits_nor_holds() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", on_failure="rescue", concurrency=[limit("k")])
    s.worker("w1")
    first, second = s.trigger("W"), s.trigger("W")
    s.fail("a", first, retryable=False)
    assert s.status("rescue", first) == "RUNNING"
    assert s.status("a", second) == "RUNNING"


def test_F2_14_the_run_keeps_its_place_between_two_tasks_and_during_a_back_off_before_them() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=1, backoff=5), make_task("b", "a"), concurrency=[limit("k")])
    s.worker("w1")
    first, second = s.trigger("W"), s.trigger("W")
    s.fail("a", first)
    assert s.run_status(second) == "QUEUED"  # b of the first run is still to come
    s.restart()
    assert s.run_status(second) == "QUEUED"
    s.advance(5)
    s.complete("a", first)
    s.complete("b", first)
    assert s.run_status(second) == "RUNNING"


def test_F2_14_when_its_last_task_backs_off_the_run_competes_again() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", retries=1, backoff=5), concurrency=[limit("k")])
    s.worker("w1")
    first, second = s.trigger("W"), s.trigger("W")
    s.complete("a", first)
    s.fail("b", first)
    assert s.status("a", second) == "RUNNING"
    s.advance(5)
    assert s.explain("b", first).reason is Reason.CONCURRENCY_FULL
    s.complete("a", second)
    s.complete("b", second)
    assert s.status("b", first) == "RUNNING"


# Time


@LEVELS
def test_B22_F2_15_the_schedule_timeout_runs_before_a_gate(of_task: bool) -> None:
    s = single(limit("k"), of_task=of_task, schedule_timeout=2)
    s.trigger("W")
    second = s.trigger("W")
    s.advance(2)
    assert s.run_status(second) == "FAILED"
    assert "SCHEDULING_TIMED_OUT" in s.events("a", second)
    assert s.error("a", second).startswith("Scheduling timed out after 2s: concurrency limit k = 'k' (1 at a time")


def test_AC99_TO4_the_clock_starts_anew_at_each_gate() -> None:
    s = single(limit("x"), limit("y"), schedule_timeout=2, execution_timeout=60)
    keys = [{"x": "1", "y": "-"}, {"x": "2", "y": "1"}, {"x": "1", "y": "1"}]
    first, second, third = (s.trigger("W", keys=one) for one in keys)
    s.advance(1.5)
    s.complete("a", first)  # the third passes x, and waits for y now
    s.advance(1.5)
    assert s.run_status(third) == "QUEUED"
    s.complete("a", second)
    assert s.run_status(third) == "RUNNING"


def test_T11_a_task_past_its_deadline_is_not_admitted_any_more() -> None:
    """Two deadlines have passed and one fits a step (R53): the place that becomes free goes to neither."""
    s = Scenario(Settings(due_batch_max=1))
    s.workflow("W", make_task("a", schedule_timeout=2, concurrency=[limit("k")]))
    s.worker("w1")
    first = s.trigger("W")
    waiting = [s.trigger("W") for _ in range(2)]
    s.now = type(s.now)(s.now + 3_000_000)
    s.step(TaskCompleted(first, 0, "", output=b""))
    s.advance(0.1)
    assert statuses(s, waiting) == ["FAILED", "FAILED"]
    assert len(s.log.starts) == 1


def test_B27_F2_11_RT4_a_back_off_gives_the_place_to_others() -> None:
    s = single(limit("k"), retries=1, backoff=5)
    first, second = s.trigger("W"), s.trigger("W")
    s.fail("a", first)
    assert s.run_status(second) == "RUNNING"
    s.advance(5)
    assert s.run_status(first) == "QUEUED"
    s.complete("a", second)
    assert s.run_status(first) == "RUNNING"


def test_a_retry_at_once_keeps_its_place() -> None:
    s = single(limit("k"), retries=1)
    first, second = s.trigger("W"), s.trigger("W")
    s.fail("a", first)
    assert statuses(s, [first, second]) == ["RUNNING", "QUEUED"]


def test_an_undeliverable_start_keeps_its_place_during_its_delay() -> None:
    s = single(limit("k", 1, NEWEST))
    first = s.trigger("W")
    s.undeliverable("a", first)
    s.undeliverable("a", first)  # from the second on there is a delay
    second = s.trigger("W")
    s.advance(10)
    assert statuses(s, [first, second]) == ["RUNNING", "CANCELLED"]


@pytest.mark.parametrize("policy", list(RetryPriority))
def test_B29b_PR21_waiting_ones_of_higher_priority_go_before_a_retry(policy: RetryPriority) -> None:
    s = Scenario(Settings(retry_priority=policy), checks_reload=True)
    s.workflow("W", make_task("a", retries=1, backoff=1, concurrency=[limit("k")]))
    s.worker("w1")
    low = s.trigger("W", priority=1)
    high = [s.trigger("W", priority=3) for _ in range(2)]
    s.fail("a", low)
    s.advance(1)
    s.complete("a", high[0])
    expected = low if policy is RetryPriority.UPSTREAM else high[1]
    assert live(s, [low, *high]) == [expected]


# What gives a place up (C4, T-CONC-LEAK)


def _cancelled(s: Scenario, run: str) -> None:
    s.cancel(run)


def _timed_out(s: Scenario, run: str) -> None:
    s.advance(60)


def _failed(s: Scenario, run: str) -> None:
    s.fail("a", run, retryable=False)


def _gave_up(s: Scenario, run: str) -> None:
    s.give_up("a", run)


def _completed(s: Scenario, run: str) -> None:
    s.complete("a", run)


@pytest.mark.parametrize("end", [_cancelled, _timed_out, _failed, _gave_up, _completed])
@pytest.mark.parametrize("restart", [False, True])
@LEVELS
def test_C4_whatever_ends_a_holder_lets_the_next_one_in(end: object, restart: bool, of_task: bool) -> None:
    s = single(limit("x"), limit("y"), of_task=of_task, schedule_timeout=1_000)
    first, second = s.trigger("W"), s.trigger("W")
    if restart:
        s.restart()
    end(s, first)  # type: ignore[operator]
    assert s.run_status(second) == "RUNNING"
    s.complete("a", second)
    assert not s.machine.state.gates.groups


@pytest.mark.parametrize("end", [_cancelled, _timed_out])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("level", ["task", "run"])
def test_B110_C4_whoever_ends_before_a_gate_leaves_nothing_behind(end: object, restart: bool, level: str) -> None:
    """The second holds x and waits for y when it ends; the third waits for x and then gets it."""
    s = Scenario(checks_reload=True)
    limits = [limit("x"), limit("y")]
    own = limits if level == "task" else []
    s.workflow("W", make_task("a", schedule_timeout=5, execution_timeout=1_000, concurrency=own), make_task("b", "a"),
               concurrency=limits if level == "run" else [])  # fmt: skip
    s.worker("w1")
    first = s.trigger("W", keys={"x": "1", "y": "1"})
    second = s.trigger("W", keys={"x": "2", "y": "1"})
    s.advance(3)
    third = s.trigger("W", keys={"x": "2", "y": "2"})
    if restart:
        s.restart()
    if end is _timed_out:
        s.advance(2)
    else:
        s.cancel(second)
    assert s.run_status(second) in ("CANCELLED", "FAILED")
    assert statuses(s, [first, third]) == ["RUNNING", "RUNNING"]
    s.run_to_end()
    assert not s.machine.state.gates.groups


def test_B110_cancelling_one_that_waits_leaves_the_order_of_the_others() -> None:
    s = single(limit("k"))
    first = s.trigger("W")
    waiting = [s.trigger("W") for _ in range(4)]
    s.cancel(waiting[1])
    assert s.run_in_order() == [first, waiting[0], *waiting[2:]]


def test_C4_a_lost_worker_does_not_lose_the_place() -> None:
    s = single(limit("k"))
    first, second = s.trigger("W"), s.trigger("W")
    s.kill("w1")
    s.advance(40)
    assert statuses(s, [first, second]) == ["QUEUED", "QUEUED"]
    s.worker("w2")
    assert live(s, [first, second]) == [first]


def test_C4_a_hard_run_whose_worker_is_gone_ends_before_its_gate_too() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", concurrency=[limit("k")]), sticky=StickyStrategy.HARD)
    s.worker("w1")
    s.worker("w2")
    s.trigger("W", desired_worker="w2")
    doomed = s.trigger("W", desired_worker="w1")
    third = s.trigger("W", desired_worker="w2")
    s.unsubscribe("w1")
    assert s.run_status(doomed) == "FAILED"
    s.complete("a", s.log.starts[0].run)
    assert s.run_status(third) == "RUNNING"


def test_P5_F10_2_a_full_key_does_not_hold_up_others() -> None:
    s = single(limit("k"))
    s.trigger("W", keys={"k": "full"})
    for _ in range(500):
        s.trigger("W", keys={"k": "full"})
    other = s.trigger("W", keys={"k": "free"})
    assert s.run_status(other) == "RUNNING"


def test_R4_admissions_are_counted_anew_on_load() -> None:
    s = single(limit("k", 3))
    runs = [s.trigger("W") for _ in range(6)]
    s.complete("a", runs[0])
    s.restart()
    assert live(s, runs) == runs[1:4]
    [group] = s.machine.state.gates.groups.values()
    assert (len(group.held), len(group.waiting)) == (3, 2)


def test_PR18_places_given_before_a_load_stay_ahead_of_later_ones() -> None:
    """An admission takes a number that no row has: after a load it must not be given again."""
    s = single(limit("k", 5), worker=False)
    before = s.trigger_bulk(*(Trigger("W") for _ in range(3)))
    s.restart()
    after = [s.trigger("W") for _ in range(2)]
    s.worker("w1", slots=1)
    assert s.run_in_order() == [*before, *after]


def test_S2_a_group_is_forgotten_with_the_last_who_is_in_it() -> None:
    s = single(limit("k"))
    for n in range(50):
        s.trigger("W", keys={"k": str(n)})
    assert len(s.machine.state.gates.groups) == 50
    s.run_to_end()
    assert not s.machine.state.gates.groups
    assert not s.machine.state.gates.stirred


# Explaining


def test_OB13_explain_names_limit_key_holders_and_place() -> None:
    s = single(limit("input.user"))
    first = s.trigger("W", keys={"input.user": "ada"})
    s.trigger("W", keys={"input.user": "ada"})
    third = s.trigger("W", keys={"input.user": "ada"})
    answer = s.explain("a", third)
    assert (answer.outlook, answer.reason, answer.position) == (Outlook.NOT_NOW, Reason.CONCURRENCY_FULL, 2)
    assert answer.text == (
        f"concurrency limit input.user = 'ada' (1 at a time, GROUP_ROUND_ROBIN) is full: task {first} runs on w1; "
        f"1 ahead of it; position 2 in its order."
    )
    assert answer.unblock[0] == f"Wait until one of those that are in ends, or cancel one, for instance task {first}."
    assert answer.unblock[1] == "Raise the limit input.user above 1 and register the workflow again."


def test_OB13_many_holders_are_counted() -> None:
    s = single(limit("k", 5))
    for _ in range(5):
        s.trigger("W")
    assert "and 2 more" in s.explain("a", s.trigger("W")).text


def test_OB14_behind_a_gate_without_any_capable_worker_it_is_never() -> None:
    s = single(limit("k"), worker=False)
    s.trigger("W")
    answer = s.explain("a", s.trigger("W"))
    assert (answer.outlook, answer.reason, answer.unblock) == (Outlook.NEVER, Reason.NO_WORKER_FOR_ACTION, ())


@LEVELS
def test_OB9_the_timeline_says_after_a_while_what_a_task_waits_for(of_task: bool) -> None:
    s = Scenario(checks_reload=True)
    limits = [limit("k")]
    s.workflow("W", make_task("a", concurrency=limits if of_task else ()), "b", concurrency=() if of_task else limits)
    s.worker("w1")
    s.trigger("W")
    second = s.trigger("W")
    s.advance(4)
    assert not s.moments(EventType.REQUEUED_NO_WORKER, "a", second)
    s.advance(2)
    [moment] = s.moments(EventType.REQUEUED_NO_WORKER, "a", second)
    assert moment.message.startswith("Concurrency limit k = 'k' (1 at a time, GROUP_ROUND_ROBIN) is full: ")
    s.advance(60)
    assert len(s.moments(EventType.REQUEUED_NO_WORKER, "a", second)) == 1


# The core checks itself


def _forget_an_admission(s: Scenario) -> None:
    next(iter(s.machine.state.gates.groups.values())).held.clear()


def _admit_one_more(s: Scenario) -> None:
    group = next(iter(s.machine.state.gates.groups.values()))
    _, subject = group.first() or (None, None)
    assert subject is not None
    subject.stage, subject.at_gate = 1, False
    group.held[subject.key] = subject


def _lose_a_group(s: Scenario) -> None:
    s.machine.state.gates.groups.clear()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_forget_an_admission, "C4: the group .* counts 0 admitted, runs and tasks say otherwise"),
        (_admit_one_more, "C1: the group .* has 2 admitted"),
        (_lose_a_group, "C4: the group .* is missing"),
    ],
)
def test_C1_C4_a_broken_gate_is_said_in_a_sentence(harm: Callable[[Scenario], None], sentence: str) -> None:
    s = single(limit("k"))
    s.trigger("W")
    s.trigger("W")
    assert s.machine.check() == []
    harm(s)
    found = s.machine.check()
    assert any(re.search(sentence, one) for one in found), found
