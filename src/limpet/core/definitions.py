"""What was registered: workflows, their tasks, the options of both. Immutable; compared by checksum."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

from limpet.core.conditions import Condition, Kind, Rules
from limpet.core.ids import SECOND_US, ActionId
from limpet.core.rate_definitions import RateUse

DEFAULT_SCHEDULE_TIMEOUT_US = 300 * SECOND_US
DEFAULT_EXECUTION_TIMEOUT_US = 60 * SECOND_US
DEFAULT_SLOT_TYPE = "default"
DEFAULT_SLOT_COUNT = 100  # a worker that names no slots (SL-1)
PRIORITY_MIN, PRIORITY_MAX = 1, 3
DEFAULT_LABEL_WEIGHT = 100  # LB-1
BACKOFF_MAX_DEFAULT_US = 86_400 * SECOND_US  # RT-3
RUNS_MAX = (1 << 31) - 1  # at a time, of a concurrency limit: an int32 on the wire


class StickyStrategy(IntEnum):
    """Whether tasks of one run share a worker: a wish (SOFT) or a demand (HARD). Numbers as on the wire."""

    SOFT = 0
    HARD = 1


class Comparator(IntEnum):
    """How a worker's label (left) is held against the desired value (right). Numbers as on the wire (LB-2)."""

    EQUAL = 0
    NOT_EQUAL = 1
    GREATER_THAN = 2
    GREATER_THAN_OR_EQUAL = 3
    LESS_THAN = 4
    LESS_THAN_OR_EQUAL = 5


class LimitStrategy(IntEnum):
    """What happens when a concurrency key is full (F2.3). Numbers as on the wire."""

    CANCEL_IN_PROGRESS = 0  # the newest stay, older ones are cancelled
    GROUP_ROUND_ROBIN = 3  # the others wait
    CANCEL_NEWEST = 4  # those that are in stay, arrivals are cancelled


LabelValue = str | int


@dataclass(frozen=True, slots=True, order=True)
class DesiredLabel:
    """A wish (`required=False`, counted by `weight`) or a demand for a worker's label."""

    key: str
    value: LabelValue
    required: bool = False
    weight: int = DEFAULT_LABEL_WEIGHT
    comparator: Comparator = Comparator.EQUAL


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """At most `max_runs` at a time for each value that the expression has (F2.1).

    expression:      CEL over a run's input and metadata; an edge evaluates it (decision 0018)
    runs_expression: computes for each run how many may be in with it; "" when `max_runs` says it
    name:            for people, and for limits that are shared; "" for none
    is_shared:       whether all limits of the tenant with this name count together (decision 0028)
    """

    expression: str
    max_runs: int = 1
    strategy: LimitStrategy = LimitStrategy.CANCEL_IN_PROGRESS
    runs_expression: str = ""
    name: str = ""
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Idempotency:
    """At most one run for each value that the expression has, over all workflows of the tenant (W16.1, W16.2).

    expression: CEL over a run's input and metadata that gives a text; an edge evaluates it
    ttl_us:     how long a run holds its key, from its trigger on
    until_end:  whether its end frees the key earlier
    """

    expression: str
    ttl_us: int
    until_end: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """A concurrency limit at its place in a workflow.

    number: its place among all limits of the workflow; a run's keys stand in this order
    of_run: the run passes it once for all its tasks (F2.5); else each task of one step does
    """

    number: int
    limit: ConcurrencyLimit
    of_run: bool


def in_passing_order(gates: list[Gate]) -> tuple[Gate, ...]:
    """As declared, the shared ones last and by name: everywhere in the same order, so that no two runs wait for each other."""
    return tuple(sorted(gates, key=lambda gate: gate.limit.name if gate.limit.is_shared else ""))


@dataclass(frozen=True, slots=True)
class DefaultFilter:
    """Which events of a scope start the workflow (F5.22). `expression`: CEL, an edge evaluates it; `payload`: a JSON object."""

    expression: str
    scope: str
    payload: bytes = b"{}"


