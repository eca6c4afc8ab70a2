"""A scripted core with the machine's surface: what it decides stands in the input, so tests of the engine read in one place.

A trigger's workflow name is the verb, its input the argument:
    fact NAME        write a row; the reply names it         wake MICROSECONDS  write nothing, ask to be woken
    poison NAME      write a row that the faulty store refuses    boom          raise in the step
    start ACTION     open a run and send its start           missing            send a start whose input no row holds
    finish KEY       say that the run of that row key ended  refuse             reply with an error
    look ID          ask the store for a request id first    close WORKER       end that worker's streams
"""

from __future__ import annotations

from collections.abc import Sequence

from limpet.core.decision import (
    Changes,
    CloseStreams,
    Decision,
    Delivery,
    PayloadRef,
    RunFinished,
    StartTask,
    TaskResult,
)
from limpet.core.errors import InvalidArgument
from limpet.core.explain import Explanation, Outlook, Reason
from limpet.core.ids import (
    ActionId,
    Instant,
    RunKey,
    TaskKey,
    TaskRunId,
    TenantNo,
    WorkerId,
    WorkflowRunId,
    external_id,
    first_key,
)
from limpet.core.inputs import (
    Input,
    RunsTriggered,
    StartUndeliverable,
    StreamClosed,
    StreamOpened,
    TimePassed,
    Trigger,
    WorkerRegistered,
    WorkerSeen,
)
from limpet.core.limits_view import LimitsView
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.rate_views import RatesView
from limpet.core.rows import RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow, WorkflowRow
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.core.views import OutputView, WorkerView
from limpet.engine.seats import Core


class EchoMachine:
    """Remembers rows by name, workers' streams and signs of life; `log` lists every step's inputs."""

    def __init__(self, tenant_no: TenantNo, now: Instant, salt: bytes, snapshot: Snapshot, seen: dict[str, int]) -> None:
        self.tenant_no, self.salt, self.loaded_at = tenant_no, salt, now
        self.next_key = max(snapshot.next_key, first_key(tenant_no))
        self.facts = {row.id: row.name for row in snapshot.workers}
        self.workflow = snapshot.workflows[0] if snapshot.workflows else None
        self.version = snapshot.versions[0] if snapshot.versions else None
        self.handed_seen = dict(seen)
        self.seen: dict[str, int] = {row.id: seen.get(row.id, now) for row in snapshot.workers}
        self.sessions: dict[str, list[int]] = {}
        self.log: list[list[Input]] = []
        self.found: list[Found | None] = []
        self.violations: list[str] = []
        self.undelivered: list[tuple[str, int]] = []
        self._wakes: list[int] = []
        self.is_broken = False

    @classmethod
    def load(
        cls, snapshot: Snapshot, *, tenant_no: TenantNo, now: Instant, salt: bytes,
        settings: Settings | None = None, seen: dict[str, int] | None = None,
    ) -> Core:  # fmt: skip
        return cls(tenant_no, now, salt, snapshot, seen or {})

    def needs(self, inputs: Sequence[Input]) -> Needs:
        triggers = [one for item in inputs if isinstance(item, RunsTriggered) for one in item.items]
        return Needs(request_ids={one.input.decode() for one in triggers if one.workflow_name == "look"})

    def step(self, inputs: Sequence[Input], now: Instant, found: Found | None = None) -> Decision:
        assert not self.is_broken, "broken by the test"
        self.log.append(list(inputs))
        self.found.append(found)
        step = _Step(self, now)
        replies = [step.handle(item) for item in inputs]
        self._wakes = [at for at in self._wakes if at > now]
        return Decision(step.changes, replies, step.deliveries, self.wake_at, step.stale, step.notices)

    @property
    def wake_at(self) -> Instant | None:
        return Instant(min(self._wakes)) if self._wakes else None

    def wake(self, at: int) -> None:
        self._wakes.append(at)

    def workers(self) -> list[WorkerView]:
        return [view for worker_id in self.facts if (view := self.worker(worker_id))]

    def candidates(self, event_key: str, scope: str | None) -> Sequence[Candidate]:
        return ()

    def limits_of(self, workflow_name: str) -> LimitsView | None:
        return None

    def output_view(self, task_run_id: str) -> OutputView | None:
        return None

    def rates(self, now: Instant) -> RatesView:
        return RatesView((), 0)

    def awaited(self, event_key: str) -> tuple[str, ...]:
        return ()

    def worker(self, worker_id: str) -> WorkerView | None:
        if worker_id not in self.facts:
            return None
        is_open = bool(self.sessions.get(worker_id))
        seen_at, name = self.seen.get(worker_id), self.facts[worker_id]
        return WorkerView(0, worker_id, name, (), (), (), b"{}", 0, seen_at, is_open, name == "paused", None, None, ())

    def started_at(self, task_run_ids: Sequence[str]) -> dict[str, int]:
        return {task_run_id: self.loaded_at for task_run_id in task_run_ids if task_run_id in self.facts}

    def explain(self, task_run_id: str, now: Instant) -> Explanation | None:
        if task_run_id not in self.facts:
            return None
        return Explanation(task_run_id, Outlook.NOW, Reason.NONE, self.facts[task_run_id])

    def check(self) -> list[str]:
        return list(self.violations)


