"""`python -m tests.simulation.mutants`: planted bugs that the simulation must find (reliability 6.1, mutation proof).

Each mutant is one small change, made while it is tried and undone after it; production code has no switches. A mutant
that survives 1,000 seeds means that a checker is too weak, and the command then ends with 1.

Planted bugs of the specification that have no room to live in yet: a window refilled without regard to priority and a window
full of blocked tasks (the core holds whole queues), and a fence without a lock (this store commits at one instant; the fence without any check
stands for it; `tests/store` races real connections).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import Pool
from typing import Any

from limpet.core import (
    assignment,
    attempts,
    claims,
    concurrency,
    crons,
    deadlines,
    events,
    gates,
    graph,
    loading,
    machine,
    notices,
    pins,
    rate_limits,
    reasons,
    reports,
    runs,
    schedules,
    slots,
    timetable,
    triggers,
)
from limpet.core import queue as core_queue
from limpet.core import state as core_state
from limpet.core.buckets import Bucket
from limpet.core.claims import Claims
from limpet.core.gates import Gates, Group
from limpet.core.inputs import StreamClosed, StreamOpened, TaskStarted
from limpet.core.lanes import Lane
from limpet.core.lifecycle import Cause
from limpet.core.rates import Rates
from limpet.core.records import TaskRun
from limpet.core.rows import PinState, TaskStatus
from limpet.core.timers import Due
from limpet.core.timetable import Timetable
from limpet.engine.leases import Lease
from limpet.store.api import FenceMismatch
from tests.simulation.agenda import MS, EngineClock
from tests.simulation.engine import Engine
from tests.simulation.mutants_of_conditions import CONDITION_MUTANTS
from tests.simulation.mutants_of_limits import LIMIT_MUTANTS
from tests.simulation.servers import LeaseRow
from tests.simulation.store import ModelStore
from tests.simulation.world import simulate

SEEDS_MAX = 1_000  # the specification's patience with a mutant


class Surgery:
    """Changes to modules, classes and tables, all undone at the end."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def put(self, where: Any, name: str, what: Any) -> Any:
        """Replace an attribute; returns what it was."""
        old = getattr(where, name)
        self._undo.append(partial(setattr, where, name, old))
        setattr(where, name, what)
        return old

    def put_item(self, table: dict[Any, Any], key: Any, what: Any) -> Any:
        """Replace an entry; returns what it was."""
        old = table[key]
        self._undo.append(partial(table.__setitem__, key, old))
        table[key] = what
        return old

    def undo(self) -> None:
        """As it was."""
        while self._undo:
            self._undo.pop()()


Mutant = Callable[[Surgery], None]


def acknowledge_before_commit(surgery: Surgery) -> None:
    def commit(self: Engine, moves: Any, done: Any, refused: Any) -> None:
        for move in moves:
            self.tell(move)
        real(self, moves, self._next_turn, refused)

    real = surgery.put(Engine, "_commit", commit)


def ignore_retry_count(surgery: Surgery) -> None:
    real: Any = surgery.put(reports, "_fitting", lambda state, report: real(state, replace(report, retry_count=None)))


def resend_on_reconnect(surgery: Surgery) -> None:
    def open_stream(state: Any, item: StreamOpened) -> None:
        real(state, item)
        worker = state.workers_by_id[item.worker_id]
        waiting = [task for task in worker.tasks.values() if task.status is TaskStatus.ASSIGNED]
        state.deliveries.extend(attempts.start_message(state, task, worker) for task in waiting)

    real = surgery.put_item(machine.HANDLERS, StreamOpened, open_stream)


def skip_labels_when_sticky(surgery: Surgery) -> None:
    real: Any = surgery.put(core_state, "base_labels", lambda run, step: () if run.sticky is not None else real(run, step))


def leak_a_slot_on_cancel(surgery: Surgery) -> None:
    def cancel(state: Any, task: Any) -> None:
        task.slots_released = task.slots_released or task.status.is_live
        real(state, task)

    real = surgery.put(attempts, "cancel", cancel)


