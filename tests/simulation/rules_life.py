"""Checks of tasks: allowed changes, attempts, retries, deadlines, reports and cancels (T1 to T12, R24 to R28, L4, L8)."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core.decision import CancelTask
from limpet.core.inputs import (
    CancelRequested,
    ReplayRequested,
    Report,
    StartUndeliverable,
    TaskCompleted,
    TaskFailed,
    TaskGaveUp,
    TaskStarted,
)
from limpet.core.rows import EventType, TaskRow, TaskStatus
from limpet.core.settings import RetryPriority
from tests.simulation import pauses
from tests.simulation.agenda import SECOND
from tests.simulation.mirror import Mirror, Step

S = TaskStatus
TERMINAL = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.SKIPPED})
BORN = frozenset({S.QUEUED, S.ASSIGNED, S.FAILED, S.CANCELLED, S.SKIPPED})


def changes(step: Step, confirmed: set[tuple[str, int]]) -> Iterator[str]:
    """T2, T3, T5 to T9, T12: what became of each task that changed."""
    reports = _reports(step)
    replayed = any(isinstance(item, ReplayRequested) for item in step.items)
    for old, new in step.tasks:
        if old is None:
            yield from _birth(step, new)
            continue
        if new.retry_count < old.retry_count:
            yield f"T3: task {new.id} went from attempt {old.retry_count} back to {new.retry_count}"
        if S(old.status) in TERMINAL and new.retry_count == old.retry_count and _outcome(new) != _outcome(old):
            yield f"T2: task {new.id} had ended {S(old.status).name} and is {S(new.status).name} without a new attempt"
        if S(old.status) in TERMINAL and new.retry_count != old.retry_count and not replayed:
            yield f"T2: task {new.id} had ended {S(old.status).name} and has a new attempt without a replay"
        waited = (
            S(old.status) is S.PENDING and bool(step.mirror.task_definition(new).conditions) and new.enqueue_key > old.enqueue_key
        )
        if new.enqueue_key != old.enqueue_key and not waited and not _was_admitted(step, old, new):
            yield f"PR-21: task {new.id} lost its place among equals"
        if S(old.status) is S.ASSIGNED:
            yield from _live_changed(step, old, new, reports.get(old.id, []), confirmed, replayed)
        if S(new.status) is S.ASSIGNED and (S(old.status) is not S.ASSIGNED) and not _is_started(step, new):
            yield f"A-0.11: task {new.id} is assigned and no start leaves"
        if not replayed:
            yield from _counters(step, old, new)
    yield from _two_starts(step)


def _was_admitted(step: Step, old: TaskRow, new: TaskRow) -> bool:
    """A concurrency limit let the task in: its place counts from then, so it can only move back (PR-18)."""
    return step.mirror.tables.runs[new.run_key].limit_keys is not None and new.enqueue_key > old.enqueue_key


def _outcome(row: TaskRow) -> tuple[object, ...]:
    return (row.status, row.finished_at, row.error, row.output_bytes)


def _birth(step: Step, new: TaskRow) -> Iterator[str]:
    run = step.mirror.tables.runs[new.run_key]
    replayed = any(isinstance(item, ReplayRequested) for item in step.items)
    awaits = S(new.status) is S.PENDING and bool(step.mirror.task_definition(new).conditions)
    if S(new.status) not in BORN and not replayed and not awaits:
        yield f"T2: task {new.id} is born {S(new.status).name}"
    if new.retry_count and not replayed:
        yield f"T3: task {new.id} is born with attempt {new.retry_count}"
    moved = new.enqueue_key != new.key and (run.limit_keys is None or new.enqueue_key < new.key)
    if (new.level != run.priority and not new.retry_count) or moved:
        yield f"PR-5: task {new.id} is born at level {new.level}, its run has priority {run.priority}"


def _is_started(step: Step, row: TaskRow) -> bool:
    return any((one.task_run_id, one.retry_count) == (row.id, row.retry_count) for one in step.starts)


def _two_starts(step: Step) -> Iterator[str]:
    named = [(one.task_run_id, one.retry_count) for one in step.starts]
    if len(named) != len(set(named)):
        yield f"R25: one step starts an attempt twice: {named}"
    for start in step.starts:
        row = step.mirror.tables.tasks[start.task_key]
        if row.status != S.ASSIGNED or row.retry_count != start.retry_count:
            yield f"R23: a start of task {row.id} attempt {start.retry_count} leaves, its row says otherwise"
        if not any(new is row for _, new in step.tasks):
            yield f"R25: task {row.id} attempt {row.retry_count} is sent without having been assigned in this step"


def _reports(step: Step) -> dict[str, list[Report]]:
    found: dict[str, list[Report]] = {}
    for item in step.items:
        if isinstance(item, Report):
            found.setdefault(item.task_run_id, []).append(item)
    return found


def fits(mirror: Mirror, row: TaskRow, report: Report) -> bool:
    """R24: the pair (task, attempt), and no other worker's id."""
    speaker = mirror.tables.worker_keys.get(report.worker_ref)
    return report.retry_count in (None, row.retry_count) and (speaker is None or speaker == row.worker_key)


