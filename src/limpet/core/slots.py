"""Free and used units of a worker, by slot type. All units of a request come from one worker (SL-4)."""

from __future__ import annotations

from limpet.core.ids import Instant
from limpet.core.records import Hold, TaskRun, Worker

Request = tuple[tuple[str, int], ...]
RATIO_SCALE = 1_000_000


def fits(worker: Worker, request: Request) -> bool:
    """Whether the worker has all units free now."""
    return all(worker.slots.get(kind, 0) - worker.used.get(kind, 0) >= units for kind, units in request)


def capable(worker: Worker, request: Request) -> bool:
    """Whether the worker could ever have all units free (SL-5)."""
    return all(worker.slots.get(kind, 0) >= units for kind, units in request)


def free_ratio(worker: Worker, request: Request) -> int:
    """Free share of the scarcest pool that the request asks for, in millionths (SL-15)."""
    return min((worker.free(kind) * RATIO_SCALE // max(1, worker.slots.get(kind, 0)) for kind, _ in request), default=0)


def take(worker: Worker, request: Request) -> None:
    """Reserve the units. More than are free is a bug and asserts (SL-8)."""
    assert fits(worker, request), f"worker {worker.id} has not the units {request} free"
    for kind, units in request:
        worker.used[kind] = worker.used.get(kind, 0) + units


def give_back(worker: Worker, request: Request) -> None:
    """Free the units, once for each `take` (W3)."""
    for kind, units in request:
        left = worker.used.get(kind, 0) - units
        assert left >= 0, f"worker {worker.id} gets back more {kind} units than it gave"
        worker.used[kind] = left


def is_heavy(request: Request) -> bool:
    """Whether a request can be starved by smaller ones: it asks for more than one unit in all (SL-6)."""
    return sum(units for _, units in request) > 1


def active_hold(worker: Worker, now: Instant) -> Hold | None:
    """The hold on the worker's freed units, while its task still waits and its time is not up."""
    hold = worker.hold
    return hold if hold is not None and hold.until > now and hold.task.in_queue else None


def held_against(worker: Worker, order: tuple[int, ...], task: TaskRun, now: Instant) -> bool:
    """Whether the worker's units are kept for a task that stands before this one."""
    hold = active_hold(worker, now)
    return hold is not None and hold.task is not task and hold.order < order
