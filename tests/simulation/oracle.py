"""Where a task may go, by brute force: the rules of assignment sections 1 to 4, over rows, without an index or a heap.

Written from the specification, not from the core: it has labels, pins, order and slots of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from limpet.core.definition_text import decode_definition
from limpet.core.definitions import Comparator, DesiredLabel, StickyStrategy, TaskDefinition, WorkflowDefinition
from limpet.core.rows import PinState, RunRow, TaskRow, WorkerRow
from limpet.core.settings import Settings

Order = tuple[int, ...]
Slots = Mapping[str, int]
FAR = 1 << 62
COMPARE: Mapping[Comparator, Callable[[int, int], bool]] = {
    Comparator.GREATER_THAN: operator.gt,
    Comparator.GREATER_THAN_OR_EQUAL: operator.ge,
    Comparator.LESS_THAN: operator.lt,
    Comparator.LESS_THAN_OR_EQUAL: operator.le,
}


@lru_cache(maxsize=2_000)
def definition_of(text: bytes) -> WorkflowDefinition:
    """A version's definition."""
    return decode_definition(text)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker's row says it offers."""

    key: int
    id: str
    actions: frozenset[str]
    slots: Slots
    labels: Mapping[str, str | int]
    paused: bool
    present: bool


def offer_of(row: WorkerRow) -> Offer:
    return Offer(
        row.key,
        row.id,
        frozenset(msgspec.json.decode(row.actions)),
        msgspec.json.decode(row.slots),
        msgspec.json.decode(row.labels),
        bool(row.paused),
        row.lost_at is None and row.gone_at is None,
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What a waiting task demands and prefers."""

    action: str
    labels: tuple[DesiredLabel, ...]
    slots: tuple[tuple[str, int], ...]
    must: str | None  # HARD pin
    likes: str | None  # SOFT pin
    whole: frozenset[str] | None  # all actions of the workflow, while a sticky run has no pin (ST-33b)

    @property
    def is_heavy(self) -> bool:
        return sum(units for _, units in self.slots) > 1


def labels_in_force(run: RunRow, task: TaskDefinition) -> tuple[DesiredLabel, ...]:
    """Those of the trigger replace those of the definition (LB-14)."""
    if run.desired_labels:
        return msgspec.json.decode(run.desired_labels, type=tuple[DesiredLabel, ...])
    return task.desired_labels


def wish_of(run: RunRow, definition: WorkflowDefinition, step: int, pin: str | None, is_present: Callable[[str], bool]) -> Wish:
    """What the task of that step wants, if the run is pinned to that worker."""
    task = definition.steps[step]
    must = pin if run.sticky == StickyStrategy.HARD else None
    likes = pin if run.sticky == StickyStrategy.SOFT and pin is not None and is_present(pin) else None
    unpinned = run.sticky is not None and must is None and likes is None
    whole = frozenset(str(one.action_id) for one in definition.steps) if unpinned else None
    return Wish(task.action_id, labels_in_force(run, task), task.slot_requests, must, likes, whole)


def pin_of(run: RunRow) -> str | None:
    """The worker a sticky run is bound to, however firmly."""
    return run.pin_worker_id if run.sticky is not None and run.pin_state != PinState.UNSET else None


def label_fits(label: DesiredLabel, labels: Mapping[str, str | int]) -> bool:
    """The table of assignment 3.2."""
    if label.key not in labels:
        return False
    worker, wanted = labels[label.key], label.value
    if type(worker) is not type(wanted):
        return False
    if label.comparator in (Comparator.EQUAL, Comparator.NOT_EQUAL):
        return (worker == wanted) is (label.comparator is Comparator.EQUAL)
    return isinstance(worker, int) and isinstance(wanted, int) and COMPARE[label.comparator](worker, wanted)


def may_go(wish: Wish, offer: Offer) -> bool:
    """Whether the worker passes every hard filter and could ever hold the task."""
    return (
        wish.action in offer.actions
        and (wish.must is None or wish.must == offer.id)
        and all(label_fits(label, offer.labels) for label in wish.labels if label.required)
        and all(offer.slots.get(kind, 0) >= units for kind, units in wish.slots)
    )


def has_room(wish: Wish, free: Slots) -> bool:
    for kind, units in wish.slots:  # noqa: SIM110  asked some hundred thousand times a second
        if free.get(kind, 0) < units:
            return False
    return True


def rank(wish: Wish, offer: Offer) -> tuple[int, int, int]:
    """Smaller is better: the pinned worker, then one for the whole workflow, then label weight (ST-32, ST-33b, LB-11)."""
    weight = sum(label.weight for label in wish.labels if label_fits(label, offer.labels))
    whole = wish.whole is not None and not wish.whole <= offer.actions
    return (int(wish.likes is not None and wish.likes != offer.id), int(whole), -weight)


def order_of(task: TaskRow, run: RunRow, now: int, settings: Settings) -> Order:
    """Level, then (inside level 4) priority, then with depth first the run's start, then enqueue order (PR-10, PR-21)."""
    level = task.level
    if settings.priority_age_us and level < 3:
        level = min(3, level + (now - task.queued_at) // settings.priority_age_us)
    declared = run.priority if level >= 4 else 0
    started = (run.started_at if run.started_at is not None else FAR) if settings.depth_first else 0
    return (-level, -declared, started, task.enqueue_key)


def used_slots(tasks: Iterable[tuple[TaskRow, TaskDefinition]]) -> dict[int, dict[str, int]]:
    """Units held by live attempts that have not given them back, by worker key (W1)."""
    used: dict[int, dict[str, int]] = {}
    for row, definition in tasks:
        if row.worker_key is not None and not row.slots_released:
            pool = used.setdefault(row.worker_key, {})
            for kind, units in definition.slot_requests:
                pool[kind] = pool.get(kind, 0) + units
    return used