def _live_changed(
    step: Step, old: TaskRow, new: TaskRow, reports: list[Report], confirmed: set[tuple[str, int]], replayed: bool
) -> Iterator[str]:
    """An attempt was live when the step began."""
    fitting = [one for one in reports if fits(step.mirror, old, one)]
    ended = new.retry_count != old.retry_count or S(new.status) is not S.ASSIGNED
    if ended and S(new.status) not in TERMINAL and new.retry_count == old.retry_count:
        yield f"R25: task {new.id} left its worker and keeps attempt number {new.retry_count}"
    completed = S(new.status) is S.COMPLETED and new.retry_count == old.retry_count
    if completed and not any(isinstance(one, TaskCompleted) for one in fitting):
        yield f"T6: task {new.id} attempt {new.retry_count} completed without a report that fits: {reports}"
    if new.app_retries > old.app_retries and not _may_have_failed(step, old, fitting):
        yield f"T6: task {new.id} attempt {old.retry_count} counts as failed without a report that fits: {reports}"
    fatal = any(isinstance(one, TaskFailed) and not one.retryable for one in fitting[:1])
    if fatal and new.app_retries > old.app_retries:
        yield f"T8: task {new.id} is retried after a failure marked as not retryable"
    if (ended and new.internal_retries > old.internal_retries) or _is_engine_requeue(old, new, replayed):
        yield from _superseded(step, old, new, confirmed)


def _may_have_failed(step: Step, old: TaskRow, fitting: list[Report]) -> bool:
    if any(isinstance(one, TaskFailed) for one in fitting):
        return True
    timed_out = old.execution_deadline is not None and old.execution_deadline <= step.now
    return timed_out and any(
        event.type == EventType.TIMED_OUT and event.task_key == old.key for event in step.decision.changes.events
    )


def _is_engine_requeue(old: TaskRow, new: TaskRow, replayed: bool) -> bool:
    """A new attempt that no counter accounts for."""
    same = (new.app_retries, new.internal_retries) == (old.app_retries, old.internal_retries)
    return new.retry_count > old.retry_count and same and not replayed


def _superseded(step: Step, old: TaskRow, new: TaskRow, confirmed: set[tuple[str, int]]) -> Iterator[str]:
    """T12, R28: an attempt was taken from its worker by the engine."""
    worker = step.mirror.tables.workers.get(old.worker_key or 0)
    is_away = worker is None or worker.lost_at is not None or worker.gone_at is not None
    if (old.id, old.retry_count) in confirmed and not is_away:
        yield f"T12: task {old.id} attempt {old.retry_count} was confirmed and is superseded, its worker is not lost"
    orphan = (old.id, old.retry_count) in step.mirror.orphans
    if not orphan and _is_engine_requeue(old, new, replayed=False) and not _forgiven(step, old):
        yield f"R28: task {old.id} attempt {old.retry_count} was requeued, and no counter tells of it"
    undeliverable = any(isinstance(one, StartUndeliverable) and one.task_run_id == old.id for one in step.items)
    blameless = orphan and not is_away and not undeliverable and (old.id, old.retry_count) not in confirmed
    if blameless and new.internal_retries > old.internal_retries:
        yield f"R28: task {old.id} attempt {old.retry_count} was orphaned by the engine, and it counts against the task"


def _forgiven(step: Step, old: TaskRow) -> bool:
    """A start that lasted long clears the count, which then grows to the same number again."""
    lasted = step.now - (old.assigned_at or step.now)
    return old.internal_retries == 1 and lasted > step.mirror.settings.internal_retry_forgiven_after_us


def _counters(step: Step, old: TaskRow, new: TaskRow) -> Iterator[str]:
    """T7, and the level of PR-21."""
    settings, run = step.mirror.settings, step.mirror.tables.runs[new.run_key]
    retries = step.mirror.task_definition(new).retries
    if new.app_retries > retries:
        yield f"T7: task {new.id} has used {new.app_retries} of {retries} retries"
    if new.internal_retries > settings.internal_retries_max:
        yield f"T7: task {new.id} was taken back {new.internal_retries} times"
    if (
        new.app_retries - old.app_retries + max(0, new.internal_retries - old.internal_retries)
        > new.retry_count - old.retry_count
    ):
        yield f"T7: the counters of task {new.id} grew more than its attempts"
    if new.retry_count == old.retry_count + 1:
        upstream = settings.retry_priority is RetryPriority.UPSTREAM
        wanted = 4 if new.app_retries == old.app_retries or upstream else run.priority
        if new.level != wanted:
            yield f"PR-21: task {new.id} waits at level {new.level}, not {wanted}"