def dead_on_take_over(surgery: Surgery) -> None:
    def worker(row: Any, now: Any, seen: Any) -> Any:
        made = real(row, now, seen)
        made.seen_at = made.registered_at
        return made

    real = surgery.put(loading, "_worker", worker)


def lost_worker_forgotten_on_reload(surgery: Surgery) -> None:
    real: Any = surgery.put(loading, "_worker", lambda row, now, seen: real(row._replace(lost_at=None), now, seen))


def receipts_not_loaded(surgery: Surgery) -> None:
    surgery.put(loading, "_load_receipts", lambda state, tasks, rows: None)


def fence_without_check(surgery: Surgery) -> None:
    surgery.put(ModelStore, "check_fence", lambda self, fence: None)


def fence_on_epoch_only(surgery: Surgery) -> None:
    def check(self: ModelStore, fence: Any) -> None:
        if fence.epoch != self.epoch:
            raise FenceMismatch("another epoch")

    surgery.put(ModelStore, "check_fence", check)


def load_before_epoch_bump(surgery: Surgery) -> None:
    def claim(self: Engine) -> None:
        self.owned = self.store.claim()
        self.serve()

    def take_over(self: Engine) -> None:
        self.rewinds = self.world.rewinds
        for seat in self.seats.values():
            self.load(seat)
        self.later(100 * MS, partial(claim, self))

    surgery.put(Engine, "take_over", take_over)


def lease_always_trusted(surgery: Surgery) -> None:
    surgery.put(Lease, "is_trusted", property(lambda self: True))


def claim_before_the_lease_ends(surgery: Surgery) -> None:
    surgery.put(LeaseRow, "may_claim", lambda self, engine: True)


def subscribe_after_look_up(surgery: Surgery) -> None:
    def subscribe(self: Engine, tenant_no: Any, run_id: str, waiter: Any) -> None:
        self.look_up_result(tenant_no, run_id, waiter, self.agenda.now)
        self.later(self.world.spread(50 * MS), partial(self.register_waiter, tenant_no, run_id, waiter))

    surgery.put(Engine, "subscribe", subscribe)


def wall_clock_used(surgery: Surgery) -> None:
    surgery.put(EngineClock, "now", lambda self: self._wall.wall())


def priority_inverted(surgery: Surgery) -> None:
    def order_of(task: Any, now: Any, settings: Any) -> Any:
        level, *rest = real(task, now, settings)
        return (-level, *rest)

    real = core_queue.order_of
    for module in (assignment, attempts, core_state, deadlines, loading, reasons):
        surgery.put(module, "order_of", order_of)


def pin_lost_on_reload(surgery: Surgery) -> None:
    def run(state: Any, row: Any) -> Any:
        return real(state, row._replace(pin_state=PinState.UNSET, pin_worker_id=None, pin_task_key=None))

    real = surgery.put(loading, "_run", run)


def tentative_is_bound(surgery: Surgery) -> None:
    def set_pin(self: Any, run: Any, state: PinState, worker_id: Any, task_key: Any) -> None:
        real(self, run, PinState.BOUND if state is PinState.TENTATIVE else state, worker_id, task_key)

    real = surgery.put(core_state.State, "set_pin", set_pin)


def bound_is_tentative(surgery: Surgery) -> None:
    def worker_left(state: Any, worker: Any) -> Any:
        for run in worker.pinned.values():
            run.pin_state = PinState.TENTATIVE
        return real(state, worker)

    real = surgery.put(pins, "worker_left", worker_left)


def on_failure_runs_twice(surgery: Surgery) -> None:
    def follow(state: Any, run: Any, ended: Any) -> None:
        rescue = run.definition.on_failure_step
        failed = any(task.status is TaskStatus.FAILED and task.step != rescue for task in ended)
        if failed and rescue in run.tasks and run.tasks[rescue].status.is_terminal:
            del run.tasks[rescue]
        real(state, run, ended)

    real = surgery.put(runs, "follow", follow)


def child_key_ignored(surgery: Surgery) -> None:
    surgery.put(triggers, "child_ref_of", lambda item: None)


def request_id_ignored(surgery: Surgery) -> None:
    surgery.put(triggers, "_known", lambda item, ref, found: None if ref is None else found.runs_by_ref.get(ref))


