"""Conditions in words, for the timeline and for explain."""

from __future__ import annotations

from collections.abc import Collection

from limpet.core.conditions import Action, Condition, Kind, Rules
from limpet.core.ids import SECOND_US

LISTS = {Action.QUEUE: "wait_for", Action.SKIP: "skip_if", Action.CANCEL: "cancel_if"}
MEMBERS_MAX = 5  # named in a sentence; of more, how many
EXPRESSION_CHARS_MAX = 120


def described(one: Condition) -> str:
    """`a sleep of 10s`, `event order:paid of scope eu where input.id == 1.0`, `the output of pay where output.ok`."""
    if one.kind is Kind.SLEEP:
        return f"a sleep of {one.sleep_us / SECOND_US:g}s"
    subject = f"{_age(one)}event {one.subject}{_of_scope(one)}" if one.kind is Kind.EVENT else f"the output of {one.subject}"
    return f"{subject} where {_shortened(one.expression)}" if one.expression else subject


def fired(rules: Rules, action: Action, met: Collection[int]) -> str:
    """`skip_if holds: a sleep of 12s`."""
    members = [place for group in rules.groups(action) for place in group if place in met]
    return f"{LISTS[action]} holds: {listed(rules, members)}"


def listed(rules: Rules, places: Collection[int], joint: str = ", ") -> str:
    """Some conditions; of very many, the first and how many follow."""
    names = [described(rules.conditions[place]) for place in list(places)[:MEMBERS_MAX]]
    more = len(places) - len(names)
    return joint.join(names) + (f" and {more} more" if more else "")


def open_groups(rules: Rules, action: Action, met: Collection[int]) -> str:
    """What the action still needs: `a sleep of 60s or event paid; event shipped`."""
    groups = [group for group in rules.groups(action) if not any(place in met for place in group)]
    told = "; ".join(listed(rules, group, " or ") for group in groups[:MEMBERS_MAX])
    more = len(groups) - MEMBERS_MAX
    return told + (f"; and {more} more" if more > 0 else "")


def _age(one: Condition) -> str:
    return "past or coming " if one.since_us else ""


def _of_scope(one: Condition) -> str:
    return f" of scope {one.scope}" if one.scope else ""


def _shortened(expression: str) -> str:
    return expression if len(expression) <= EXPRESSION_CHARS_MAX else expression[:EXPRESSION_CHARS_MAX] + "…"
