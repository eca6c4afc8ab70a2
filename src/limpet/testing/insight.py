"""What a test sees of runs, tasks and waiting. Everything here runs in the engine's event loop and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from limpet.core.definition_text import decode_definition
from limpet.core.explain import Explanation
from limpet.core.ids import TenantId, TenantNo
from limpet.core.rows import RunStatus, TaskRow, TaskStatus, WorkerRow
from limpet.store.api import RunQuery, RunRecord
from limpet.testing.observed import ObservedEngine, Pulse

WAITING = (TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.BACKING_OFF)
EXPLAINED_MAX = 20  # waiting tasks in one message: more than a person reads


class HasRunId(Protocol):
    """A reference to a run, as the SDKs return it."""

    @property
    def workflow_run_id(self) -> str: ...


RunLike = str | HasRunId


def run_id_of(run: RunLike) -> str:
    """The id of a run, given as such or as a reference."""
    return run if isinstance(run, str) else run.workflow_run_id


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task of a run.

    status:  PENDING, QUEUED, BACKING_OFF, ASSIGNED (given to a worker), RUNNING (the worker has said so), COMPLETED,
             FAILED, CANCELLED or SKIPPED
    attempt: counted from 1
    worker:  the name of the worker it was given to last
    """

    name: str
    id: str
    status: str
    attempt: int
    worker: str | None
    worker_id: str | None
    output: Any
    error: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it stands now. `tasks` by name: those that exist already. `status`: QUEUED, RUNNING, COMPLETED, …"""

    id: str
    workflow: str
    status: str
    tasks: Mapping[str, TaskView]
    started_at: int | None
    has_ended: bool

    @property
    def outputs(self) -> dict[str, Any]:
        """What completed tasks returned, by task name."""
        return {task.name: task.output for task in self.tasks.values() if task.status == TaskStatus.COMPLETED.name}

    @property
    def workers(self) -> set[str]:
        """Names of the workers that its tasks were given to last."""
        return {task.worker for task in self.tasks.values() if task.worker is not None}

    @property
    def worker_ids(self) -> set[str]:
        """Ids of the workers that its tasks were given to last."""
        return {task.worker_id for task in self.tasks.values() if task.worker_id is not None}


class Insight:
    """Reads an engine for a test."""

    def __init__(self, engine: ObservedEngine, tenant: TenantId) -> None:
        self._engine, self._tenant = engine, tenant
        self.pulse: Pulse = engine.pulse

    async def find(self, run_id: str) -> RunView | None:
        """The run; None when there is none."""
        record = await self._engine.reader.run(self._tenant_no(), run_id)
        return None if record is None else await self._view(record)

    async def run(self, run_id: str) -> RunView:
        """The run. Fails the test when there is none: its trigger has answered before, so it never will be."""
        found = await self.find(run_id)
        if found is None:
            raise AssertionError(f"there is no run {run_id} in this engine")
        return found

    async def explain(self, task_run_id: str) -> Explanation:
        """Why a task waits, or where it is. Raises NotFound."""
        return await self._engine.explain(self._tenant, task_run_id)

    async def describe(self, view: RunView) -> str:
        """A line per task: its state, its worker, and why it waits if it does."""
        lines = [await self._describe_task(task) for task in view.tasks.values()]
        return "\n".join([f"run {view.id} of {view.workflow} is {view.status}", *lines])

    async def describe_waiting(self, besides: str = "") -> str:
        """Every waiting task of the engine with its reason, `besides` those of one run."""
        query = RunQuery(statuses=[int(status) for status in WAITING], limit=EXPLAINED_MAX)
        records, total = await self._engine.reader.tasks(self._tenant_no(), query)
        ids = [record.task.id for record in reversed(records) if record.run.id != besides]
        lines = [f"  {explanation.task_run_id}: {sentence(explanation)}" for explanation in [await self.explain(i) for i in ids]]
        more = [f"  … {total - len(records)} more"] if total > len(records) else []
        return "\n".join(["tasks that wait:", *lines, *more]) if lines else "no other task waits"

    async def _describe_task(self, task: TaskView) -> str:
        text = f"  {task.name}: {task.status}, attempt {task.attempt}, worker {task.worker or 'nobody'}"
        if task.status in {status.name for status in WAITING}:
            return f"{text}; {sentence(await self.explain(task.id))}"
        return text + (f"; error: {task.error}" if task.error else "")

    async def _view(self, record: RunRecord) -> RunView:
        steps = decode_definition(record.version.definition).steps
        keys = {task.worker_key for task in record.tasks if task.worker_key is not None}
        workers = await self._engine.reader.workers_by_key(self._tenant_no(), keys)
        confirmed = self._engine.started_at(self._tenant, [task.id for task in record.tasks])
        tasks = [_task_view(steps[task.step].name, task, workers, task.id in confirmed) for task in record.tasks]
        return RunView(
            id=record.run.id,
            workflow=record.workflow.name,
            status=RunStatus(record.run.status).name,
            tasks={task.name: task for task in tasks},
            started_at=record.run.started_at,
            has_ended=RunStatus(record.run.status).is_terminal,
        )

    def _tenant_no(self) -> TenantNo:
        number = self._engine.tenant_no(self._tenant)
        assert number is not None, "the default tenant exists from the start"
        return number


def sentence(explanation: Explanation) -> str:
    """An explanation in a line."""
    return f"{explanation.outlook}, {explanation.reason}: {explanation.text} {' '.join(explanation.unblock)}".rstrip()


def _task_view(name: str, task: TaskRow, workers: Mapping[int, WorkerRow], is_confirmed: bool) -> TaskView:
    status = TaskStatus(task.status)
    if status is TaskStatus.ASSIGNED and is_confirmed:
        status = TaskStatus.RUNNING  # rows keep ASSIGNED; only memory knows of the receipt
    worker = None if task.worker_key is None else workers.get(task.worker_key)
    return TaskView(
        name=name,
        id=task.id,
        status=status.name,
        attempt=task.retry_count + 1,
        worker=worker and worker.name,
        worker_id=worker and worker.id,
        output=json.loads(task.output) if task.output else None,
        error=task.error,
    )
