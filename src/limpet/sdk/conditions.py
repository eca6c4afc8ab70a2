"""Conditions of a task: what to wait for, when to skip it, when to cancel it. Pure declarations."""

from __future__ import annotations

import json
from abc import ABC
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from limpet.sdk.durations import Duration, duration_text
from limpet.sdk.task_reference import TaskReference


class Condition(ABC):  # noqa: B024  (a common ancestor for `isinstance`; each kind says in `describe` what it means)
    """One thing that a task may depend on. `readable_data_key` names its data in the task's context."""

    def __init__(self, readable_data_key: str, expression: str | None) -> None:
        self.readable_data_key = readable_data_key
        self.expression = expression

    def describe(self) -> dict[str, Any]:
        """The condition as plain data; two equal conditions describe themselves equally."""
        return {"kind": type(self).__name__, "key": self.readable_data_key, "expression": self.expression}


class SleepCondition(Condition):
    """Satisfied once a duration has passed."""

    def __init__(self, duration: Duration, readable_data_key: str | None = None) -> None:
        self.duration = duration
        self.duration_text: str = duration_text(duration, what="the duration of a SleepCondition")
        super().__init__(readable_data_key or f"sleep:{self.duration_text}", None)


class UserEventCondition(Condition):
    """Satisfied by a pushed event, optionally filtered by a CEL text and a scope."""

    def __init__(
        self,
        event_key: str,
        expression: str | None = None,
        readable_data_key: str | None = None,
        scope: str | None = None,
        consider_events_since: datetime | None = None,
    ) -> None:
        self.event_key = event_key
        self.scope = scope
        self.consider_events_since = consider_events_since
        super().__init__(readable_data_key or event_key, expression)

    def describe(self) -> dict[str, Any]:
        """As of every condition, with the event's key, scope and look-back."""
        since = self.consider_events_since.isoformat() if self.consider_events_since else None
        return super().describe() | {"event": self.event_key, "scope": self.scope, "since": since}


class ParentCondition(Condition):
    """Satisfied by the output of a parent task."""

    def __init__(self, parent: TaskReference[Any], expression: str | None = None, readable_data_key: str | None = None) -> None:
        self.parent = parent
        self.is_named: bool = readable_data_key is not None
        super().__init__(readable_data_key or f"{parent.name}:{expression or ''}", expression)

    def describe(self) -> dict[str, Any]:
        """As of every condition, with the parent's name."""
        return super().describe() | {"parent": self.parent.name}


class OrGroup:
    """Conditions of which one suffices."""

    def __init__(self, conditions: list[Condition]) -> None:
        self.conditions = conditions


def or_(*conditions: Condition) -> OrGroup:
    """Group conditions so that any one of them suffices."""
    return OrGroup(list(conditions))


Conditions = Sequence[Condition | OrGroup]


def or_groups(conditions: Conditions | None, *, action: str) -> list[tuple[str, list[Condition]]]:
    """(group id, alternatives), in order. Distinct groups must all hold.

    The id is made from the content: the same definition must not look like a new version at each start.
    """
    groups = []
    for index, item in enumerate(conditions or ()):
        members = item.conditions if isinstance(item, OrGroup) else [item]
        text = json.dumps([action, index, [member.describe() for member in members]])
        groups.append((str(uuid5(NAMESPACE_OID, text)), members))
    return groups


def _has_data(condition: Condition) -> bool:
    """A parent's output has its place among the outputs of parents, unless somebody names another one."""
    return not isinstance(condition, ParentCondition) or condition.is_named


def check_data_keys(task_name: str, *lists: Conditions | None) -> None:
    """Raise ValueError when two conditions of one task would write their data under the same key (W2.14)."""
    keys: Counter[str] = Counter()
    for conditions in lists:
        for _, members in or_groups(conditions, action=""):
            keys.update(member.readable_data_key for member in members if _has_data(member))
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise ValueError(
            f"The conditions of task {task_name!r} use the data key {twice[0]!r} more than once. "
            "Give each of them a readable_data_key of its own."
        )
