"""Conditions of a registration (W5.1 to W5.3).

The message has a list for each kind, and each condition tells its action and the name of its group; here they become one list
with numbered groups. Clients make the names of groups anew each time, so only their order counts (W3.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from limpet.contracts import conditions_pb2 as wire
from limpet.core.conditions import Action, Condition, Kind
from limpet.core.durations import parse_duration
from limpet.core.errors import InvalidArgument
from limpet.edges.grpc.translate.instants import instant


def conditions_of(conditions: wire.TaskConditions, where: str) -> tuple[Condition, ...]:
    """The conditions of a task. Raises InvalidArgument for an action that there is none of here, or a duration."""
    groups: dict[tuple[int, str | int], int] = {}
    return tuple(_in_group(base, one, groups, where) for base, one in _each(conditions, where))


def _each(conditions: wire.TaskConditions, where: str) -> Iterator[tuple[wire.BaseMatchCondition, Condition]]:
    for parent in conditions.parent_override_conditions:  # the official client names their data by the time of day
        yield parent.base, replace(_bare(Kind.PARENT, parent.base, parent.parent_readable_id), data_key="")
    for sleep in conditions.sleep_conditions:
        yield (
            sleep.base,
            _bare(Kind.SLEEP, sleep.base, sleep_us=parse_duration(sleep.sleep_for, f"{where}: the sleep of a condition")),
        )
    for event in conditions.user_event_conditions:
        bare = _bare(Kind.EVENT, event.base, event.user_event_key)
        yield event.base, replace(bare, scope=event.event_scope, since_us=_since_us(event, where))


def _since_us(event: wire.UserEventMatchCondition, where: str) -> int:
    """From when on events of the past count; 0: none do."""
    if not event.HasField("consider_events_since"):
        return 0
    at = instant(event.consider_events_since)
    if at is None:
        raise InvalidArgument(f"{where}: consider_events_since of a condition must lie in the years 1970 to 9999")
    return max(1, at)


def _bare(kind: Kind, base: wire.BaseMatchCondition, subject: str = "", *, sleep_us: int = 0) -> Condition:
    expression = "" if kind is Kind.SLEEP else base.expression.strip()
    return Condition(kind, Action.QUEUE, 0, base.readable_data_key, subject, expression, sleep_us)


def _in_group(base: wire.BaseMatchCondition, one: Condition, groups: dict[tuple[int, str | int], int], where: str) -> Condition:
    """A condition without the name of a group is alone in its group."""
    if base.action not in [int(action) for action in Action]:
        known = ", ".join(action.name for action in Action)
        raise InvalidArgument(f"{where}: a condition has the action {wire.Action.Name(base.action)}; use one of {known}")
    number = groups.setdefault((base.action, base.or_group_id or len(groups)), len(groups))
    return replace(one, action=Action(base.action), group=number)
