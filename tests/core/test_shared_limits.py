"""Concurrency limits that workflows share by name, and those whose number of runs is computed (decision 0028)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from limpet.core.definition_rules import check_definition
from limpet.core.definitions import ConcurrencyLimit, Feature, LimitStrategy, WorkflowDefinition
from limpet.core.errors import InvalidArgument, NotSupported
from limpet.core.explain import Reason
from limpet.core.inputs import TaskCompleted, Trigger, WorkflowPut, WorkflowPutReply
from limpet.core.records import UnusableKey
from limpet.core.rows import EventType
from limpet.core.undelivered import warnings_of
from limpet.testing.builders import limit, make_task, make_workflow
from limpet.testing.scenario import Scenario

PROGRESS, NEWEST = LimitStrategy.CANCEL_IN_PROGRESS, LimitStrategy.CANCEL_NEWEST


def sharing(**limits: ConcurrencyLimit) -> Scenario:
    """By name, workflows of one task `a` that has this limit; and a worker for them all."""
    s = Scenario(checks_reload=True)
    for name, one in limits.items():
        s.workflow(name, make_task("a", concurrency=[one]))
    s.worker("w1")
    return s


def statuses(s: Scenario, runs: Iterable[str]) -> list[str]:
    return [s.run_status(run) for run in runs]


# Definition


def test_a_shared_limit_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"workflow W: a concurrency limit that workflows share .* needs a name"):
        check_definition(make_workflow("W", "a", concurrency=[ConcurrencyLimit("k", is_shared=True)]))


@pytest.mark.parametrize("name", ["x" * 256, "a\0b"])
def test_a_name_has_bounds(name: str) -> None:
    with pytest.raises(InvalidArgument, match="concurrency_name_bytes_max"):
        check_definition(make_workflow("W", "a", concurrency=[limit("k", name=name)]))


def test_a_limit_beyond_what_the_wire_can_say_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="must allow 1 or more runs"):
        check_definition(make_workflow("W", "a", concurrency=[limit("k", 1 << 31)]))


def test_shared_limits_are_passed_last_and_by_name_and_keys_stand_as_declared() -> None:
    limits = [limit("1", shared="b"), limit("2"), limit("3", shared="a"), limit("4", name="n")]
    alone = make_workflow("W", "a", concurrency=limits)
    graph = make_workflow("W", "a", "b", concurrency=limits)
    for found in (alone.task_gates[0], graph.run_gates):
        assert [(gate.number, gate.limit.expression) for gate in found] == [(1, "2"), (3, "4"), (2, "3"), (0, "1")]
    for definition in (alone, graph):
        assert [(gate.number, gate.limit.expression) for gate in definition.gates] == [(0, "1"), (1, "2"), (2, "3"), (3, "4")]


def graph_with(of_run: str, of_task: str) -> WorkflowDefinition:
    return make_workflow(
        "W", make_task("a", concurrency=[limit("k", shared=of_task)]), "b", concurrency=[limit("k", shared=of_run)]
    )  # fmt: skip


def test_a_way_that_passes_one_name_twice_is_refused() -> None:
    for definition in (
        graph_with("n", "n"),
        make_workflow("W", "a", "b", concurrency=[limit("k", shared="n"), limit("l", shared="n")]),
        make_workflow("W", make_task("a", concurrency=[limit("k", shared="n")]), concurrency=[limit("l", shared="n")]),
    ):
        with pytest.raises(InvalidArgument, match="task a: it would pass the shared concurrency limit 'n' twice"):
            check_definition(definition)


def test_a_way_against_the_order_of_names_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'a' must come after 'b' of the workflow in the alphabet"):
        check_definition(graph_with("b", "a"))
    check_definition(graph_with("a", "b"))
    check_definition(graph_with("a", ""))


def test_the_on_failure_task_passes_no_limit_of_its_run_and_may_share_its_name() -> None:
    rescue = make_task("rescue", concurrency=[limit("k", shared="n")])
    check_definition(make_workflow("W", "a", on_failure=rescue, concurrency=[limit("k", shared="n")]))


def test_two_workflows_that_differ_are_told_at_registration_both_by_name() -> None:
    s = sharing(One=limit("k", 2, shared="api"))
    same, other = (
        make_workflow("Same", make_task("a", concurrency=[limit("x", 2, shared="api")])),
        limit("k", "m", NEWEST, shared="api"),
    )
    assert not s.step(WorkflowPut(same)).notices
    notices = s.step(WorkflowPut(make_workflow("Two", make_task("a", concurrency=[other, limit("k", 5)])))).notices
    assert notices == [
        f"Workflows Two and {name} share the concurrency limit 'api' and declare it differently: m at a time, CANCEL_NEWEST, "
        f"and 2 at a time, GROUP_ROUND_ROBIN; each run is let in by its own workflow's."
        for name in ("One", "Same")
    ]
    again = make_workflow("Two", make_task("a", concurrency=[limit("k", 2, shared="api")]))
    assert not s.step(WorkflowPut(again)).notices


@pytest.mark.parametrize("feature", [Feature.TENANT_CONCURRENCY, Feature.COMPUTED_CONCURRENCY])
def test_R47_a_definition_of_a_release_that_did_not_carry_it_out_asks_to_be_registered_again(feature: Feature) -> None:
    s = Scenario()
    old = WorkflowDefinition("W", (make_task("a"),), undelivered=((feature, "workflow"),))
    s.ask(WorkflowPut(old), WorkflowPutReply)
    assert "register it again" in warnings_of(old)[0]
    with pytest.raises(NotSupported, match="register it again"):
        s.trigger("W")


def test_R47_a_definition_without_the_newer_fields_is_read() -> None:
    found = msgspec.json.decode(b'{"expression":"k","max_runs":3,"strategy":3}', type=ConcurrencyLimit)
    assert found == limit("k", 3)


# Sharing


def test_runs_of_several_workflows_count_together_by_key() -> None:
    s = sharing(One=limit("x", 2, shared="api"), Two=limit("y", 2, shared="api"))
    ada = [s.trigger("One", keys={"x": "ada"}), s.trigger("Two", keys={"y": "ada"}), s.trigger("One", keys={"x": "ada"})]
    bob = s.trigger("Two", keys={"y": "bob"})
    assert statuses(s, [*ada, bob]) == ["RUNNING", "RUNNING", "QUEUED", "RUNNING"]
    s.restart()
    s.complete("a", ada[1])
    assert s.run_status(ada[2]) == "RUNNING"
    s.run_to_end()
    assert not s.machine.state.gates.groups


def test_other_names_and_limits_with_a_name_alone_do_not_count_together() -> None:
    s = sharing(One=limit("k", shared="api"), Two=limit("k", shared="web"), Three=limit("k", name="api"), Four=limit("k"))
    runs = [s.trigger(name) for name in ("One", "Two", "Three", "Four")]
    assert set(statuses(s, runs)) == {"RUNNING"}


def test_F2_6_versions_of_one_workflow_share_what_is_shared() -> None:
    s = sharing(W=limit("k", shared="api"))
    first = s.trigger("W")
    s.workflow("W", make_task("a", concurrency=[limit("k", shared="api")], retries=1))
    second = s.trigger("W")
    assert statuses(s, [first, second]) == ["RUNNING", "QUEUED"]
    s.restart()
    s.complete("a", first)
    assert s.run_status(second) == "RUNNING"


def test_graphs_and_single_tasks_stand_in_one_line() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("One", make_task("a", concurrency=[limit("k", shared="api")]))
    s.workflow("Graph", "a", make_task("b", "a"), concurrency=[limit("k", shared="api")])
    s.worker("w1")
    graph, single, other = s.trigger("Graph"), s.trigger("One"), s.trigger("Graph")
    assert statuses(s, [single, other]) == ["QUEUED", "QUEUED"]
    s.complete("a", graph)
    assert s.run_status(single) == "QUEUED"
    s.complete("b", graph)
    assert statuses(s, [single, other]) == ["RUNNING", "QUEUED"]
    s.complete("a", single)
    assert s.run_status(other) == "RUNNING"


def test_tasks_of_one_run_may_share_a_name_and_go_one_after_the_other() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", *(make_task(name, concurrency=[limit("k", shared="api")]) for name in "abc"))
    s.worker("w1")
    run = s.trigger("W")
    assert sorted(s.statuses(run).values()) == ["QUEUED", "QUEUED", "RUNNING"]
    s.run_to_end()
    assert s.run_status(run) == "COMPLETED"


def test_no_two_workflows_wait_for_each_other_whatever_the_order_of_declaration() -> None:
    s = Scenario(checks_reload=True)
    one, two = limit("k", shared="one"), limit("k", shared="two")
    s.workflow("A", make_task("a", concurrency=[one, two]))
    s.workflow("B", make_task("a", concurrency=[two, one]))
    s.workflow("C", make_task("a", concurrency=[two]), "b", concurrency=[one])
    s.worker("w1", slots=1)
    runs = [s.trigger(name) for name in "ABCBACCBA"]
    s.run_to_end()
    assert set(statuses(s, runs)) == {"COMPLETED"}


# Each by its own limit


def test_each_is_let_in_by_its_own_number_of_runs() -> None:
    s = sharing(Few=limit("k", 1, shared="api"), Many=limit("k", 3, shared="api"))
    many = [s.trigger("Many") for _ in range(2)]
    few = s.trigger("Few")
    assert statuses(s, [*many, few]) == ["RUNNING", "RUNNING", "QUEUED"]
    s.complete("a", many[0])
    assert s.run_status(few) == "QUEUED"
    s.complete("a", many[1])
    after = [s.trigger("Many") for _ in range(3)]
    assert statuses(s, [few, *after]) == ["RUNNING", "RUNNING", "RUNNING", "QUEUED"]


def test_who_allows_more_does_not_overtake_who_allows_fewer() -> None:
    """Otherwise a stream of the former would keep the latter out for ever."""
    s = sharing(Few=limit("k", 1, shared="api"), Many=limit("k", 3, shared="api"))
    first, few, behind = s.trigger("Many"), s.trigger("Few"), s.trigger("Many")
    assert statuses(s, [first, few, behind]) == ["RUNNING", "QUEUED", "QUEUED"]
    answer = s.explain("a", behind)
    assert answer.reason is Reason.CONCURRENCY_FULL
    assert answer.text == (
        f"concurrency limit api: k = 'k' (3 at a time, GROUP_ROUND_ROBIN, shared by name) has room, and 1 ahead of it; task {few} "
        f"of workflow Few comes first and needs fewer than 1 in: task {first} of workflow Many runs on w1; position 2 in its order."
    )
    assert len(answer.unblock) == 1
    s.restart()
    assert statuses(s, [first, few, behind]) == ["RUNNING", "QUEUED", "QUEUED"]
    s.complete("a", first)
    assert statuses(s, [few, behind]) == ["RUNNING", "RUNNING"]


def test_the_end_of_the_head_of_the_line_lets_those_behind_it_in() -> None:
    s = sharing(Few=limit("k", 1, shared="api"), Many=limit("k", 3, shared="api"))
    _, few, behind = s.trigger("Many"), s.trigger("Few"), s.trigger("Many")
    s.cancel(few)
    assert s.run_status(behind) == "RUNNING"


@pytest.mark.parametrize("strategy", [PROGRESS, NEWEST])
def test_those_whose_limit_cancels_do_not_stand_in_line(strategy: LimitStrategy) -> None:
    s = sharing(Line=limit("k", 1, shared="api"), Comer=limit("k", 2, strategy, shared="api"))
    first, waiting, comer = s.trigger("Line"), s.trigger("Line"), s.trigger("Comer")
    assert statuses(s, [first, waiting, comer]) == ["RUNNING", "QUEUED", "RUNNING"]
    s.complete("a", first)
    assert s.run_status(waiting) == "QUEUED"
    s.complete("a", comer)
    assert s.run_status(waiting) == "RUNNING"


def test_F2_19_newest_of_a_shared_limit_is_cancelled_by_its_own_measure() -> None:
    s = sharing(Line=limit("k", 5, shared="api"), Comer=limit("k", 2, NEWEST, shared="api"))
    s.trigger("Line"), s.trigger("Line")
    comer = s.trigger("Comer")
    assert s.run_status(comer) == "CANCELLED"
    [moment] = s.moments(EventType.CANCELLED, "a", comer)
    assert moment.message == (
        "Cancelled by the concurrency limit api: k = 'k' (2 at a time, CANCEL_NEWEST, shared by name): the key was full."
    )


def test_F2_18_in_progress_cancels_across_workflows_and_says_for_whom() -> None:
    s = sharing(Line=limit("k", 5, shared="api"), Comer=limit("k", 1, PROGRESS, shared="api"))
    runs = [s.trigger("Line") for _ in range(3)]
    comer = s.trigger("Comer")
    assert statuses(s, [*runs, comer]) == ["CANCELLED"] * 3 + ["RUNNING"]
    [moment] = s.moments(EventType.CANCELLED, "a", runs[0])
    assert moment.message == (
        f"Cancelled by the concurrency limit api: k = 'k' (1 at a time, CANCEL_IN_PROGRESS, shared by name): task {comer} of "
        f"workflow Comer took its place."
    )


def test_F2_26_nobody_is_cancelled_for_a_newcomer_that_does_not_get_in() -> None:
    s = sharing(Line=limit("k", 5, shared="api"), Comer=limit("k", 1, PROGRESS, shared="api"))
    low, high = s.trigger("Line", priority=1), s.trigger("Line", priority=3)
    comer = s.trigger("Comer", priority=2)
    assert statuses(s, [low, high, comer]) == ["RUNNING", "RUNNING", "CANCELLED"]


def test_F2_27_a_graph_that_cancels_goes_by_arrival_among_single_tasks_too() -> None:
    s = sharing(One=limit("k", 1, shared="api"))
    s.workflow("Graph", "a", "b", concurrency=[limit("k", 1, PROGRESS, shared="api")])
    single = s.trigger("One", priority=3)
    graph = s.trigger("Graph", priority=1)
    assert statuses(s, [single, graph]) == ["CANCELLED", "RUNNING"]


def test_a_graph_gives_way_to_a_single_task_with_all_its_tasks() -> None:
    s = sharing(One=limit("k", 1, PROGRESS, shared="api"))
    s.workflow("Graph", "a", make_task("b", "a"), concurrency=[limit("k", 1, shared="api")])
    graph = s.trigger("Graph")
    single = s.trigger("One")
    assert statuses(s, [graph, single]) == ["CANCELLED", "RUNNING"]
    assert set(s.statuses(graph).values()) == {"CANCELLED"}


def test_PR17_the_higher_priority_of_another_workflow_comes_first() -> None:
    s = sharing(One=limit("k", shared="api"), Two=limit("k", shared="api"))
    first, low, high = s.trigger("One"), s.trigger("One"), s.trigger("Two", priority=3)
    s.complete("a", first)
    assert statuses(s, [low, high]) == ["QUEUED", "RUNNING"]


def test_OB13_explain_names_the_workflows_of_those_who_are_in_and_what_to_raise() -> None:
    s = sharing(One=limit("x", shared="api"), Two=limit("y", 2, shared="api"))
    s.trigger("Two", keys={"y": "ada"})
    waiting = s.trigger("One", keys={"x": "ada"})
    answer = s.explain("a", waiting)
    assert "concurrency limit api: x = 'ada' (1 at a time, GROUP_ROUND_ROBIN, shared by name) is full: task " in answer.text
    assert "of workflow Two runs on w1" in answer.text
    assert answer.unblock[1] == "Raise the limit x above 1 and register the workflow again."


def test_OB13_a_name_alone_is_told_too() -> None:
    s = sharing(One=limit("x", name="per user"))
    s.trigger("One")
    assert s.explain("a", s.trigger("One")).text.startswith(
        "concurrency limit per user: x = 'x' (1 at a time, GROUP_ROUND_ROBIN) is"
    )


# Computed numbers of runs


def test_each_run_is_let_in_by_the_number_it_has_brought() -> None:
    s = sharing(W=limit("k", "most"))
    runs = [s.trigger("W", keys={"most": most}) for most in (1, 2, 2)]
    assert statuses(s, runs) == ["RUNNING", "RUNNING", "QUEUED"]
    wide = s.trigger("W", keys={"most": 10}, priority=3)
    assert statuses(s, [runs[2], wide]) == ["QUEUED", "RUNNING"]


def test_the_number_survives_restarts_and_replays() -> None:
    s = sharing(W=limit("k", "most"))
    first = s.trigger("W", keys={"most": 2})
    s.complete("a", first)
    others = [s.trigger("W", keys={"most": 2}) for _ in range(3)]
    s.restart()
    assert statuses(s, others) == ["RUNNING", "RUNNING", "QUEUED"]
    s.replay(first)
    assert s.run_status(first) == "QUEUED"
    assert "(2 at a time, GROUP_ROUND_ROBIN) is full" in s.explain("a", first).text
    s.run_to_end()
    assert set(statuses(s, [first, *others])) == {"COMPLETED"}


def test_the_row_holds_keys_as_texts_and_the_number_only_where_it_is_computed() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", concurrency=[limit("x"), limit("y", "most"), limit("z", shared="s")]))
    s.trigger("W", keys={"x": "1", "y": "2", "most": 7, "z": "3"})
    [row] = s.tables.runs.values()
    assert row.limit_keys == b'["1",["2",7],"3"]'


def test_F2_8_a_number_that_cannot_be_computed_fails_the_task_at_birth() -> None:
    s = sharing(W=limit("k", "input.most"))
    run = s.trigger("W", keys={"input.most": UnusableKey("failed to parse step expression (input.most): no such key: most")})
    assert s.run_status(run) == "FAILED"
    assert "failed to parse step expression (input.most)" in s.error("a", run)
    assert not s.log.starts


def test_a_computed_limits_key_has_the_bound_of_all_keys() -> None:
    s = sharing(W=limit("k", "most"))
    run = s.trigger("W", keys={"k": "é" * 501, "most": 2})
    assert "1002 bytes; at most 1000 (concurrency_key_bytes_max)" in s.error("a", run)


def test_OB14_what_helps_a_computed_limit_is_another_value() -> None:
    s = sharing(W=limit("k", "input.most"))
    s.trigger("W", keys={"input.most": 1})
    answer = s.explain("a", s.trigger("W", keys={"input.most": 1}))
    assert answer.unblock[1] == "Let input.most, which gives 1 for this run, give more to the next ones."


def test_numbers_of_shared_limits_are_each_runs_own() -> None:
    s = sharing(One=limit("k", "most", PROGRESS, shared="api"), Two=limit("k", 3, shared="api"))
    two = [s.trigger("Two") for _ in range(3)]
    one = s.trigger("One", keys={"most": 2})
    assert statuses(s, [*two, one]) == ["CANCELLED", "CANCELLED", "RUNNING", "RUNNING"]


def test_F2_26_a_place_given_up_to_one_that_allows_fewer_may_go_to_one_behind_that_allows_more() -> None:
    """Each is judged by its own number: `low` comes in beside `high`, which was not to be had beside anybody."""
    s = sharing(W=limit("k", "most", PROGRESS))
    middle = s.trigger("W", keys={"most": 1}, priority=2)
    high, low = (Trigger("W", priority=p, keys=s.keys_of("W", {"most": most})) for p, most in ((3, 1), (1, 2)))
    ids = s.trigger_bulk(low, high)
    assert statuses(s, [middle, *map(str, ids)]) == ["CANCELLED", "RUNNING", "RUNNING"]


# Memory


@pytest.mark.parametrize("shared", ["", "api"])
def test_S2_memory_does_not_grow_with_the_keys_that_have_passed(shared: str) -> None:
    """Bursts of keys that nobody else has leave no group behind, and no more timers than the burst before."""
    s, timers = Scenario(), list[int]()
    s.workflow("W", make_task("a", concurrency=[limit("k", shared=shared)]))
    s.worker("w1", slots=10_000)
    for burst in range(3):
        keys = [f"{burst}-{n}" for n in range(300)]
        runs = [s.trigger("W", keys={"k": key}) for key in keys]
        late = [s.trigger("W", keys={"k": key}) for key in keys[:50]]
        assert len(s.machine.state.gates.groups) == 300
        s.advance(6)  # the late ones say why they wait
        s.step(*(TaskCompleted(run, 0, "", output=b"") for run in runs))
        s.step(*(TaskCompleted(run, 0, "", output=b"") for run in late))
        s.advance(310)
        gates = s.machine.state.gates
        assert (len(gates.groups), len(gates.stirred), len(s.machine.state.runs)) == (0, 0, 0)
        timers.append(len(s.machine.state.timers))
    assert timers[1] == timers[2]
