"""Checks of placement: W1, W2, P-HARD, P-SOFT, P-REQ, P-WEIGHT, P-PRIO, and work conservation (L1). Brute force over rows."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.definitions import StickyStrategy
from limpet.core.rows import PinState, TaskRow, TaskStatus
from tests.simulation.meters import has_units
from tests.simulation.mirror import Mirror, Step
from tests.simulation.oracle import FAR, Offer, Order, Wish, has_room, may_go, pin_of, rank
from tests.simulation.pauses import is_overdue

Free = dict[int, dict[str, int]]
RATIO_SCALE = 1_000_000


def capacity(mirror: Mirror) -> Iterator[str]:
    """W1: no worker holds more units than it has."""
    for key, pools in mirror.free().items():
        for kind, units in pools.items():
            if units < 0:
                yield f"W1: worker {key} has {-units} {kind} units too many in use"
    for key in mirror.live:
        row = mirror.tables.tasks[key]
        if row.worker_key not in mirror.tables.workers:
            yield f"R29: live task {row.id} names worker {row.worker_key}, which is forgotten"


def placements(step: Step) -> Iterator[str]:
    """Every start of the step, in its order, against the free units of that moment."""
    if not step.starts:
        return
    mirror = step.mirror
    free = {key: dict(pools) for key, pools in mirror.free().items()}
    placed = [(mirror.tables.tasks[start.task_key], mirror.tables.worker_keys[start.worker_id]) for start in step.starts]
    left = [
        new
        for before, new in step.tasks
        if new.status != TaskStatus.QUEUED and (before is None or before.status == TaskStatus.QUEUED)
    ]
    heavy = _heavy(mirror, step.now, left)
    for row, worker_key in placed:
        _shift(free[worker_key], mirror.wish(row), +1)
    for row, worker_key in placed:
        set_pin = _set_the_pin(step, row)
        yield from _is_allowed(step, row, worker_key, set_pin)
        if not step.is_paced:
            yield from _is_best(step, row, worker_key, mirror.wish(row, set_pin=set_pin), free, heavy)
        _shift(free[worker_key], mirror.wish(row), -1)
    yield from _priority(step, placed, free)


def _shift(pools: dict[str, int], wish: Wish, sign: int) -> None:
    for kind, units in wish.slots:
        pools[kind] = pools.get(kind, 0) + sign * units


def _set_the_pin(step: Step, row: TaskRow) -> bool:
    """Whether this very placement set its run's pin."""
    run = step.mirror.tables.runs[row.run_key]
    if run.sticky is None or run.pin_task_key != row.key or run.pin_state != PinState.TENTATIVE:
        return False
    old = next((before for before, new in step.runs if new.key == run.key), run)
    return old is None or (old.pin_state, old.pin_task_key, old.pin_worker_id) != (
        run.pin_state, run.pin_task_key, run.pin_worker_id
    )  # fmt: skip


def _is_allowed(step: Step, row: TaskRow, worker_key: int, set_pin: bool) -> Iterator[str]:
    """W2, P-HARD, P-REQ, T11: whether the worker may get the task at all."""
    mirror = step.mirror
    offer, run = mirror.offer(worker_key), mirror.tables.runs[row.run_key]
    what = f"task {row.id} attempt {row.retry_count} on worker {offer.id}"
    if row.worker_key != worker_key:
        yield f"W2: {what}: its row names another worker"
    if not mirror.is_assignable(worker_key, step.now, surely=False):
        yield f"W2: {what}: the worker is not assignable"
    if not may_go(mirror.wish(row, set_pin=set_pin), offer):
        yield f"P-REQ: {what}: the worker fails a hard filter: {mirror.wish(row, set_pin=set_pin)}, {offer}"
    if run.sticky is not None and (pin_of(run) is None or not mirror.is_present(pin_of(run) or "")):
        yield f"ST-11: {what}: its sticky run has no pin to a worker that is there: {run.pin_worker_id}"
    if run.sticky == StickyStrategy.HARD and pin_of(run) != offer.id:
        yield f"P-HARD: {what}: its run is pinned to {run.pin_worker_id}"
    if is_overdue(mirror.tables, row, step.now):
        yield f"T11: {what}: assigned after its schedule timeout"


def _is_best(
    step: Step, row: TaskRow, worker_key: int, wish: Wish, free: Free, heavy: list[tuple[Order, TaskRow, Wish]]
) -> Iterator[str]:
    """P-SOFT, P-WEIGHT, SL-15: no other worker with room was better."""
    mirror, mine = step.mirror, step.mirror.offer(worker_key)
    run = mirror.tables.runs[row.run_key]
    order = _order_before(step, row)
    best = (rank(wish, mine), -_ratio(wish, mine, free[worker_key]))
    for key in mirror.tables.workers:
        other = mirror.offer(key)
        if key == worker_key or not mirror.is_assignable(key, step.now, surely=True) or not may_go(wish, other):
            continue
        if not has_room(wish, free[key]) or (run.sticky is None and row.retry_count):  # may avoid its last worker
            continue
        score = (rank(wish, other), -_ratio(wish, other, free[key]))
        if score < best and not _may_be_held(heavy, order, row, other):
            law = "P-SOFT" if wish.likes == other.id else "P-WEIGHT"
            yield f"{law}: task {row.id} went to {mine.id} with {best}, though {other.id} had room with {score}"


