"""Idempotency keys of the core: one run for each key while it is held (workflows, section 16)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limpet.core.errors import IdempotencyCollision, InvalidArgument, WorkflowChanged
from limpet.core.inputs import KeyTaken, RunsTriggered, TaskFailed, Trigger
from limpet.core.records import UnusableKey
from limpet.core.rows import RunStatus
from limpet.core.settings import Settings
from limpet.testing.builders import limit, make_task, once
from limpet.testing.scenario import Scenario

KEY = "input.id"
TTL, STATUS = once(KEY, 60), once(KEY, 600, until_end=True)


def world(*, retries: int = 0, settings: Settings | None = None, **values: Any) -> Scenario:
    """A workflow W with a rule, and a worker with room."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", make_task("a", retries=retries), **values)
    s.worker("w1")
    return s


def start(s: Scenario, key: str = "k", **values: Any) -> str:
    return s.trigger("W", keys={KEY: key}, **values)


def collides(s: Scenario, holder: str, key: str = "k", **values: Any) -> bool:
    with pytest.raises(IdempotencyCollision) as caught:
        start(s, key, **values)
    return caught.value.existing_run_id == holder


def item(s: Scenario, key: str, **values: Any) -> Trigger:
    return Trigger("W", keys=s.keys_of("W", {KEY: key}), **values)


def test_A100_a_second_trigger_names_the_first_run_and_makes_none() -> None:
    s = world(idempotency=TTL)
    first = start(s)
    assert collides(s, first)
    assert [run.id for run in s.tables.runs.values()] == [first]
    assert start(s, "other") != first


def test_A101_W16_5_a_ttl_counts_from_the_accepted_trigger_and_collisions_do_not_extend_it() -> None:
    s = world(idempotency=once(KEY, 2))
    first = start(s)
    s.advance(1.5)
    assert collides(s, first)
    s.advance(2.5)
    second = start(s)
    s.advance(3.5)
    third = start(s)
    assert len({first, second, third}) == 3


def test_F9_6_expiry_is_exact_whether_the_row_is_purged_or_not() -> None:
    s = world(idempotency=once(KEY, 2))
    first = start(s)
    s.advance(1.999999)
    assert collides(s, first)
    s.advance(0.000001)
    second = start(s)
    assert [row.run_id for row in s.tables.claims.values()] == [second]


def test_A102_W16_6_a_status_key_is_held_while_the_run_lives_and_free_with_its_end() -> None:
    s = world(idempotency=STATUS)
    first = start(s)
    assert collides(s, first)
    s.complete("a")
    assert not s.tables.claims
    assert start(s) != first


def test_W16_6_the_release_is_part_of_the_commit_that_ends_the_run() -> None:
    s = world(idempotency=STATUS)
    first = start(s)
    s.complete("a")
    decision = next(found for _, found in reversed(s.log.decisions) if found.changes.runs_changed)
    assert [run.id for run in decision.changes.runs_changed] == [first]
    assert decision.changes.claims_dropped == [decision.changes.runs_changed[0].key]


def test_A103_a_status_key_is_held_across_retries() -> None:
    s = world(idempotency=STATUS, retries=3)
    first = start(s)
    for _ in range(3):
        s.fail("a")
        assert collides(s, first)
    s.fail("a")
    assert RunStatus(s.run(first).status) is RunStatus.FAILED
    assert start(s) != first


def test_A104_a_cancelled_run_frees_its_status_key() -> None:
    s = world(idempotency=STATUS)
    first = start(s)
    s.cancel(first)
    assert start(s) != first


def test_W16_6_the_fallback_ttl_caps_the_hold_and_the_late_end_frees_nothing_of_another() -> None:
    s = world(idempotency=once(KEY, 5, until_end=True))
    first = start(s)
    s.advance(5)
    second = start(s)
    s.complete("a", first)
    assert collides(s, second)


def test_a_ttl_key_is_not_freed_by_the_end_of_its_run() -> None:
    s = world(idempotency=TTL)
    first = start(s)
    s.complete("a")
    assert collides(s, first)


def test_A105_W16_4_of_equal_keys_in_one_bulk_one_wins_and_the_others_start() -> None:
    s = world(idempotency=TTL)
    one, two, three = s.trigger_bulk(item(s, "x"), item(s, "x"), item(s, "y"))
    assert isinstance(one, str)
    assert two == KeyTaken(one)
    assert isinstance(three, str)
    assert len(s.tables.runs) == 2


def test_W16_2_keys_belong_to_the_tenant_not_to_the_workflow() -> None:
    s = world(idempotency=TTL)
    s.workflow("Other", "b", idempotency=once(KEY, 60))
    first = start(s, "same")
    with pytest.raises(IdempotencyCollision) as caught:
        s.trigger("Other", keys={KEY: "same"})
    assert caught.value.existing_run_id == first


