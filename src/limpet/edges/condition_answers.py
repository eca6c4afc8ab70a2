"""The edge's part in conditions: expressions are compiled when a workflow is registered, and evaluated on what comes in.

An expression of a parent's output is evaluated on the very bytes that a worker reports; one of an event on the payload that
is pushed. When another expression came to be wanted before the core takes the input, it refuses it, and all are evaluated
again (R52, decision 0021).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from limpet.core.conditions import Condition, Kind
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.errors import InvalidArgument, NotJudged
from limpet.core.ids import TenantId
from limpet.core.inputs import OutputVerdicts, TaskCompleted
from limpet.core.rows import SKIPPED_OUTPUT
from limpet.edges import json_text
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_truth, compile_expression
from limpet.edges.expressions.values import Values
from limpet.engine.door import Door

JUDGED_TRIES_MAX = 5  # how often what is wanted may change between evaluating and the step that takes the input
_log = logging.getLogger(__name__)


def checked(definition: WorkflowDefinition) -> WorkflowDefinition:
    """The definition with its conditions compiled, and with what they say of parents that are skipped.

    Raises InvalidArgument; NotSupported where CEL is missing.
    """
    return replace(definition, tasks=tuple(_checked_task(definition.name, task) for task in definition.tasks))


def _checked_task(workflow: str, task: TaskDefinition) -> TaskDefinition:
    if not task.conditions:
        return task
    where = f"workflow {workflow}, task {task.name}"
    return replace(task, conditions=tuple(_checked_condition(where, one) for one in task.conditions))


def _checked_condition(where: str, one: Condition) -> Condition:
    if not one.expression:
        return replace(one, holds_if_skipped=one.kind is Kind.PARENT)
    try:
        compile_expression(Environment.CONDITION, one.expression)
    except ExpressionError as error:
        text = one.expression[:80]
        raise InvalidArgument(f"{where}: the expression {text!r} of a condition cannot be used: {error}") from None
    if one.kind is not Kind.PARENT:
        return one
    return replace(one, holds_if_skipped=_answer(one.expression, _values("output", SKIPPED_OUTPUT)) is True)


async def report(door: Door, tenant: TenantId, item: TaskCompleted) -> None:
    """Hand in an output with what conditions say about it. Raises what `Door.submit` does."""
    for tries_left in reversed(range(JUDGED_TRIES_MAX)):
        view = door.output_view(tenant, item.task_run_id)
        if view is not None:
            answers = tuple(_answers(view.expressions, _values("output", item.output or json_text.EMPTY_OBJECT)))
            item = replace(item, verdicts=OutputVerdicts(view.version_id, answers))
        try:
            await door.submit(tenant, item)
        except NotJudged:
            if not tries_left:
                raise
        else:
            return


def of_event(name: str, event_id: str, payload: bytes, expressions: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """What the expressions that wait for such events give for this payload; an error counts as no (W5.3). Pure but for a line
    in the log, so it may run on any thread.
    """
    if not expressions:
        return ()
    found = tuple(zip(expressions, _answers(expressions, _values("input", payload)), strict=True))
    for expression, answer in [pair for pair in found if isinstance(pair[1], str)][:1]:  # one is enough to look at the event
        _log.warning(
            "A condition could not be evaluated on an event, which counts as not satisfied.",
            extra={
                "event": "condition.failed", "event_key": name, "event_id": event_id, "expression": expression, "error": answer,
            },
        )  # fmt: skip
    return tuple((expression, answer is True) for expression, answer in found)


def holds(expression: str, payload: bytes) -> bool:
    """What the expression of a condition gives for the payload of an event of the past; an error counts as no (W5.3)."""
    return _answer(expression, _values("input", payload)) is True


def _values(name: str, payload: bytes) -> Values:
    values = Values()
    values.add_json(name, payload)
    return values


def _answers(expressions: Iterable[str], values: Values) -> Iterable[bool | str]:
    return (_answer(one, values) for one in expressions)


def _answer(expression: str, values: Values) -> bool | str:
    """True or false, or why neither."""
    try:
        return as_truth(compile_expression(Environment.CONDITION, expression).evaluate(values))
    except ExpressionError as error:
        return str(error)
