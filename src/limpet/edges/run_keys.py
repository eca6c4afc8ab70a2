"""The edge's part in expressions: compiled when a workflow is registered, evaluated when a run is asked for.

What they give belongs to the version that is in force when they are evaluated. When another one was registered before the
core takes the trigger, it refuses the values, and they are computed again (R52, decision 0018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar, cast
from uuid import uuid4

from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import BulkIdempotencyCollision, IdempotencyCollision, InvalidArgument, WorkflowChanged
from limpet.core.ids import TenantId
from limpet.core.inputs import KeyTaken, RunsTriggered, Trigger
from limpet.core.limits_view import LimitsView, StartAsked
from limpet.core.rate_definitions import LIMIT_MAX, RateUse, RateValue
from limpet.core.records import LimitKey, UnusableKey
from limpet.core.run_keys import RunKeys
from limpet.core.timetable_inputs import CronTriggered, ScheduleTriggered
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_integer, as_text, compile_expression
from limpet.edges.expressions.values import Values
from limpet.engine.door import Door

KEYED_TRIES_MAX = 5  # registrations that may come between computing the keys and the step that takes them

T = TypeVar("T")
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
    workflow = f"workflow {definition.name}"
    yield from ((f"{workflow}: the concurrency", limit.expression) for limit in definition.concurrency)
    for task in definition.steps:
        where = f"{workflow}, task {task.name}"
        yield from ((f"{where}: the concurrency", limit.expression) for limit in task.concurrency)
        yield from ((f"{where}: the rate limit", text) for use in task.rate_limits for text in use.expressions)
    if definition.idempotency is not None and definition.idempotency.expression:
        yield f"{workflow}: the idempotency", definition.idempotency.expression


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
    """The same triggers; those of workflows with expressions have what these give."""
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
    rates = tuple(_rate(use, values) for use in limits.rates)
    idempotency = None if limits.idempotency is None else _key(limits.idempotency, values)
    return RunKeys(limits.version_id, keys, stand_in, rates, idempotency)


def unusable(limits: LimitsView, why: UnusableKey) -> RunKeys:
    """What fails the run with that sentence, where nothing can be evaluated at all (F2.8)."""
    keys, rates = (why,) * len(limits.expressions), (why,) * len(limits.rates)
    return RunKeys(limits.version_id, keys, rates=rates, idempotency=None if limits.idempotency is None else why)


def _key(text: str, values: Values) -> LimitKey:
    """The key, or why there is none (F2.8, W7.15, W16.8)."""
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