def _ratio(wish: Wish, offer: Offer, pools: dict[str, int]) -> int:
    return min(pools.get(kind, 0) * RATIO_SCALE // max(1, offer.slots.get(kind, 0)) for kind, _ in wish.slots)


def _heavy(mirror: Mirror, now: int, more: list[TaskRow]) -> list[tuple[Order, TaskRow, Wish]]:
    """Tasks for which freed units may be held (SL-6): those that wait, and those that did until this step."""
    if not mirror.settings.slot_hold_us:
        return []
    rows = [mirror.tables.tasks[key] for key in mirror.in_line] + more
    wishes = ((row, mirror.wish(row, set_pin=False)) for row in rows)
    return [(mirror.order(row, now), row, wish) for row, wish in wishes if wish.is_heavy]


def _may_be_held(heavy: list[tuple[Order, TaskRow, Wish]], order: Order, row: TaskRow, offer: Offer) -> bool:
    """Whether units of the worker could be kept for an earlier task. Its pin of that moment is not known: any will do."""
    return any(first < order and other.key != row.key and wish.action in offer.actions for first, other, wish in heavy)


def _priority(step: Step, placed: list[tuple[TaskRow, int]], free: Free) -> Iterator[str]:
    """P-PRIO: nobody who waits stands before one that got a slot which the waiting one could have taken."""
    mirror, now = step.mirror, step.now
    if not mirror.in_line or step.is_paced:
        return
    rows = [mirror.tables.tasks[key] for key in mirror.in_line]
    pinned_now = {
        row.run_key for row, _ in placed if _set_the_pin(step, row)
    }  # placing may end their other tasks, and so make new ones
    rows = [
        row
        for row in rows
        if not is_overdue(mirror.tables, row, now) and not (row.run_key in pinned_now and row.queued_at == now)
    ]
    if pinned_now:  # those that it ended may have left their places to others
        let_in = {new.key for old, new in step.tasks if old is None or old.enqueue_key != new.enqueue_key}
        rows = [row for row in rows if row.key not in let_in or mirror.tables.runs[row.run_key].limit_keys is None]
    waiting = [(mirror.order(row, now), row, mirror.wish(row)) for row in rows]
    for row, worker_key in placed:
        order, offer = mirror.order(row, now), mirror.offer(worker_key)
        if mirror.settings.depth_first and _set_started(step, row):
            continue  # its own start made it the earliest; its order at the moment of decision is gone
        pools = dict(free[worker_key])
        _shift(pools, mirror.wish(row), +1)
        for first, other, wish in waiting:
            if first < order and may_go(wish, offer) and has_room(wish, pools) and has_units(mirror, other, now, extra=row):
                yield (
                    f"P-PRIO: task {row.id} {order} got a slot of {offer.id} while {other.id} {first} waits "
                    f"that could have taken it"
                )


def _order_before(step: Step, row: TaskRow) -> Order:
    """The order at the moment of decision: the run's start, with depth first, comes only by the placement."""
    order = step.mirror.order(row, step.now)
    return (*order[:2], FAR, *order[3:]) if step.mirror.settings.depth_first and _set_started(step, row) else order


def _set_started(step: Step, row: TaskRow) -> bool:
    return step.mirror.tables.runs[row.run_key].started_at == step.now


def work_conservation(mirror: Mirror, now: int) -> Iterator[str]:
    """L1: no waiting task and worker fit each other by all rules."""
    if not mirror.in_line:
        return
    free = mirror.free()
    ready = [
        (mirror.offer(key), pools)
        for key, pools in free.items()
        if any(units > 0 for units in pools.values()) and mirror.is_assignable(key, now, surely=True)
    ]
    if not ready:
        return
    looked: set[Wish] = set()
    heavy: list[tuple[Order, TaskRow, Wish]] | None = None  # looked for once, and only if somebody fits
    for key in mirror.in_line:
        row = mirror.tables.tasks[key]
        wish = mirror.wish(row)
        if wish in looked or is_overdue(mirror.tables, row, now) or not has_units(mirror, row, now):
            continue
        fitting = [offer for offer, pools in ready if has_room(wish, pools) and may_go(wish, offer)]
        if not fitting:
            looked.add(wish)
            continue
        heavy, order = _heavy(mirror, now, []) if heavy is None else heavy, mirror.order(row, now)
        for offer in fitting:
            if not _may_be_held(heavy, order, row, offer):
                yield f"L1: task {row.id} waits although worker {offer.id} could take it"
