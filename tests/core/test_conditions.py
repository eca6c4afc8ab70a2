"""Conditions in the core (workflows section 5): parents' outputs, sleeps, events; what decides, when, and what follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from limpet.core.decision import StartTask
from limpet.core.definitions import Feature, LimitStrategy, StickyStrategy, TaskDefinition
from limpet.core.errors import InvalidArgument, LimitReached, NotJudged, NotSupported
from limpet.core.event_inputs import EventsPushed
from limpet.core.explain import Outlook, Reason
from limpet.core.ids import Instant
from limpet.core.inputs import OutputVerdicts, TaskCompleted, WorkflowPut, WorkflowPutReply
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.testing.builders import Group, event, limit, make_task, make_workflow, output_of, sleep, us
from limpet.testing.scenario import Scenario

BIG, SMALL = "output.n > 5.0", "output.n <= 5.0"


def dag(*tasks: TaskDefinition | str, settings: Settings | None = None, on_failure: str | None = None) -> Scenario:
    """A workflow W of these tasks, and a worker w1 for all of them; after every step the core is also loaded anew."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", *tasks, on_failure=on_failure)
    s.worker("w1")
    return s


def child(
    *, wait_for: Iterable[Group] = (), skip_if: Iterable[Group] = (), cancel_if: Iterable[Group] = (), below: bool = False
) -> tuple[Scenario, str]:
    """A run of a and its child b with these conditions, c below it if asked for; a has ended."""
    tasks = [make_task("b", "a", wait_for=wait_for, skip_if=skip_if, cancel_if=cancel_if)]
    s = dag("a", *tasks, *([make_task("c", "b")] if below else []))
    run = s.trigger("W")
    s.complete("a")
    return s, run


def start_of(s: Scenario, task: str) -> StartTask:
    return next(start.message for start in reversed(s.log.starts) if start.task == task)


def told(s: Scenario, task: str, kind: EventType) -> list[str]:
    return [moment.message for moment in s.timeline(task) if moment.type is kind]


