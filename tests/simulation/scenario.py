"""What a seed chooses before time begins: the shape of the tenants, and the weather."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from limpet.core.definitions import (
    Comparator,
    ConcurrencyLimit,
    DesiredLabel,
    LimitStrategy,
    StickyStrategy,
    TaskDefinition,
    WorkflowDefinition,
)
from limpet.core.errors import InvalidArgument
from limpet.core.ids import ActionId
from limpet.core.settings import HardStickyPolicy, RetryPriority, Settings
from limpet.core.shared_limits import check_order
from tests.simulation.agenda import MS, SECOND
from tests.simulation.condition_choice import with_conditions
from tests.simulation.meters import choose_rates

ACTIONS = tuple(ActionId(f"svc:{letter}") for letter in "abcdef")
ZONES = ("north", "south")
LABELS = (
    DesiredLabel("zone", "north", required=True),
    DesiredLabel("zone", "south", weight=50),
    DesiredLabel("zone", "north", weight=-20),
    DesiredLabel("memory", 256, required=True, comparator=Comparator.GREATER_THAN),
    DesiredLabel("memory", 512, weight=10, comparator=Comparator.LESS_THAN_OR_EQUAL),
    DesiredLabel("zone", "south", required=True, comparator=Comparator.NOT_EQUAL),
    DesiredLabel("zone", "north", weight=7, comparator=Comparator.GREATER_THAN),
)


@dataclass(frozen=True, slots=True)
class Weather:
    """How often things go wrong while faults last. Chances are per event, means are virtual microseconds."""

    lost: float = 0.0  # a message between two processes
    doubled: float = 0.0
    delayed: float = 0.0
    slow_commit: float = 0.0
    transient: float = 0.0
    answer_lost: float = 0.0
    undeliverable: float = 0.0
    engine_mean: int = 0  # between faults of the engine; 0: none
    worker_mean: int = 0  # between faults of workers
    rewinds: bool = False
    clock_jumps: bool = False
    outages: bool = False
    poison: bool = False


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What one worker process offers."""

    name: str
    actions: tuple[ActionId, ...]
    slots: tuple[tuple[str, int], ...]
    labels: tuple[tuple[str, str | int], ...]


@dataclass(slots=True)
class Scenario:
    """Everything that is fixed for one seed."""

    settings: Settings
    weather: Weather
    speed: int  # liveness constants and heartbeats are shortened by it
    tenants: int
    batch: int
    rate_permille: int
    trigger_mean: int
    faults_until: int
    ends_at: int
    servers: int  # 1: it owns the store as soon as it claims it; more: one has the lease, the others stand by


def choose_scenario(rng: Random) -> Scenario:
    """The scenario of a seed."""
    servers = Random(rng.random()).choice((1, 1, 2, 3))
    speed = rng.choice((1, 4))
    return Scenario(
        _settings(rng, speed),
        _weather(rng),
        speed,
        rng.choice((1, 1, 1, 2)),
        rng.choice((1, 5, 200)),
        rng.choice((1_000, 1_000, 900, 1_100)),
        rng.choice((300, 600, 1_200)) * MS,
        40 * SECOND,
        60 * SECOND,
        servers,
    )


def _settings(rng: Random, speed: int) -> Settings:
    base = Settings()
    return Settings(
        worker_assignable_us=base.worker_assignable_us // speed,
        worker_lost_after_us=base.worker_lost_after_us // speed,
        receipt_grace_us=base.receipt_grace_us // speed,
        receipt_grace_after_load_us=base.receipt_grace_after_load_us // speed,
        receipt_timeout_us=base.receipt_timeout_us // speed,
        hard_sticky_grace_us=rng.choice((2, 8, 30)) * SECOND,
        internal_retries_max=rng.choice((1, 3, 10)),
        hard_sticky_policy=rng.choice((HardStickyPolicy.FAIL, HardStickyPolicy.FAIL, HardStickyPolicy.WAIT)),
        retry_priority=rng.choice((RetryPriority.DECLARED, RetryPriority.DECLARED, RetryPriority.UPSTREAM)),
        priority_age_us=rng.choice((0, 0, 0, 3 * SECOND)),
        depth_first=rng.random() < 0.15,
        slot_hold_us=rng.choice((0, 500 * MS, 5 * SECOND)),
        due_batch_max=rng.choice((1_000, 1_000, 2)),
        heard_batch_max=rng.choice((500, 1)),
        worker_forgotten_after_us=rng.choice((20, 24 * 3600)) * SECOND,
    )


def _weather(rng: Random) -> Weather:
    if rng.random() < 0.1:
        return Weather()
    often = rng.choice((0.3, 1.0))
    return Weather(
        lost=0.02 * often * rng.random(),
        doubled=0.05 * often * rng.random(),
        delayed=0.05 * often * rng.random(),
        slow_commit=rng.choice((0.0, 0.03)),
        transient=rng.choice((0.0, 0.05)),
        answer_lost=rng.choice((0.0, 0.05)),
        undeliverable=rng.choice((0.0, 0.0, 0.05)),
        engine_mean=rng.choice((0, 8, 20)) * SECOND,
        worker_mean=rng.choice((0, 3, 8)) * SECOND,
        rewinds=rng.random() < 0.2,
        clock_jumps=rng.random() < 0.3,
        outages=rng.random() < 0.3,
        poison=rng.random() < 0.2,
    )


