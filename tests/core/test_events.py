"""Events of the core: what they start, through which filters, in one commit (flow control, section 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.core.decision import EventSource
from limpet.core.definitions import ConcurrencyLimit, DefaultFilter
from limpet.core.errors import InvalidArgument, LimitReached, NotFound, SubscriptionsChanged, WorkflowChanged
from limpet.core.event_inputs import (
    EventsPushed,
    ExpressionFailed,
    ExpressionFailure,
    FilterCreated,
    FilterDeleted,
    FilterUpdated,
)
from limpet.core.event_rows import FailureSource, FilterRow
from limpet.core.inputs import WorkflowDeleted
from limpet.core.rows import RunRow
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate, matches
from limpet.testing.builders import make_task
from limpet.testing.scenario import Scenario

UNKNOWN = "00000000-0000-4000-8000-00000000ffff"


def world(settings: Settings | None = None, *events: str, checks: bool = True, **values: Any) -> Scenario:
    s = Scenario(settings, checks=checks, checks_reload=checks)
    s.workflow("W", "a", events=events or ("order:created",), **values)
    s.worker("w1", slots=10_000)
    return s


def workflow_id(s: Scenario, name: str = "W") -> str:
    return s.machine.state.workflows[name].id


def create(s: Scenario, scope: str = "s", expression: str = "true", payload: bytes = b"{}") -> FilterRow:
    return s.ask(FilterCreated(workflow_id(s), scope, expression, payload), FilterRow)


def says(*expressions: str) -> Any:
    """Filters with one of these expressions let events through."""
    return lambda one: one.expression in expressions


def run(s: Scenario, run_id: str) -> RunRow:
    return next(row for row in s.tables.runs.values() if row.id == run_id)


def filter_payloads(s: Scenario) -> list[bytes]:
    return sorted(start.source.filter_payload for start in [one.message for one in s.log.starts] if start.source is not None)


def test_B50_F5_7_an_event_starts_one_run_with_its_payload_in_the_commit_that_stores_it() -> None:
    s = world()
    (run_id,) = s.push("order:created", b'{"n":1}', metadata=b'{"m":1}')
    assert (run(s, run_id).input, run(s, run_id).metadata) == (b'{"n":1}', b'{"m":1}')
    (event,) = s.tables.pushed_events.values()
    assert (event.name, event.payload, event.metadata, event.payload_bytes) == ("order:created", b'{"n":1}', b'{"m":1}', 7)
    commits = [decision for _, decision in s.log.decisions if decision.changes.pushed_events]
    assert [(len(one.changes.runs_opened), len(one.changes.event_runs)) for one in commits] == [(1, 1)]


def test_F5_13_the_worker_is_told_the_event_also_after_a_restart_and_a_retry() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", retries=1), events=["order:created"])
    s.worker("w1")
    s.push("order:created")
    (event,) = s.tables.pushed_events.values()
    s.fail("a")
    s.restart()
    s.reopen("w1")
    s.fail("a")
    assert [start.message.retry_count for start in s.log.starts] == [0, 1]
    assert [start.message.source for start in s.log.starts] == [EventSource(event.id, "order:created", b"{}")] * 2


def test_F5_13_a_replay_of_an_ended_run_tells_its_event_too() -> None:
    s = world()
    create(s, payload=b'{"a":1}')
    (run_id,) = s.push("order:created", scope="s")
    s.complete("a")
    s.replay(run_id)
    assert filter_payloads(s) == [b'{"a":1}'] * 2


def test_F5_7_without_a_match_the_event_is_stored_and_starts_nothing() -> None:
    s = world()
    assert s.push("order:deleted") == ()
    assert [row.name for row in s.tables.pushed_events.values()] == ["order:deleted"]


def test_F5_7_the_newest_version_counts() -> None:
    s = world()
    s.workflow("W", "a", "b", events=["order:paid"])
    assert s.push("order:created") == ()
    (run_id,) = s.push("order:paid")
    assert len(s.tables.tasks_of(run(s, run_id).key)) == 2


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("order:*", "order:created", True), ("order:*", "orders", False), ("*", "", True), ("a_b", "axb", False),
        ("a%b", "axb", False), ("a*a", "a", False), ("a*a", "aa", True), ("*b*", "abc", True), ("a*b*c", "a-c-b", False),
        ("a*b*c", "axbxbxc", True), ("a.c", "abc", False), ("*:created", "order:created:no", False), ("a**b", "ab", True),
    ],
)  # fmt: skip
def test_B54_B55_F5_8_a_star_is_any_run_of_characters_and_nothing_else_is_special(
    pattern: str, name: str, is_match: bool
) -> None:
    assert matches(pattern, name) is is_match


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_F5_8_patterns_match_as_a_slow_matcher_says(pattern: str, name: str) -> None:
    def slow(p: str, n: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return any(slow(p[1:], n[i:]) for i in range(len(n) + 1))
        return bool(n) and n[0] == p[0] and slow(p[1:], n[1:])

    assert matches(pattern, name) is slow(pattern, name)


def test_B54_a_registered_pattern_starts_runs_on_keys_it_matches() -> None:
    s = world(None, "order:*")
    assert len(s.push("order:created")) == 1
    assert s.push("orders") == ()


def test_B56_F5_9_two_patterns_of_a_workflow_that_match_give_one_run() -> None:
    s = world(None, "x:*", "x:y", "*")
    assert len(s.push("x:y")) == 1


def test_B57_F5_10_a_workflow_registered_later_gets_nothing() -> None:
    s = world()
    s.push("late")
    s.workflow("L", "l", events=["late"])
    s.advance(10)
    assert not s.tables.event_runs


def test_B58_F5_17_filters_count_for_their_scope_alone_and_an_event_without_scope_matches_none() -> None:
    s = world()
    create(s, "s")
    assert len(s.push("order:created", scope="s")) == 1
    assert s.push("order:created", scope="t") == ()
    assert s.push("order:created") == ()
    assert s.push("order:created", scope="s", passes=says()) == ()


def test_B59_F5_16_without_filters_the_scope_means_nothing() -> None:
    s = world()
    assert len(s.push("order:created", scope="t")) == 1


def test_B60_F5_18_two_filters_that_are_true_give_two_runs_with_their_own_payloads() -> None:
    s = world()
    rows = [create(s, payload=b'{"a":1}'), create(s, payload=b'{"b":2}')]
    assert len(s.push("order:created", scope="s")) == 2
    assert filter_payloads(s) == [b'{"a":1}', b'{"b":2}']
    assert [one.filter_id for one in s.tables.event_runs.values()] == [row.id for row in rows]
    s.restart()
    assert [one.source.filter_payload for one in s.machine.state.runs.values() if one.source] == [b'{"a":1}', b'{"b":2}']


def test_B61_a_hundred_events_over_two_scopes_start_a_run_each() -> None:
    s = world(checks=False)
    create(s, "a")
    create(s, "b")
    events = tuple(s.pushed("order:created", scope="ab"[n % 2]) for n in range(100))
    rows = s.ask(EventsPushed(events), tuple)
    assert [row.scope for row in rows] == ["a", "b"] * 50
    assert sorted(one.event_key for one in s.tables.event_runs.values()) == [row.key for row in rows]


def test_B62_F5_20_a_filter_without_an_answer_is_recorded_with_its_event() -> None:
    s = world()
    row = create(s)
    event = s.pushed("order:created", scope="s", passes=says())
    s.ask(EventsPushed((replace(event, failures=(ExpressionFailure(row.id, "no such key: n"),)),)), tuple)
    (failure,) = s.tables.expression_failures.values()
    assert (failure.source, failure.about, failure.event_id) == (FailureSource.FILTER, row.id, event.id)
    assert failure.message == "no such key: n"
    assert not s.tables.event_runs


def test_B64_without_its_last_filter_a_workflow_starts_on_every_event_again() -> None:
    s = world()
    row = create(s)
    assert s.push("order:created") == ()
    assert s.ask(FilterDeleted(row.id), FilterRow) == row
    assert len(s.push("order:created")) == 1
    assert not s.tables.filters


def test_B65_F5_21_an_update_changes_what_is_given_and_nothing_else() -> None:
    s = world()
    row = create(s, expression="false", payload=b'{"a":1}')
    changed = s.ask(FilterUpdated(row.id, expression="true"), FilterRow)
    assert changed == row._replace(expression="true", revision=changed.revision, updated_at=s.now)
    assert changed.revision != row.revision
    assert len(s.push("order:created", scope="s", passes=says("true"))) == 1
    moved = s.ask(FilterUpdated(row.id, scope="t", payload=b'{"b":1}'), FilterRow)
    assert (moved.scope, moved.expression, moved.payload) == ("t", "true", b'{"b":1}')
    assert s.push("order:created", scope="s") == ()


def test_B66_F5_22_W3_6_declared_filters_are_replaced_with_the_definition_and_others_stay() -> None:
    s = world(filters=[DefaultFilter("one", "s"), DefaultFilter("two", "s")])
    api = create(s, expression="api")
    kept = next(row for row in s.tables.filters.values() if row.expression == "two")
    s.workflow("W", "a", events=["order:created"], filters=[DefaultFilter("two", "s"), DefaultFilter("three", "s")])
    assert sorted(row.expression for row in s.tables.filters.values()) == ["api", "three", "two"]
    assert s.tables.filters[kept.key] == kept
    assert s.tables.filters[api.key] == api
    assert [row.declared for row in sorted(s.tables.filters.values())] == [1, 0, 1]


def test_B67_W3_6_emptied_filters_are_gone() -> None:
    s = world(filters=[DefaultFilter("false", "s")])
    s.workflow("W", "a", events=["order:created"])
    assert not s.tables.filters
    assert len(s.push("order:created")) == 1


def test_B69_F5_12_the_priority_of_an_event_is_that_of_its_runs() -> None:
    s = world(priority=2)
    (urgent,) = s.push("order:created", priority=3)
    (usual,) = s.push("order:created")
    assert (run(s, urgent).priority, run(s, usual).priority) == (3, 2)


def test_AC87_PR8_an_event_without_a_priority_leaves_each_workflow_its_own() -> None:
    s = world(priority=1)
    s.workflow("V", "a", events=("order:created",), priority=3)
    assert [run(s, one).priority for one in s.push("order:created", priority=2)] == [2, 2]
    names = {version.key: version.workflow.name for version in s.machine.state.versions.values()}
    runs = [run(s, one) for one in s.push("order:created")]
    assert {names[one.version_key]: one.priority for one in runs} == {"W": 1, "V": 3}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"name": ""}, "key"), ({"name": "x" * 256}, "key"), ({"scope": "x" * 256}, "scope"),
        ({"priority": 0}, "priority"), ({"priority": 4}, "priority"), ({"payload": b"x" * 4_000_000}, "payload_bytes_max"),
        ({"metadata": b"x" * 70_000}, "metadata_bytes_max"),
    ],
)  # fmt: skip
def test_AC29_B51_F3_1_what_is_no_event_is_refused_with_all_others_of_its_call(values: dict[str, Any], what: str) -> None:
    s = world()
    bad = replace(s.pushed("other"), **values)
    with pytest.raises(InvalidArgument, match=what):
        s.ask(EventsPushed((s.pushed("order:created"), bad)), tuple)
    assert not s.tables.pushed_events


@pytest.mark.parametrize("count", [0, 1001])
def test_B52_F5_2_a_push_has_1_to_1000_events(count: int) -> None:
    s = world()
    with pytest.raises(InvalidArgument, match="bulk_items_max"):
        s.ask(EventsPushed(tuple(s.pushed("other") for _ in range(count))), tuple)


def test_one_push_may_start_so_many_runs_with_so_much_input() -> None:
    s = world(Settings(event_runs_max=2, event_runs_bytes_max=20))
    three = EventsPushed(tuple(s.pushed("order:created") for _ in range(3)))
    with pytest.raises(LimitReached, match="event_runs_max"):
        s.ask(three, tuple)
    with pytest.raises(LimitReached, match="event_runs_bytes_max"):
        s.ask(EventsPushed((s.pushed("order:created", b'{"a":"0123456789abcdef"}'),)), tuple)
    assert not s.tables.pushed_events


@pytest.mark.parametrize("change", ["register", "create", "update", "delete", "forget"])
def test_R52_what_was_evaluated_for_others_than_those_in_force_is_refused(change: str) -> None:
    s = world()
    row = create(s)
    event = s.pushed("order:created", scope="s")
    if change == "register":
        s.workflow("Other", "o", events=["order:*"])
    elif change == "create":
        create(s)
    elif change == "update":
        s.ask(FilterUpdated(row.id, payload=b'{"x":1}'), FilterRow)
    elif change == "delete":
        s.ask(FilterDeleted(row.id), FilterRow)
    else:
        s.step(WorkflowDeleted(workflow_id(s)))
    with pytest.raises(SubscriptionsChanged, match="order:created"):
        s.ask(EventsPushed((event,)), tuple)
    assert not s.tables.pushed_events
    s.ask(EventsPushed((s.pushed("order:created", scope="s"),)), tuple)


def test_R52_a_change_that_does_not_concern_the_event_is_no_reason_to_refuse_it() -> None:
    s = world()
    event = s.pushed("order:created", scope="s")
    s.workflow("Other", "o", events=["invoice:*"])
    s.workflow("W", "a", "b", events=["order:created"])
    assert len(s.ask(EventsPushed((event,)), tuple)) == 1


def test_R52_keys_of_limits_belong_to_a_version_here_too() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", events=["e"], concurrency=[ConcurrencyLimit("'k'")])
    event = s.pushed("e")
    s.workflow("W", "a", events=["e"], concurrency=[ConcurrencyLimit("'other'")])
    with pytest.raises(WorkflowChanged):
        s.ask(EventsPushed((event,)), tuple)
    s.worker("w1")
    (run_id,) = s.push("e")
    assert run(s, run_id).limit_keys == b"[\"'other'\"]"


def test_a_revision_is_never_given_twice_also_after_a_restart() -> None:
    s = world()
    row = create(s)
    changed = s.ask(FilterUpdated(row.id, expression="1"), FilterRow)
    s.restart()
    again = s.ask(FilterUpdated(row.id, expression="2"), FilterRow)
    assert again.revision > changed.revision > row.revision


def test_I5_of_a_repeated_call_the_known_events_start_nothing() -> None:
    s = world()
    events = (s.pushed("order:created"), s.pushed("order:created"))
    first = s.ask(EventsPushed(events, is_repeatable=True), tuple)
    again = s.ask(EventsPushed(events, is_repeatable=True), tuple)
    assert [row.id for row in again] == [row.id for row in first]
    assert (len(s.tables.pushed_events), len(s.tables.event_runs)) == (2, 2)


def test_a_deleted_workflow_takes_its_filters_along() -> None:
    s = world(filters=[DefaultFilter("true", "s")])
    create(s)
    s.step(WorkflowDeleted(workflow_id(s)))
    assert not s.tables.filters
    assert s.push("order:created", scope="s") == ()


def test_a_filter_comes_and_goes_within_one_step_without_a_row() -> None:
    s = world()
    row = create(s)
    decision = s.step(FilterUpdated(row.id, expression="x"), FilterDeleted(row.id))
    assert (decision.changes.filters, decision.changes.filters_dropped) == ([], [row.key])


@pytest.mark.parametrize(
    ("values", "what"),
    [(("", "true", b"{}"), "scope"), (("s", "x" * 5_000, b"{}"), "expression_bytes_max"), (("s", "", b"x" * 70_000), "payload")],
)
def test_a_filter_that_cannot_be_kept_is_refused(values: tuple[str, str, bytes], what: str) -> None:
    s = world()
    with pytest.raises(InvalidArgument, match=what):
        create(s, *values)
    with pytest.raises(InvalidArgument, match=what):
        s.workflow("Z", filters=[DefaultFilter(values[1], values[0], values[2])])
    assert not s.tables.filters


def test_filters_of_what_is_unknown_are_not_found() -> None:
    s = world()
    for item in (FilterCreated(UNKNOWN, "s", "true"), FilterUpdated(UNKNOWN), FilterDeleted(UNKNOWN)):
        with pytest.raises(NotFound):
            s.ask(item, FilterRow)


def test_a_tenant_has_so_many_filters_and_so_many_bytes_of_them() -> None:
    s = world(Settings(filters_max=2, filters_bytes_max=100), filters=[DefaultFilter("true", "s")])
    with pytest.raises(LimitReached, match="filters_bytes_max"):
        create(s, payload=b"x" * 100)
    row = create(s)
    with pytest.raises(LimitReached, match="filters_max"):
        create(s)
    with pytest.raises(LimitReached, match="filters_bytes_max"):
        s.ask(FilterUpdated(row.id, payload=b"x" * 100), FilterRow)
    with pytest.raises(LimitReached, match="filters_max"):
        s.workflow("W", "a", filters=[DefaultFilter("1", "s"), DefaultFilter("2", "s")])
    s.workflow("W", "a", filters=[DefaultFilter("other", "s")])
    assert s.machine.state.subscriptions.size == sum(len(f.scope) + len(f.expression) + 2 for f in s.tables.filters.values())


@pytest.mark.parametrize("values", [{"events": [""]}, {"events": ["x" * 256]}, {"events": ["a\0b"]}])
def test_event_keys_that_cannot_be_registered_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="event key"):
        Scenario().workflow("W", **values)


def test_a_workflow_declares_so_many_event_keys() -> None:
    with pytest.raises(LimitReached, match="event_triggers_max"):
        Scenario(Settings(event_triggers_max=2)).workflow("W", events=["a", "b", "c"])


def test_F8_11_an_expression_that_kept_something_from_becoming_an_event_is_remembered() -> None:
    s = world()
    s.step(ExpressionFailed(FailureSource.WEBHOOK, ExpressionFailure("github", "no such key")))
    (failure,) = s.tables.expression_failures.values()
    assert (failure.source, failure.about, failure.event_id, failure.at) == (FailureSource.WEBHOOK, "github", None, s.now)


def test_candidates_stand_in_the_order_of_their_workflows_and_filters() -> None:
    s = world()
    s.workflow("V", "v", events=["order:*"])
    rows = [create(s, expression=text) for text in ("1", "2")]
    found = s.machine.candidates("order:created", "s")
    assert [(one.workflow_name, one.filter_id) for one in found] == [("W", rows[0].id), ("W", rows[1].id), ("V", None)]
    assert found[2] == Candidate(s.machine.state.workflows["V"].key, "V")
