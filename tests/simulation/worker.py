"""A worker process that behaves like the official Python client 1.43.1 (R33, assignment 5.1).

Heartbeats every 4 s with a 5 s deadline; any error of one tears the stream down. The stream is opened again with the
same id after 0.25, 0.4, 0.85, 1.65, 3.3, 5 s. STARTED is sent twice. Outcomes are repeated up to 20 times, 0.5 s growing
to 10 s. A start is executed whenever it comes: nothing is de-duplicated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from limpet.core.decision import CancelTask, Delivery, StartTask
from limpet.core.errors import NotFound
from limpet.core.ids import TenantNo
from limpet.core.inputs import (
    Input,
    RunsTriggered,
    SlotReleased,
    TaskCompleted,
    TaskFailed,
    TaskGaveUp,
    TaskStarted,
    TimeoutRefreshed,
    WorkerRegistered,
    WorkerUnsubscribed,
    WorkflowPut,
)
from tests.simulation.agenda import MS, SECOND
from tests.simulation.condition_choice import payload
from tests.simulation.network import Call, Stream
from tests.simulation.scenario import WorkerKind

if TYPE_CHECKING:
    from tests.simulation.tenant import Tenant

RECONNECT_AFTER = (250 * MS, 400 * MS, 850 * MS, 1_650 * MS, 3_300 * MS, 5 * SECOND)
STARTED_AGAIN_AFTER = (500 * MS, SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 10 * SECOND)
OUTCOME_TRIES = 20
HEARTBEAT = 4 * SECOND
CANCEL_PATIENCE = SECOND  # CN-4
CHILD_DEPTH_MAX = 2

Outcome = TaskCompleted | TaskFailed | TaskGaveUp
Told = TypeVar("Told", TaskStarted, TaskCompleted, TaskFailed, TaskGaveUp)


@dataclass(slots=True, eq=False)
class Execution:
    """One start that this process carries out."""

    start: StartTask
    cancelled: bool = False
    over: bool = False


class SimWorker:
    """One worker process; `incarnation` grows with every restart, and old acts of it are void."""

    def __init__(self, tenant: Tenant, kind: WorkerKind) -> None:
        self.tenant, self.world, self.rng, self.kind = tenant, tenant.world, tenant.world.rng, kind
        self.tenant_no: TenantNo = tenant.no
        self.labels = kind.labels
        self.id: str | None = None
        self.stream: Stream | None = None
        self.alive = False
        self.incarnation = 0
        self.executions: dict[tuple[str, int], Execution] = {}
        self._stalled: list[Callable[[], None]] | None = None
        self._failures = 0

    # Life of the process

    def boot(self) -> None:
        """Declare the workflows, then register, then listen."""
        if self.alive:
            return
        self.alive = True
        self.incarnation += 1
        self.id, self.stream, self._stalled, self._failures = None, None, None, 0
        self.executions = {}
        self._declare()

    def die(self) -> None:
        """`kill -9`: the kernel ends the connection, or nobody does (half-open)."""
        self.alive = False
        self._stalled = None
        self.incarnation += 1
        self._drop_stream(self.rng.choice((MS, MS, 20 * SECOND)), tell=False)
        self.tenant.worker_died(self)

    def leave(self) -> None:
        """The orderly end: the stream closes, then Unsubscribe (WK-34)."""
        if self.id is not None:
            Call(self.world, self.tenant_no, WorkerUnsubscribed(self.id), _nothing)
        self.die()

    def stall(self) -> None:
        """SIGSTOP: nothing is sent or handled, the connection stays open."""
        if self.alive and self._stalled is None:
            self._stalled = []

    def wake(self) -> None:
        """SIGCONT."""
        stalled, self._stalled = self._stalled or [], None
        for act in stalled:
            act()

    def deafen(self) -> None:
        """The stream stays open, and nothing comes through (T-DEAF-STREAM)."""
        if self.stream is not None:
            self.stream.deaf = True

    def cut(self) -> None:
        """The connection breaks in the middle."""
        if self.stream is not None:
            self.stream.cut(self.rng.choice((0, 0, 3 * SECOND)), tell_client=True)

    def later(self, delay: int, act: Callable[[], None]) -> None:
        """An act of this process, if it is still the same process by then."""
        self.world.agenda.after(delay, partial(self._act, self.incarnation, act))

    def _act(self, incarnation: int, act: Callable[[], None]) -> None:
        if incarnation != self.incarnation or not self.alive:
            return
        if self._stalled is not None:
            self._stalled.append(act)
        else:
            act()

    def _call(self, item: Input, done: Callable[[object], None]) -> None:
        def answered(reply: object, incarnation: int = self.incarnation) -> None:
            self._act(incarnation, partial(done, reply))

        Call(self.world, self.tenant_no, item, answered)

    # Registration, stream, heartbeats

    def _declare(self) -> None:
        items = [WorkflowPut(one) for one in self.tenant.workflows.values()]
        self._declare_each(items)

    def _declare_each(self, items: list[WorkflowPut]) -> None:
        if not items:
            kind = self.kind
            self._call(WorkerRegistered(kind.name, kind.actions, kind.slots, self.labels), self._registered)
            return
        self._call(items[0], partial(self._declared, items))

    def _declared(self, items: list[WorkflowPut], reply: object) -> None:
        if isinstance(reply, Exception):
            self.later(SECOND, partial(self._declare_each, items))
        else:
            self._declare_each(items[1:])

    def _registered(self, reply: object) -> None:
        if not isinstance(reply, str):
            self.later(SECOND, self._declare)
            return
        self.id = reply
        self._listen()
        self.later(HEARTBEAT // self.world.scenario.speed, self._heartbeat)

    def _listen(self) -> None:
        if self.stream is not None and self.stream.open:
            return
        assert self.id is not None
        engine = self.world.engine
        if engine is None or not engine.serving:
            self._reconnect()
            return
        self.stream = Stream(self.world, self.tenant_no, self.id, self)

    def _reconnect(self) -> None:
        pause = RECONNECT_AFTER[min(self._failures, len(RECONNECT_AFTER) - 1)]
        self._failures += 1
        self.later(pause + self.rng.randrange(100 * MS), self._listen)

    def stream_broke(self, stream: Stream, why: Exception) -> None:
        if stream is self.stream and self.alive:
            self._act(self.incarnation, partial(self._stream_is_over, stream, why))

    def _stream_is_over(self, stream: Stream, why: Exception) -> None:
        if stream is not self.stream:
            return
        self.stream = None
        if isinstance(why, NotFound):  # somebody restarts it, under a new id (WK-9)
            self.world.count("worker unknown to the engine")
            self.die()
            self.world.agenda.after(SECOND, self.boot)
        else:
            self._reconnect()

    def _drop_stream(self, notice_after: int, *, tell: bool) -> None:
        if self.stream is not None:
            self.stream.cut(notice_after, tell_client=tell)
        if not tell:
            self.stream = None

    def _heartbeat(self) -> None:
        """Answered without a commit (R10); any error tears the stream down (R33)."""
        assert self.id is not None
        self.world.heartbeat(self.tenant_no, self.id, self._beaten(self.incarnation))
        self.later(HEARTBEAT // self.world.scenario.speed, self._heartbeat)

    def _beaten(self, incarnation: int) -> Callable[[bool], None]:
        def answered(is_fine: bool) -> None:
            if not is_fine and self.stream is not None and incarnation == self.incarnation:
                self._drop_stream(MS, tell=True)

        return answered

    # Execution

    def receive(self, stream: Stream, message: Delivery) -> None:
        self._act(self.incarnation, partial(self._handle, message))

    def _handle(self, message: Delivery) -> None:
        self._failures = 0
        if isinstance(message, StartTask):
            self._begin(message)
        elif isinstance(message, CancelTask):
            execution = self.executions.get((message.task_run_id, message.retry_count))
            if execution is not None:
                execution.cancelled = True
                self.later(CANCEL_PATIENCE, partial(self._stop, execution))

    def _begin(self, start: StartTask) -> None:
        execution = self.executions[(start.task_run_id, start.retry_count)] = Execution(start)
        self.tenant.executed(self, start)
        self._confirm(execution, 0)
        self.later(self.rng.randrange(50 * MS), partial(self._confirm, execution, len(STARTED_AGAIN_AFTER)))
        self._plan(execution)

    def _confirm(self, execution: Execution, tries: int) -> None:
        if not execution.over:
            self._call(self._report(TaskStarted, execution), partial(self._confirmed, execution, tries))

    def _confirmed(self, execution: Execution, tries: int, reply: object) -> None:
        if isinstance(reply, Exception) and tries < len(STARTED_AGAIN_AFTER):
            self.later(STARTED_AGAIN_AFTER[tries], partial(self._confirm, execution, tries + 1))

    def _plan(self, execution: Execution) -> None:
        """What the user's code does this time."""
        rng, weather = self.rng, self.world.weather
        duration = rng.choice((20 * MS, 300 * MS, SECOND, 3 * SECOND)) * rng.randint(1, 3) // 2
        if rng.random() < 0.05 and weather.weather is not weather.calm:
            duration = 50 * SECOND
        if rng.random() < 0.10:
            self.later(duration // 2, partial(self._call, SlotReleased(execution.start.task_run_id), _nothing))
        if rng.random() < 0.10:
            self.later(duration // 2, partial(self._call, TimeoutRefreshed(execution.start.task_run_id, 3 * SECOND), _nothing))
        if rng.random() < 0.15 and self.tenant.depth_of(execution.start.workflow_run_id) < CHILD_DEPTH_MAX:
            self.later(duration // 3, partial(self._spawn, execution))
        self.later(duration, partial(self._finish, execution))

    def _spawn(self, execution: Execution) -> None:
        """A child, named by its index or a key; a retry of the parent spawns the same one (I2)."""
        if not execution.cancelled:
            trigger = self.tenant.child_of(execution.start, self.id)
            self._call(RunsTriggered((trigger,)), partial(self.tenant.child_answered, execution.start, trigger))

    def _finish(self, execution: Execution) -> None:
        if execution.cancelled or execution.over:
            return
        execution.over = True
        luck = self.rng.random()
        if luck < 0.80:
            report: Outcome = self._report(
                TaskCompleted, execution, output=payload(execution.start.task_key + execution.start.retry_count)
            )
        elif luck < 0.93:
            report = self._report(TaskFailed, execution, error="boom")
        elif luck < 0.97:
            report = self._report(TaskFailed, execution, error="fatal", retryable=False)
        else:
            report = self._report(TaskGaveUp, execution)
        self._disturb(report)
        self._send_outcome(execution, report, 0)

    def _disturb(self, report: Outcome) -> None:
        """Reports in another's name, and reports that come much later once more (T-DUP-EVENT)."""
        if self.world.weather.happens("doubled"):
            other = self.tenant.some_worker_id(self.rng)
            if other is not None and other != self.id:
                wrong = type(report)(report.task_run_id, report.retry_count, other)
                self.later(0, partial(self._call, wrong, _nothing))
        if self.world.weather.happens("doubled"):
            self.later(self.rng.randrange(20 * SECOND), partial(self._call, report, _nothing))

    def _send_outcome(self, execution: Execution, report: Outcome, tries: int) -> None:
        self._call(report, partial(self._outcome_answered, execution, report, tries))

    def _outcome_answered(self, execution: Execution, report: Outcome, tries: int, reply: object) -> None:
        if isinstance(reply, Exception) and tries < OUTCOME_TRIES:
            self.later(min(10 * SECOND, 500 * MS << min(tries, 10)), partial(self._send_outcome, execution, report, tries + 1))
            return
        self.executions.pop((execution.start.task_run_id, execution.start.retry_count), None)

    def _stop(self, execution: Execution) -> None:
        """A second after the cancel the code is stopped; nothing is reported (CN-4)."""
        execution.over = True
        self.executions.pop((execution.start.task_run_id, execution.start.retry_count), None)

    def _report(self, kind: Callable[..., Told], execution: Execution, **more: object) -> Told:
        """With the own id, sometimes only the own name (TypeScript), rarely without the attempt (old clients)."""
        start = execution.start
        ref = self.kind.name if self.rng.random() < 0.1 else self.id or ""
        return kind(start.task_run_id, start.retry_count, ref, **more)


def _nothing(reply: object) -> None:
    """Whoever asked does not care."""
