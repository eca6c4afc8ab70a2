"""What was registered: workflows, their tasks, the options of both. Immutable; compared by checksum."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

from limpet.core.ids import SECOND_US, ActionId

DEFAULT_SCHEDULE_TIMEOUT_US = 300 * SECOND_US
DEFAULT_EXECUTION_TIMEOUT_US = 60 * SECOND_US
DEFAULT_SLOT_TYPE = "default"
DEFAULT_SLOT_COUNT = 100  # a worker that names no slots (SL-1)
PRIORITY_MIN, PRIORITY_MAX = 1, 3
DEFAULT_LABEL_WEIGHT = 100  # LB-1
BACKOFF_MAX_DEFAULT_US = 86_400 * SECOND_US  # RT-3


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


LabelValue = str | int


@dataclass(frozen=True, slots=True, order=True)
class DesiredLabel:
    """A wish (`required=False`, counted by `weight`) or a demand for a worker's label."""

    key: str
    value: LabelValue
    required: bool = False
    weight: int = DEFAULT_LABEL_WEIGHT
    comparator: Comparator = Comparator.EQUAL


class Feature(StrEnum):
    """Features that a definition may declare and this engine does not carry out yet."""

    CONDITIONS = "conditions"
    CONCURRENCY = "concurrency"
    RATE_LIMITS = "rate limits"
    IDEMPOTENCY = "idempotency"
    DURABLE = "durable tasks"
    BATCH = "batch tasks"
    EVENTS = "event triggers"
    FILTERS = "event filters"
    CRON = "cron triggers"  # carried out by now; definitions that an older release has stored still say that they are not


# Without these a run would end differently from what its author wrote, so its trigger is refused;
# the others only start runs by themselves, and a run started by name is the same with or without them.
CHANGES_OUTCOME = frozenset(
    {Feature.CONDITIONS, Feature.CONCURRENCY, Feature.RATE_LIMITS, Feature.IDEMPOTENCY, Feature.DURABLE, Feature.BATCH}
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


@dataclass(frozen=True)
class WorkflowDefinition:
    """A graph of tasks and what holds for the whole of a run.

    tasks:      in the order of declaration; parents may stand after their children
    on_failure: runs once when a task of the run has failed for good
    undelivered: (feature, where) for everything declared that this engine does not carry out yet
    crons:      expressions of `core.cron_time`; cron_input: what their runs get, a JSON object
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
