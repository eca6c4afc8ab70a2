"""Workers: they register, open and close streams, show signs of life, change labels, pause, are lost, leave (section 5)."""

from __future__ import annotations

from collections.abc import Collection

from limpet.core import attempts, pins, runs
from limpet.core.decision import CloseStreams
from limpet.core.errors import InvalidArgument, LimitReached, NotFound
from limpet.core.ids import Instant, WorkerId, WorkerKey
from limpet.core.inputs import (
    LabelsUpserted,
    StreamClosed,
    StreamOpened,
    WorkerPaused,
    WorkerRegistered,
    WorkerSeen,
    WorkerUnsubscribed,
)
from limpet.core.placement import is_assignable
from limpet.core.records import TaskRun, Worker
from limpet.core.rows import EventType, TaskStatus
from limpet.core.state import State
from limpet.core.timers import Due


def register(state: State, item: WorkerRegistered) -> WorkerId:
    """A new worker, always (WK-9). It gets nothing before it opens a stream (WK-10)."""
    _check_registration(state, item)
    key = WorkerKey(state.key())
    worker = Worker(
        key,
        WorkerId(state.id_for(key)),
        item.name,
        frozenset(item.actions),
        dict(item.slots),
        dict(item.labels),
        item.runtime,
        state.now,
        state.now,
    )
    enlist(state, worker)
    state.worker_changed(worker)
    return worker.id


def _check_registration(state: State, item: WorkerRegistered) -> None:
    limits = state.settings
    if not item.name or len(item.name.encode()) > limits.name_bytes_max:
        raise InvalidArgument(f"worker name must have 1 to {limits.name_bytes_max} bytes, got {len(item.name.encode())}")
    if len(item.labels) > limits.labels_max:
        raise LimitReached(f"a worker may have at most {limits.labels_max} labels (labels_max), got {len(item.labels)}")
    for kind, units in item.slots:
        if units < 0 or not kind:
            raise InvalidArgument(f"worker {item.name}: slot type {kind!r} must have a name and 0 or more units, got {units}")


def enlist(state: State, worker: Worker) -> None:
    """Put the worker where others find it, and watch its silence."""
    state.workers[worker.key] = worker
    state.workers_by_id[worker.id] = worker
    if worker.gone_at is None:
        state.pools.reconsider(worker)
    watch(state, worker)


def watch(state: State, worker: Worker) -> None:
    """One timer per worker stands for its silence; it is armed again when it fires early. One that left may still drain."""
    if worker.gone_at is not None or worker.lost_at is not None:
        since = worker.gone_at if worker.gone_at is not None else worker.lost_at
        state.timers.arm((since or 0) + state.settings.worker_forgotten_after_us, Due.FORGET, worker)
    if worker.lost_at is None and not worker.watched:
        worker.watched = True
        state.timers.arm(worker.seen_at + state.settings.worker_lost_after_us, Due.SILENCE, worker)


def seen(state: State, worker: Worker) -> None:
    """A sign of life (R27). If it makes the worker assignable again, waiting tasks are looked at (WK-12)."""
    was_assignable = is_assignable(worker, state.now, state.settings)
    worker.seen_at = state.now
    if not was_assignable and is_assignable(worker, state.now, state.settings):
        state.stir(worker)


def on_seen(state: State, item: WorkerSeen) -> None:
    worker = state.workers_by_id.get(item.worker_id)
    if worker is not None:
        seen(state, worker)


def find(state: State, worker_id: str) -> Worker:
    """The worker, or NotFound with what to do."""
    worker = state.workers_by_id.get(worker_id)
    if worker is None or worker.gone_at is not None:
        raise NotFound("worker", worker_id, "it never registered here or has left; register again")
    return worker


def open_stream(state: State, item: StreamOpened) -> None:
    """The worker listens. A lost one is taken back (WK-17b); cancels it missed are told now (CN-2)."""
    worker = find(state, item.worker_id)
    worker.sessions.append(item.session)
    worker.sessions.sort()
    if worker.lost_at is not None:
        worker.lost_at = None
        worker.watched = False
        watch(state, worker)
        state.worker_changed(worker)
        for run in list(worker.pinned.values()):  # a SOFT pin that named it while it was lost counts again
            state.reclassify(run, state.now)
    worker.seen_at = state.now
    state.stir(worker)
    state.deliveries.extend(worker.missed)
    worker.missed.clear()


def close_stream(state: State, item: StreamClosed) -> None:
    """The stream ended: no new starts at once, running attempts stay (WK-15). Unconfirmed ones get their grace (R26)."""
    worker = state.workers_by_id.get(item.worker_id)
    if worker is None or item.session not in worker.sessions:
        return
    worker.sessions.remove(item.session)
    state.touch(worker)
    _limit_receipts(state, worker, {item.session})


def _limit_receipts(state: State, worker: Worker, ended: Collection[int]) -> None:
    """Starts that were sent on these streams and are not confirmed have the grace left (R26)."""
    grace = Instant(state.now + state.settings.receipt_grace_us)
    for task in worker.tasks.values():
        if task.status is TaskStatus.ASSIGNED and task.session in ended:
            task.confirm_by = grace
            attempts.look_again(state, task)


