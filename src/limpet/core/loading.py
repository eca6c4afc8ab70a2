"""Rows into memory: at start, after a crash, after lost ownership, and for old runs that a replay asks for.

Counters are derived, never loaded (R4); the signs of life of workers not yet lost begin now (R31); attempts without
a receipt get their grace, and their requeue is nobody's fault (R26, R28).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from limpet.core import attempts, deadlines, fleet, notices, parking, pins
from limpet.core.condition_rows import WaitRow
from limpet.core.decision import EventSource
from limpet.core.definition_text import decode_definition
from limpet.core.definitions import DesiredLabel, StickyStrategy
from limpet.core.event_rows import EventRunRow
from limpet.core.gates import next_gate
from limpet.core.ids import (
    ActionId,
    Instant,
    RunKey,
    TaskKey,
    TaskRunId,
    TenantNo,
    VersionKey,
    WorkerId,
    WorkerKey,
    WorkflowId,
    WorkflowKey,
    WorkflowRunId,
    WorkflowVersionId,
)
from limpet.core.needs import Found, Snapshot
from limpet.core.pause_rows import PauseRow
from limpet.core.queue import order_of
from limpet.core.rate_definitions import RateValue
from limpet.core.records import LimitKey, Run, TaskRun, UnusableKey, Version, Worker, Workflow
from limpet.core.rows import PinState, ReceiptRow, RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow
from limpet.core.settings import Settings
from limpet.core.slots import take
from limpet.core.state import RECEIPT, State
from limpet.core.subscriptions import Subscriptions
from limpet.core.timers import Due
from limpet.core.timetable import Timetable


def load(
    snapshot: Snapshot, *, tenant_no: TenantNo, now: Instant, salt: bytes, settings: Settings, seen: Mapping[str, int]
) -> State:
    """The memory that the rows mean."""
    state = State(tenant_no, salt, settings, snapshot.next_key, now)
    state.timetable = Timetable(snapshot.due_at, now)
    by_key: dict[int, Workflow] = {}
    for row in snapshot.workflows:
        workflow = Workflow(WorkflowKey(row.key), WorkflowId(row.id), row.name, Instant(row.created_at))
        by_key[row.key] = state.workflows[row.name] = workflow
    for version_row in snapshot.versions:
        _load_version(state, version_row, by_key)
    _load_pauses(state, snapshot.pauses)
    _load_subscriptions(state, snapshot)
    state.webhooks = {row.name: row for row in snapshot.webhooks}
    for worker_row in snapshot.workers:
        fleet.enlist(state, _worker(worker_row, now, seen))
    tasks = _load_runs(state, zip_tasks(snapshot.runs, snapshot.tasks))
    _load_sources(state, snapshot.event_runs)
    _load_waits(state, snapshot.waits)
    _count_on_from_admissions(state)
    _load_receipts(state, tasks, snapshot.receipts)
    for run in state.runs.values():
        if run.stage:
            state.gates.restore(run)
    for task in sorted(tasks.values(), key=_age):
        _resume(state, task)
    for worker in state.workers.values():
        for run in worker.pinned.values():
            pins.watch_grace(state, run)
    state.begin(now)
    return state


def _load_subscriptions(state: State, snapshot: Snapshot) -> None:
    state.subscriptions = Subscriptions(snapshot.filters)
    state.next_key = max(state.next_key, 1 + max((row.revision for row in snapshot.filters), default=0))
    for workflow in state.workflows.values():
        if workflow.newest is not None:
            state.subscriptions.subscribe(workflow, workflow.newest.definition.events)


def _load_sources(state: State, rows: Iterable[EventRunRow]) -> None:
    """Equal payloads of filters are there once."""
    payloads: dict[bytes, bytes] = {}
    for row in rows:
        run = state.runs.get(row.run_id)
        if run is not None:
            payload = payloads.setdefault(row.filter_payload, row.filter_payload)
            run.source = EventSource(row.event_id, row.event_name, payload)


def _load_version(state: State, row: VersionRow, workflows: Mapping[int, Workflow]) -> Version:
    workflow = workflows.get(row.workflow_key)
    if workflow is None:  # the name was deleted; its runs go on
        workflow = Workflow(WorkflowKey(row.workflow_key), WorkflowId(""), "", Instant(row.created_at))
    definition = decode_definition(row.definition)
    version = Version(VersionKey(row.key), WorkflowVersionId(row.id), workflow, row.number, row.checksum, definition)
    state.versions[version.key] = version
    state.waits.learn(definition)
    if workflow.newest is None or workflow.newest.number < version.number:
        workflow.newest = version
    return version


def _load_pauses(state: State, rows: Iterable[PauseRow]) -> None:
    """Also of names that are deleted: what waited when their pause ended still has its time."""
    pauses = {row.key: row for row in rows}
    for workflow in state.workflows.values():
        workflow.pause = pauses.get(workflow.key)
    for version in state.versions.values():
        version.workflow.pause = pauses.get(version.workflow.key)


def _worker(row: WorkerRow, now: Instant, seen: Mapping[str, int]) -> Worker:
    return Worker(
        WorkerKey(row.key),
        WorkerId(row.id),
        row.name,
        frozenset(ActionId(action) for action in msgspec.json.decode(row.actions)),
        msgspec.json.decode(row.slots),
        msgspec.json.decode(row.labels),
        row.runtime,
        Instant(row.registered_at),
        Instant(min(now, seen.get(row.id, now))),
        bool(row.paused),
        None if row.lost_at is None else Instant(row.lost_at),
        None if row.gone_at is None else Instant(row.gone_at),
    )


def zip_tasks(runs: Iterable[RunRow], tasks: Iterable[TaskRow]) -> list[tuple[RunRow, list[TaskRow]]]:
    """Each run with its tasks."""
    by_run: dict[int, list[TaskRow]] = {}
    for task in tasks:
        by_run.setdefault(task.run_key, []).append(task)
    return [(run, by_run.get(run.key, [])) for run in runs]


def _load_runs(state: State, rows: Iterable[tuple[RunRow, Iterable[TaskRow]]]) -> dict[int, TaskRun]:
    loaded: dict[int, TaskRun] = {}
    for run_row, task_rows in rows:
        run = _run(state, run_row)
        for row in task_rows:
            task = run.tasks[row.step] = _task(state, run, row)
            loaded[task.key] = task
        state.remember(run)
        worker = state.workers_by_id.get(run.pin_worker_id or "")
        if worker is not None:
            worker.pinned[run.key] = run
    return loaded


def _load_waits(state: State, rows: Collection[WaitRow]) -> None:
    """Conditions of tasks; sleeps go on, and what ended meanwhile is due at once."""
    by_key = {run.key: run for run in state.runs.values()} if rows else {}
    waits = [state.waits.restore(row, by_key[RunKey(row.run_key)]) for row in rows]
    for wait in waits:
        if wait.is_armed and (ends := wait.sleeps_end()):
            state.timers.arm(ends[0], Due.CONDITION, wait)
    state.waits.restore_ripe(waits, state.now)


def _count_on_from_admissions(state: State) -> None:
    """New row keys stand behind every place that an admission has given (PR-18)."""
    state.next_key = max(state.next_key, 1 + max((task.enqueue_key for task in state.tasks.values()), default=0))


def _run(state: State, row: RunRow) -> Run:
    version = state.versions[VersionKey(row.version_key)]
    values = msgspec.json.decode(row.limit_keys, type=tuple[LimitKey, ...]) if row.limit_keys else ()
    gates = len(version.definition.gates)
    labels = msgspec.json.decode(row.desired_labels, type=tuple[DesiredLabel, ...]) if row.desired_labels else ()
    return Run(
        RunKey(row.key),
        WorkflowRunId(row.id),
        version,
        RunStatus(row.status),
        row.input_bytes,
        row.metadata or b"{}",
        row.priority,
        None if row.sticky is None else StickyStrategy(row.sticky),
        row.desired_worker_id,
        labels,
        Instant(row.created_at),
        PinState(row.pin_state),
        row.pin_worker_id,
        None if row.pin_task_key is None else TaskKey(row.pin_task_key),
        row.parent_run_id,
        row.parent_task_id,
        row.child_index,
        row.child_key,
        row.child_ref,
        row.request_id,
        _instant(row.started_at),
        _instant(row.finished_at),
        is_new=False,
        keys=values[:gates],
        stage=row.stage or 0,
        rates=tuple(map(_rate_value, values[gates:])),
    )


def _rate_value(value: LimitKey) -> RateValue | UnusableKey:
    if isinstance(value, UnusableKey):
        return value
    assert isinstance(value, str), f"a value of a rate limit is stored as text, and not as {value}"
    return RateValue(*msgspec.json.decode(value, type=tuple[str, int, int | None]))


def _instant(value: int | None) -> Instant | None:
    return None if value is None else Instant(value)


def _task(state: State, run: Run, row: TaskRow) -> TaskRun:
    return TaskRun(
        TaskKey(row.key),
        TaskRunId(row.id),
        run,
        row.step,
        Instant(row.created_at),
        TaskStatus(row.status),
        row.level,
        row.enqueue_key,
        Instant(row.queued_at),
        row.retry_count,
        row.app_retries,
        row.internal_retries,
        _instant(row.not_before),
        _instant(row.schedule_deadline),
        None if row.worker_key is None else state.workers.get(WorkerKey(row.worker_key)),
        None,
        _instant(row.assigned_at),
        None,
        _instant(row.execution_deadline),
        None,
        bool(row.slots_released),
        _instant(row.started_at),
        _instant(row.finished_at),
        output_bytes=row.output_bytes,
        error=row.error,
        class_id=row.class_id,
        is_new=False,
        stage=row.stage or 0,
    )


def _load_receipts(state: State, tasks: Mapping[int, TaskRun], rows: Iterable[ReceiptRow]) -> None:
    """Confirmed attempts that still live; a receipt row without any is folded away at the next commit."""
    for row in rows:
        live = 0
        for key, retry_count, at in RECEIPT.iter_unpack(row.items):
            task = tasks.get(key)
            if task is not None and task.status is TaskStatus.ASSIGNED and task.retry_count == retry_count:
                task.status, task.started_at, task.receipt_key = TaskStatus.RUNNING, Instant(at), row.key
                live += 1
        state.receipts_open[row.key] = live


def _age(task: TaskRun) -> tuple[Instant, int]:
    return task.queued_at, task.key


def _resume(state: State, task: TaskRun) -> None:
    """Put the task where its row says it is (T1)."""
    if task.stage:
        state.gates.restore(task)
    if task.status is TaskStatus.QUEUED:
        if parking.holds(task.run):
            parking.put(state, task)
        elif task.run.keys and (ahead := next_gate(task)) is not None:
            state.gates.wait(*ahead)
        else:
            state.join_class(task, order_of(task, state.now, state.settings))
            deadlines.watch_age(state, task)
        if (due_by := task.due_by) is not None:
            state.timers.arm(due_by, Due.SCHEDULE, task)
        notices.watch(state, task)
    elif task.status is TaskStatus.BACKING_OFF and task.not_before is not None:
        attempts.delay(state, task, task.not_before)
    elif task.status.is_live:
        _resume_attempt(state, task)


def _resume_attempt(state: State, task: TaskRun) -> None:
    worker = task.worker
    assert worker is not None, f"live task {task.id} names a worker that is forgotten"
    worker.tasks[task.key] = task
    if not task.slots_released:
        take(worker, task.definition.slot_requests)
    if task.status is TaskStatus.ASSIGNED:
        task.confirm_by = Instant(state.now + state.settings.receipt_grace_after_load_us)
        task.orphaned_by_engine = True
    attempts.look_again(state, task)


def hydrate(state: State, found: Found) -> None:
    """Finished runs that a replay asks for come back into memory; they leave again with the step unless replayed."""
    by_key: dict[int, Workflow] = {w.key: w for w in state.workflows.values()}
    for row in found.versions:
        if VersionKey(row.key) not in state.versions:
            _load_version(state, row, by_key)
    fresh = [(run, tasks) for run, tasks in found.runs if run.id not in state.runs]
    _load_runs(state, fresh)
    _load_sources(state, found.event_runs)
    loaded = {run.key for run, _ in fresh}
    _load_waits(state, [row for row in found.waits if row.run_key in loaded])
    for run, _ in fresh:
        state.run_ended(state.runs[run.id])


def fold_empty_receipts(state: State) -> None:
    """After a load: receipt rows whose attempts have all ended."""
    for key in [key for key, live in state.receipts_open.items() if not live]:
        del state.receipts_open[key]
        state.changes.receipts_folded.append(key)
