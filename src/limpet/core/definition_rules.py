"""What a definition must fulfil before it becomes a version (W2.13). Pure checks; each refusal is a sentence."""

from __future__ import annotations

import re

from limpet.core import cron_time, event_rules, shared_limits
from limpet.core.affinity import check_labels
from limpet.core.conditions import Action, Condition, Kind
from limpet.core.definitions import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    RUNS_MAX,
    ConcurrencyLimit,
    Idempotency,
    TaskDefinition,
    WorkflowDefinition,
)
from limpet.core.errors import InvalidArgument, LimitReached
from limpet.core.ids import MILLISECOND_US, SECOND_US
from limpet.core.rate_definitions import LIMIT_MAX, RateUse
from limpet.core.settings import Settings

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]+")
BACKOFF_FACTOR_MILLI_MIN, BACKOFF_FACTOR_MILLI_MAX = 1_000, 1_000_000  # RT-3
BACKOFF_MAX_US_MIN, BACKOFF_MAX_US_MAX = SECOND_US, 86_400 * SECOND_US


def check_definition(definition: WorkflowDefinition, settings: Settings | None = None) -> None:
    """Raise InvalidArgument or LimitReached, naming the workflow, the task and the field."""
    limits = settings or Settings()
    _check_name("workflow name", definition.name, limits)
    if not definition.tasks:
        raise InvalidArgument(f"workflow {definition.name} has no task; declare at least one")
    if len(definition.steps) > limits.dag_tasks_max:
        raise LimitReached(
            f"workflow {definition.name} has {len(definition.steps)} tasks; at most {limits.dag_tasks_max} (dag_tasks_max)"
        )
    priority = definition.default_priority
    if priority is not None and not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise InvalidArgument(
            f"workflow {definition.name}: default priority must be between {PRIORITY_MIN} and {PRIORITY_MAX}, got {priority}"
        )
    _check_concurrency(f"workflow {definition.name}", definition.concurrency, limits)
    for task in definition.steps:
        _check_task(definition, task, limits)
    _check_graph(definition)
    shared_limits.check_order(definition)
    for task in definition.steps:
        _check_conditions(definition, task, limits)
    _check_crons(definition, limits)
    _check_idempotency(definition.name, definition.idempotency, limits)
    event_rules.check_events(definition, limits)


def _check_name(what: str, name: str, limits: Settings) -> None:
    if not NAME_PATTERN.fullmatch(name) or len(name) > limits.name_bytes_max:
        raise InvalidArgument(
            f"{what} {name[:80]!r} is not usable; use 1 to {limits.name_bytes_max} letters, digits, dots, hyphens or underscores"
        )


def _check_task(definition: WorkflowDefinition, task: TaskDefinition, limits: Settings) -> None:
    where = f"workflow {definition.name}, task {task.name}"
    _check_name(f"workflow {definition.name}: task name", task.name, limits)
    if not task.action_id or len(task.action_id) > 2 * limits.name_bytes_max + 1:
        raise InvalidArgument(f"{where}: the action id must have 1 to {2 * limits.name_bytes_max + 1} characters")
    if task.retries < 0:
        raise InvalidArgument(f"{where}: retries must be 0 or more, got {task.retries}")
    if task.execution_timeout_us < 0 or task.schedule_timeout_us < 0:
        raise InvalidArgument(f"{where}: timeouts must not be negative")
    factor = task.backoff_factor_milli
    if factor is not None and not BACKOFF_FACTOR_MILLI_MIN <= factor <= BACKOFF_FACTOR_MILLI_MAX:
        raise InvalidArgument(f"{where}: backoff factor must be between 1 and 1000, got {factor / 1000:g}")
    if factor is not None and not BACKOFF_MAX_US_MIN <= task.backoff_max_us <= BACKOFF_MAX_US_MAX:
        seconds = task.backoff_max_us / SECOND_US
        raise InvalidArgument(f"{where}: backoff max must be between 1 and 86400 seconds, got {seconds:g}")
    for kind, units in task.slot_requests:
        if units <= 0 or not kind:
            raise InvalidArgument(f"{where}: a slot request needs a type and 1 or more units, got {kind!r}: {units}")
    if len(task.desired_labels) > limits.labels_max:
        raise LimitReached(f"{where}: at most {limits.labels_max} desired labels (labels_max)")
    check_labels(task.desired_labels, where)
    _check_concurrency(where, task.concurrency, limits)
    _check_rate_limits(where, task.rate_limits, limits)


def _check_rate_limits(where: str, uses: tuple[RateUse, ...], limits: Settings) -> None:
    """Whether the expressions can be evaluated, the edge has found out already (F1.6)."""
    if len(uses) > limits.task_rate_limits_max:
        raise LimitReached(f"{where}: at most {limits.task_rate_limits_max} rate limits (task_rate_limits_max)")
    for use in uses:
        if not use.key and not use.key_expression.strip():
            raise InvalidArgument(f"{where}: a rate limit needs a key, or an expression that computes it")
        if "\0" in use.key or len(use.key.encode()) > limits.rate_limit_name_bytes_max:
            most = f"at most {limits.rate_limit_name_bytes_max} bytes (rate_limit_name_bytes_max) without NUL characters"
            raise InvalidArgument(f"{where}: the key of a rate limit must have {most}, got {use.key[:80]!r}")
        if not 0 <= use.units <= LIMIT_MAX:
            raise InvalidArgument(f"{where}: units of a rate limit must be between 0 and {LIMIT_MAX}, got {use.units}")
        if use.key_expression and not use.limit_expression:
            text = use.key_expression[:80]
            raise InvalidArgument(f"{where}: the rate limit with the computed key {text!r} needs a limit, the units it has")


