"""The memory of one tenant's core, and the rows and deliveries of the step under way. One owner: `Machine`.

Laws:
1. What must last goes through a `…_changed` call here; the row is made once, at the end of the step.
2. Derived memory (used slots, pools, classes, gates, timers) is rebuilt on load, never stored (R4).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import msgspec

from limpet.core.claims import Claims
from limpet.core.decision import Changes, Delivery
from limpet.core.definition_text import encode_definition
from limpet.core.definitions import StickyStrategy
from limpet.core.errors import NotFound
from limpet.core.gates import Gates
from limpet.core.ids import Instant, RunKey, TaskKey, TenantNo, VersionKey, WorkerKey, external_id
from limpet.core.placement import Pool, Pools, is_assignable
from limpet.core.queue import ClassKey, SchedulingClass, base_labels, order_of
from limpet.core.rate_definitions import RateValue
from limpet.core.rate_demand import demand_of, names_of
from limpet.core.rates import Rates
from limpet.core.records import Run, TaskRun, UnusableKey, Version, Worker, Workflow
from limpet.core.rows import (
    EventRow,
    EventType,
    PinState,
    ReceiptRow,
    RunRow,
    TaskRow,
    TaskStatus,
    VersionRow,
    WorkerRow,
    WorkflowRow,
)
from limpet.core.settings import Settings
from limpet.core.subscriptions import Subscriptions
from limpet.core.timers import Due, Timers
from limpet.core.timetable import Timetable
from limpet.core.waits import Waits
from limpet.core.webhook_rows import WebhookRow

CLASSES_MAX = 10_000  # remembered scheduling classes; idle ones beyond this go, and come back when needed
RECEIPT = Struct(">qiq")  # task key, retry_count, started_at


class State:
    """Everything a handler may touch."""

    now: Instant
    next_key: int
    pools: Pools
    timers: Timers
    changes: Changes

    def __init__(self, tenant_no: TenantNo, salt: bytes, settings: Settings, next_key: int, now: Instant) -> None:
        self.tenant_no = tenant_no
        self.salt = salt
        self.settings = settings
        self.now = now
        self.next_key = next_key
        self.workflows: dict[str, Workflow] = {}  # by name
        self.versions: dict[VersionKey, Version] = {}
        self.workers: dict[WorkerKey, Worker] = {}
        self.workers_by_id: dict[str, Worker] = {}
        self.runs: dict[str, Run] = {}
        self.tasks: dict[str, TaskRun] = {}
        self.pools = Pools()
        self.classes: dict[ClassKey, SchedulingClass] = {}
        self._classes_by_id: dict[int, SchedulingClass] = {}
        self._waiting: dict[int, dict[int, SchedulingClass]] = {}  # by pool number: classes that are not empty
        self.gates: Gates = Gates()
        self.timers = Timers()
        self.timetable: Timetable = Timetable(None, now)
        self.rates: Rates = Rates(settings.rate_limits_idle_max)
        self.claims: Claims = Claims()
        self.subscriptions: Subscriptions = Subscriptions()
        self.webhooks: dict[str, WebhookRow] = {}  # by name
        self.webhooks_changed: dict[int, WebhookRow | None] = {}  # by key; None: deleted
        self.waits: Waits = Waits()
        self.receipts_open: dict[int, int] = {}  # receipt key to its attempts that still live
        self._awake: dict[int, SchedulingClass] = {}
        self._classes_max = CLASSES_MAX
        self._stirred: dict[WorkerKey, Worker] = {}
        self.queued_now: dict[TaskKey, TaskRun] = {}
        self.overdue: dict[TaskKey, TaskRun] = {}
        self.begin(now)

    # The step under way

    def begin(self, now: Instant) -> None:
        """Start a step: nothing has changed yet."""
        self.now = now
        self.changes = Changes()
        self.deliveries: list[Delivery] = []
        self.stale: dict[str, int] = {}
        self.notices: list[str] = []
        self.heard_left: int = self.settings.heard_batch_max
        self._dirty_tasks: dict[TaskKey, TaskRun] = {}
        self._dirty_runs: dict[RunKey, Run] = {}
        self._dirty_workers: dict[WorkerKey, Worker] = {}
        self._confirmed: list[TaskRun] = []
        self._ended: list[Run] = []

    def key(self) -> int:
        """A new row key."""
        self.next_key += 1
        return self.next_key - 1

    def id_for(self, key: int) -> str:
        return external_id(key, self.now, self.salt)

    def task_changed(self, task: TaskRun) -> None:
        self._dirty_tasks[task.key] = task

    def run_changed(self, run: Run) -> None:
        self._dirty_runs[run.key] = run

    def worker_changed(self, worker: Worker) -> None:
        self._dirty_workers[worker.key] = worker

    def confirmed(self, task: TaskRun) -> None:
        """The attempt's receipt goes into this commit's receipt row (R26)."""
        self._confirmed.append(task)

    def run_ended(self, run: Run) -> None:
        """The run leaves memory when the step is over."""
        self._ended.append(run)

    def event(
        self,
        task: TaskRun,
        kind: EventType,
        message: str = "",
        *,
        at: Instant | None = None,
        worker: Worker | None = None,
        retry_count: int | None = None,
    ) -> None:
        """A timeline row; only for what the task's columns do not tell."""
        self.changes.events.append(
            EventRow(
                self.key(),
                self.tenant_no,
                task.key,
                task.retry_count if retry_count is None else retry_count,
                self.now if at is None else at,
                kind,
                None if worker is None else worker.key,
                message,
            )
        )

    def count_stale(self, cause: str) -> None:
        """A report that fitted no live attempt (R24, R32)."""
        self.stale[cause] = self.stale.get(cause, 0) + 1

    def collect(self) -> Changes:
        """Turn what changed into rows."""
        changes = self.changes
        for worker in self._dirty_workers.values():
            if worker.key in self.workers:
                changes.workers.append(worker_row(worker, self.tenant_no))
        for run in self._dirty_runs.values():
            (changes.runs_opened if run.is_new else changes.runs_changed).append(run_row(run, self.tenant_no))
            run.is_new, run.input = False, None
        for task in self._dirty_tasks.values():
            (changes.tasks_opened if task.is_new else changes.tasks_changed).append(task_row(task, self.tenant_no))
            task.is_new, task.output = False, None
        self._collect_receipts()
        changes.waits = self.waits.take_changed(self.tenant_no)
        for run in self._ended:
            self._let_go(run)
        self.timetable.collect(changes)
        self.rates.collect(changes, self.tenant_no)
        self.claims.collect(changes)
        self.subscriptions.collect(changes)
        self._collect_webhooks()
        return changes

    def _collect_webhooks(self) -> None:
        changed, self.webhooks_changed = self.webhooks_changed, {}
        self.changes.webhooks += [row for row in changed.values() if row is not None]
        self.changes.webhooks_dropped += [key for key, row in changed.items() if row is None]

    def _collect_receipts(self) -> None:
        live = [task for task in self._confirmed if task.status is TaskStatus.RUNNING and task.receipt_key is None]
        if not live:
            return
        key = self.key()
        items = b"".join(RECEIPT.pack(task.key, task.retry_count, task.started_at) for task in live)
        self.changes.receipts.append(ReceiptRow(key, self.tenant_no, items))
        for task in live:
            task.receipt_key = key
        self.receipts_open[key] = len(live)

    def fold_receipt(self, task: TaskRun) -> None:
        """The confirmed attempt ended: its receipt is no longer needed (R26)."""
        if task.receipt_key is None:
            return
        left = self.receipts_open[task.receipt_key] - 1
        if left:
            self.receipts_open[task.receipt_key] = left
        else:
            del self.receipts_open[task.receipt_key]
            self.changes.receipts_folded.append(task.receipt_key)
        task.receipt_key = None

    def workflow_by_id(self, workflow_id: str) -> Workflow:
        """Raises NotFound."""
        found = next((workflow for workflow in self.workflows.values() if workflow.id == workflow_id), None)
        if found is None:
            raise NotFound("workflow", workflow_id)
        return found

    def remember(self, run: Run) -> None:
        self.runs[run.id] = run
        for task in run.tasks.values():
            self.tasks[task.id] = task
        if run.definition.has_rates:
            self.rates.hold(names_of(run))

    def _let_go(self, run: Run) -> None:
        if not run.status.is_terminal or self.runs.pop(run.id, None) is None:  # replayed within the same step
            return
        if run.definition.has_rates:
            self.rates.let_go(names_of(run))
        for task in run.tasks.values():
            self.tasks.pop(task.id, None)
        self.waits.forget(run)
        self.unpin(run)

    # Workers, and which classes of tasks they concern

    def touch(self, worker: Worker) -> None:
        """Free units or availability of the worker changed."""
        for number in worker.pools:
            self.pools.numbered(number).touch(worker)

    def stir(self, worker: Worker) -> None:
        """The worker may take something now that it could not before: its classes are looked at in this step."""
        self.touch(worker)
        self._stirred[worker.key] = worker

    def classes_of(self, worker: Worker) -> Iterator[SchedulingClass]:
        """The waiting classes that might go to the worker."""
        for number in worker.pools:
            for cls in self._waiting.get(number, {}).values():
                if not cls.hard or cls.pin == worker.id:
                    yield cls

    def classes_in(self, pool: Pool) -> list[SchedulingClass]:
        """The waiting classes that share a pool of candidates."""
        return list(self._waiting.get(pool.number, {}).values())

    def awake_classes(self) -> list[SchedulingClass]:
        """Classes with something new: tasks that came, or workers that stirred."""
        awake = dict(self._awake)
        for worker in self._stirred.values():
            if is_assignable(worker, self.now, self.settings):
                for cls in self.classes_of(worker):
                    awake[cls.id] = cls
        return [cls for cls in awake.values() if cls.size]

    def awaken(self, class_id: int) -> None:
        """Tasks of the class may be placed now that could not before: it is looked at in this step."""
        cls = self._classes_by_id[class_id]
        self._awake[cls.id] = cls

    def settle_down(self) -> None:
        """All awake classes have been looked at."""
        self._awake.clear()
        self._stirred.clear()

    # Queues

    def class_of(self, task: TaskRun) -> SchedulingClass:
        """The scheduling class the task belongs to now; made when it is the first of its kind."""
        run, definition = task.run, task.definition
        pin, hard = self.pin_of(run)
        whole = run.definition.action_ids if run.sticky is not None and pin is None else None
        key: ClassKey = (definition.action_id, base_labels(run, task.step), definition.slot_requests, whole, pin, hard)
        cls = self.classes.get(key)
        if cls is None:
            if len(self.classes) >= self._classes_max:
                self._forget_idle_classes()
            cls = self.classes[key] = SchedulingClass(key, self.pools.of(key[:4], self.workers.values()))
            self._classes_by_id[cls.id] = cls
        elif cls.pool.is_dropped:
            cls.pool = self.pools.of(key[:4], self.workers.values())
        return cls

    def _forget_idle_classes(self) -> None:
        """Amortised: the next pass comes when as many more are remembered as are needed now."""
        self.classes = {other.key: other for other in self.classes.values() if other.size}
        self._classes_by_id = {other.id: other for other in self.classes.values()}
        self._classes_max = max(CLASSES_MAX, 2 * len(self.classes))

    def queue_of(self, task: TaskRun) -> SchedulingClass | None:
        """The class the task waits in; None: it does not wait in a queue."""
        return self._classes_by_id[task.class_id] if task.in_queue else None

    def pin_of(self, run: Run) -> tuple[str | None, bool]:
        """(worker id, whether nowhere else) that the pin means right now (table 1.4)."""
        if run.sticky is None or run.pin_worker_id is None:
            return None, False
        if run.sticky is StickyStrategy.HARD:
            return run.pin_worker_id, True
        worker = self.workers_by_id.get(run.pin_worker_id)
        return (run.pin_worker_id, False) if worker is not None and worker.is_present else (None, False)

    def join_class(self, task: TaskRun, order: tuple[int, int, int, int]) -> SchedulingClass:
        cls = self.class_of(task)
        task.demand = demand_of(task)
        cls.push(order, task, self.rates.lane_for(cls, task.demand))
        self._waiting.setdefault(cls.pool.number, {})[cls.id] = cls
        cls.pool.is_wanted = True
        self._awake[cls.id] = cls
        return cls

    def leave_class(self, task: TaskRun) -> None:
        """Take the task out of its queue."""
        cls = self.queue_of(task)
        assert cls is not None
        self.rates.left(cls, cls.drop(task))
        if not cls.size:
            waiting = self._waiting[cls.pool.number]
            waiting.pop(cls.id, None)
            cls.pool.is_wanted = bool(waiting)
            if not waiting:
                del self._waiting[cls.pool.number]
            self._awake.pop(cls.id, None)

    def reclassify(self, run: Run, now: Instant) -> list[SchedulingClass]:
        """The run's pin changed: its waiting tasks move to the class they belong to now."""
        moved = []
        for task in run.tasks.values():
            if task.in_queue:
                self.leave_class(task)
                moved.append(self.join_class(task, order_of(task, now, self.settings)))
                self.task_changed(task)  # its class is a stored column (R39)
        return moved

    def set_overdue(self, task: TaskRun) -> None:
        """Past its schedule deadline: out of the queue at once, ended when its deadline is handled (T11, R53)."""
        self.leave_class(task)
        self.overdue[task.key] = task

    # Pins

    def set_pin(self, run: Run, state: PinState, worker_id: str | None, task_key: TaskKey | None) -> None:
        self.unpin(run)
        run.pin_state, run.pin_worker_id, run.pin_task_key = state, worker_id, task_key
        if worker_id is not None and (worker := self.workers_by_id.get(worker_id)) is not None:
            worker.pinned[run.key] = run
        self.run_changed(run)

    def unpin(self, run: Run) -> None:
        """Forget that the run's pin names its worker; the pin itself stays as it is."""
        if run.pin_worker_id is not None and (worker := self.workers_by_id.get(run.pin_worker_id)) is not None:
            worker.pinned.pop(run.key, None)

    # Timers

    def arm_queued(self) -> None:
        """Tasks that began to wait in this step, for a slot or before a gate, and still do get their deadline watched."""
        for task in self.queued_now.values():
            if task.status is TaskStatus.QUEUED and (due_by := task.due_by) is not None:
                self.timers.arm(due_by, Due.SCHEDULE, task)
        self.queued_now.clear()