def repeated_push_starts_again(surgery: Surgery) -> None:
    def push(state: Any, item: Any, found: Any) -> Any:
        return real(state, replace(item, is_repeatable=False), found)

    real = surgery.put(events, "push", push)


def repeated_schedule_plans_again(surgery: Surgery) -> None:
    def create(state: Any, item: Any, found: Any) -> Any:
        return real(state, replace(item, ids=()), found)

    real = surgery.put(schedules, "create", create)


def event_starts_its_last_run_alone(surgery: Surgery) -> None:
    def take(state: Any, event: Any) -> Any:
        return real(state, replace(event, starts=event.starts[-1:]))

    real = surgery.put(events, "_take", take)


def sources_not_loaded(surgery: Surgery) -> None:
    surgery.put(loading, "_load_sources", lambda state, rows: None)


def cron_advance_in_a_separate_commit(surgery: Surgery) -> None:
    _separate(surgery, "crons")


def schedule_dropped_in_a_separate_commit(surgery: Surgery) -> None:
    _separate(surgery, "schedules_dropped")


def _separate(surgery: Surgery, name: str) -> None:
    """What a list of a step's changes has for the runs it starts goes into the commit after."""
    left: dict[int, list[Any]] = {}

    def collect(self: Timetable, changes: Any) -> None:
        real(self, changes)
        late, now = left.pop(id(self), []), getattr(changes, name)
        if changes.runs_opened:
            left[id(self)], now = list(now), []
        setattr(changes, name, [*late, *now])

    real = surgery.put(Timetable, "collect", collect)


def idempotency_key_kept_when_the_run_ends(surgery: Surgery) -> None:
    surgery.put(runs, "_free_key", lambda state, run: None)


def idempotency_key_never_looked_up(surgery: Surgery) -> None:
    surgery.put(claims, "names_of", lambda keys: ())


def idempotency_key_in_a_separate_commit(surgery: Surgery) -> None:
    left: dict[int, list[Any]] = {}

    def collect(self: Claims, changes: Any) -> None:
        real(self, changes)
        changes.claims, left[id(self)] = left.get(id(self), []), changes.claims

    real = surgery.put(Claims, "collect", collect)


def pause_forgotten_by_new_runs(surgery: Surgery) -> None:
    surgery.put(attempts.parking, "holds", lambda run: False)


def pause_forgotten_on_reload(surgery: Surgery) -> None:
    surgery.put(loading, "_load_pauses", lambda state, rows: None)


def schedule_clock_runs_through_a_pause(surgery: Surgery) -> None:
    surgery.put(TaskRun, "due_by", property(lambda task: task.schedule_deadline))


def answer_of_the_clock_taken_for_any_instant(surgery: Surgery) -> None:
    real: Any = surgery.put(crons, "keyed", lambda state, row, item: real(state, row, replace(item, due_at=row.next_at)))


def question_of_the_clock_asked_once(surgery: Surgery) -> None:
    surgery.put(timetable, "KEYS_WAIT_US", 1 << 60)


def hold_never_released(surgery: Surgery) -> None:
    def active_hold(worker: Any, now: Any) -> Any:
        return worker.hold

    for module in (assignment, slots):
        surgery.put(module, "active_hold", active_hold)
    surgery.put(attempts, "release_hold", lambda state, task: None)
    surgery.put_item(deadlines._HANDLERS, Due.HOLD, lambda state, worker: None)


def cancel_not_sent(surgery: Surgery) -> None:
    surgery.put(attempts, "send_cancel", lambda state, worker, task, retry_count: None)


def requeue_keeps_attempt_number(surgery: Surgery) -> None:
    def next_attempt(task: Any) -> None:
        real(task)
        task.retry_count -= 1

    real = surgery.put(attempts, "_next_attempt", next_attempt)


def engine_faults_counted(surgery: Surgery) -> None:
    def take_back(*args: Any, **more: Any) -> Any:
        return real(*args, **{**more, "engines_fault": False})

    real = surgery.put(attempts, "take_back", take_back)


