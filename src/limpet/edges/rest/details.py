"""Everything about one run."""

from __future__ import annotations

from dataclasses import replace

import orjson

from limpet.core.rows import EventRow, WorkerRow
from limpet.edges.rest.answers import duration_ms, moment, moment_or_none
from limpet.edges.rest.awaited import awaited_by
from limpet.edges.rest.caller import Caller
from limpet.edges.rest.graph import shape
from limpet.edges.rest.names import RUN_NAME
from limpet.edges.rest.payloads import Shown, object_of
from limpet.edges.rest.schemas import ResourceMeta, Run, RunDetails, TaskEvent
from limpet.edges.rest.summaries import (
    Background,
    background,
    frame_of,
    run_error,
    run_output,
    run_touched_at,
    task_summary,
)
from limpet.edges.rest.timeline import Told, by_task, merged, timeline, worker_keys
from limpet.edges.trace_context import traced
from limpet.store.api import RunRecord

Histories = tuple[dict[int, list[EventRow]], dict[int, WorkerRow]]


async def run_details(caller: Caller, record: RunRecord) -> RunDetailsBuilder:
    """Read what the answer needs; the builder then makes it, in whatever thread."""
    known = await background(caller, [Shown(record.run, record.tasks)])
    known = replace(known, awaited=await awaited_by(caller, record.tasks))
    return RunDetailsBuilder(record, known, *await histories(caller, record))


async def histories(caller: Caller, record: RunRecord) -> Histories:
    """The event rows of a run by task, and the workers that they and the tasks mention."""
    rows = await caller.reader.events(caller.tenant_no, record.tasks)
    keys = worker_keys(record.tasks, rows)
    return by_task(rows), dict(await caller.reader.workers_by_key(caller.tenant_no, keys)) if keys else {}


class RunDetailsBuilder:
    """Rows of one run, read; `build` turns them into the answer."""

    def __init__(
        self, record: RunRecord, known: Background, rows: dict[int, list[EventRow]], workers: dict[int, WorkerRow]
    ) -> None:
        self._record = record
        self._known = known
        self._rows = rows
        self._workers = workers

    def build(self) -> RunDetails:
        """The whole answer."""
        record = self._record
        frame = frame_of(record)
        return RunDetails(
            run=self.run(),
            task_events=self.events(),
            shape=shape(record.version, list(record.tasks)),
            tasks=[task_summary(frame, task, self._known) for task in record.tasks],
            workflow_config=orjson.Fragment(record.version.definition),
        )

    def events(self) -> list[TaskEvent]:
        """The timelines of all tasks as one."""
        frame, started = frame_of(self._record), self._known.started
        return merged(
            (
                Told(task, frame.task_name(task), self._known.payloads.error(task), self._workers),
                timeline(task, self._rows.get(task.key, ()), started.get(task.id)),
            )
            for task in self._record.tasks
        )

    def run(self) -> Run:
        """The run itself."""
        record, payloads = self._record, self._known.payloads
        frame, run, tasks = frame_of(record), record.run, record.tasks
        withheld = payloads.withheld(run, tasks)
        started_at = run.started_at or min(self._known.started.values(), default=None)
        return Run(
            metadata=ResourceMeta(id=run.id, created_at=moment(run.created_at), updated_at=moment(run_touched_at(run))),
            status=RUN_NAME[run.status],
            started_at=moment_or_none(started_at),
            finished_at=moment_or_none(run.finished_at),
            duration=duration_ms(started_at, run.finished_at),
            tenant_id=self._known.tenant,
            additional_metadata=object_of(traced(run.metadata, run.id)),
            display_name=frame.run_name(tasks),
            workflow_id=record.workflow.id,
            output=run_output(frame, tasks, payloads),
            error_message=run_error(frame, tasks, payloads) or withheld,
            workflow_version_id=record.version.id,
            input=payloads.input(run),
            created_at=moment(run.created_at),
            parent_task_external_id=run.parent_task_id,
            payloads_restricted=withheld is not None,
        )
