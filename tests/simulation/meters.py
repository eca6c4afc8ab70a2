"""Rate limits in a simulated tenant: what tasks take, what is left, and the laws (RL1, F4.10 to F4.12).

The laws are read off rows alone: what a start takes is missing from the row of the same commit, and nothing else is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.ids import SECOND_US
from limpet.core.inputs import WorkflowDeleted
from limpet.core.pause_inputs import WorkflowUnpaused
from limpet.core.rate_definitions import RateUse, RateValue
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPut
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rate_windows import RateWindow
from limpet.core.records import UnusableKey
from limpet.core.rows import RunRow, TaskRow

if TYPE_CHECKING:
    from tests.simulation.mirror import Mirror, Step
    from tests.simulation.tables import Tables

NAMED = ("api", "all")  # by definitions
COMPUTED = ("ada", "bob", "api")  # by expressions; one key is one limit, whoever names it (F4.8)
LENGTH_US = {RateWindow.SECOND: SECOND_US, RateWindow.MINUTE: 60 * SECOND_US}
WINDOWS = (RateWindow.SECOND,) * 5 + (RateWindow.MINUTE,)
FEW = -(2**40)  # units of a limit that nobody has set, or that is paused


# What tasks take


def choose_rates(rng: Random) -> tuple[RateUse, ...]:
    """One or two uses, of named limits and of computed ones."""
    return tuple(_use(rng) for _ in range(rng.choice((1, 1, 2))))


def _use(rng: Random) -> RateUse:
    if rng.random() < 0.5:
        return RateUse(rng.choice(NAMED), rng.choice((0, 1, 1, 1, 2)), units_expression=rng.choice(("", "", "n")))
    return RateUse("", rng.choice((1, 1, 2)), "who", rng.choice(("", "n")), "size", rng.choice(WINDOWS))


def choose_value(use: RateUse, rng: Random) -> RateValue | UnusableKey:
    """What an expression would give."""
    if rng.random() < 0.02:
        return UnusableKey("failed to parse step expression (x)")
    name = rng.choice(COMPUTED) if use.key_expression else use.key
    units = rng.choice((1, 1, 2, 3)) if use.units_expression else use.units
    return RateValue(name, units, rng.choice((1, 2, 3, 5)) if use.key_expression else None)


def demand_of(run: RunRow, definition: WorkflowDefinition, step: int) -> dict[str, int]:
    """Units by limit, from the definition and the run's row."""
    if not any(task.rate_limits for task in definition.steps):
        return {}
    gates = len(definition.concurrency) + sum(len(task.concurrency) for task in definition.steps)
    values = json.loads(run.limit_keys)[gates:] if run.limit_keys else []
    found: Counter[str] = Counter()
    for place, task in enumerate(definition.steps):
        for name, units in _takings(task, values):
            if place == step:
                found[name] += units
    return dict(found)


def _takings(task: TaskDefinition, values: list[str | dict[str, str]]) -> Iterator[tuple[str, int]]:
    """What one task takes; uses up its values."""
    for use in task.rate_limits:
        if not (use.key_expression or use.units_expression):
            yield use.key, use.units
        elif isinstance(value := values.pop(0), str):
            name, units, _ = json.loads(value)
            yield name, units


# What is left


def left(tables: Tables, name: str, now: int) -> int:
    """Units that the limit can give at that instant."""
    row = next((row for row in tables.rate_limits.values() if row.name == name), None)
    if row is None or (row.paused_until or 0) > now:
        return FEW
    return _value_at(row, now)


def has_units(mirror: Mirror, task: TaskRow, now: int, extra: TaskRow | None = None) -> bool:
    """Whether every limit has the task's units, those that `extra` has taken counted as left."""
    wanted = mirror.demand(task)
    if not wanted:
        return True
    more = {} if extra is None else mirror.demand(extra)
    return all(left(mirror.tables, name, now) + more.get(name, 0) >= units for name, units in wanted.items())


# Laws


def laws(step: Step, before: dict[str, RateLimitRow]) -> Iterator[str]:
    """Of every limit that is touched in the step; `before`: their rows until then, by name."""
    taken: Counter[str] = Counter()
    for start in step.starts:
        taken.update(step.mirror.demand(step.mirror.tables.tasks[start.task_key]))
    changed = {row.name: row for row in step.decision.changes.rate_limits}
    for name, units in taken.items():
        if name not in changed and units:
            yield f"F4.10: {units} units of {name} are taken, and its row is not written"
    for row in changed.values():
        yield from _kept(step, before.get(row.name), row, taken[row.name])


def _kept(step: Step, old: RateLimitRow | None, row: RateLimitRow, taken: int) -> Iterator[str]:
    if not 0 <= row.value <= row.limit_value:
        yield f"RL1: {row.name} has {row.value} of {row.limit_value} units left"
    if (row.refill_at is None) is not (row.value == row.limit_value):
        yield f"F4.12: {row.name} has {row.value} of {row.limit_value} units left and is filled at {row.refill_at}"
    is_same = old is not None and (old.key, old.limit_value, old.window_unit) == (row.key, row.limit_value, row.window_unit)
    if old is None or not is_same:
        if row.value + taken > row.limit_value:
            yield f"RL1: {taken} units of {row.name} are taken, and {row.value} of {row.limit_value} are left"
    elif not _is_set(step, row.name):  # else it was something else in between
        yield from _spent(step, old, row, taken)


def _spent(step: Step, old: RateLimitRow, row: RateLimitRow, taken: int) -> Iterator[str]:
    """What was there before, less what the starts took; and the window begins with the first unit of a full limit."""
    now = step.now
    had, has = _value_at(old, now), _value_at(row, now)
    if has != had - taken and not (step.is_paced and row.value == old.value - taken):
        yield f"RL1: {row.name} had {had} units, {taken} were taken, {has} are left"
    if row.refill_at is None or row.refill_at <= now or step.is_paced:
        return
    begins = now if had == old.limit_value and taken else old.refilled_at
    if (row.refilled_at, row.refill_at) != (begins, begins + LENGTH_US[RateWindow(row.window_unit)]):
        yield f"F4.12: the window of {row.name} began at {begins}, and the row says {row.refilled_at} to {row.refill_at}"


def _value_at(row: RateLimitRow, now: int) -> int:
    return row.limit_value if row.refill_at is not None and row.refill_at <= now else row.value


def _is_set(step: Step, name: str) -> bool:
    """Whether somebody set the limit in this step: an input, or a task that was queued or whose pause ended."""
    if any(isinstance(item, RateLimitPut | RateLimitDeleted) and item.name == name for item in step.items):
        return True
    return name in COMPUTED and any(name in step.mirror.demand(row) for row in _lined_up(step))


def _lined_up(step: Step) -> Iterator[TaskRow]:
    """Tasks that stand in line since this step, as far as it left them there; and those that it placed."""
    yield from (new for _, new in step.tasks if new.queued_at == step.now)
    tables = step.mirror.tables
    ids = {item.workflow_id for item in step.items if isinstance(item, WorkflowUnpaused | WorkflowDeleted)}
    freed = {row.key for row in tables.workflows.values() if row.id in ids}
    if freed:
        waiting = map(tables.tasks.__getitem__, step.mirror.waiting)
        yield from (row for row in (*waiting, *(new for _, new in step.tasks)) if tables.runs[row.run_key].workflow_key in freed)