def accepted_reports(step: Step, old_live: dict[str, TaskRow]) -> Iterator[str]:
    """T5, R32: an outcome that fits a live attempt ends it."""
    mirror, seen = step.mirror, set()
    for item in step.items:
        row = old_live.get(item.task_run_id) if isinstance(item, Report) else None
        if row is None or not isinstance(item, TaskCompleted | TaskFailed | TaskGaveUp) or row.id in seen:
            continue
        if fits(mirror, row, item):
            seen.add(row.id)
            new = mirror.tables.tasks[row.key]
            if new.status == S.ASSIGNED and new.retry_count == row.retry_count:
                yield f"T5: a {type(item).__name__} for task {row.id} attempt {row.retry_count} fits and has no effect"


def confirmations(step: Step, old_live: dict[str, TaskRow]) -> Iterator[tuple[str, int]]:
    """Attempts whose STARTED this step took in."""
    for item in step.items:
        if isinstance(item, TaskStarted):
            row = old_live.get(item.task_run_id)
            if row is not None and fits(step.mirror, row, item):
                new = step.mirror.tables.tasks[row.key]
                if new.status == S.ASSIGNED and new.retry_count == row.retry_count:
                    yield (row.id, row.retry_count)


def cancels(step: Step, old_live: dict[str, TaskRow]) -> Iterator[str]:
    """T10: who ran a cancelled or timed-out attempt is told. L8: a cancel takes on whatever has not ended."""
    told = {(one.task_run_id, one.retry_count) for one in step.decision.deliveries if isinstance(one, CancelTask)}
    mirror = step.mirror
    timed_out = {event.task_key for event in step.decision.changes.events if event.type == EventType.TIMED_OUT}
    for old, new in step.tasks:
        if old is None or old.id not in old_live:
            continue
        cancelled = new.retry_count == old.retry_count and S(new.status) is S.CANCELLED
        stopped = (cancelled or old.key in timed_out) and mirror.sessions.get(old.worker_key or 0)
        if stopped and (old.id, old.retry_count) not in told:
            yield f"T10: attempt {old.retry_count} of task {old.id} was stopped, and its worker is not told"
    if any(isinstance(item, ReplayRequested) for item in step.items):
        return
    for item, reply in zip(step.items, step.decision.replies, strict=True):
        if isinstance(item, CancelRequested):
            yield from _cancelled(step, item, reply)


def _cancelled(step: Step, item: CancelRequested, reply: object) -> Iterator[str]:
    tables = step.mirror.tables
    if isinstance(reply, Exception):
        yield f"L8: a cancel was refused: {reply}"
        return
    for one in item.ids:
        run_key, task_key = tables.run_keys.get(one), tables.task_keys.get(one)
        rows = tables.tasks_of(run_key) if run_key is not None else [tables.tasks[task_key]] if task_key is not None else []
        rescue = step.mirror.definition(tables.runs[rows[0].run_key]).on_failure_step if rows else None
        for row in rows:
            followed = row.step == rescue and len(rows) > 1  # begun by what the cancel ended
            if S(row.status) not in TERMINAL and not followed and not (row.created_at == step.now and run_key is None):
                yield f"L8: task {row.id} was cancelled and is {S(row.status).name}"


def deadlines(step: Step) -> Iterator[str]:
    """T11: nothing waits or runs past its deadline, but for what is paced: then another step follows at once (R53)."""
    mirror = step.mirror
    if step.is_paced:
        return
    for key in mirror.live:
        row = mirror.tables.tasks[key]
        if row.execution_deadline is not None and row.execution_deadline < step.now:
            yield f"T11: task {row.id} runs {step.now - row.execution_deadline} us past its execution timeout"
    for key in mirror.waiting:
        row = mirror.tables.tasks[key]
        due_by = pauses.due_by(mirror.tables, row)
        if due_by is not None and due_by < step.now:
            yield f"T11: task {row.id} waits {step.now - due_by} us past its schedule timeout"


def losses(step: Step) -> Iterator[str]:
    """R27, R31, L4: a worker is lost when it has been silent for long enough, and then at once."""
    mirror, limit = step.mirror, step.mirror.settings.worker_lost_after_us
    for old, new in step.workers:
        if new.lost_at is not None and (old is None or old.lost_at is None):
            silence = step.honest - mirror.seen[new.key].surely
            if silence < limit:
                yield f"R27: worker {new.id} is declared lost after a silence of {silence} us"
        if old is not None and old.lost_at is not None and new.lost_at is None and not mirror.sessions.get(new.key):
            yield f"R31: worker {new.id} was lost and is found without having opened a stream"
    for key, worker in mirror.tables.workers.items():
        if worker.lost_at is None and worker.gone_at is None:
            silence = step.honest - mirror.seen[key].perhaps
            if silence > limit + SECOND and not step.is_paced:
                yield f"L4: worker {worker.id} has been silent for {silence} us and is not lost"
    for key in mirror.live:
        row = mirror.tables.tasks[key]
        owner = mirror.tables.workers.get(row.worker_key or 0)
        if owner is not None and (owner.lost_at is not None or owner.gone_at is not None):
            yield f"L4: task {row.id} is still assigned to worker {owner.id}, which is lost or gone"
