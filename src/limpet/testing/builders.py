"""Definitions in a line: seconds instead of microseconds, and a default for everything a test does not care about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from limpet.core.conditions import Action, Condition, Kind
from limpet.core.definitions import (
    BACKOFF_MAX_DEFAULT_US,
    DEFAULT_EXECUTION_TIMEOUT_US,
    DEFAULT_SCHEDULE_TIMEOUT_US,
    DEFAULT_SLOT_TYPE,
    Comparator,
    ConcurrencyLimit,
    DefaultFilter,
    DesiredLabel,
    Idempotency,
    LabelValue,
    LimitStrategy,
    StickyStrategy,
    TaskDefinition,
    WorkflowDefinition,
)
from limpet.core.ids import SECOND_US, ActionId
from limpet.core.rate_definitions import RateUse
from limpet.core.rate_windows import RateWindow

Slots = int | Mapping[str, int]
Group = Condition | Sequence[Condition]
"""Conditions of which one suffices."""


def us(seconds: float) -> int:
    """Seconds as microseconds."""
    return round(seconds * SECOND_US)


def slots_of(slots: Slots) -> tuple[tuple[str, int], ...]:
    """A number of default slots, or a number for each slot type."""
    return ((DEFAULT_SLOT_TYPE, slots),) if isinstance(slots, int) else tuple(sorted(slots.items()))


def wish(
    key: str, value: LabelValue, *, weight: int = 100, required: bool = False, comparator: Comparator = Comparator.EQUAL
) -> DesiredLabel:
    """A desired worker label that only ranks workers."""
    return DesiredLabel(key, value, required, weight, comparator)


def demand(key: str, value: LabelValue, comparator: Comparator = Comparator.EQUAL, *, weight: int = 100) -> DesiredLabel:
    """A desired worker label that workers must match."""
    return DesiredLabel(key, value, True, weight, comparator)


def sleep(seconds: float, key: str = "") -> Condition:
    """A condition that holds once that much time has passed; for the lists of `make_task`."""
    return Condition(Kind.SLEEP, Action.QUEUE, 0, key, sleep_us=us(seconds))


def event(event_key: str, expression: str = "", *, key: str = "", scope: str = "", since: int = 0) -> Condition:
    """A condition that a pushed event satisfies; in a scenario `push(answers=…)` says what the expression gives.

    since: events of the past count from that instant on, in microseconds
    """
    return Condition(Kind.EVENT, Action.QUEUE, 0, key, event_key, expression, scope=scope, since_us=since)


def output_of(parent: str, expression: str = "", *, if_skipped: bool = False, key: str = "") -> Condition:
    """A condition on a parent's output; in a scenario `complete(answers=…)` says what the expression gives."""
    holds = if_skipped or not expression
    return Condition(Kind.PARENT, Action.QUEUE, 0, key, parent, expression, holds_if_skipped=holds)


def limit(
    expression: str,
    max_runs: int | str = 1,
    strategy: LimitStrategy = LimitStrategy.GROUP_ROUND_ROBIN,
    *,
    name: str = "",
    shared: str = "",
) -> ConcurrencyLimit:
    """A concurrency limit; in a scenario nobody evaluates expressions: `trigger(keys=…)` says their values.

    max_runs: a text is an expression that computes it; shared: the name by which workflows share it
    """
    plain, computed = (max_runs, "") if isinstance(max_runs, int) else (1, max_runs)
    return ConcurrencyLimit(expression, plain, strategy, computed, shared or name, bool(shared))


def once(expression: str, ttl: float, *, until_end: bool = False) -> Idempotency:
    """An idempotency rule; in a scenario nobody evaluates the expression: `trigger(keys=…)` says its value."""
    return Idempotency(expression, us(ttl), until_end)


def takes(key: str, units: int = 1) -> RateUse:
    """Units of a rate limit that each attempt of a task takes."""
    return RateUse(key, units)


def computes(
    key: str, limit: str = "limit", *, units: int | str = 1, window: RateWindow = RateWindow.MINUTE, static: bool = False
) -> RateUse:
    """The same with expressions, or `static`: with computed units only. `trigger(keys=…)` says what they come to."""
    plain = units if isinstance(units, int) else 1
    counted = units if isinstance(units, str) else ""
    if static:
        return RateUse(key, plain, "", counted, "", window)
    return RateUse("", plain, key, counted, limit, window)


def make_task(
    name: str,
    *parents: str,
    action: str | None = None,
    retries: int = 0,
    schedule_timeout: float | None = None,
    execution_timeout: float | None = None,
    backoff: float | None = None,
    backoff_max: float | None = None,
    labels: Iterable[DesiredLabel] = (),
    slots: Slots = 1,
    concurrency: Iterable[ConcurrencyLimit] = (),
    rates: Iterable[RateUse] = (),
    wait_for: Iterable[Group] = (),
    skip_if: Iterable[Group] = (),
    cancel_if: Iterable[Group] = (),
) -> TaskDefinition:
    """A task. Its action is named like the task, unless given; durations are in seconds."""
    return TaskDefinition(
        name,
        ActionId(action or name),
        parents,
        retries,
        DEFAULT_SCHEDULE_TIMEOUT_US if schedule_timeout is None else us(schedule_timeout),
        DEFAULT_EXECUTION_TIMEOUT_US if execution_timeout is None else us(execution_timeout),
        None if backoff is None else round(backoff * 1000),
        BACKOFF_MAX_DEFAULT_US if backoff_max is None else us(backoff_max),
        tuple(labels),
        slots_of(slots),
        concurrency=tuple(concurrency),
        rate_limits=tuple(rates),
        conditions=tuple(_conditions({Action.QUEUE: wait_for, Action.SKIP: skip_if, Action.CANCEL: cancel_if})),
    )


def _conditions(lists: Mapping[Action, Iterable[Group]]) -> Iterator[Condition]:
    """Numbered groups; a condition alone is a group of its own."""
    group = place = 0
    for action, groups in lists.items():
        for members in groups:
            for one in (members,) if isinstance(members, Condition) else members:
                yield replace(one, action=action, group=group, data_key=one.data_key or f"condition {place}")
                place += 1
            group += 1


def make_workflow(
    name: str,
    *tasks: TaskDefinition | str,
    sticky: StickyStrategy | None = None,
    priority: int | None = None,
    on_failure: TaskDefinition | str | None = None,
    crons: Sequence[str] = (),
    cron_input: bytes = b"{}",
    concurrency: Iterable[ConcurrencyLimit] = (),
    idempotency: Idempotency | None = None,
    events: Iterable[str] = (),
    filters: Iterable[DefaultFilter] = (),
) -> WorkflowDefinition:
    """A workflow; a task that is only a text is a task of that name without parents."""
    return WorkflowDefinition(
        name,
        tuple(_as_task(task) for task in tasks) or (make_task(name),),
        on_failure=None if on_failure is None else _as_task(on_failure),
        sticky=sticky,
        default_priority=priority,
        crons=tuple(crons),
        cron_input=cron_input,
        concurrency=tuple(concurrency),
        idempotency=idempotency,
        events=tuple(events),
        filters=tuple(filters),
    )


def _as_task(task: TaskDefinition | str) -> TaskDefinition:
    return make_task(task) if isinstance(task, str) else task