def confirmed_like_unconfirmed(surgery: Surgery) -> None:
    """A receipt is counted, and the attempt still waits for it."""
    surgery.put_item(machine.HANDLERS, TaskStarted, lambda state, report: reports._fitting(state, report) and None)


def execution_timeout_ignored(surgery: Surgery) -> None:
    real = surgery.put(deadlines, "_attempt", lambda state, task, at: None)
    assert callable(real)


def children_start_with_any_parent(surgery: Surgery) -> None:
    def fate(definition: Any, step: int, statuses: Any) -> Any:
        verdict = real(definition, step, statuses)
        parents = [statuses.get(one) for one in definition.parent_steps[step]]
        return graph.Fate.QUEUE if verdict is graph.Fate.WAIT and TaskStatus.COMPLETED in parents else verdict

    real = surgery.put(graph, "fate", fate)


def silent_worker_stays_assignable(surgery: Surgery) -> None:
    surgery.put_item(machine.HANDLERS, StreamClosed, lambda state, item: None)


def _leak_admissions(surgery: Surgery, *causes: Cause) -> None:
    def end(state: Any, task: Any, cause: Cause, **more: Any) -> None:
        if cause in causes:
            task.stage, kept = 0, task.stage
            real(state, task, cause, **more)
            task.stage = kept
        else:
            real(state, task, cause, **more)

    real = surgery.put(attempts, "end", end)


def leak_an_admission_on_schedule_timeout(surgery: Surgery) -> None:
    _leak_admissions(surgery, Cause.UNPLACEABLE)


def leak_an_admission_on_cancel(surgery: Surgery) -> None:
    _leak_admissions(surgery, Cause.CANCEL)


def leak_an_admission_unseen(surgery: Surgery) -> None:
    """The row says that the task has left, and its group still counts it."""

    def leave(self: Gates, subject: Any) -> None:
        if subject.at_gate:
            self.set_aside(subject)
        subject.stage = 0

    surgery.put(Gates, "leave", leave)


def admissions_not_loaded(surgery: Surgery) -> None:
    surgery.put(Gates, "restore", lambda self, subject: None)


def one_more_than_the_limit(surgery: Surgery) -> None:
    surgery.put(Group, "has_room", lambda self, subject: len(self.held) <= gates.size_of(subject, gates.gate_before(subject)))


def back_off_keeps_its_place(surgery: Surgery) -> None:
    def fail(state: Any, task: Any, *args: Any, **more: Any) -> Any:
        leave = attempts.leave_gates
        attempts.leave_gates = lambda state, task: None if task.status is TaskStatus.BACKING_OFF else leave(state, task)
        try:
            return real(state, task, *args, **more)
        finally:
            attempts.leave_gates = leave

    real = surgery.put(attempts, "fail", fail)


def run_keeps_its_place(surgery: Surgery) -> None:
    surgery.put(runs, "_review_gates", lambda state, run: None)


def oldest_stays_in_progress(surgery: Surgery) -> None:
    def rank_of(gate: Any, subject: Any, *, admitted: bool = False) -> Any:
        level, declared, age = real(gate, subject, admitted=admitted)
        return (level, declared, abs(age))

    real = surgery.put(gates, "rank_of", rank_of)


def priority_ignored_before_a_gate(surgery: Surgery) -> None:
    real: Any = surgery.put(
        gates, "rank_of", lambda gate, subject, *, admitted=False: (0, 0, real(gate, subject, admitted=admitted)[2])
    )


def nobody_follows_into_a_free_place(surgery: Surgery) -> None:
    def changed(self: Gates, group: Group) -> None:
        if not group.held and not group.waiting:
            real(self, group)

    real = surgery.put(Gates, "_changed", changed)


def round_robin_cancels(surgery: Surgery) -> None:
    def serve(state: Any, group: Group) -> bool:
        if real(state, group):
            return True
        concurrency._cancel(state, group.first()[1], "Cancelled by the concurrency limit: the key was full.")  # type: ignore[index]
        return True

    real = surgery.put(concurrency, "_serve", serve)


# Bugs that the simulation has found in the core, planted again.