def test_I5_a_repeated_call_gets_its_run_and_no_collision() -> None:
    s = world(idempotency=TTL)
    first = start(s, request_id="r1")
    assert start(s, request_id="r1") == first
    assert collides(s, first, request_id="r2")


def test_W10_3_a_known_child_comes_back_and_does_not_collide() -> None:
    s = world(idempotency=TTL)
    s.workflow("P", "p")
    s.worker("w2")
    s.trigger("P")
    parent = s.task("p").id
    first = start(s, parent=parent, child_index=0)
    assert start(s, parent=parent, child_index=0) == first


@pytest.mark.parametrize("rule", [TTL, STATUS], ids=["ttl", "status"])
def test_a_restart_knows_who_holds_a_key(rule: Any) -> None:
    s = world(idempotency=rule)
    first = start(s)
    s.restart()
    assert collides(s, first)


def test_a_run_that_ends_at_its_birth_leaves_its_status_key_free() -> None:
    s = world(idempotency=STATUS, concurrency=[limit("input.user")])
    for _ in range(2):
        s.trigger("W", keys={KEY: "k", "input.user": UnusableKey("no such key: user")})
    assert not s.tables.claims
    assert [RunStatus(run.status) for run in s.tables.runs.values()] == [RunStatus.FAILED] * 2


def test_a_key_freed_and_taken_within_one_step_changes_hands_in_one_commit() -> None:
    s = world(idempotency=STATUS)
    first = start(s)
    task = s.task("a")
    _, reply = s.step(TaskFailed(task.id, 0, "", error="boom"), RunsTriggered((item(s, "k"),))).replies
    assert isinstance(reply, tuple)
    assert [row.run_id for row in s.tables.claims.values()] == list(reply) != [first]


@pytest.mark.parametrize(
    ("key", "what"),
    [
        (UnusableKey("failed to parse"), "failed to parse"),
        ("hatchet_internal_x", "must not begin with hatchet_internal_"),
        ("k" * 1_001, "1001 bytes; at most 1000"),
    ],
)
def test_W16_8_a_key_that_cannot_be_used_refuses_the_trigger(key: Any, what: str) -> None:
    s = world(idempotency=TTL)
    with pytest.raises(InvalidArgument, match=what):
        start(s, key)
    with pytest.raises(InvalidArgument, match=what):
        s.trigger_bulk(item(s, "fine"), item(s, key))
    assert not s.tables.runs
    assert not s.tables.claims


def test_a_key_of_another_version_is_refused_so_that_the_edge_computes_it_again() -> None:
    s = world(idempotency=TTL)
    old = item(s, "k")
    s.workflow("W", "a", idempotency=once("input.other", 60))
    with pytest.raises(WorkflowChanged):
        s.trigger_bulk(old)


def test_the_runs_own_id_may_be_part_of_its_key() -> None:
    s = world(idempotency=TTL)
    keys = s.keys_of("W", {KEY: "run STAND-IN"})
    assert keys is not None
    given = replace(keys, stand_in="STAND-IN")
    (run_id,) = s.trigger_bulk(Trigger("W", keys=given))
    assert [row.name for row in s.tables.claims.values()] == [f"run {run_id}".encode()]


def test_memory_keeps_no_key_between_steps() -> None:
    s = world(idempotency=TTL)
    for number in range(50):
        start(s, f"k{number}")
    s.advance(1)
    s.machine.state.claims.begin({})
    assert collides(s, next(iter(s.tables.claims.values())).run_id, "k0")


@pytest.mark.parametrize(("ttl", "what"), [(0, "between 1 ms"), (1e10, "between 1 ms")])
def test_W16_1_the_time_to_live_has_bounds(ttl: float, what: str) -> None:
    with pytest.raises(InvalidArgument, match=what):
        Scenario().workflow("W", "a", idempotency=once(KEY, ttl))


def test_W16_1_the_expression_must_not_be_empty() -> None:
    with pytest.raises(InvalidArgument, match="needs a key expression"):
        Scenario().workflow("W", "a", idempotency=once(" ", 1))


def test_a_replay_does_not_take_the_key_again() -> None:
    s = world(idempotency=STATUS)
    first = start(s)
    s.complete("a")
    second = start(s)
    s.replay(first)
    assert collides(s, second)
    s.complete("a", first)
    assert collides(s, second)


def test_A106_W16_7_two_workflows_on_one_event_share_the_key_and_collide_in_silence() -> None:
    s = Scenario(checks_reload=True)
    for name in ("One", "Two"):
        s.workflow(name, name.lower(), events=["order:paid"], idempotency=once(KEY, 60))
    s.worker("w1")
    for _ in range(2):
        s.push("order:paid")
    assert len(s.tables.runs) == 1
    assert len(s.tables.pushed_events) == 2
    assert len(s.tables.event_runs) == 1
