"""Conditions of a task: what it waits for, when it is skipped, when it is cancelled. Pure declarations, and how they add up.

Conditions of one action form groups: the members of a group are alternatives, distinct groups must all hold (W5.1). An
action fires when it has a group and each of its groups has a satisfied member (W5.2).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Action(IntEnum):
    """What becomes of the task when all groups of the action hold. Numbers as on the wire."""

    QUEUE = 1
    CANCEL = 2
    SKIP = 3


class Kind(IntEnum):
    """What satisfies a condition."""

    SLEEP = 0  # time, from the arming on
    EVENT = 1  # a pushed event, from the arming on
    PARENT = 2  # the output of a parent, looked at once


@dataclass(frozen=True, slots=True)
class Condition:
    """One member of a group.

    group:            the number of its group among all of the task; random names of groups stay at the edge (W3.3)
    data_key:         names its data in the task's context, unique in its list (W2.14); empty for a parent's output
    subject:          the event's key, or the parent's name
    expression:       CEL over the event's payload or the parent's output; empty: always true (W5.3)
    holds_if_skipped: what the expression gives for the output of a skipped parent (W5.4)
    scope:            only events of exactly this scope count; empty: events of any scope, or of none
    since_us:         events stored from this instant on count also when they came before the task waits; 0: they do not
    """

    kind: Kind
    action: Action
    group: int
    data_key: str
    subject: str = ""
    expression: str = ""
    sleep_us: int = 0
    holds_if_skipped: bool = False
    scope: str = ""
    since_us: int = 0

    def awaits(self, event_key: str, scope: str | None) -> bool:
        """Whether such an event may satisfy it."""
        return self.kind is Kind.EVENT and self.subject == event_key and self.scope in ("", scope)


Group = tuple[int, ...]
"""Positions of alternatives among the conditions of a task."""

BY_PARENTS = (Action.CANCEL, Action.SKIP, Action.QUEUE)  # which action counts when the parents' outputs satisfy several,
BY_HAPPENING = (Action.SKIP, Action.CANCEL, Action.QUEUE)  # and which when one event or one instant does (W5.9)


class LookBack(NamedTuple):
    """A question about the past: the newest stored event like this. `scope`, `expression`: as in `Condition`."""

    event_key: str
    scope: str
    since_us: int
    expression: str


class Rules:
    """The conditions of one task, by action and group."""

    __slots__ = ("_groups", "conditions", "event_keys", "look_backs", "looks_first", "parents", "pauses_us", "sleeps")

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions: tuple[Condition, ...] = tuple(conditions)
        self._groups: dict[Action, tuple[Group, ...]] = {action: self._groups_of(action) for action in Action}
        self.sleeps: Group = self._of_kind(Kind.SLEEP)
        self.pauses_us: tuple[int, ...] = tuple(sorted({self.conditions[place].sleep_us for place in self.sleeps}))
        self.parents: Group = self._of_kind(Kind.PARENT)
        self.look_backs: dict[int, LookBack] = {
            place: LookBack(one.subject, one.scope, one.since_us, one.expression)
            for place, one in enumerate(self.conditions)
            if one.since_us
        }
        self.looks_first: bool = any(self.conditions[place].action is not Action.QUEUE for place in self.look_backs)
        keys = (one.subject for one in self.conditions if one.kind is Kind.EVENT)
        self.event_keys: tuple[str, ...] = tuple(dict.fromkeys(keys))

    def groups(self, action: Action) -> tuple[Group, ...]:
        """All groups of the action."""
        return self._groups[action]

    def holds(self, action: Action, met: Collection[int]) -> bool:
        """Whether the action fires when those conditions are satisfied."""
        groups = self._groups[action]
        return bool(groups) and all(any(place in met for place in group) for group in groups)

    def first_to_hold(self, order: Sequence[Action], met: Collection[int]) -> Action | None:
        """The first action in that order that fires."""
        return next((action for action in order if self.holds(action, met)), None)

    def can_hold(self, action: Action, met: Collection[int]) -> bool:
        """Whether the action may still fire once the parents have ended: by time or by events (W5.5, W5.6)."""
        return all(
            any(place in met or self.conditions[place].kind is not Kind.PARENT for place in group)
            for group in self._groups[action]
        )

    def _of_kind(self, kind: Kind) -> Group:
        return tuple(place for place, one in enumerate(self.conditions) if one.kind is kind)

    def _groups_of(self, action: Action) -> tuple[Group, ...]:
        found: dict[int, list[int]] = {}
        for place, one in enumerate(self.conditions):
            if one.action is action:
                found.setdefault(one.group, []).append(place)
        return tuple(tuple(places) for places in found.values())
