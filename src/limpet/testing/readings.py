"""What a scenario can be asked: statuses, workers, errors, timelines. Reads committed rows; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from limpet.core.decision import CancelTask, Decision, RunFinished, StartTask
from limpet.core.definition_text import decode_definition
from limpet.core.definitions import WorkflowDefinition
from limpet.core.explain import Explanation
from limpet.core.ids import Instant
from limpet.core.machine import Machine
from limpet.core.rows import EventType, RunRow, RunStatus, TaskRow, TaskStatus
from limpet.testing.tables import Tables
from limpet.testing.timeline import Moment, timeline


@dataclass(slots=True)
class ScriptedWorker:
    """What the scenario plays for one worker process.

    is_alive:   it beats and reads its stream; False: killed, or frozen
    confirms:   it sends STARTED for every start it reads
    """

    name: str
    id: str
    confirms: bool
    session: int | None = None
    is_alive: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """A start that was delivered: when, to whom, what."""

    at: Instant
    worker: str
    message: StartTask

    @property
    def task(self) -> str:
        return self.message.task_name

    @property
    def run(self) -> str:
        return self.message.workflow_run_id


@dataclass(slots=True)
class Log:
    """Everything that happened so far, oldest first."""

    starts: list[Started] = field(default_factory=list)
    cancels: list[CancelTask] = field(default_factory=list)
    finished: list[RunFinished] = field(default_factory=list)
    decisions: list[tuple[Instant, Decision]] = field(default_factory=list)
    stale: dict[str, int] = field(default_factory=dict)


class Readings:
    """The looking half of a `Scenario`."""

    log: Log

    def __init__(self, machine: Machine, tables: Tables, now: Instant) -> None:
        self.machine = machine
        self.tables = tables
        self.now = now
        self.log = Log()
        self.workers: dict[str, ScriptedWorker] = {}
        self._definitions: dict[int, WorkflowDefinition] = {}

    def run(self, run: str) -> RunRow:
        """The committed row of a run."""
        return next(row for row in self.tables.runs.values() if row.id == run)

    def task(self, task: str, run: str | None = None) -> TaskRow:
        """The committed row of a task: by id, or by name in the named or else the newest run that has it."""
        rows = self.tables.tasks
        by_id = next((row for row in rows.values() if row.id == task), None) if run is None else None
        if by_id is not None:
            return by_id
        runs = [self.run(run)] if run is not None else sorted(self.tables.runs.values(), key=lambda row: -row.key)
        for one in runs:
            for row in self.tables.tasks_of(one.key):
                if self.name_of(row) == task:
                    return row
        raise AssertionError(f"no task {task} in {'any run' if run is None else run}")

    def has_task(self, task: str, run: str | None = None) -> bool:
        """Whether the task exists yet."""
        try:
            self.task(task, run)
        except AssertionError:
            return False
        return True

    def name_of(self, row: TaskRow) -> str:
        """The task's name in its workflow."""
        return self._definition(self.tables.runs[row.run_key].version_key).steps[row.step].name

    def _definition(self, version_key: int) -> WorkflowDefinition:
        if version_key not in self._definitions:
            self._definitions[version_key] = decode_definition(self.tables.versions[version_key].definition)
        return self._definitions[version_key]

    def status(self, task: str, run: str | None = None) -> str:
        """The task's status by name; ASSIGNED becomes RUNNING with the receipt."""
        row = self.task(task, run)
        live = self.machine.state.tasks.get(row.id)
        return (TaskStatus(row.status) if live is None else live.status).name

    def statuses(self, run: str) -> dict[str, str]:
        """The statuses of all tasks of a run that exist."""
        return {self.name_of(row): self.status(row.id) for row in self.tables.tasks_of(self.run(run).key)}

    def run_status(self, run: str) -> str:
        return RunStatus(self.run(run).status).name

    def error(self, task: str, run: str | None = None) -> str:
        return self.task(task, run).error or ""

    def ran_on(self, task: str, run: str | None = None) -> str | None:
        """The name of the worker that has, or had, the last attempt; None: it waits."""
        row = self.task(task, run)
        return None if row.worker_key is None else self._worker_names()[row.worker_key]

    def workers_of(self, task: str, run: str | None = None) -> list[str]:
        """The names of the workers that were sent an attempt of the task, in order."""
        row = self.task(task, run)
        return [start.worker for start in self.log.starts if start.message.task_run_id == row.id]

    def workers_of_run(self, run: str) -> set[str]:
        """The names of all workers that were sent something of the run."""
        return {start.worker for start in self.log.starts if start.run == run}

    def cancels_for(self, task: str, run: str | None = None) -> list[tuple[str, int]]:
        """(worker, retry_count) of the cancels that were sent for a task."""
        row = self.task(task, run)
        names = {worker.id: worker.name for worker in self.workers.values()}
        return [(names[one.worker_id], one.retry_count) for one in self.log.cancels if one.task_run_id == row.id]

    def timeline(self, task: str, run: str | None = None) -> list[Moment]:
        """Everything that the task's row and its events tell."""
        row = self.task(task, run)
        live = self.machine.state.tasks.get(row.id)
        started_at = row.started_at if live is None or not live.status.is_live else live.started_at
        events = [event for event in self.tables.events.values() if event.task_key == row.key]
        return timeline(row, events, started_at=started_at, workers=self._worker_names())

    def events(self, task: str, run: str | None = None) -> list[str]:
        """The names of the timeline's moments."""
        return [moment.type.name for moment in self.timeline(task, run)]

    def moments(self, kind: EventType, task: str, run: str | None = None) -> list[Moment]:
        """The moments of one kind."""
        return [moment for moment in self.timeline(task, run) if moment.type is kind]

    def _worker_names(self) -> dict[int, str]:
        names = {worker.id: worker.name for worker in self.workers.values()}
        return {row.key: names[row.id] for row in self.tables.workers.values() if row.id in names}

    def explain(self, task: str, run: str | None = None) -> Explanation:
        """Why the task waits."""
        answer = self.machine.explain(self.task(task, run).id, self.now)
        assert answer is not None, f"{task} has ended"
        return answer

    def free_slots(self, name: str, slot_type: str = "default") -> int:
        view = self.machine.worker(self.workers[name].id)
        assert view is not None
        return next((slot.free for slot in view.slots if slot.slot_type == slot_type), 0)
