"""The edge's part in expressions: compiled when a workflow is registered, evaluated when a run is asked for.

What they give belongs to the version that is in force when they are evaluated. When another one was registered before the
core takes the trigger, it refuses the keys, and they are computed again (R52, decision 0018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

from limpet.core.clock_starts import StartAsked
from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import BulkIdempotencyCollision, IdempotencyCollision, InvalidArgument, WorkflowChanged
from limpet.core.ids import TenantId
from limpet.core.inputs import KeyTaken, RunsTriggered, Trigger
from limpet.core.records import LimitKey, UnusableKey
from limpet.core.run_keys import RunKeys
from limpet.core.timetable_inputs import CronTriggered, ScheduleTriggered
from limpet.core.views import LimitsView
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_text, compile_expression
from limpet.edges.expressions.values import Values
from limpet.engine.door import Door

KEYED_TRIES_MAX = 5  # registrations that may come between computing the keys and the step that takes them

Limits = Callable[[str], LimitsView | None]


def check_expressions(definition: WorkflowDefinition) -> None:
    """Compile every expression of the definition (F1.6). Raises InvalidArgument; NotSupported where CEL is missing."""
    for where, text in _expressions(definition):
        try:
            compile_expression(Environment.KEY, text)
        except ExpressionError as error:
            raise InvalidArgument(f"{where} expression {text[:80]!r} cannot be used: {error}") from None


def _expressions(definition: WorkflowDefinition) -> Iterator[tuple[str, str]]:
    """Each with where it stands."""
    places = [(f"workflow {definition.name}", definition.concurrency)]
    places += [(f"workflow {definition.name}, task {task.name}", task.concurrency) for task in definition.steps]
    for where, limits in places:
        yield from ((f"{where}: the concurrency", limit.expression) for limit in limits)
    if definition.idempotency is not None and definition.idempotency.expression:
        yield f"workflow {definition.name}: the idempotency", definition.idempotency.expression


async def trigger(door: Door, tenant: TenantId, item: Trigger) -> str:
    """Start one run; its id. Raises IdempotencyCollision, and what `Door.submit` does."""
    (reply,) = await _trigger(door, tenant, RunsTriggered((item,)))
    if isinstance(reply, KeyTaken):
        raise IdempotencyCollision(reply.run_id)
    return reply


async def trigger_many(door: Door, tenant: TenantId, items: RunsTriggered) -> tuple[str, ...]:
    """Start several runs; their ids in order. Raises BulkIdempotencyCollision, and what `Door.submit` does."""
    replies = await _trigger(door, tenant, items)
    started = tuple(reply for reply in replies if isinstance(reply, str))
    taken = tuple(reply.run_id for reply in replies if isinstance(reply, KeyTaken))
    if taken:
        raise BulkIdempotencyCollision(started, taken)
    return started


async def start_now(door: Door, tenant: TenantId, item: CronTriggered | ScheduleTriggered) -> str:
    """Start the run of a cron or a scheduled run; its id. Raises as `trigger`."""
    for _ in range(KEYED_TRIES_MAX):
        reply = await door.submit(tenant, item)
        if isinstance(reply, KeyTaken):
            raise IdempotencyCollision(reply.run_id)
        if not isinstance(reply, StartAsked):
            return str(reply)
        item = replace(item, keys=keys_of(reply.limits, reply.input, reply.metadata))
    raise WorkflowChanged(f"of {item.cron_id if isinstance(item, CronTriggered) else item.schedule_id}")


async def _trigger(door: Door, tenant: TenantId, items: RunsTriggered) -> tuple[str | KeyTaken, ...]:
    """Hand in triggers with their keys, again while the workflow changes in between."""

    def limits_of(name: str) -> LimitsView | None:
        return door.limits(tenant, name)

    for tries_left in reversed(range(KEYED_TRIES_MAX)):
        try:
            found = await door.submit(tenant, with_keys(items, limits_of))
        except WorkflowChanged:
            if not tries_left:
                raise
        else:
            assert isinstance(found, tuple)
            return found
    raise AssertionError("the last try returns or raises")


def with_keys(items: RunsTriggered, limits_of: Limits) -> RunsTriggered:
    """The same triggers; those of workflows with expressions have their keys."""
    known = {name: limits_of(name) for name in dict.fromkeys(one.workflow_name for one in items.items)}
    if not any(known.values()):
        return items
    return RunsTriggered(tuple(_with_keys(one, known[one.workflow_name]) for one in items.items))


def _with_keys(item: Trigger, limits: LimitsView | None) -> Trigger:
    return item if limits is None else replace(item, keys=keys_of(limits, item.input, item.metadata))


def keys_of(limits: LimitsView, data: bytes, metadata: bytes) -> RunKeys:
    """What the expressions give for one run."""
    stand_in = str(uuid4())
    values = Values()
    values.add_json("input", data)
    values.add_json("additional_metadata", metadata)
    values.add_text("workflow_run_id", stand_in)
    keys = tuple(_key(text, values) for text in limits.expressions)
    idempotency = None if limits.idempotency is None else _key(limits.idempotency, values)
    return RunKeys(limits.version_id, keys, stand_in, idempotency)


def _key(text: str, values: Values) -> LimitKey:
    """The key, or why there is none (F2.8, W7.15, W16.8)."""
    try:
        return as_text(compile_expression(Environment.KEY, text).evaluate(values))
    except ExpressionError as error:
        return UnusableKey(f"failed to parse step expression ({text}): {error}")