def worker_row(worker: Worker, tenant_no: TenantNo) -> WorkerRow:
    return WorkerRow(
        worker.key,
        worker.id,
        tenant_no,
        worker.name,
        msgspec.json.encode(sorted(worker.actions)),
        msgspec.json.encode(worker.slots),
        msgspec.json.encode(worker.labels),
        worker.runtime,
        worker.registered_at,
        worker.seen_at,
        int(worker.paused),
        worker.lost_at,
        worker.gone_at,
    )


def workflow_row(workflow: Workflow, tenant_no: TenantNo, deleted_at: Instant | None = None) -> WorkflowRow:
    return WorkflowRow(workflow.key, workflow.id, tenant_no, workflow.name, workflow.created_at, deleted_at)


def version_row(version: Version, tenant_no: TenantNo, created_at: Instant) -> VersionRow:
    text = encode_definition(version.definition)
    return VersionRow(
        version.key, version.id, tenant_no, version.workflow.key, version.number, version.checksum, text, created_at
    )


def run_row(run: Run, tenant_no: TenantNo) -> RunRow:
    return RunRow(
        run.key,
        run.id,
        tenant_no,
        run.version.workflow.key,
        run.version.key,
        run.status,
        run.input,
        run.input_bytes,
        run.metadata if run.is_new else None,
        run.priority,
        run.sticky,
        run.desired_worker_id,
        msgspec.json.encode(run.desired_labels) if run.desired_labels else None,
        run.pin_state,
        run.pin_worker_id,
        run.pin_task_key,
        run.parent_run_id,
        run.parent_task_id,
        run.child_index,
        run.child_key,
        run.child_ref,
        run.request_id,
        run.created_at,
        run.started_at,
        run.finished_at,
        msgspec.json.encode((*run.keys, *map(_value_text, run.rates))) if run.keys or run.rates else None,
        run.stage or None,
    )


def _value_text(value: RateValue | UnusableKey) -> str | UnusableKey:
    """A run's value for a rate limit, as it stands behind its concurrency keys."""
    if isinstance(value, UnusableKey):
        return value
    return msgspec.json.encode((value.name, value.units, value.limit)).decode()


def task_row(task: TaskRun, tenant_no: TenantNo) -> TaskRow:
    status = TaskStatus.ASSIGNED if task.status is TaskStatus.RUNNING else task.status
    return TaskRow(
        task.key,
        task.id,
        tenant_no,
        task.run.key,
        task.step,
        task.created_at,
        status,
        task.retry_count,
        task.app_retries,
        task.internal_retries,
        task.level,
        task.class_id,
        task.enqueue_key,
        task.queued_at,
        task.not_before,
        task.schedule_deadline,
        None if task.worker is None else task.worker.key,
        task.assigned_at,
        task.execution_deadline,
        int(task.slots_released),
        task.started_at if status is not TaskStatus.ASSIGNED else None,
        task.finished_at,
        task.output,
        task.output_bytes,
        task.error,
        task.stage or None,
    )