def _check_concurrency(where: str, concurrency: tuple[ConcurrencyLimit, ...], limits: Settings) -> None:
    """Whether the expressions can be evaluated, the edge has found out already (F1.6)."""
    if len(concurrency) > limits.concurrency_limits_max:
        raise LimitReached(f"{where}: at most {limits.concurrency_limits_max} concurrency limits (concurrency_limits_max)")
    for limit in concurrency:
        if not limit.expression.strip():
            raise InvalidArgument(f"{where}: a concurrency limit needs an expression; for one group of all use a text in quotes")
        if not 1 <= limit.max_runs <= RUNS_MAX:
            raise InvalidArgument(f"{where}: a concurrency limit must allow 1 or more runs, got {limit.max_runs}")
        if limit.is_shared and not limit.name.strip():
            raise InvalidArgument(f"{where}: a concurrency limit that workflows share (tenant scope) needs a name")
        if "\0" in limit.name or len(limit.name.encode()) > limits.concurrency_name_bytes_max:
            most = f"at most {limits.concurrency_name_bytes_max} bytes (concurrency_name_bytes_max) without NUL characters"
            raise InvalidArgument(f"{where}: the name of a concurrency limit must have {most}, got {limit.name[:80]!r}")


def _check_conditions(definition: WorkflowDefinition, task: TaskDefinition, limits: Settings) -> None:
    where = f"workflow {definition.name}, task {task.name}"
    if len(task.conditions) > limits.conditions_max:
        raise LimitReached(f"{where}: at most {limits.conditions_max} conditions (conditions_max), got {len(task.conditions)}")
    if task.conditions and task is definition.on_failure:
        raise InvalidArgument(f"{where}: the on-failure task runs when a task has failed; it takes no conditions")
    for one in task.conditions:
        _check_condition(where, task, one, limits)
    keys = [one.data_key for one in task.conditions if one.action is Action.QUEUE and one.kind is not Kind.PARENT]
    for key in keys:  # under which the task gets what it has waited for (W5.16)
        if keys.count(key) > 1:
            raise InvalidArgument(f"{where}: two conditions have the data key {key!r}; give each one of its own")


def _check_condition(where: str, task: TaskDefinition, one: Condition, limits: Settings) -> None:
    is_named = bool(one.data_key) or one.kind is Kind.PARENT
    if len(one.data_key.encode()) > limits.condition_key_bytes_max or not is_named:
        most = f"1 to {limits.condition_key_bytes_max} bytes (condition_key_bytes_max)"
        raise InvalidArgument(f"{where}: the data key of a condition must have {most}")
    if one.kind is Kind.PARENT and one.subject not in task.parents:
        subject = f"a condition looks at the output of {one.subject!r}"
        raise InvalidArgument(f"{where}: {subject}, which is no parent of the task; add it to its parents")
    if one.kind is Kind.EVENT and not 0 < len(one.subject.encode()) <= limits.name_bytes_max:
        most = f"1 to {limits.name_bytes_max} bytes"
        raise InvalidArgument(f"{where}: a condition that awaits an event must name the event's key, of {most}")
    if len(one.scope.encode()) > limits.name_bytes_max:
        raise InvalidArgument(f"{where}: the scope of a condition may have {limits.name_bytes_max} bytes")
    if one.kind is Kind.SLEEP and one.sleep_us < 0:
        raise InvalidArgument(f"{where}: a sleep must not be negative")


def _check_crons(definition: WorkflowDefinition, limits: Settings) -> None:
    if len(definition.crons) > limits.workflow_crons_max:
        most = f"at most {limits.workflow_crons_max} (workflow_crons_max)"
        raise LimitReached(f"workflow {definition.name} declares {len(definition.crons)} crons; {most}; make others by calls")
    for expression in definition.crons:
        try:
            cron_time.check_expression(expression)
        except InvalidArgument as error:
            raise InvalidArgument(f"workflow {definition.name}: {error}") from None


def _check_idempotency(workflow: str, rule: Idempotency | None, limits: Settings) -> None:
    """W16.1. Whether the expression can be evaluated, the edge has found out already (F1.6)."""
    if rule is None:
        return
    if not rule.expression.strip():
        raise InvalidArgument(f"workflow {workflow}: idempotency needs a key expression, for instance input.order_id")
    if not MILLISECOND_US <= rule.ttl_us <= limits.idempotency_ttl_max_us:
        days = limits.idempotency_ttl_max_us // (24 * 3600 * SECOND_US)
        raise InvalidArgument(
            f"workflow {workflow}: the time to live of an idempotency key must be between 1 ms and {days} days "
            f"(idempotency_ttl_max), got {rule.ttl_us / SECOND_US:g} s"
        )


def _check_graph(definition: WorkflowDefinition) -> None:
    """Names are unique, parents exist, and no task waits for itself."""
    names = [task.name for task in definition.steps]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidArgument(f"workflow {definition.name}: task names must be unique, these occur twice: {', '.join(twice)}")
    known = {task.name for task in definition.tasks}
    for task in definition.steps:
        for parent in task.parents:
            if parent not in known:
                raise InvalidArgument(f"workflow {definition.name}, task {task.name}: parent {parent} does not exist in it")
    cycle = _unreachable(definition)
    if cycle:
        raise InvalidArgument(f"workflow {definition.name}: these tasks wait for each other in a cycle: {', '.join(cycle)}")


def _unreachable(definition: WorkflowDefinition) -> list[str]:
    """Tasks that can never start because they stand in, or behind, a cycle."""
    left = {task.name: set(task.parents) for task in definition.tasks}
    ready = [name for name, parents in left.items() if not parents]
    while ready:
        done = ready.pop()
        left.pop(done, None)
        for name, parents in left.items():
            if done in parents:
                parents.discard(done)
                if not parents:
                    ready.append(name)
    return list(left)
