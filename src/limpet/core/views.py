"""What the core shows of its memory to edges: frozen copies, no references."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.definitions import LabelValue
from limpet.core.limits_view import LimitsView as LimitsView
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
    rule = version.definition.idempotency
    expressions = tuple(gate.limit.expression for gate in version.definition.gates)
    return LimitsView(version.id, expressions, None if rule is None else rule.expression)


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
