"""Groups of conditions against plain logic: conjunctive normal form, spelled out (W5.1, W5.2)."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from limpet.core.conditions import BY_HAPPENING, BY_PARENTS, Action, Condition, Kind, Rules
from limpet.testing.builders import event, make_task, make_workflow, output_of, sleep

conditions = st.lists(
    st.builds(
        Condition,
        kind=st.sampled_from(Kind),
        action=st.sampled_from(Action),
        group=st.integers(0, 4),
        data_key=st.just("k"),
        subject=st.sampled_from(["a", "b"]),
    ),
    max_size=8,
)
places = st.sets(st.integers(0, 7))


def plainly(given: list[Condition], action: Action, met: set[int]) -> bool:
    """AND over the groups of the action of OR over their members; without a group it does not fire."""
    numbers = {one.group for one in given if one.action is action}
    clauses = [[place in met for place, one in enumerate(given) if one.action is action and one.group == n] for n in numbers]
    return bool(clauses) and all(any(clause) for clause in clauses)


@given(conditions, places)
def test_W5_1_W5_2_an_action_fires_when_each_of_its_groups_has_a_satisfied_member(given: list[Condition], met: set[int]) -> None:
    rules = Rules(given)
    for action in Action:
        assert rules.holds(action, met) is plainly(given, action, met)


@given(conditions, places)
def test_W5_5_W5_6_what_can_still_hold_is_what_some_future_makes_true(given: list[Condition], met: set[int]) -> None:
    """All ways in which sleeps and events may yet be satisfied are tried; outputs of parents stay what they are."""
    open_places = [place for place, one in enumerate(given) if one.kind is not Kind.PARENT and place not in met]
    known = {place for place in met if place < len(given)}
    futures = [
        known | {place for place, comes in zip(open_places, choice, strict=True) if comes}
        for choice in product((False, True), repeat=len(open_places))
    ]
    rules = Rules(given)
    for action in Action:
        if rules.groups(action):
            assert rules.can_hold(action, known) is any(plainly(given, action, future) for future in futures)


@given(conditions, places, places)
def test_what_holds_still_holds_when_more_is_satisfied(given: list[Condition], met: set[int], more: set[int]) -> None:
    rules = Rules(given)
    for action in Action:
        assert not rules.holds(action, met) or rules.holds(action, met | more)


def test_W5_9_parents_cancel_before_they_skip_and_one_event_skips_before_it_cancels() -> None:
    every = Rules([Condition(Kind.EVENT, action, 0, "k", "e") for action in Action])
    assert every.first_to_hold(BY_PARENTS, {0, 1, 2}) is Action.CANCEL
    assert every.first_to_hold(BY_HAPPENING, {0, 1, 2}) is Action.SKIP
    assert every.first_to_hold(BY_HAPPENING, {0}) is Action.QUEUE
    assert every.first_to_hold(BY_HAPPENING, set()) is None


def test_the_lists_of_a_task_become_groups_and_a_definition_knows_what_looks_at_what() -> None:
    b = make_task(
        "b", "a", wait_for=[sleep(1), [sleep(2), event("e", "input.x")]], skip_if=[output_of("a", "output.n > 1.0")],
        cancel_if=[output_of("a", "output.n > 1.0"), output_of("a")],
    )  # fmt: skip
    definition = make_workflow("W", "a", b)
    rules = definition.rules[1]
    assert [rules.groups(action) for action in (Action.QUEUE, Action.SKIP, Action.CANCEL)] == [
        ((0,), (1, 2)), ((3,),), ((4,), (5,)),
    ]  # fmt: skip
    assert definition.output_expressions == (("output.n > 1.0",), ())
    assert definition.event_expressions == {"e": ("input.x",)}
    assert (rules.sleeps, rules.event_keys) == ((0, 1), ("e",))