class _Step:
    """One step of the echo: what it has decided so far."""

    def __init__(self, machine: EchoMachine, now: Instant) -> None:
        self.machine, self.now = machine, now
        self.changes, self.deliveries = Changes(), list[Delivery]()
        self.stale: dict[str, int] = {}
        self.notices: list[str] = []

    def handle(self, item: Input) -> object:
        if isinstance(item, RunsTriggered):
            replies = [getattr(self, f"do_{one.workflow_name}")(one) for one in item.items]
            return replies[0] if len(replies) == 1 and isinstance(replies[0], InvalidArgument) else tuple(replies)
        if isinstance(item, WorkerRegistered):
            return self.write(item.name)
        if isinstance(item, StreamOpened):
            self.machine.sessions.setdefault(item.worker_id, []).append(item.session)
            self.machine.seen[item.worker_id] = self.now
        elif isinstance(item, StreamClosed):
            self.machine.sessions.get(item.worker_id, []).remove(item.session)
        elif isinstance(item, WorkerSeen):
            self.machine.seen[item.worker_id] = self.now
        elif isinstance(item, StartUndeliverable):
            self.machine.undelivered.append((item.task_run_id, item.retry_count))
        else:
            assert isinstance(item, TimePassed), f"the echo knows no {type(item).__name__}"
        return None

    def write(self, name: str) -> str:
        machine, key = self.machine, self.key()
        row_id = external_id(key, self.now, machine.salt)
        machine.facts[row_id] = name
        machine.seen[row_id] = self.now
        empty = b"{}"
        self.changes.workers.append(
            WorkerRow(key, row_id, machine.tenant_no, name, b"[]", empty, empty, empty, self.now, None, 0, None, None)
        )
        return row_id

    def key(self) -> int:
        self.machine.next_key += 1
        return self.machine.next_key - 1

    def do_fact(self, one: Trigger) -> str:
        return self.write(one.input.decode())

    def do_poison(self, one: Trigger) -> str:
        return self.write("poison " + one.input.decode())

    def do_boom(self, one: Trigger) -> str:
        self.write("half done")
        raise AssertionError("the step found a bug")

    def do_refuse(self, one: Trigger) -> InvalidArgument:
        self.stale["scripted"] = 1
        self.notices.append("a notice for the operator")
        return InvalidArgument("the script says no")

    def do_wake(self, one: Trigger) -> None:
        self.machine.wake(self.now + int(one.input))

    def do_look(self, one: Trigger) -> None:
        return None

    def do_close(self, one: Trigger) -> None:
        worker_id = one.input.decode()
        self.machine.sessions.pop(worker_id, None)
        self.deliveries.append(CloseStreams(WorkerId(worker_id), None, "scripted"))

    def do_start(self, one: Trigger) -> int:
        run, task = self.open_run(one.input)
        self.deliver_start(run.key, run.id, task.key, task.id, one.metadata.decode())
        return run.key

    def do_missing(self, one: Trigger) -> int:
        key = self.key()
        self.deliver_start(key, "run", key, "task", "missing")
        return key

    def do_finish(self, one: Trigger) -> None:
        key = int(one.input)
        payload = PayloadRef(key + 1, "only")
        result = TaskResult(TaskRunId("t"), "only", TaskStatus.COMPLETED, payload)
        self.deliveries.append(
            RunFinished(WorkflowRunId(str(key)), RunKey(key), RunStatus.COMPLETED, self.now, (result,))
        )  # fmt: skip

    def deliver_start(self, run_key: int, run_id: str, task_key: int, task_id: str, worker_id: str) -> None:
        self.deliveries.append(
            StartTask(
                WorkerId(worker_id),
                TaskKey(task_key),
                TaskRunId(task_id),
                RunKey(run_key),
                WorkflowRunId(run_id),
                ActionId("a:b"),
                "b",
                0,
                1,
                "w",
                "v",
                b"{}",
                self.now,
                PayloadRef(run_key, "input", of_run=True),
            )
        )

    def open_run(self, payload: bytes) -> tuple[RunRow, TaskRow]:
        machine = self.machine
        workflow, version = self.workflow()
        run_key, task_key, task_id = self.key(), self.key(), ""
        run_id = task_id = external_id(run_key, self.now, machine.salt)
        run = RunRow(
            run_key, run_id, machine.tenant_no, workflow.key, version.key, RunStatus.COMPLETED, payload, len(payload),
            b"{}", 1, None, None, None, 0, None, None, None, None, None, None, None, None, self.now, self.now, self.now,
        )  # fmt: skip
        task = TaskRow(
            task_key, task_id, machine.tenant_no, run_key, 0, self.now, TaskStatus.COMPLETED, 0, 0, 0, 1, 0, task_key,
            self.now, None, None, None, None, None, 0, self.now, self.now, b'{"out":1}', 9, None,
        )  # fmt: skip
        self.changes.runs_opened.append(run)
        self.changes.tasks_opened.append(task)
        return run, task

    def workflow(self) -> tuple[WorkflowRow, VersionRow]:
        machine, now = self.machine, self.now
        if machine.workflow is None or machine.version is None:
            key, version_key = self.key(), self.key()
            machine.workflow = WorkflowRow(key, external_id(key, now, machine.salt), machine.tenant_no, "echo", now, None)
            machine.version = VersionRow(
                version_key, external_id(version_key, now, machine.salt), machine.tenant_no, key, 1, b"c" * 32, b"{}", now
            )  # fmt: skip
            self.changes.workflows.append(machine.workflow)
            self.changes.versions.append(machine.version)
        return machine.workflow, machine.version
