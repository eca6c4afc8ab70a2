"""What the core shows of its memory to edges: frozen copies, no references."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.definitions import LabelValue
from limpet.core.limits_view import LimitsView
from limpet.core.records import Version, Worker


@dataclass(frozen=True, slots=True)
class SlotView:
    """A pool of a worker."""

    slot_type: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as it stands now. Instants in microseconds; None: never, or not."""

    key: int
    worker_id: str
    name: str
    actions: tuple[str, ...]
    labels: tuple[tuple[str, LabelValue], ...]
    slots: tuple[SlotView, ...]
    runtime: bytes
    registered_at: int
    seen_at: int | None
    stream_open: bool
    paused: bool
    lost_at: int | None
    gone_at: int | None
    task_run_ids: tuple[str, ...]


def limits_of(version: Version) -> LimitsView:
    """What is to be evaluated."""
    definition = version.definition
    expressions = tuple(gate.limit.expression for gate in definition.gates)
    rule = definition.idempotency
    return LimitsView(version.id, expressions, definition.computed_rates, None if rule is None else rule.expression)


@dataclass(frozen=True, slots=True)
class OutputView:
    """The expressions that look at a task's output, in the version of its run."""

    version_id: str
    expressions: tuple[str, ...]


def of_worker(worker: Worker) -> WorkerView:
    """The worker as it stands now."""
    return WorkerView(
        worker.key,
        worker.id,
        worker.name,
        tuple(sorted(worker.actions)),
        tuple(worker.labels.items()),
        tuple(SlotView(kind, total, worker.free(kind)) for kind, total in worker.slots.items()),
        worker.runtime,
        worker.registered_at,
        worker.seen_at,
        bool(worker.sessions),
        worker.paused,
        worker.lost_at,
        worker.gone_at,
        tuple(task.id for task in worker.tasks.values()),
    )
