"""Tasks and runs as rows of lists, and as parts of larger answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from limpet.core.ids import TenantId, TenantNo
from limpet.core.rows import RunRow, TaskRow, TaskStatus, VersionRow, WorkflowRow
from limpet.edges.rest.answers import duration_ms, moment, moment_or_none
from limpet.edges.rest.caller import Caller
from limpet.edges.rest.graph import definition_of, is_one_task, step_id
from limpet.edges.rest.names import RUN_NAME, TASK_NAME
from limpet.edges.rest.payloads import EMPTY, Payloads, Shown, object_of, read_payloads
from limpet.edges.rest.reads import side_by_side
from limpet.edges.rest.schemas import ResourceMeta, RunKind, TaskSummary
from limpet.edges.trace_context import traced
from limpet.store.api import Reader, RunQuery, RunRecord, TaskRecord

SPAWN_LOOK_UPS_MAX = 200  # of one answer, an index look-up each; tasks beyond show none spawned


@dataclass(frozen=True)
class Background:
    """What summaries need beyond the rows.

    started: receipts of live attempts by task run id; spawned: child runs by task run id, absent for none
    awaited: what tasks wait for by task run id, where that was asked
    """

    tenant: TenantId
    payloads: Payloads = field(default_factory=Payloads)
    started: Mapping[str, int] = field(default_factory=dict)
    spawned: Mapping[str, int] = field(default_factory=dict)
    awaited: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """A run with its workflow and version: what all its tasks have in common."""

    run: RunRow
    workflow: WorkflowRow
    version: VersionRow

    def task_name(self, task: TaskRow) -> str:
        """Its shown name (W1.5)."""
        return f"{definition_of(self.version.definition).steps[task.step].name}-{task.created_at // 1000}"

    def run_name(self, tasks: Sequence[TaskRow]) -> str:
        """The run's shown name: of a one-task run its task's."""
        if is_one_task(definition_of(self.version.definition)) and tasks:
            return self.task_name(tasks[0])
        return f"{self.workflow.name}-{self.run.created_at // 1000}"


def frame_of(record: RunRecord | TaskRecord) -> Frame:
    """The frame of a record."""
    return Frame(record.run, record.workflow, record.version)


async def background(caller: Caller, shown: Sequence[Shown], *, include_payloads: bool = True) -> Background:
    """Read what the rows lack, in one batch for the whole answer."""
    tasks = [task for each in shown for task in each.tasks]
    live = [task.id for task in tasks if TaskStatus(task.status).is_live]
    return Background(
        tenant=caller.tenant,
        payloads=await read_payloads(caller.reader, shown, wanted=include_payloads),
        started=caller.door.started_at(caller.tenant, live) if live else {},
        spawned=await spawned_children(caller.reader, caller.tenant_no, tasks),
    )


async def spawned_children(reader: Reader, tenant_no: TenantNo, tasks: Iterable[TaskRow]) -> dict[str, int]:
    """Child runs of each task that can have some: only a task that got a worker ever spawned."""
    could = [task.id for task in tasks if task.assigned_at is not None or task.retry_count > 0][:SPAWN_LOOK_UPS_MAX]
    found_of = await side_by_side(lambda one: reader.runs(tenant_no, RunQuery(parent_task_id=one, limit=1)), could)
    counts = (count for _, count in found_of)
    return {task_run_id: found for task_run_id, found in zip(could, counts, strict=True) if found}


def task_summary(frame: Frame, task: TaskRow, known: Background) -> TaskSummary:
    """A task."""
    run, definition = frame.run, definition_of(frame.version.definition).steps[task.step]
    started_at = task.started_at or known.started.get(task.id)
    withheld = known.payloads.withheld(run, [task])
    return TaskSummary(
        metadata=ResourceMeta(id=task.id, created_at=moment(task.created_at), updated_at=moment(touched_at(task, started_at))),
        action_id=definition.action_id,
        retry_count=task.retry_count,
        attempt=task.retry_count + 1,
        additional_metadata=object_of(traced(run.metadata, run.id)),
        created_at=moment(task.created_at),
        display_name=frame.task_name(task),
        duration=duration_ms(started_at, task.finished_at),
        is_durable=definition.is_durable,
        error_message=known.payloads.error(task) or withheld,
        finished_at=moment_or_none(task.finished_at),
        input=known.payloads.input(run),
        num_spawned_children=known.spawned.get(task.id, 0),
        output=known.payloads.output(task),
        status=TASK_NAME[task.status],
        started_at=moment_or_none(started_at),
        step_id=step_id(frame.version.id, task.step),
        waits_for=known.awaited.get(task.id),
        task_external_id=task.id,
        task_id=task.key,
        task_inserted_at=moment(task.created_at),
        tenant_id=known.tenant,
        type=RunKind.TASK,
        workflow_id=frame.workflow.id,
        workflow_name=frame.workflow.name,
        workflow_run_external_id=run.id,
        workflow_version_id=frame.version.id,
        parent_task_external_id=run.parent_task_id,
        payloads_restricted=withheld is not None,
    )


def run_summary(record: RunRecord, known: Background) -> TaskSummary:
    """A run as one row: a one-task run is its task, a larger one has its tasks as children."""
    frame, run, tasks = frame_of(record), record.run, list(record.tasks)
    if is_one_task(definition_of(record.version.definition)) and tasks:
        return task_summary(frame, tasks[0], known)
    children = [task_summary(frame, task, known) for task in tasks]
    withheld = known.payloads.withheld(run, tasks)
    return TaskSummary(
        metadata=ResourceMeta(id=run.id, created_at=moment(run.created_at), updated_at=moment(run_touched_at(run))),
        retry_count=0,
        attempt=1,
        additional_metadata=object_of(traced(run.metadata, run.id)),
        children=children,
        created_at=moment(run.created_at),
        display_name=frame.run_name(tasks),
        duration=duration_ms(run.started_at, run.finished_at),
        error_message=run_error(frame, tasks, known.payloads) or withheld,
        finished_at=moment_or_none(run.finished_at),
        input=known.payloads.input(run),
        num_spawned_children=sum(child.num_spawned_children for child in children),
        output=run_output(frame, tasks, known.payloads),
        status=RUN_NAME[run.status],
        started_at=moment_or_none(run.started_at),
        task_external_id=run.id,
        task_id=run.key,
        task_inserted_at=moment(run.created_at),
        tenant_id=known.tenant,
        type=RunKind.DAG,
        workflow_id=record.workflow.id,
        workflow_name=record.workflow.name,
        workflow_run_external_id=run.id,
        workflow_version_id=record.version.id,
        parent_task_external_id=run.parent_task_id,
        payloads_restricted=withheld is not None,
    )


def run_output(frame: Frame, tasks: Sequence[TaskRow], payloads: Payloads) -> object:
    """The run's result: of a one-task run the task's output, else by task name those that have one (W4.8)."""
    steps = definition_of(frame.version.definition).steps
    if len(steps) == 1:
        return payloads.output(tasks[0]) if tasks else EMPTY
    outputs = {steps[task.step].name: payloads.output(task) for task in tasks}
    return orjson.Fragment(orjson.dumps({name: output for name, output in outputs.items() if output is not EMPTY}))


def run_error(frame: Frame, tasks: Sequence[TaskRow], payloads: Payloads) -> str | None:
    """What went wrong in a run: the error of its failed task, or a paragraph for each of several."""
    steps = definition_of(frame.version.definition).steps
    failed = [(steps[task.step].name, payloads.error(task) or "") for task in tasks if task.status == TaskStatus.FAILED]
    if len(failed) == 1:
        return failed[0][1]
    return "\n\n".join(f"{name}: {error}" for name, error in failed) or None


def touched_at(task: TaskRow, started_at: int | None) -> int:
    """When anything of the task last changed."""
    return max(task.created_at, task.queued_at, task.assigned_at or 0, started_at or 0, task.finished_at or 0)


def run_touched_at(run: RunRow) -> int:
    """When anything of the run last changed."""
    return max(run.created_at, run.started_at or 0, run.finished_at or 0)
