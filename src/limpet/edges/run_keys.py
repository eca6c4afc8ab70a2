"""The edge's part in limits: expressions are compiled when a workflow is registered, evaluated when a run is asked for.

The values belong to the version that is in force when they are computed. When another one was registered before the core
takes the trigger, it refuses them, and they are computed again (R52, decision 0018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast
from uuid import uuid4

from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import InvalidArgument, WorkflowChanged
from limpet.core.ids import TenantId
from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.rate_definitions import LIMIT_MAX, RateUse, RateValue
from limpet.core.records import LimitKey, UnusableKey
from limpet.core.run_keys import RunKeys
from limpet.core.views import LimitsView
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_integer, as_text, compile_expression
from limpet.edges.expressions.values import Values
from limpet.engine.door import Door

KEYED_TRIES_MAX = 5  # registrations that may come between computing the keys and the step that takes them

T = TypeVar("T")
Limits = Callable[[str], LimitsView | None]


def check_expressions(definition: WorkflowDefinition) -> None:
    """Compile every expression of the definition (F1.6). Raises InvalidArgument; NotSupported where CEL is missing."""
    name = definition.name
    for limit in definition.concurrency:
        _check(f"workflow {name}: the concurrency expression", limit.expression)
    for task in definition.steps:
        for limit in task.concurrency:
            _check(f"workflow {name}, task {task.name}: the concurrency expression", limit.expression)
        for text in (text for use in task.rate_limits for text in use.expressions):
            _check(f"workflow {name}, task {task.name}: the rate limit expression", text)


def _check(what: str, text: str) -> None:
    try:
        compile_expression(Environment.KEY, text)
    except ExpressionError as error:
        raise InvalidArgument(f"{what} {text[:80]!r} cannot be used: {error}") from None


async def trigger(door: Door, tenant: TenantId, item: RunsTriggered) -> tuple[str, ...]:
    """Hand in triggers with their keys; the run ids. Raises what `Door.submit` does."""

    def limits_of(name: str) -> LimitsView | None:
        return door.limits(tenant, name)

    for tries_left in reversed(range(KEYED_TRIES_MAX)):
        try:
            found = await door.submit(tenant, with_keys(item, limits_of))
        except WorkflowChanged:
            if not tries_left:
                raise
        else:
            assert isinstance(found, tuple)
            return found
    raise AssertionError("the last try returns or raises")


def with_keys(item: RunsTriggered, limits_of: Limits) -> RunsTriggered:
    """The same triggers; those of workflows that compute limits have their values."""
    known = {name: limits_of(name) for name in dict.fromkeys(one.workflow_name for one in item.items)}
    if not any(known.values()):
        return item
    return RunsTriggered(tuple(_with_keys(one, known[one.workflow_name]) for one in item.items))


def _with_keys(item: Trigger, limits: LimitsView | None) -> Trigger:
    if limits is None:
        return item
    stand_in = str(uuid4())
    values = Values()
    values.add_json("input", item.input)
    values.add_json("additional_metadata", item.metadata)
    values.add_text("workflow_run_id", stand_in)
    keys = tuple(_key(text, values) for text in limits.expressions)
    rates = tuple(_rate(use, values) for use in limits.rates)
    return replace(item, keys=RunKeys(limits.version_id, keys, stand_in, rates))


def _key(text: str, values: Values) -> LimitKey:
    """The key, or why there is none; its task then fails with that sentence (F2.8, W7.15)."""
    return _value(text, values, as_text)


def _rate(use: RateUse, values: Values) -> RateValue | UnusableKey:
    """What a computed use comes to, or why to nothing; its task then fails with that sentence (F4.7, W7.15)."""
    name = _value(use.key_expression, values, as_text) if use.key_expression else use.key
    units = _value(use.units_expression, values, _amount) if use.units_expression else use.units
    limit = _value(use.limit_expression, values, _amount) if use.key_expression else None
    for value in (name, units, limit):
        if isinstance(value, UnusableKey):
            return value
    return RateValue(cast(str, name), cast(int, units), cast(int | None, limit))


def _value(text: str, values: Values, read: Callable[[object], T]) -> T | UnusableKey:
    try:
        return read(compile_expression(Environment.KEY, text).evaluate(values))
    except ExpressionError as error:
        return UnusableKey(f"failed to parse step expression ({text}): {error}")


def _amount(value: object) -> int:
    """Units, or a limit. Raises ExpressionError; a double is cut off (F4.7)."""
    number = as_integer(value)
    if not 0 <= number <= LIMIT_MAX:
        raise ExpressionError(f"it must give a number between 0 and {LIMIT_MAX}, and gives {number}")
    return number