def upsert_labels(state: State, item: LabelsUpserted) -> None:
    """Merge by key, drop the removed; in force before the call returns (LB-19 to LB-21)."""
    worker = find(state, item.worker_id)
    labels = {**worker.labels, **dict(item.labels)}
    for key in item.removed:
        labels.pop(key, None)
    if len(labels) > state.settings.labels_max:
        raise LimitReached(f"a worker may have at most {state.settings.labels_max} labels (labels_max), got {len(labels)}")
    seen(state, worker)
    worker.labels = labels
    state.pools.reconsider(worker)
    state.stir(worker)
    state.worker_changed(worker)


def pause(state: State, item: WorkerPaused) -> None:
    """No new starts while paused; running attempts go on (WK-32)."""
    worker = find(state, item.worker_id)
    if worker.paused is not item.paused:
        worker.paused = item.paused
        state.stir(worker)
        state.worker_changed(worker)


def unsubscribe(state: State, item: WorkerUnsubscribed) -> None:
    """Gone for good (WK-18): its streams end, its attempts go elsewhere at once, HARD runs bound to it fail (ST-21).

    One that drains keeps its attempts until their outcome or its silence.
    """
    worker = state.workers_by_id.get(item.worker_id)
    if worker is None or worker.gone_at is not None:
        return
    worker.gone_at = state.now
    state.deliveries.append(CloseStreams(worker.id, None, "the worker has unsubscribed"))
    if item.drains:
        _limit_receipts(state, worker, tuple(worker.sessions))
    worker.sessions.clear()
    worker.missed.clear()
    state.pools.reconsider(worker)
    state.worker_changed(worker)
    watch(state, worker)
    if item.drains:
        _fail_doomed(state, pins.worker_left(state, worker))
    else:
        _abandon(state, worker, "The worker unsubscribed while it ran the task")


def silence(state: State, worker: Worker) -> None:
    """The silence timer fired: lost, or heard of meanwhile and watched on (R27, R31)."""
    worker.watched = False
    if worker.lost_at is not None or (worker.gone_at is not None and not worker.tasks):
        return
    limit = state.settings.worker_lost_after_us
    if state.now - worker.seen_at < limit:
        watch(state, worker)
        return
    if worker.gone_at is not None:
        _abandon(state, worker, f"The worker unsubscribed and sent no outcome for {limit / 1_000_000:g} seconds")
        return
    worker.lost_at = state.now
    if worker.sessions:  # a frozen process keeps its stream; only opening a new one takes it back (R31)
        worker.sessions.clear()
        state.deliveries.append(CloseStreams(worker.id, None, "the worker showed no sign of life"))
    state.worker_changed(worker)
    state.touch(worker)
    watch(state, worker)
    _abandon(state, worker, attempts.MISSED_HEARTBEAT.format(seconds=f"{limit / 1_000_000:g}"))


def _abandon(state: State, worker: Worker, message: str) -> None:
    """Take back every attempt of a worker that is lost or gone (WK-24); pins that may move are cleared first."""
    doomed = pins.worker_left(state, worker)
    for task in list(worker.tasks.values()):
        ended = attempts.take_back(state, task, EventType.REASSIGNED, message)
        if ended or runs.fail_if_unplaceable(state, task):
            runs.follow(state, task.run, [task])
        else:
            runs.update_status(state, task.run)
    _fail_doomed(state, doomed)


def _fail_doomed(state: State, doomed: list[TaskRun]) -> None:
    for task in doomed:
        if task.status is TaskStatus.QUEUED and runs.fail_if_unplaceable(state, task):
            runs.follow(state, task.run, [task])


def forget(state: State, worker: Worker) -> None:
    """A worker that left long ago goes from memory and store, once nothing refers to it (R29)."""
    since = worker.gone_at if worker.gone_at is not None else worker.lost_at
    if since is None or worker.key not in state.workers:
        return
    due = since + state.settings.worker_forgotten_after_us
    if state.now < due or worker.tasks or worker.pinned:
        state.timers.arm(max(due, state.now + state.settings.worker_lost_after_us), Due.FORGET, worker)
        return
    worker.gone_at = state.now
    state.pools.reconsider(worker)
    del state.workers[worker.key]
    del state.workers_by_id[worker.id]
    state.changes.workers_forgotten.append(worker.key)


def undeliverable(state: State, task: TaskRun) -> None:
    """No byte of the start could be handed to a stream: an internal retry after a delay (WK-20, ST-10)."""
    worker = task.worker
    assert worker is not None
    attempts.take_back_pin(state, task.run, worker)
    text = f"The start could not be sent: worker {worker.name} ({worker.id}) has no stream that takes it"
    if attempts.take_back(state, task, EventType.COULD_NOT_SEND_TO_WORKER, text, delayed=True):
        runs.follow(state, task.run, [task])
    else:
        runs.update_status(state, task.run)


def unconfirmed(state: State, task: TaskRun) -> None:
    """No receipt in time (R26): the stream still looks healthy, so it is deaf and closed; or the task is taken back."""
    worker = task.worker
    assert worker is not None
    if task.session is not None and task.session in worker.sessions:
        state.deliveries.append(CloseStreams(worker.id, task.session, "no receipt came for a start sent on this stream"))
        task.confirm_by = None  # the end of the stream sets the next date
        return
    attempts.take_back_pin(state, task.run, worker)
    text = f"The worker {worker.name} ({worker.id}) lost its stream before it confirmed the start"
    fault = task.orphaned_by_engine
    if attempts.take_back(state, task, EventType.REASSIGNED, text, engines_fault=fault):
        runs.follow(state, task.run, [task])
    else:
        runs.update_status(state, task.run)
        if runs.fail_if_unplaceable(state, task):
            runs.follow(state, task.run, [task])
