"""Graphs of tasks (workflows sections 4, 6, 7, 10, 12, 13): what follows when a task ends, versions, children, replays."""

from __future__ import annotations

import pytest

from limpet.core.decision import StartTask
from limpet.core.definitions import TaskDefinition
from limpet.core.errors import InvalidArgument, LimitReached, NotFound
from limpet.core.inputs import RunsTriggered, Trigger, WorkflowDeleted
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.testing.builders import make_task
from limpet.testing.scenario import START, Scenario


def dag(*tasks: TaskDefinition | str, on_failure: str | None = None, settings: Settings | None = None) -> Scenario:
    """A workflow W of these tasks, and a worker w1 for all of them."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", *tasks, on_failure=on_failure)
    s.worker("w1")
    return s


def start_of(s: Scenario, task: str, run: str | None = None) -> StartTask:
    """The newest start message of a task."""
    task_id = s.task(task, run).id
    return next(start.message for start in reversed(s.log.starts) if start.message.task_run_id == task_id)


def test_A01_a_diamond_runs_its_roots_at_once_and_hands_over_parents_outputs() -> None:
    s = dag("one", "two", make_task("three", "one", "two"), make_task("four", "one", "three"))
    run = s.trigger("W")
    assert s.statuses(run) == {"one": "RUNNING", "two": "RUNNING"}, "both at the same time, and nothing else exists yet"
    s.complete("one", output=b'{"n":1}')
    s.complete("two", output=b'{"n":2}')
    assert [(p.key, p.name) for p in start_of(s, "three").parents] == [(s.task("one").key, "one"), (s.task("two").key, "two")]
    s.complete("three", output=b'{"sum":3}')
    s.complete("four", output=b"{}")
    [finished] = s.log.finished
    assert [(result.name, result.payload is not None) for result in finished.results] == [
        ("one", True),
        ("two", True),
        ("three", True),
        ("four", True),
    ]
    assert s.run_status(run) == "COMPLETED"
    assert s.task("three").output == b'{"sum":3}'


def test_A10_the_same_definition_is_the_same_version() -> None:
    s = Scenario(checks_reload=True)
    first = s.workflow("W", "a")
    again = s.workflow("W", "a")
    assert (again.workflow_id, again.version_id, again.created) == (first.workflow_id, first.version_id, False)
    assert not s.log.decisions[-1][1].changes


def test_A11_a_changed_definition_is_a_new_version_of_the_same_workflow() -> None:
    s = Scenario(checks_reload=True)
    first = s.workflow("W", "a")
    second = s.workflow("W", make_task("a", retries=1))
    assert second.workflow_id == first.workflow_id
    assert second.version_id != first.version_id
    back = s.workflow("W", "a")
    assert back.version_id not in (first.version_id, second.version_id), "only the newest is compared"
    assert [row.number for row in s.tables.versions.values()] == [1, 2, 3]


@pytest.mark.parametrize("restarted", [False, True])
def test_A12_a_run_follows_the_version_it_started_with(restarted: bool) -> None:
    s = dag("a", make_task("b", "a"), make_task("c", "b"))
    run = s.trigger("W")
    s.complete("a")
    s.workflow("W", "a", "x")
    s.worker("w2")
    if restarted:
        s.restart()
    s.complete("b", run)
    s.complete("c", run)
    assert list(s.statuses(run)) == ["a", "b", "c"]
    assert s.run_status(run) == "COMPLETED"
    assert set(s.statuses(s.trigger("W"))) == {"a", "x"}


def test_A15_an_unknown_parent_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="workflow W, task b: parent nobody does not exist"):
        dag("a", make_task("b", "nobody"))


def test_A16_a_cycle_is_refused_by_its_names() -> None:
    with pytest.raises(InvalidArgument, match="cycle: a, b"):
        dag(make_task("a", "b"), make_task("b", "a"), "fine")


def test_A17_a_failed_parent_cancels_what_is_below_and_leaves_other_branches_alone() -> None:
    s = dag("a", make_task("below", "a"), make_task("deeper", "below"), "branch", make_task("leaf", "branch"))
    run = s.trigger("W")
    s.fail("a")
    assert s.statuses(run) == {"a": "FAILED", "below": "CANCELLED", "deeper": "CANCELLED", "branch": "RUNNING"}
    s.run_to_end()
    assert s.status("leaf") == "COMPLETED"
    assert s.run_status(run) == "FAILED"
    assert s.events("below") == ["CANCELLED"]


def test_A18_a_child_starts_once_after_the_attempt_that_succeeds() -> None:
    s = dag(make_task("a", retries=2), make_task("b", "a"))
    s.trigger("W")
    s.fail("a")
    s.fail("a")
    assert not s.has_task("b")
    s.complete("a")
    assert s.workers_of("b") == ["w1"]


def test_A39_on_failure_runs_once_with_the_errors_and_does_not_rescue_the_run() -> None:
    s = dag("a", "b", on_failure="oops")
    run = s.trigger("W")
    s.fail("a", error="first")
    assert s.status("oops") == "RUNNING", "it does not wait for the others (W6.2)"
    [error] = start_of(s, "oops").errors
    assert (error.name, error.key, error.is_error) == ("a", s.task("a").key, True)
    s.fail("b", error="second")
    s.complete("oops")
    assert s.statuses(run) == {"a": "FAILED", "b": "FAILED", "oops": "COMPLETED"}
    assert s.run_status(run) == "FAILED"
    assert len(s.workers_of("oops")) == 1


def test_A40_on_failure_is_skipped_when_nothing_fails() -> None:
    s = dag("a", on_failure="oops")
    run = s.trigger("W")
    s.complete("a")
    assert s.status("oops") == "SKIPPED"
    assert s.task("oops").output == b'{"skipped":true}'
    assert s.run_status(run) == "COMPLETED"
    assert s.events("oops") == ["SKIPPED"]


def test_A41_on_failure_is_skipped_when_the_run_is_only_cancelled() -> None:
    s = dag("a", on_failure="oops")
    run = s.trigger("W")
    s.cancel(run)
    assert s.statuses(run) == {"a": "CANCELLED", "oops": "SKIPPED"}
    assert s.run_status(run) == "CANCELLED"


def test_A42_the_error_text_of_the_failed_task_is_kept() -> None:
    s = dag("a", on_failure="oops")
    s.trigger("W")
    s.fail("a", error="ValueError: bad\ntrace")
    assert s.error("a") == "ValueError: bad\ntrace"
    assert start_of(s, "oops").errors[0].key == s.task("a").key


def test_A43_a_task_below_all_leaves_runs_last_and_sees_them() -> None:
    s = dag("a", "b", make_task("on_success", "a", "b"))
    run = s.trigger("W")
    s.complete("a")
    assert not s.has_task("on_success")
    s.complete("b")
    assert [parent.name for parent in start_of(s, "on_success").parents] == ["a", "b"]
    s.complete("on_success")
    assert s.run_status(run) == "COMPLETED"


def test_A44_two_failing_tasks_with_one_retry_between_them() -> None:
    s = dag(*(make_task(name, retries=1) for name in ("never", "wrong", "ok")))
    run = s.trigger("W")
    s.fail("never", retryable=False)
    s.fail("wrong")
    s.fail("wrong")
    s.complete("ok")
    events = [kind for name in ("never", "wrong", "ok") for kind in s.events(name)]
    assert (events.count("FAILED"), events.count("RETRYING")) == (3, 1)
    assert sum(result.payload is not None and result.payload.is_error for result in s.log.finished[0].results) == 2
    assert s.run_status(run) == "FAILED"


def test_A45_back_off_gaps_grow_up_to_the_cap() -> None:
    s = dag(make_task("a", retries=4, backoff=2, backoff_max=10))
    s.trigger("W")
    gaps = []
    for _ in range(4):
        s.fail("a")
        until = s.task("a").not_before
        assert until is not None
        gaps.append((until - s.now) / 1_000_000)
        s.advance(gaps[-1])
    assert gaps == [2, 4, 8, 10]


def test_A48_without_a_worker_the_schedule_timeout_ends_the_task() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", schedule_timeout=3))
    run = s.trigger("W")
    s.advance(3)
    assert s.run_status(run) == "FAILED"
    assert s.events("a")[-1] == "SCHEDULING_TIMED_OUT"


def spawner() -> tuple[Scenario, str]:
    """A run of W (tasks a and b, running) and a workflow C for children."""
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=3, execution_timeout=5), "b")
    s.workflow("C", "c")
    s.worker("w1")
    return s, s.trigger("W")


def test_A56_a_parent_that_is_tried_again_spawns_the_same_child() -> None:
    s, run = spawner()
    parent = s.task("a", run).id
    first = s.trigger("C", parent=parent, child_index=0)
    s.advance(5)
    assert s.task("a", run).retry_count == 1
    assert s.trigger("C", parent=parent, child_index=0) == first
    s.complete("c", first)
    s.restart()
    assert s.trigger("C", parent=parent, child_index=0) == first, "also when it has ended, and after a restart"
    assert sum(row.parent_task_id == parent for row in s.tables.runs.values()) == 1


def test_A57_the_same_child_key_names_the_same_child() -> None:
    s, run = spawner()
    parent = s.task("a", run).id
    ids = {s.trigger("C", parent=parent, child_key="k", child_index=n) for n in range(3)}
    assert len(ids) == 1
    assert s.trigger("C", parent=parent, child_key="other") not in ids


def test_A58_children_of_a_dag_task_are_distinct_from_its_siblings() -> None:
    s, run = spawner()
    children = [s.trigger("C", parent=s.task("a", run).id, child_index=n) for n in range(4)]
    assert len({*children, run, *(row.id for row in s.tables.tasks.values() if row.run_key == s.run(run).key)}) == 7


def test_A59_each_task_of_a_dag_has_children_of_its_own() -> None:
    s, run = spawner()
    children = {s.trigger("C", parent=s.task(name, run).id, child_index=0) for name in ("a", "b")}
    assert len(children) == 2
    parents = {s.run(child).parent_task_id for child in children}
    assert parents == {s.task("a", run).id, s.task("b", run).id}


def test_I2_two_spawns_of_one_child_in_one_call_are_one_child() -> None:
    s, run = spawner()
    item = Trigger("C", parent_run_id=run, parent_task_id=s.task("a", run).id, child_index=7)
    first, second = s.ask(RunsTriggered((item, item)), tuple)
    assert first == second


def test_I5_a_repeated_request_id_gives_the_same_run() -> None:
    s = dag("a")
    first = s.trigger("W", request_id="r1")
    assert s.trigger("W", request_id="r1") == first
    s.complete("a")
    s.restart()
    assert s.trigger("W", request_id="r1") == first
    assert s.trigger("W", request_id="r2") != first


def test_A89_a_replay_gives_what_was_cancelled_a_proper_start() -> None:
    s = dag("a", make_task("b", "a"))
    run = s.trigger("W")
    s.cancel(s.task("a").id)
    assert s.statuses(run) == {"a": "CANCELLED", "b": "CANCELLED"}
    assert set(s.replay(run)) == {s.task("a").id, s.task("b").id}
    assert s.statuses(run) == {"a": "RUNNING", "b": "PENDING"}
    s.complete("a")
    assert [parent.name for parent in start_of(s, "b").parents] == ["a"]
    s.complete("b")
    assert s.statuses(run) == {"a": "COMPLETED", "b": "COMPLETED"}


def six_tasks() -> tuple[Scenario, str]:
    """Two steps, a failing one, one that is cancelled, and two below."""
    s = dag("s1", "s2", "bad", "stop", make_task("below_s", "s1", "s2"), make_task("below_bad", "bad"))
    return s, s.trigger("W")


def test_A92_details_of_an_unfinished_run_list_only_what_exists() -> None:
    s, run = six_tasks()
    assert len(s.statuses(run)) == 4
    s.fail("bad")
    assert s.run_status(run) == "RUNNING"
    assert s.run(run).input == b"{}"


def test_A93_the_final_status_of_a_mixed_run() -> None:
    s, run = six_tasks()
    s.fail("bad")
    s.cancel(s.task("stop").id)
    s.run_to_end()
    assert s.statuses(run) == {
        "s1": "COMPLETED",
        "s2": "COMPLETED",
        "bad": "FAILED",
        "stop": "CANCELLED",
        "below_s": "COMPLETED",
        "below_bad": "CANCELLED",
    }
    assert s.run_status(run) == "FAILED"


def test_A94_a_run_reads_running_between_two_of_its_tasks() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1", ["a"])
    run = s.trigger("W")
    assert s.run_status(run) == "RUNNING"
    s.complete("a")
    assert (s.status("b"), s.run_status(run)) == ("QUEUED", "RUNNING")


def test_A119_a_replayed_run_finishes_again_with_its_new_result() -> None:
    s = dag("a")
    run = s.trigger("W")
    s.complete("a", output=b'"old"')
    s.replay(run)
    assert s.task("a").output is None
    s.complete("a", output=b'"new"')
    assert [finished.workflow_run_id for finished in s.log.finished] == [run, run]
    assert s.task("a").output == b'"new"'


def test_A120_a_late_success_after_a_cancel_changes_nothing() -> None:
    s = dag("a")
    run = s.trigger("W")
    s.cancel(run)
    s.complete("a", run, by="w1", output=b'"late"')
    assert (s.run_status(run), s.task("a").output) == ("CANCELLED", b"")
    s.restart()
    s.complete("a", run, by="w1")
    assert s.run_status(run) == "CANCELLED"


def test_W12_5_replaying_one_task_replays_what_is_below_and_keeps_the_rest() -> None:
    s = dag("a", make_task("b", "a"), make_task("c", "b"), "other", on_failure="oops")
    run = s.trigger("W")
    s.complete("a", output=b'"kept"')
    s.complete("other")
    s.fail("b")
    s.complete("oops")
    attempts = {name: s.task(name).retry_count for name in ("a", "other")}
    taken = s.replay(s.task("b").id)
    assert [s.task(task).step for task in taken] == [1, 2, 4]
    assert s.statuses(run) == {"a": "COMPLETED", "b": "RUNNING", "c": "PENDING", "other": "COMPLETED", "oops": "PENDING"}
    s.complete("b")
    s.complete("c")
    assert s.run_status(run) == "COMPLETED"
    assert s.status("oops") == "SKIPPED"
    assert {name: s.task(name).retry_count for name in ("a", "other")} == attempts
    assert s.task("a").output == b'"kept"'


def test_W12_6_a_run_that_goes_on_is_not_replayed() -> None:
    s = dag("a", "b")
    run = s.trigger("W")
    s.complete("a")
    assert s.replay(run) == ()
    assert s.replay(s.task("a").id) == ()
    assert s.replay("unknown") == ()


def test_G3_a_replay_of_a_failed_run_that_now_succeeds_skips_on_failure() -> None:
    s = dag("a", on_failure="oops")
    run = s.trigger("W")
    s.fail("a")
    s.complete("oops")
    s.replay(run)
    s.complete("a")
    assert s.statuses(run) == {"a": "COMPLETED", "oops": "SKIPPED"}


def test_X26_a_task_whose_message_would_be_too_large_fails_with_the_sizes() -> None:
    s = dag("a", "b", make_task("c", "a", "b"), settings=Settings(message_bytes_max=100_000, payload_bytes_max=60_000))
    run = s.trigger("W", input=b'"' + b"i" * 9_998 + b'"')
    s.complete("a", output=b"1" * 50_000)
    s.complete("b", output=b"1" * 30_000)
    assert s.status("c") == "FAILED"
    assert "a 50000 bytes, b 30000 bytes" in s.error("c")
    assert s.run_status(run) == "FAILED"


def test_X15_an_output_above_the_limit_fails_the_task_for_good() -> None:
    s = dag(make_task("a", retries=3), settings=Settings(payload_bytes_max=10))
    run = s.trigger("W")
    s.complete("a", output=b"1" * 11)
    assert s.run_status(run) == "FAILED"
    assert "payload_bytes_max" in s.error("a")
    with pytest.raises(InvalidArgument, match="payload_bytes_max"):
        s.trigger("W", input=b"1" * 11)


def test_I4_one_bad_item_refuses_the_whole_call() -> None:
    s = dag("a", settings=Settings(bulk_items_max=3))
    with pytest.raises(InvalidArgument, match="not found: X, Y"):
        s.trigger_bulk(Trigger("W"), Trigger("Y"), Trigger("X"))
    with pytest.raises(LimitReached, match="bulk_items_max"):
        s.trigger_bulk(*(Trigger("W") for _ in range(4)))
    with pytest.raises(InvalidArgument, match="metadata_bytes_max"):
        s.trigger_bulk(Trigger("W"), Trigger("W", metadata=b" " * 70_000))
    assert not s.tables.runs


def test_W3_8_a_deleted_workflow_takes_no_triggers_and_its_runs_go_on() -> None:
    s = dag("a", make_task("b", "a"))
    run = s.trigger("W")
    old = s.workflow("W", "a", make_task("b", "a"))
    s.do(WorkflowDeleted(old.workflow_id))
    with pytest.raises(InvalidArgument, match="not found: W"):
        s.trigger("W")
    with pytest.raises(NotFound):
        s.do(WorkflowDeleted(old.workflow_id))
    s.restart()
    s.run_to_end()
    assert s.run_status(run) == "COMPLETED"
    assert s.workflow("W", "a").workflow_id != old.workflow_id


def test_G2_a_run_takes_a_status_only_from_its_tasks_and_keeps_its_dates() -> None:
    s = dag("a", make_task("b", "a"))
    s.close_stream("w1")
    run = s.trigger("W")
    assert (s.run_status(run), s.run(run).started_at) == ("QUEUED", None)
    s.advance(2)
    s.reopen("w1")
    assert (s.run_status(run), s.run(run).started_at) == ("RUNNING", START + 2_000_000)
    s.complete("a")
    s.advance(3)
    s.complete("b")
    assert s.run(run).finished_at == START + 5_000_000
    assert s.moments(EventType.FINISHED, "b")[0].at == START + 5_000_000
