"""The edge's part in concurrency: limits are compiled when a workflow is registered, keys computed when a run is asked for.

The keys belong to the version that is in force when they are computed. When another one was registered before the core
takes the trigger, it refuses them, and they are computed again (R52, decision 0018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import InvalidArgument, WorkflowChanged
from limpet.core.ids import TenantId
from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.records import LimitKey, UnusableKey
from limpet.core.run_keys import RunKeys
from limpet.core.views import LimitsView
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_text, compile_expression
from limpet.edges.expressions.values import Values
from limpet.engine.door import Door

KEYED_TRIES_MAX = 5  # registrations that may come between computing the keys and the step that takes them

Limits = Callable[[str], LimitsView | None]


def check_expressions(definition: WorkflowDefinition) -> None:
    """Compile every expression of the definition (F1.6). Raises InvalidArgument; NotSupported where CEL is missing."""
    places = [("workflow " + definition.name, definition.concurrency)]
    places += [(f"workflow {definition.name}, task {task.name}", task.concurrency) for task in definition.steps]
    for where, limits in places:
        for limit in limits:
            try:
                compile_expression(Environment.KEY, limit.expression)
            except ExpressionError as error:
                text = limit.expression[:80]
                raise InvalidArgument(f"{where}: the concurrency expression {text!r} cannot be used: {error}") from None


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
    """The same triggers; those of workflows with concurrency limits have their keys."""
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
    return replace(item, keys=RunKeys(limits.version_id, keys, stand_in))


def _key(text: str, values: Values) -> LimitKey:
    """The key, or why there is none; its task then fails with that sentence (F2.8, W7.15)."""
    try:
        return as_text(compile_expression(Environment.KEY, text).evaluate(values))
    except ExpressionError as error:
        return UnusableKey(f"failed to parse step expression ({text}): {error}")
