"""A run in the older shape: jobs and step runs. One client reads a run's outputs from it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from limpet.core.crons import EXPRESSION_KEY
from limpet.core.definitions import TaskDefinition, WorkflowDefinition
from limpet.core.ids import SECOND_US, TenantId
from limpet.core.rows import RunRow, TaskRow, TaskStatus, VersionRow
from limpet.edges.events import EVENT_ID_KEY
from limpet.edges.rest.answers import duration_ms, moment, moment_or_none
from limpet.edges.rest.awaited import conditions_shown
from limpet.edges.rest.graph import definition_of, job_id, step_id
from limpet.edges.rest.names import OLD_RUN_NAME, OLD_TASK_NAME
from limpet.edges.rest.payloads import Payloads, object_of
from limpet.edges.rest.schemas import ResourceMeta
from limpet.edges.rest.schemas_workflows import (
    CronTrigger,
    EventTrigger,
    JobRunShown,
    JobShown,
    OlderRun,
    RunShape,
    StepRunShown,
    StepShown,
    TriggeredBy,
    Triggers,
)
from limpet.edges.rest.summaries import frame_of, run_error, run_touched_at, touched_at
from limpet.edges.trace_context import traced
from limpet.store.api import RunRecord

TASKS_JOB, ON_FAILURE_JOB = 0, 1


def run_shape(tenant: TenantId, record: RunRecord, payloads: Payloads) -> RunShape:
    """The run, with a job run for its tasks and one for its on-failure task."""
    job_runs = [job_run(tenant, record, job, payloads) for job in jobs(tenant, record.version)]
    return RunShape(**dict(older_run(tenant, record, payloads)), job_runs=job_runs)


def older_run(tenant: TenantId, record: RunRecord, payloads: Payloads) -> OlderRun:
    """The run without its tasks."""
    run, frame = record.run, frame_of(record)
    meta = ResourceMeta(id=run.id, created_at=moment(run.created_at), updated_at=moment(run_touched_at(run)))
    return OlderRun(
        metadata=meta,
        tenant_id=tenant,
        workflow_id=record.workflow.id,
        workflow_version_id=record.version.id,
        status=OLD_RUN_NAME[run.status],
        display_name=frame.run_name(record.tasks),
        triggered_by=triggered_by(meta, run),
        input=payloads.input(run),
        error=run_error(frame, record.tasks, payloads) or payloads.withheld(run, record.tasks),
        started_at=moment_or_none(run.started_at),
        finished_at=moment_or_none(run.finished_at),
        duration=duration_ms(run.started_at, run.finished_at),
        parent_id=run.parent_run_id,
        parent_step_run_id=run.parent_task_id,
        additional_metadata=object_of(traced(run.metadata, run.id)),
    )


def triggered_by(meta: ResourceMeta, run: RunRow) -> TriggeredBy:
    """Who started it: what the engine wrote into the metadata of runs that events and crons start."""
    metadata = orjson.loads(run.metadata or b"{}")
    pairs = {key: value for key, value in metadata.items() if isinstance(value, str)} if isinstance(metadata, dict) else {}
    return TriggeredBy(
        metadata=meta,
        parent_workflow_run_id=run.parent_run_id,
        event_id=pairs.get(EVENT_ID_KEY),
        cron_schedule=pairs.get(EXPRESSION_KEY),
    )


def job_run(tenant: TenantId, record: RunRecord, job: JobShown, payloads: Payloads) -> JobRunShown:
    """The tasks of one job; those that exist."""
    run = record.run
    steps = {step.metadata.id for step in job.steps}
    tasks = [task for task in record.tasks if step_id(record.version.id, task.step) in steps]
    return JobRunShown(
        metadata=ResourceMeta(id=run.id, created_at=moment(run.created_at), updated_at=moment(run_touched_at(run))),
        tenant_id=tenant,
        workflow_run_id=run.id,
        job_id=job.metadata.id,
        job=job,
        step_runs=[step_run(tenant, run, record.version, task, payloads) for task in tasks],
        status=OLD_RUN_NAME[run.status],
        started_at=moment_or_none(run.started_at),
        finished_at=moment_or_none(run.finished_at),
    )


def step_run(tenant: TenantId, run: RunRow, version: VersionRow, task: TaskRow, payloads: Payloads) -> StepRunShown:
    """A task."""
    output = payloads.output_bytes(task)
    cancelled = task.status == TaskStatus.CANCELLED
    return StepRunShown(
        metadata=ResourceMeta(
            id=task.id, created_at=moment(task.created_at), updated_at=moment(touched_at(task, task.started_at))
        ),
        tenant_id=tenant,
        job_run_id=run.id,
        step_id=step_id(version.id, task.step),
        output=None if output is None else output.decode(),
        status=OLD_TASK_NAME[task.status],
        error=payloads.error(task) or payloads.withheld(run, [task]),
        started_at=moment_or_none(task.started_at),
        finished_at=moment_or_none(task.finished_at),
        cancelled_at=moment_or_none(task.finished_at) if cancelled else None,
    )


def jobs(tenant: TenantId, version: VersionRow) -> list[JobShown]:
    """The graph of a version: a job for its tasks, and one for its on-failure task if there is one."""
    definition = definition_of(version.definition)
    steps = [step_shown(tenant, version, definition, number) for number in range(len(definition.steps))]
    found = [job_shown(tenant, version, definition, TASKS_JOB, steps[: len(definition.tasks)])]
    if definition.on_failure is not None:
        found.append(job_shown(tenant, version, definition, ON_FAILURE_JOB, steps[len(definition.tasks) :]))
    return found


def triggers_shown(tenant: TenantId, version: VersionRow) -> Triggers:
    """The event keys and crons that a version declares."""
    definition = definition_of(version.definition)
    return Triggers(
        metadata=version_meta(version.id, version),
        workflow_version_id=version.id,
        tenant_id=tenant,
        events=[EventTrigger(parent_id=version.id, event_key=key) for key in definition.events],
        crons=[CronTrigger(parent_id=version.id, cron=expression) for expression in definition.crons],
    )


def job_shown(
    tenant: TenantId, version: VersionRow, definition: WorkflowDefinition, job: int, steps: Sequence[StepShown]
) -> JobShown:
    """One job."""
    return JobShown(
        metadata=version_meta(job_id(version.id, job), version),
        tenant_id=tenant,
        version_id=version.id,
        name=definition.name if job == TASKS_JOB else f"{definition.name}-on-failure",
        description=definition.description,
        steps=list(steps),
    )


def step_shown(tenant: TenantId, version: VersionRow, definition: WorkflowDefinition, step: int) -> StepShown:
    """One task of the graph."""
    task = definition.steps[step]
    job = ON_FAILURE_JOB if step == definition.on_failure_step else TASKS_JOB
    return StepShown(
        metadata=version_meta(step_id(version.id, step), version),
        readable_id=task.name,
        tenant_id=tenant,
        job_id=job_id(version.id, job),
        action=task.action_id,
        timeout=execution_timeout(task),
        is_durable=task.is_durable,
        slot_requests=dict(task.slot_requests),
        children=[definition.steps[child].name for child in definition.child_steps[step]],
        parents=list(task.parents),
        conditions=conditions_shown(task),
    )


def version_meta(identity: str, version: VersionRow) -> ResourceMeta:
    """Times of a version, which never changes."""
    return ResourceMeta(id=identity, created_at=moment(version.created_at), updated_at=moment(version.created_at))


def execution_timeout(task: TaskDefinition) -> str:
    """Its limit as a duration text (TO-1)."""
    return duration_text(task.execution_timeout_us)


def duration_text(us: int) -> str:
    """Whole seconds where possible, else milliseconds."""
    return f"{us // SECOND_US}s" if us % SECOND_US == 0 else f"{us // 1000}ms"