def choose_workers(rng: Random) -> list[WorkerKind]:
    """The worker processes of one tenant."""
    kinds = []
    for number in range(rng.choice((1, 2, 3, 4, 5))):
        actions = ACTIONS if rng.random() < 0.6 else tuple(a for a in ACTIONS if rng.random() < 0.6) or ACTIONS[:1]
        slots = [("default", rng.choice((1, 1, 2, 3, 6)))]
        if rng.random() < 0.3:
            slots.append(("gpu", rng.choice((1, 2))))
        kinds.append(WorkerKind(f"worker-{number}", actions, tuple(slots), choose_worker_labels(rng)))
    return kinds


def choose_worker_labels(rng: Random) -> tuple[tuple[str, str | int], ...]:
    labels: list[tuple[str, str | int]] = []
    if rng.random() < 0.7:
        labels.append(("zone", rng.choice(ZONES)))
    if rng.random() < 0.5:
        labels.append(("memory", rng.choice((128, 512, 1024, "512"))))
    return tuple(labels)


def choose_labels(rng: Random, chance: float) -> tuple[DesiredLabel, ...]:
    """A set of wishes and demands, one for each key at most twice."""
    if rng.random() >= chance:
        return ()
    return tuple(rng.sample(LABELS, rng.choice((1, 1, 2, 3))))


SHARED = ("api", "web")  # names of limits that several workflows share
EVENTS = (("order:*", "order:paid"), ("order:created",), ("invoice", "order:paid"))  # what a workflow may start on


def choose_workflow(rng: Random, name: str) -> WorkflowDefinition:
    """A random graph of one to five tasks."""
    count = rng.choice((1, 1, 1, 2, 3, 4, 5))
    tasks = [_task(rng, f"t{number}", _parents(rng, number)) for number in range(count)]
    choosy, meters = Random(repr(tasks)), Random(repr(tasks))  # their own chance, so that what seeds found stays findable
    tasks = [with_conditions(task, choosy) for task in tasks]
    made = WorkflowDefinition(
        name,
        tuple(_metered(meters, task) for task in tasks),
        on_failure=_metered(meters, _task(rng, "rescue", ())) if rng.random() < 0.3 else None,
        sticky=rng.choice((None, None, StickyStrategy.SOFT, StickyStrategy.HARD, StickyStrategy.HARD)),
        default_priority=rng.choice((None, None, 1, 2, 3)),
        concurrency=_limits(rng, 0.3),
        events=EVENTS[count % len(EVENTS)],
    )
    return _sharing(Random(repr(made)), made)


def _sharing(rng: Random, made: WorkflowDefinition) -> WorkflowDefinition:
    """Some limits are shared by name, or compute how many may be in; none where the order of names would not hold."""

    def changed(limits: tuple[ConcurrencyLimit, ...]) -> tuple[ConcurrencyLimit, ...]:
        found = [replace(one, runs_expression="most") if rng.random() < 0.2 else one for one in limits]
        return tuple(replace(one, name=rng.choice(SHARED), is_shared=True) if rng.random() < 0.4 else one for one in found)

    tasks = tuple(replace(task, concurrency=changed(task.concurrency)) for task in made.tasks)
    shared = replace(made, tasks=tasks, concurrency=changed(made.concurrency))
    try:
        check_order(shared)
    except InvalidArgument:
        return made
    return shared


def _parents(rng: Random, number: int) -> tuple[str, ...]:
    if not number or rng.random() < 0.25:
        return ()
    return tuple(f"t{one}" for one in sorted(rng.sample(range(number), rng.randint(1, min(2, number)))))


def _task(rng: Random, name: str, parents: tuple[str, ...]) -> TaskDefinition:
    backoff = rng.choice((None, None, 1_000, 2_000))
    return TaskDefinition(
        name,
        rng.choice(ACTIONS),
        parents,
        retries=rng.choice((0, 0, 1, 3)),
        schedule_timeout_us=rng.choice((3, 15, 60)) * SECOND,
        execution_timeout_us=rng.choice((2, 8, 40)) * SECOND,
        backoff_factor_milli=backoff,
        backoff_max_us=rng.choice((1, 5)) * SECOND,
        desired_labels=choose_labels(rng, 0.25),
        slot_requests=rng.choice(((("default", 1),),) * 5 + ((("default", 2),), (("default", 3),), (("default", 1), ("gpu", 1)))),
        concurrency=_limits(rng, 0.15),
    )


def _metered(rng: Random, task: TaskDefinition) -> TaskDefinition:
    return replace(task, rate_limits=choose_rates(rng)) if rng.random() < 0.15 else task


def _limits(rng: Random, chance: float) -> tuple[ConcurrencyLimit, ...]:
    """One or two concurrency limits; those that make others wait are the most frequent."""
    if rng.random() >= chance:
        return ()
    strategies = (*(LimitStrategy.GROUP_ROUND_ROBIN,) * 3, LimitStrategy.CANCEL_IN_PROGRESS, LimitStrategy.CANCEL_NEWEST)
    count = rng.choice((1, 1, 2))
    return tuple(
        ConcurrencyLimit(f"x{rng.randrange(1000)}", rng.choice((1, 1, 2, 4)), rng.choice(strategies)) for _ in range(count)
    )