# Definition


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (make_task("b", wait_for=[output_of("a")]), "no parent of the task"),
        (make_task("b", wait_for=[event("")]), "name the event's key"),
        (make_task("b", wait_for=[event("e" * 256)]), "name the event's key"),
        (make_task("b", wait_for=[event("e", scope="s" * 256)]), "the scope of a condition may have 255 bytes"),
        (make_task("b", wait_for=[sleep(-1)]), "negative"),
        (make_task("b", wait_for=[sleep(1, "k"), event("e", key="k")]), "data key 'k'"),
        (make_task("b", wait_for=[sleep(1, "k" * 1_001)]), "condition_key_bytes_max"),
    ],
)
def test_W2_14_conditions_that_cannot_be_carried_out_are_refused_by_name(task: TaskDefinition, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        dag("a", task)


def test_more_conditions_than_allowed_are_refused_by_name() -> None:
    with pytest.raises(LimitReached, match="conditions_max"):
        dag(make_task("a", wait_for=[sleep(n) for n in range(101)]))


def test_W6_2_the_on_failure_task_takes_no_conditions() -> None:
    s = Scenario()
    definition = make_workflow("W", "a", on_failure=make_task("rescue", wait_for=[sleep(1)]))
    with pytest.raises(InvalidArgument, match="on-failure task"):
        s.do(WorkflowPut(definition))


def test_R47_a_definition_of_a_release_without_conditions_asks_to_be_registered_again() -> None:
    s = Scenario()
    old = replace(make_workflow("W", "a"), undelivered=((Feature.CONDITIONS, "task a"),))
    s.ask(WorkflowPut(old), WorkflowPutReply)
    with pytest.raises(NotSupported, match="register it again"):
        s.trigger("W")


def test_R47_a_definition_of_a_release_without_scopes_says_so_and_runs_as_it_did() -> None:
    s = Scenario()
    old = replace(make_workflow("W", make_task("a", wait_for=[event("e")])), undelivered=((Feature.EVENT_SCOPE, "task a"),))
    s.ask(WorkflowPut(old), WorkflowPutReply)
    run = s.trigger("W")
    assert [one.message for one in s.timeline("a") if "register it again" in one.message]
    s.push("e", scope="any")
    assert s.run_status(run) == "QUEUED"


# Sleeps


def test_A19_W5_7_a_sleep_counts_from_the_end_of_the_parents() -> None:
    s = dag("a", make_task("b", "a", wait_for=[sleep(10)]))
    run = s.trigger("W")
    s.advance(40)
    s.complete("a")
    assert s.statuses(run) == {"a": "COMPLETED", "b": "PENDING"}
    s.advance(9.9)
    assert s.statuses(run)["b"] == "PENDING"
    s.advance(0.1)
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_17_a_workflow_of_one_task_waits_for_its_conditions_from_the_creation_of_the_run_on() -> None:
    s = dag(make_task("a", wait_for=[sleep(3)]))
    run = s.trigger("W")
    assert (s.run_status(run), s.statuses(run)) == ("QUEUED", {"a": "PENDING"})
    assert s.task("a").id == run, "the id of the run is the task's (W1.4)"
    s.advance(3)
    assert s.run_status(run) == "RUNNING"
    s.complete("a")
    assert s.run_status(run) == "COMPLETED"


def test_A94_W13_4_a_graph_that_waits_between_tasks_is_running() -> None:
    s, run = child(wait_for=[sleep(60)])
    assert s.run_status(run) == "RUNNING"


def test_W5_1_groups_must_all_hold_and_one_member_of_each_suffices() -> None:
    s, run = child(wait_for=[[sleep(5), sleep(50)], sleep(8)])
    s.advance(7.9)
    assert s.statuses(run)["b"] == "PENDING"
    s.advance(0.1)
    assert s.statuses(run)["b"] == "RUNNING"


def test_a_sleep_of_nothing_is_over_at_once() -> None:
    s, run = child(wait_for=[sleep(0)])
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_16_a_sleep_is_handed_to_the_task_by_its_data_key() -> None:
    s, _ = child(wait_for=[[sleep(1.5, "nap"), sleep(60, "night")]])
    s.advance(1.5)
    [ref] = start_of(s, "b").triggers
    assert (ref.name, ref.data) == ("nap", b'{"sleep_duration":"1.5s"}')


def test_W5_16_the_data_comes_with_every_attempt() -> None:
    s = dag(make_task("a", wait_for=[sleep(1, "nap")], retries=1))
    s.trigger("W")
    s.advance(1)
    s.fail("a")
    s.restart()
    assert [ref.name for ref in start_of(s, "a").triggers] == ["nap"]
    assert start_of(s, "a").retry_count == 1


def test_the_schedule_timeout_begins_when_the_conditions_let_the_task_run() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[sleep(100)], schedule_timeout=5))
    run = s.trigger("W")
    s.advance(104)
    assert s.run_status(run) == "QUEUED"
    s.advance(1)
    assert s.run_status(run) == "FAILED"


def test_PR_10_a_task_that_waited_stands_behind_those_that_were_queued_meanwhile() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("Slow", make_task("slow", wait_for=[sleep(5)]))
    s.workflow("Quick", "quick")
    s.trigger("Slow")
    s.advance(4)
    s.trigger("Quick")
    s.advance(1)
    s.worker("w1", slots=1)
    s.run_in_order()
    assert [start.task for start in s.log.starts] == ["quick", "slow"]


# Restarts


def test_kill_9_a_sleep_goes_on_while_nobody_looks() -> None:
    s, run = child(wait_for=[sleep(10)])
    s.advance(4)
    s.restart(down_for=3)
    assert s.statuses(run)["b"] == "PENDING"
    s.advance(3)
    assert s.statuses(run)["b"] == "RUNNING"


def test_kill_9_sleeps_that_ended_while_nobody_looked_count_in_their_order() -> None:
    s, run = child(wait_for=[sleep(12)], skip_if=[sleep(8)])
    s.restart(down_for=60)
    assert s.statuses(run)["b"] == "SKIPPED"