class Feature(StrEnum):
    """Features that a definition may declare and this engine does not carry out yet."""

    CONDITIONS = "conditions"  # only in rows of releases that did not carry them out
    EVENT_SCOPE = "the scope and the look-back of a task's event conditions"  # the same
    CONCURRENCY = "concurrency"  # only in rows of releases that did not carry it out
    TENANT_CONCURRENCY = "concurrency limits shared by several workflows"  # as above
    COMPUTED_CONCURRENCY = "concurrency limits with a computed number of runs"  # as above
    RATE_LIMITS = "rate limits"  # as above
    IDEMPOTENCY = "idempotency"  # as above
    DURABLE = "durable tasks"
    BATCH = "batch tasks"
    EVENTS = "event triggers"  # only in rows of releases that did not carry it out
    FILTERS = "event filters"  # the same
    CRON = "cron triggers"  # only in rows of releases that did not carry them out, or not for workflows with limits


# Without these a run would end differently from what its author wrote, so its trigger is refused;
# the others only start runs by themselves, and a run started by name is the same with or without them.
CHANGES_OUTCOME = frozenset(
    {
        Feature.CONDITIONS,
        Feature.CONCURRENCY,
        Feature.TENANT_CONCURRENCY,
        Feature.COMPUTED_CONCURRENCY,
        Feature.RATE_LIMITS,
        Feature.IDEMPOTENCY,
        Feature.DURABLE,
        Feature.BATCH,
    }
)


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """One task of a workflow.

    name:                 the readable id, unique in the workflow
    parents:              names of tasks that must end before this one is created
    slot_requests:        (slot type, units), sorted by type; all from one worker (SL-4)
    backoff_factor_milli: thousandths; None means that retries are immediate
    """

    name: str
    action_id: ActionId
    parents: tuple[str, ...] = ()
    retries: int = 0
    schedule_timeout_us: int = DEFAULT_SCHEDULE_TIMEOUT_US
    execution_timeout_us: int = DEFAULT_EXECUTION_TIMEOUT_US
    backoff_factor_milli: int | None = None
    backoff_max_us: int = BACKOFF_MAX_DEFAULT_US
    desired_labels: tuple[DesiredLabel, ...] = ()
    slot_requests: tuple[tuple[str, int], ...] = ((DEFAULT_SLOT_TYPE, 1),)
    is_durable: bool = False
    concurrency: tuple[ConcurrencyLimit, ...] = ()
    rate_limits: tuple[RateUse, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class WorkflowDefinition:
    """A graph of tasks and what holds for the whole of a run.

    tasks:      in the order of declaration; parents may stand after their children
    on_failure: runs once when a task of the run has failed for good
    undelivered: (feature, where) for everything declared that this engine does not carry out yet
    crons:      expressions of `core.cron_time`; cron_input: what their runs get, a JSON object
    events:     event keys that start it; `*` stands for any run of characters
    """

    name: str
    tasks: tuple[TaskDefinition, ...]
    description: str = ""
    version: str = ""
    on_failure: TaskDefinition | None = None
    sticky: StickyStrategy | None = None
    default_priority: int | None = None
    input_schema: bytes | None = None
    undelivered: tuple[tuple[Feature, str], ...] = ()
    crons: tuple[str, ...] = ()
    cron_input: bytes = b"{}"
    concurrency: tuple[ConcurrencyLimit, ...] = ()
    idempotency: Idempotency | None = None
    events: tuple[str, ...] = ()
    filters: tuple[DefaultFilter, ...] = ()

    @cached_property
    def steps(self) -> tuple[TaskDefinition, ...]:
        """All tasks, the on-failure task last; a task's position here is its `step` number in rows."""
        return self.tasks if self.on_failure is None else (*self.tasks, self.on_failure)

    @cached_property
    def on_failure_step(self) -> int | None:
        """The step number of the on-failure task."""
        return None if self.on_failure is None else len(self.tasks)

    @cached_property
    def step_by_name(self) -> dict[str, int]:
        return {task.name: step for step, task in enumerate(self.steps)}

    @cached_property
    def parent_steps(self) -> tuple[tuple[int, ...], ...]:
        """Per step, the step numbers of its parents."""
        return tuple(tuple(self.step_by_name[name] for name in task.parents) for task in self.steps)

    @cached_property
    def child_steps(self) -> tuple[tuple[int, ...], ...]:
        """Per step, the step numbers of its direct children."""
        children: list[list[int]] = [[] for _ in self.steps]
        for step, parents in enumerate(self.parent_steps):
            for parent in parents:
                children[parent].append(step)
        return tuple(tuple(found) for found in children)

    @cached_property
    def action_ids(self) -> frozenset[ActionId]:
        """Every action of the workflow; a worker that registers them all can finish a run (ST-33b)."""
        return frozenset(task.action_id for task in self.steps)

    @cached_property
    def run_gates(self) -> tuple[Gate, ...]:
        """The limits that a run passes as a whole, in this order; of a single task they are the task's own (F2.4, F2.5)."""
        if len(self.steps) == 1:
            return ()
        return in_passing_order([Gate(number, limit, of_run=True) for number, limit in enumerate(self.concurrency)])

    @cached_property
    def task_gates(self) -> tuple[tuple[Gate, ...], ...]:
        """Per step, the limits that its task passes one after the other (F2.13)."""
        first = len(self.run_gates)
        found: list[tuple[Gate, ...]] = []
        for task in self.steps:
            own = (*self.concurrency, *task.concurrency) if len(self.steps) == 1 else task.concurrency
            found.append(in_passing_order([Gate(first + place, limit, of_run=False) for place, limit in enumerate(own)]))
            first += len(own)
        return tuple(found)

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """All limits, by number."""
        found = (*self.run_gates, *(gate for gates in self.task_gates for gate in gates))
        return tuple(sorted(found, key=lambda gate: gate.number))

    @cached_property
    def rate_uses(self) -> tuple[tuple[tuple[RateUse, int | None], ...], ...]:
        """Per step, what its task takes of rate limits; a computed use with its number in a run's values."""
        number = 0
        found: list[tuple[tuple[RateUse, int | None], ...]] = []
        for task in self.steps:
            own: list[tuple[RateUse, int | None]] = []
            for use in task.rate_limits:
                own.append((use, number if use.is_computed else None))
                number += use.is_computed
            found.append(tuple(own))
        return tuple(found)

    @cached_property
    def computed_rates(self) -> tuple[RateUse, ...]:
        """The uses of rate limits for which a run must bring values, by number."""
        return tuple(use for task in self.steps for use in task.rate_limits if use.is_computed)

    @cached_property
    def named_rates(self) -> tuple[str, ...]:
        """The rate limits that the definition itself names."""
        return tuple(dict.fromkeys(use.key for task in self.steps for use in task.rate_limits if not use.key_expression))

    @cached_property
    def has_rates(self) -> bool:
        """Whether any task takes units of a rate limit."""
        return any(task.rate_limits for task in self.steps)

    @cached_property
    def is_computed(self) -> bool:
        """Whether a run must bring values of expressions, which an edge computes."""
        return bool(self.gates or self.computed_rates) or self.idempotency is not None

    @cached_property
    def rules(self) -> tuple[Rules, ...]:
        """Per step, its conditions."""
        return tuple(Rules(task.conditions) for task in self.steps)

    @cached_property
    def output_expressions(self) -> tuple[tuple[str, ...], ...]:
        """Per step, the expressions that look at its task's output; an edge evaluates them (decision 0021)."""
        found: list[dict[str, None]] = [{} for _ in self.steps]
        for one in (condition for task in self.steps for condition in task.conditions):
            if one.kind is Kind.PARENT and one.expression:
                found[self.step_by_name[one.subject]][one.expression] = None
        return tuple(tuple(expressions) for expressions in found)

    @cached_property
    def event_expressions(self) -> dict[str, tuple[str, ...]]:
        """By event key, the expressions that look at such an event's payload."""
        found: dict[str, dict[str, None]] = {}
        for one in (condition for task in self.steps for condition in task.conditions):
            if one.kind is Kind.EVENT and one.expression:
                found.setdefault(one.subject, {})[one.expression] = None
        return {key: tuple(expressions) for key, expressions in found.items()}