def tickets_shared_between_classes(surgery: Surgery) -> None:
    """A task that moved on is still found at its old place in another class."""
    stands = lambda self, task, ticket: task.in_queue and task.ticket == ticket  # noqa: E731
    surgery.put(Lane, "_stands", stands)


def tickets_of_tasks(surgery: Surgery) -> None:
    """Numbered by task: the two objects of a replayed task may have the same order and ticket, and cannot be compared."""

    def push(self: Any, order: Any, task: Any, lane: Any) -> None:
        self._tickets = task.ticket
        real(self, order, task, lane)

    real = surgery.put(core_queue.SchedulingClass, "push", push)


def soft_pin_forgotten_on_return(surgery: Surgery) -> None:
    """Waiting tasks of a SOFT run do not notice that their lost worker is back."""

    def open_stream(state: Any, item: StreamOpened) -> Any:
        worker = state.workers_by_id.get(item.worker_id)
        if worker is None:
            return real(state, item)
        pinned, worker.pinned = worker.pinned, {}
        try:
            return real(state, item)
        finally:
            worker.pinned = pinned

    real = surgery.put_item(machine.HANDLERS, StreamOpened, open_stream)


def soft_run_never_pinned_again(surgery: Surgery) -> None:
    """A SOFT run whose named worker is away wanders for ever (ST-20, ST-21)."""
    surgery.put(assignment, "needs_pin", lambda state, run: run.sticky is not None and run.pin_state is PinState.UNSET)


def deadlines_armed_after_load(surgery: Surgery) -> None:
    """What fell due while nobody looked waits for a second step."""
    real = surgery.put(notices, "watch", lambda state, task: state.queued_now.__setitem__(task.key, task))
    assert callable(real)
    surgery.put(loading, "_resume", _resume_without_timer(loading._resume))


def _resume_without_timer(real: Any) -> Any:
    def resume(state: Any, task: Any) -> None:
        armed = state.timers
        if task.status is TaskStatus.QUEUED:
            state.timers = type(armed)()
        real(state, task)
        state.timers = armed

    return resume


# Rate limits


def units_not_spent(surgery: Surgery) -> None:
    surgery.put(Bucket, "take", lambda self, units, now: self.level)


def units_spent_twice(surgery: Surgery) -> None:
    real: Any = surgery.put(Bucket, "take", lambda self, units, now: real(self, min(2 * units, self.value), now))


def units_of_a_limit_not_stored(surgery: Surgery) -> None:
    """Only what is put, paused or declared reaches the store."""
    real: Any = attempts.start
    surgery.put(attempts, "start", lambda state, placement: real(state, replace(placement, spent=())))


def units_carry_over(surgery: Surgery) -> None:
    def refill(self: Bucket, now: Any) -> None:
        left = self.level.value
        real(self, now)
        if self.level.refill_at is None:
            self.level = self.level._replace(value=self.limit + left)

    real = surgery.put(Bucket, "refill_if_due", refill)


def refilled_on_load(surgery: Surgery) -> None:
    def restore(self: Bucket, row: Any) -> None:
        real(self, row._replace(value=row.limit_value, refill_at=None))

    real = surgery.put(Bucket, "restore", restore)


def only_the_first_limit_is_asked(surgery: Surgery) -> None:
    real: Any = surgery.put(Rates, "short", lambda self, demand, now: real(self, demand[:1], now))
    surgery.put(Bucket, "take", _take_what_is_there(Bucket.take))


def _take_what_is_there(real: Any) -> Any:
    return lambda self, units, now: real(self, min(units, self.value), now)


def pauses_ignored(surgery: Surgery) -> None:
    surgery.put(Bucket, "is_paused", lambda self, now: False)


def taps_stay_closed(surgery: Surgery) -> None:
    surgery.put(Rates, "open_fitting", lambda self, bucket, now: [])


def nobody_is_woken_by_a_refill(surgery: Surgery) -> None:
    surgery.put(rate_limits, "watch", lambda state, bucket: None)


def a_raised_limit_gives_its_units_at_once(surgery: Surgery) -> None:
    def set_limit(self: Bucket, limit: Any, window: Any, now: Any) -> bool:
        changed = real(self, limit, window, now)
        if changed:
            self.level = self.level._replace(value=limit)
        return bool(changed)

    real = surgery.put(Bucket, "set", set_limit)


