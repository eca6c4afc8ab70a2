"""What a task takes of rate limits, and what it sets them to: from its definition and the values of its run."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.rate_definitions import Demand, RateValue
from limpet.core.rate_windows import RateWindow
from limpet.core.records import Run, TaskRun, UnusableKey


def demand_of(task: TaskRun) -> Demand:
    """What an attempt of the task takes. Uses of one limit add up."""
    uses = task.run.definition.rate_uses[task.step]
    if not uses:
        return ()
    units: dict[str, int] = {}
    for use, number in uses:
        name, wanted = use.key, use.units
        if number is not None:
            value = _value(task.run, number)
            name, wanted = value.name, value.units
        units[name] = units.get(name, 0) + wanted
    return tuple(sorted(units.items()))


def declarations_of(task: TaskRun) -> Iterator[tuple[str, int, RateWindow]]:
    """The limits that the task sets itself whenever it is queued: name, limit, window (F4.8)."""
    for use, number in task.run.definition.rate_uses[task.step]:
        if number is not None and use.key_expression:
            value = _value(task.run, number)
            if value.limit is not None:
                yield value.name, value.limit, use.window


def unusable_rate(task: TaskRun) -> str | None:
    """Why the task fails at birth: an expression of a rate limit gave nothing usable (F4.7)."""
    for _, number in task.run.definition.rate_uses[task.step]:
        if number is not None and isinstance(value := task.run.rates[number], UnusableKey):
            return value.error
    return None


def names_of(run: Run) -> tuple[str, ...]:
    """Every rate limit that a task of the run may take units of."""
    computed = (value.name for value in run.rates if isinstance(value, RateValue))
    return tuple(dict.fromkeys((*run.definition.named_rates, *computed)))


def _value(run: Run, number: int) -> RateValue:
    value = run.rates[number]
    assert isinstance(value, RateValue), f"run {run.id} has no value for its rate limit {number}"
    return value
