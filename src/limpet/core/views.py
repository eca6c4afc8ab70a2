"""What the core shows of its memory to edges: frozen copies, no references."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.definitions import LabelValue


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