def windows_begin_with_every_unit(surgery: Surgery) -> None:
    def take(self: Bucket, units: int, now: Any) -> Any:
        before = self.level
        self.level = before._replace(refill_at=None)
        real(self, units, now)
        return before

    real = surgery.put(Bucket, "take", take)


MUTANTS: dict[str, Mutant] = {
    one.__name__.replace("_", " "): one
    for one in (
        acknowledge_before_commit,
        ignore_retry_count,
        resend_on_reconnect,
        skip_labels_when_sticky,
        leak_a_slot_on_cancel,
        dead_on_take_over,
        lost_worker_forgotten_on_reload,
        receipts_not_loaded,
        fence_without_check,
        fence_on_epoch_only,
        load_before_epoch_bump,
        lease_always_trusted,
        claim_before_the_lease_ends,
        subscribe_after_look_up,
        wall_clock_used,
        priority_inverted,
        pin_lost_on_reload,
        tentative_is_bound,
        bound_is_tentative,
        on_failure_runs_twice,
        child_key_ignored,
        request_id_ignored,
        hold_never_released,
        cancel_not_sent,
        requeue_keeps_attempt_number,
        engine_faults_counted,
        confirmed_like_unconfirmed,
        execution_timeout_ignored,
        children_start_with_any_parent,
        silent_worker_stays_assignable,
        leak_an_admission_on_schedule_timeout,
        leak_an_admission_on_cancel,
        leak_an_admission_unseen,
        admissions_not_loaded,
        one_more_than_the_limit,
        back_off_keeps_its_place,
        run_keeps_its_place,
        oldest_stays_in_progress,
        priority_ignored_before_a_gate,
        nobody_follows_into_a_free_place,
        round_robin_cancels,
        tickets_shared_between_classes,
        tickets_of_tasks,
        soft_pin_forgotten_on_return,
        soft_run_never_pinned_again,
        deadlines_armed_after_load,
        repeated_push_starts_again,
        repeated_schedule_plans_again,
        event_starts_its_last_run_alone,
        sources_not_loaded,
        cron_advance_in_a_separate_commit,
        schedule_dropped_in_a_separate_commit,
        units_not_spent,
        units_spent_twice,
        units_of_a_limit_not_stored,
        units_carry_over,
        refilled_on_load,
        only_the_first_limit_is_asked,
        pauses_ignored,
        taps_stay_closed,
        nobody_is_woken_by_a_refill,
        a_raised_limit_gives_its_units_at_once,
        windows_begin_with_every_unit,
        *CONDITION_MUTANTS,
        *LIMIT_MUTANTS,
        pause_forgotten_by_new_runs,
        pause_forgotten_on_reload,
        schedule_clock_runs_through_a_pause,
        answer_of_the_clock_taken_for_any_instant,
        question_of_the_clock_asked_once,
        idempotency_key_kept_when_the_run_ends,
        idempotency_key_never_looked_up,
        idempotency_key_in_a_separate_commit,
    )
}


def hunt(name: str, seeds_max: int = SEEDS_MAX) -> tuple[str, int | None, str]:
    """The first seed that catches the mutant, and the first words of what it said; None: it survived."""
    surgery = Surgery()
    MUTANTS[name](surgery)
    try:
        for seed in range(seeds_max):
            try:
                simulate(seed)
            except Exception as error:
                return name, seed, f"{type(error).__name__}: {error}".replace("\n", " ")[:110]
    finally:
        surgery.undo()
    return name, None, ""


def main() -> int:
    """0 when every mutant was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these; all when none is named")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    began, survivors = time.monotonic(), 0
    with Pool(options.processes) as pool:
        for name, seed, words in pool.imap_unordered(partial(hunt, seeds_max=options.seeds), options.names or MUTANTS):
            survivors += seed is None
            print(f"{name:36} {'SURVIVED' if seed is None else f'seed {seed}'}  {words}", flush=True)
    print(f"{survivors} of {len(options.names or MUTANTS)} survived, {time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