def test_kill_9_what_a_parents_output_meant_is_still_known() -> None:
    s = dag("a", "x", make_task("b", "a", "x", wait_for=[output_of("a", BIG)]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    s.restart()
    s.complete("x")
    assert s.statuses(run)["b"] == "RUNNING"


# Parents


def test_A18_retries_of_a_parent_come_first() -> None:
    s = dag(make_task("a", retries=2), make_task("b", "a", wait_for=[output_of("a", BIG)]))
    run = s.trigger("W")
    s.fail("a")
    s.fail("a")
    assert "b" not in s.statuses(run)
    s.complete("a", answers={BIG: True})
    assert s.statuses(run)["b"] == "RUNNING"
    assert len([start for start in s.log.starts if start.task == "b"]) == 1


def test_A24_W5_15_a_skip_condition_on_a_parent_skips_the_task() -> None:
    s = dag("a", make_task("b", "a", skip_if=[output_of("a", BIG)]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    assert (s.run_status(run), s.statuses(run)) == ("COMPLETED", {"a": "COMPLETED", "b": "SKIPPED"})
    assert s.task("b").output == b'{"skipped":true}'
    assert told(s, "b", EventType.SKIPPED) == [f"Its skip_if holds: the output of a where {BIG}."]


def test_A25_W5_18_of_two_with_complementary_conditions_exactly_one_runs() -> None:
    for is_big in (True, False):
        s = dag(
            "a",
            make_task("left", "a", skip_if=[output_of("a", BIG)]),
            make_task("right", "a", skip_if=[output_of("a", SMALL)]),
            make_task("join", "left", "right"),
        )
        run = s.trigger("W")
        s.complete("a", answers={BIG: is_big, SMALL: not is_big})
        ran, skipped = ("right", "left") if is_big else ("left", "right")
        s.complete(ran, output=b'{"n":1}')
        assert s.statuses(run) == {"a": "COMPLETED", ran: "COMPLETED", skipped: "SKIPPED", "join": "RUNNING"}
        outputs = {ref.name: ref.data for ref in start_of(s, "join").parents}
        assert outputs[skipped] == b'{"skipped":true}'


def test_A26_W5_11_one_parents_output_skips_the_task_although_the_other_was_not_skipped() -> None:
    s = dag("a", "x", make_task("b", "a", "x", skip_if=[output_of("a", BIG)]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    s.complete("x")
    assert s.statuses(run)["b"] == "SKIPPED"


def test_A27_W4_5_a_task_whose_parents_were_all_skipped_is_skipped() -> None:
    s = dag("a", make_task("b", "a", skip_if=[output_of("a")]), make_task("c", "b"), make_task("d", "c", wait_for=[sleep(9)]))
    run = s.trigger("W")
    s.complete("a")
    assert s.statuses(run) == {"a": "COMPLETED", "b": "SKIPPED", "c": "SKIPPED", "d": "SKIPPED"}, "also with conditions (W5.12)"
    assert s.run_status(run) == "COMPLETED"


def test_W5_12_own_skip_conditions_do_not_keep_a_task_from_being_skipped_with_its_parents() -> None:
    s = dag("a", make_task("b", "a", skip_if=[output_of("a")]), make_task("c", "b", skip_if=[output_of("b", BIG)]))
    run = s.trigger("W")
    s.complete("a")
    assert s.statuses(run)["c"] == "SKIPPED"


def test_A28_with_one_parent_skipped_and_one_completed_the_task_runs() -> None:
    s = dag("a", make_task("b", "a", skip_if=[output_of("a")]), "x", make_task("c", "b", "x"))
    run = s.trigger("W")
    s.complete("a")
    s.complete("x")
    assert s.statuses(run)["c"] == "RUNNING"


def test_W5_4_the_output_of_a_skipped_parent_says_so_and_expressions_may_ask() -> None:
    asks, other = output_of("b", "output.skipped", if_skipped=True), output_of("b", BIG)
    s = dag(
        "a", make_task("b", "a", skip_if=[output_of("a")]), "x",
        make_task("yes", "b", "x", wait_for=[asks]), make_task("no", "b", "x", skip_if=[asks]),
        make_task("never", "b", "x", skip_if=[other]),
    )  # fmt: skip
    run = s.trigger("W")
    s.complete("a")
    s.complete("x")
    assert {name: status for name, status in s.statuses(run).items() if name in ("yes", "no", "never")} == {
        "yes": "RUNNING", "no": "SKIPPED", "never": "RUNNING",
    }  # fmt: skip


def test_A31_one_true_member_of_a_group_skips() -> None:
    s = dag("a", make_task("b", "a", skip_if=[[output_of("a", BIG), output_of("a", SMALL)]]))
    run = s.trigger("W")
    s.complete("a", answers={SMALL: True})
    assert s.statuses(run)["b"] == "SKIPPED"


def test_A32_W4_6_a_cancel_condition_on_a_parent_cancels_the_task_and_all_below() -> None:
    s = dag("a", make_task("b", "a", cancel_if=[output_of("a", BIG)]), make_task("c", "b"))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    assert (s.run_status(run), s.statuses(run)) == ("CANCELLED", {"a": "COMPLETED", "b": "CANCELLED", "c": "CANCELLED"})
    assert told(s, "b", EventType.CANCELLED) == [f"Its cancel_if holds: the output of a where {BIG}."]


def test_W5_9_of_parents_conditions_cancel_comes_before_skip_and_skip_before_queue() -> None:
    every = [output_of("a", BIG)]
    s = dag(
        "a",
        make_task("b", "a", skip_if=every, cancel_if=every, wait_for=every),
        make_task("c", "a", skip_if=every, wait_for=every),
    )
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    assert s.statuses(run) == {"a": "COMPLETED", "b": "CANCELLED", "c": "SKIPPED"}


def test_W5_13_a_failed_parent_cancels_whatever_the_conditions_say() -> None:
    s = dag("a", "x", make_task("b", "a", "x", cancel_if=[output_of("a", BIG)], skip_if=[sleep(0)], wait_for=[sleep(9)]))
    run = s.trigger("W")
    s.complete("a")
    s.fail("x")
    assert (s.statuses(run)["b"], s.run_status(run)) == ("CANCELLED", "FAILED")


def test_W5_6_a_wait_condition_that_can_never_hold_cancels_the_task_and_says_so() -> None:
    s = dag("a", make_task("b", "a", wait_for=[output_of("a", BIG), sleep(5)]), make_task("c", "b"))
    run = s.trigger("W")
    s.complete("a", answers={BIG: "no such key: n"})
    assert (s.run_status(run), s.statuses(run)["c"]) == ("CANCELLED", "CANCELLED")
    [text] = told(s, "b", EventType.CANCELLED)
    assert text.startswith("Wait condition unsatisfiable: ")
    assert "no such key: n" in text


def test_W5_5_a_false_output_leaves_the_group_to_its_other_members() -> None:
    s = dag("a", make_task("b", "a", wait_for=[[output_of("a", BIG), sleep(5)]]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: False})
    assert s.statuses(run)["b"] == "PENDING"
    s.advance(5)
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_5_a_true_output_satisfies_the_group_at_once() -> None:
    s = dag("a", make_task("b", "a", wait_for=[[output_of("a", BIG), event("e")]]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_10_skip_and_cancel_conditions_of_time_alone_do_not_hold_a_task_back() -> None:
    s, run = child(skip_if=[sleep(5)], cancel_if=[event("abort")])
    assert s.statuses(run)["b"] == "RUNNING"
    s.advance(6)
    assert s.statuses(run)["b"] == "RUNNING"


# Judging


def test_R52_an_output_that_conditions_look_at_must_come_with_what_they_say() -> None:
    s = dag("a", make_task("b", "a", wait_for=[output_of("a", BIG)]))
    run = s.trigger("W")
    a = s.task("a")
    version = s.machine.output_view(a.id)
    assert version is not None
    assert version.expressions == (BIG,)
    for verdicts in (None, OutputVerdicts("other", (True,)), OutputVerdicts(version.version_id, ())):
        with pytest.raises(NotJudged, match="call again"):
            s.do(TaskCompleted(a.id, 0, "", b"{}", verdicts))
        assert s.statuses(run) == {"a": "RUNNING"}
    s.do(TaskCompleted(a.id, 0, "", b"{}", OutputVerdicts(version.version_id, (True,))))
    assert s.statuses(run)["b"] == "RUNNING"


def test_an_output_that_nobody_looks_at_needs_nothing() -> None:
    s = dag("a", make_task("b", "a", wait_for=[output_of("a")]))
    run = s.trigger("W")
    assert s.machine.output_view(s.task("a").id) is None
    assert s.machine.output_view("unknown") is None
    s.complete("a")
    assert s.statuses(run)["b"] == "RUNNING"


# Races


def test_A29_W5_8_the_sleep_of_skip_if_ends_first() -> None:
    s, run = child(wait_for=[event("e")], skip_if=[sleep(12)], below=True)
    s.advance(12)
    assert (s.statuses(run)["b"], s.statuses(run)["c"], s.run_status(run)) == ("SKIPPED", "SKIPPED", "COMPLETED")


def test_A34_W5_8_the_sleep_of_cancel_if_ends_first() -> None:
    s, run = child(wait_for=[event("e")], cancel_if=[sleep(8)])
    s.advance(8)
    assert (s.statuses(run)["b"], s.run_status(run)) == ("CANCELLED", "CANCELLED")


def test_A35_the_sleep_of_an_or_group_cancels() -> None:
    s, run = child(wait_for=[sleep(20)], cancel_if=[[event("e"), sleep(8)]])
    s.advance(8)
    assert s.run_status(run) == "CANCELLED"


def test_W5_9_sleeps_that_end_at_one_instant_skip_before_they_cancel_and_cancel_before_they_queue() -> None:
    s, run = child(wait_for=[sleep(5)], skip_if=[sleep(5)], cancel_if=[sleep(5)])
    other, other_run = child(wait_for=[sleep(5)], cancel_if=[sleep(5)])
    s.advance(5)
    other.advance(5)
    assert (s.statuses(run)["b"], other.statuses(other_run)["b"]) == ("SKIPPED", "CANCELLED")


def test_a_decision_is_final() -> None:
    s, run = child(wait_for=[sleep(5)], cancel_if=[sleep(6)])
    s.advance(10)
    assert s.statuses(run)["b"] == "RUNNING"


# Events


def test_A20_A21_an_event_counts_from_the_end_of_the_parents_on() -> None:
    s = dag("a", make_task("b", "a", wait_for=[event("e")]))
    run = s.trigger("W")
    s.push("e", b'{"n":1}')
    s.complete("a")
    assert s.statuses(run)["b"] == "PENDING", "what was pushed before is lost"
    s.push("other")
    assert s.statuses(run)["b"] == "PENDING"
    s.push("e", b'{"n":2}')
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_16_the_event_is_handed_over_by_its_row_and_data_key() -> None:
    s, _ = child(wait_for=[event("e", key="data"), sleep(2, "nap")])
    s.push("e", b'{"n":2}')
    s.push("e", b'{"n":3}')
    s.restart()
    s.advance(2)
    first, *_ = s.tables.pushed_events.values()
    event_ref, nap = start_of(s, "b").triggers
    assert (event_ref.name, event_ref.of_event, event_ref.key, event_ref.data) == ("data", True, first.key, None)
    assert nap.name == "nap"


def test_A22_an_event_comes_before_the_sleep_of_its_group() -> None:
    s, run = child(wait_for=[[sleep(60), event("e")]])
    s.advance(1)
    s.push("e")
    assert s.statuses(run)["b"] == "RUNNING"
    assert [ref.name for ref in start_of(s, "b").triggers] == ["condition 1"]


def test_A23_of_two_groups_the_later_one_decides() -> None:
    s, run = child(wait_for=[sleep(3), [sleep(30), event("e")]])
    s.advance(1)
    s.push("e")
    assert s.statuses(run)["b"] == "PENDING"
    s.restart()
    s.advance(2)
    assert s.statuses(run)["b"] == "RUNNING"


def test_A30_the_event_comes_before_the_sleep_of_skip_if() -> None:
    s, run = child(wait_for=[event("e")], skip_if=[sleep(12)])
    s.advance(2)
    s.push("e")
    s.advance(20)
    assert s.statuses(run)["b"] == "RUNNING"


def test_A33_an_event_cancels() -> None:
    s, run = child(wait_for=[sleep(30)], cancel_if=[event("abort")], below=True)
    s.advance(3)
    s.push("abort")
    assert (s.statuses(run)["b"], s.statuses(run)["c"], s.run_status(run)) == ("CANCELLED", "CANCELLED", "CANCELLED")


def test_A36_an_event_satisfies_the_group_that_an_output_did_not() -> None:
    s = dag("a", make_task("b", "a", wait_for=[[output_of("a", BIG), event("e")]]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: False})
    s.push("e")
    assert s.statuses(run)["b"] == "RUNNING"


def test_A37_A38_only_an_event_for_which_the_expression_is_true_satisfies() -> None:
    s, run = child(wait_for=[event("e", "input.id == 1.0")])
    s.push("e", b'{"id":2}')
    s.push("e", b'{"other":2}')
    assert s.statuses(run)["b"] == "PENDING"
    s.push("e", b'{"id":1}', answers={"input.id == 1.0": True})
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_14_one_event_of_whatever_scope_satisfies_all_that_wait_for_it() -> None:
    s = dag("a", make_task("b", "a", wait_for=[event("e")]), make_task("c", "a", wait_for=[event("e")]))
    runs = [s.trigger("W") for _ in range(3)]
    for run in runs:
        s.complete("a", run)
    s.push("e", scope="anything")
    assert [s.statuses(run) for run in runs] == [{"a": "COMPLETED", "b": "RUNNING", "c": "RUNNING"}] * 3
    assert not s.machine.state.waits.listening()


def test_W5_14_a_condition_with_a_scope_hears_events_of_exactly_that_scope() -> None:
    s, run = child(wait_for=[event("e", scope="eu")])
    for scope in ("us", None, "EU"):
        s.push("e", scope=scope)
    s.restart()
    assert s.statuses(run)["b"] == "PENDING"
    assert s.explain("b").text == "It waits for its conditions: wait_for still needs event e of scope eu."
    assert s.explain("b").unblock == ("Push an event e of scope eu.",)
    s.push("e", scope="eu")
    assert s.statuses(run)["b"] == "RUNNING"


def test_W5_14_keys_are_compared_as_they_are() -> None:
    s, run = child(wait_for=[event("order:*")])
    s.push("order:paid")
    assert s.statuses(run)["b"] == "PENDING"


def test_W5_9_one_event_that_satisfies_several_lists_skips_before_it_cancels_and_cancels_before_it_queues() -> None:
    s, run = child(wait_for=[event("e")], skip_if=[event("e")], cancel_if=[event("e")])
    other, other_run = child(wait_for=[event("e")], cancel_if=[event("e")])
    s.push("e")
    other.push("e")
    assert (s.statuses(run)["b"], other.statuses(other_run)["b"]) == ("SKIPPED", "CANCELLED")


def test_W5_8_a_sleep_that_ended_before_the_event_came_counts_first() -> None:
    """Also when nobody had looked at the time in between."""
    s, run = child(wait_for=[event("e")], skip_if=[sleep(5)])
    s.now = Instant(s.now + us(7))
    s.push("e")
    assert s.statuses(run)["b"] == "SKIPPED"


def test_W5_17_a_lone_task_waits_for_events_from_its_creation_on() -> None:
    s = dag(make_task("a", wait_for=[event("e")]))
    run = s.trigger("W")
    s.push("e")
    assert s.run_status(run) == "RUNNING"


def test_W5_7_the_event_that_starts_a_run_is_not_one_that_it_waits_for() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", wait_for=[event("e")]), events=["e"])
    s.worker("w1")
    [first] = s.push("e")
    assert s.run_status(first) == "QUEUED"
    [second] = s.push("e")
    assert (s.run_status(first), s.run_status(second)) == ("RUNNING", "QUEUED")


def test_kill_9_what_an_event_has_satisfied_stays_satisfied() -> None:
    s, run = child(wait_for=[event("one"), event("two")])
    s.push("one")
    s.restart(down_for=5)
    assert s.explain("b").text == "It waits for its conditions: wait_for still needs event two."
    s.push("two")
    assert s.statuses(run)["b"] == "RUNNING"


def test_R52_an_event_must_come_with_what_waiting_expressions_say_about_it() -> None:
    s, run = child(wait_for=[event("e", "input.id == 1.0")])
    bare = replace(s.pushed("e"), answers=())
    with pytest.raises(NotJudged, match="event e"):
        s.ask(EventsPushed((bare,)), tuple)
    assert (s.statuses(run)["b"], s.tables.pushed_events) == ("PENDING", {})
    assert s.machine.awaited("e") == ("input.id == 1.0",)
    assert s.machine.awaited("f") == ()


def test_X26_payloads_of_awaited_events_count_with_what_a_start_carries() -> None:
    s = dag(make_task("a", wait_for=[event("e")]), settings=Settings(message_bytes_max=60_000))
    run = s.trigger("W", input=b"1" * 20_000)
    s.push("e", b'{"x":"%b"}' % (b"y" * 40_000))
    assert s.run_status(run) == "FAILED"
    assert "awaited events (e 40008 bytes)" in s.error("a", run)


def test_a_cancelled_task_hears_of_no_event() -> None:
    s, run = child(wait_for=[event("e")])
    s.cancel(run)
    s.push("e")
    assert (s.statuses(run)["b"], dict(s.machine.state.waits.listening())) == ("CANCELLED", {})


def test_W12_5_after_a_replay_an_event_of_the_attempt_before_counts_no_more() -> None:
    s, run = child(wait_for=[event("e"), event("f")])
    s.push("e")
    s.cancel(run)
    s.replay(s.task("b").id)
    s.push("f")
    assert s.statuses(run)["b"] == "PENDING"
    s.push("e")
    assert s.statuses(run)["b"] == "RUNNING"


# Cancelling, replaying, failing


def test_CN_1_a_waiting_task_is_cancelled_and_time_does_not_bring_it_back() -> None:
    for subject in ("run", "task"):
        s, run = child(wait_for=[sleep(5)], below=True)
        s.cancel(run if subject == "run" else s.task("b").id)
        assert (s.run_status(run), s.statuses(run)["c"]) == ("CANCELLED", "CANCELLED")
        s.advance(10)
        assert s.statuses(run)["b"] == "CANCELLED"


def test_F2_20_a_limit_that_cancels_reaches_tasks_that_wait_for_conditions() -> None:
    s = Scenario(checks_reload=True)
    s.workflow(
        "W",
        make_task("a"),
        make_task("b", "a", wait_for=[sleep(50)]),
        concurrency=[limit("k", 1, LimitStrategy.CANCEL_IN_PROGRESS)],
    )
    s.worker("w1")
    first = s.trigger("W")
    s.complete("a")
    second = s.trigger("W")
    assert (s.run_status(first), s.run_status(second)) == ("CANCELLED", "RUNNING")


def test_F2_14_a_task_that_waits_for_its_conditions_keeps_its_runs_place() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a"), make_task("b", "a", wait_for=[sleep(5)]), concurrency=[limit("k")])
    s.worker("w1")
    s.trigger("W")
    s.complete("a")
    second = s.trigger("W")
    assert s.statuses(second) == {"a": "QUEUED"}
    s.advance(5)
    s.complete("b")
    assert s.statuses(second) == {"a": "RUNNING"}


def test_A89_a_cancel_condition_of_the_first_attempt_says_otherwise_on_replay() -> None:
    s = dag("a", make_task("b", "a", cancel_if=[output_of("a", BIG)]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    assert s.statuses(run) == {"a": "COMPLETED", "b": "CANCELLED"}
    s.replay(run)
    assert s.statuses(run) == {"a": "RUNNING", "b": "PENDING"}
    s.complete("a", answers={BIG: False})
    s.complete("b")
    assert (s.statuses(run), s.run_status(run)) == ({"a": "COMPLETED", "b": "COMPLETED"}, "COMPLETED")


def test_W12_5_a_replayed_task_waits_anew_and_knows_what_its_parents_said() -> None:
    s = dag("a", make_task("b", "a", wait_for=[output_of("a", BIG), sleep(5)]))
    run = s.trigger("W")
    s.complete("a", answers={BIG: True})
    s.advance(5)
    s.complete("b")
    s.advance(100)
    s.replay(s.task("b").id)
    assert s.statuses(run) == {"a": "COMPLETED", "b": "PENDING"}
    s.restart()
    s.advance(4.9)
    assert s.statuses(run)["b"] == "PENDING"
    s.advance(0.1)
    assert s.statuses(run)["b"] == "RUNNING"
    s.complete("b")
    assert s.run_status(run) == "COMPLETED"


def test_W6_3_the_on_failure_task_is_skipped_with_a_run_whose_tasks_were() -> None:
    s = dag(make_task("a", wait_for=[event("e")], skip_if=[sleep(5)]), on_failure="rescue")
    run = s.trigger("W")
    s.advance(5)
    assert (s.run_status(run), s.statuses(run)) == ("COMPLETED", {"a": "SKIPPED", "rescue": "SKIPPED"})


def test_W6_2_the_on_failure_task_does_not_wait_for_those_that_wait() -> None:
    s = dag("a", make_task("b", wait_for=[sleep(60)]), on_failure="rescue")
    run = s.trigger("W")
    s.fail("a")
    assert s.statuses(run) == {"a": "FAILED", "b": "PENDING", "rescue": "RUNNING"}


def test_AC_05_ST_20_a_task_that_was_held_back_goes_where_its_pin_says() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", wait_for=[sleep(120)]), sticky=StickyStrategy.SOFT)
    s.worker("w1")
    s.trigger("W")
    s.complete("a")
    s.worker("w2")
    s.kill("w1")
    s.advance(120)
    assert s.ran_on("b") == "w2"


# Explain


def test_OB_14_explain_names_the_conditions_that_are_still_to_come_and_when_a_sleep_ends() -> None:
    s, _ = child(wait_for=[[sleep(60), event("paid", "input.id == 1.0")], sleep(5)], skip_if=[event("stop")])
    s.advance(2)
    answer = s.explain("b")
    assert (answer.reason, answer.outlook) == (Reason.CONDITION_UNMET, Outlook.SOON)
    assert answer.text == (
        "It waits for its conditions: wait_for still needs a sleep of 60s (58s left) or event paid where input.id == 1.0 and "
        "a sleep of 5s (3s left); skip_if would come with event stop."
    )
    assert answer.unblock == ("Push an event paid with a payload for which input.id == 1.0 is true.",)


def test_OB_14_without_a_sleep_that_decides_explain_says_not_now() -> None:
    s, _ = child(wait_for=[event("paid"), sleep(5)])
    s.advance(6)
    answer = s.explain("b")
    assert (answer.reason, answer.outlook) == (Reason.CONDITION_UNMET, Outlook.NOT_NOW)
    assert answer.text == "It waits for its conditions: wait_for still needs event paid."


def test_the_timeline_says_what_the_task_waits_for() -> None:
    s, _ = child(wait_for=[[sleep(60), event("paid")]])
    assert told(s, "b", EventType.CREATED) == ["Waits for a sleep of 60s or event paid."]


# Bounds


def test_S2_timers_of_sleeps_that_lost_their_race_are_swept() -> None:
    s = Scenario(checks=False)
    s.workflow("W", make_task("a", wait_for=[sleep(1)], cancel_if=[sleep(86_400)]))
    for _ in range(6_000):
        s.trigger("W")
    s.advance(1)
    for run in [row.id for row in s.tables.runs.values()]:
        s.cancel(run)
    s.advance(1)
    assert len(s.machine.state.timers) < 12_000


def test_R53_many_sleeps_that_end_at_once_are_paced_and_all_end() -> None:
    s = Scenario(Settings(due_batch_max=10), checks_reload=False)
    s.workflow("W", make_task("a", wait_for=[sleep(1)]))
    runs = [s.trigger("W") for _ in range(25)]
    s.worker("w1")
    s.advance(2)
    assert {s.run_status(run) for run in runs} == {"RUNNING"}
    assert us(1) == 1_000_000
