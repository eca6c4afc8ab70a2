"""Conditions in a simulated tenant: which tasks have some, and what the edge says about outputs and events.

Nobody evaluates CEL here: what an expression gives follows from its text and the payload alone, so the checker knows it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from random import Random

from limpet.core.conditions import Action, Condition, Kind
from limpet.core.definitions import TaskDefinition
from limpet.core.event_inputs import PushedEvent
from limpet.core.inputs import OutputVerdicts, TaskCompleted
from limpet.core.machine import Machine
from tests.simulation.agenda import MS, SECOND

EVENTS = ("go", "stop", "paid")
SCOPES = ("", "", "eu", "us")  # of conditions and of events
SINCE = (0, 0, 0, 1)  # no event of the past counts, or every one
EXPRESSIONS = ("", "", "x > 1", "x < 1")
SLEEPS = (0, 300 * MS, SECOND, 3 * SECOND, 20 * SECOND)
OUTPUTS = 5  # different outputs of tasks, and payloads of events


def payload(number: int) -> bytes:
    """One of the few outputs and payloads that there are."""
    return b'{"n":%d}' % (number % OUTPUTS)


def answer(expression: str, text: bytes) -> bool:
    """What the expression gives for that text."""
    return not expression or bool(blake2b(expression.encode() + text, digest_size=1).digest()[0] & 1)


def with_conditions(task: TaskDefinition, rng: Random) -> TaskDefinition:
    """The same task, sometimes with conditions."""
    if rng.random() < 0.7:
        return task
    actions = [Action.QUEUE] if rng.random() < 0.6 else []
    actions += [one for one in (Action.SKIP, Action.CANCEL) if rng.random() < 0.4]
    return replace(task, conditions=tuple(_conditions(task, actions, rng)))


def _conditions(task: TaskDefinition, actions: list[Action], rng: Random) -> Iterator[Condition]:
    group = place = 0
    for action in actions:
        for _ in range(rng.choice((1, 1, 2))):
            group += 1
            for _ in range(rng.choice((1, 1, 2))):
                place += 1
                yield _condition(task, action, group, f"k{place}", rng)


def _condition(task: TaskDefinition, action: Action, group: int, key: str, rng: Random) -> Condition:
    kind = rng.choice(tuple(Kind) if task.parents else (Kind.SLEEP, Kind.EVENT))
    if kind is Kind.SLEEP:
        return Condition(kind, action, group, key, sleep_us=rng.choice(SLEEPS))
    expression = rng.choice(EXPRESSIONS)
    if kind is Kind.EVENT:
        name, scope, since = rng.choice(EVENTS), rng.choice(SCOPES), rng.choice(SINCE)
        return Condition(kind, action, group, key, name, expression, scope=scope, since_us=since)
    holds = answer(expression, b"skipped")
    return Condition(kind, action, group, key, rng.choice(task.parents), expression, holds_if_skipped=holds)


# The edge


def judged(core: Machine, item: TaskCompleted) -> TaskCompleted:
    """With what conditions say about the output, as far as this core knows them."""
    view = core.output_view(item.task_run_id)
    if view is None:
        return item
    answers = tuple(answer(one, item.output) for one in view.expressions)
    return replace(item, verdicts=OutputVerdicts(view.version_id, answers))


def answers_of(core: Machine, event: PushedEvent) -> tuple[tuple[str, bool], ...]:
    """The same for an event."""
    return tuple((one, answer(one, event.payload)) for one in core.awaited(event.name))
