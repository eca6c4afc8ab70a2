"""One life of a worker: register, take assignments, drain, leave.

The order of leaving (WK-34): tell the engine to assign nothing more, let running tasks end while heartbeats and stream
stay, close the stream, deliver the last outcomes, unsubscribe, then clean up what the lifespan function set up.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import tenacity

from limpet._version import __version__
from limpet.contracts import admin_pb2, dispatcher_pb2
from limpet.sdk._transport import NO_RETRIES, REGISTER, UNSUBSCRIBE, UPSERT_LABELS, Retries, code_of, reason_of
from limpet.sdk._worker.health import Health, HealthServer
from limpet.sdk._worker.heartbeat import HEARTBEAT_INTERVAL_S, Heartbeat
from limpet.sdk._worker.listener import Listener
from limpet.sdk._worker.logs import LogSender, TaskLogHandler
from limpet.sdk._worker.protocol import WorkerProtocol
from limpet.sdk._worker.reports import Reports
from limpet.sdk._worker.runner import Runner, RunnerParts
from limpet.sdk._worker.task_calls import EngineTaskCalls
from limpet.sdk._worker.threads import TaskThreads
from limpet.sdk._worker.watchdog import LoopWatchdog
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.exceptions import EngineNotFoundError, LifespanSetupError
from limpet.sdk.features.runs import RunsClient
from limpet.sdk.features.workers import PAUSE_TIMEOUT_S, WorkersClient
from limpet.sdk.labels import check_label_number
from limpet.sdk.rest.exceptions import ApiException
from limpet.sdk.task import Task

logger = logging.getLogger(__name__)

REGISTER_TIMEOUT_S = 30.0
UNSUBSCRIBE_TIMEOUT_S = 5.0
UPSERT_TIMEOUT_S = 30.0
OFFERS_SHOWN_MAX = 5  # tasks named in one line of the log
PUT_WORKFLOW_CONCURRENCY = 5  # a worker with hundreds of workflows does not flood the engine at start
REGISTER_RETRIES = Retries(attempts=10, wait=tenacity.wait_exponential(multiplier=0.2, max=5) + tenacity.wait_random(0, 0.2))

LifespanFn = Callable[[], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What a worker is to be: what it offers, and with which means."""

    name: str
    workflows: tuple[admin_pb2.CreateWorkflowVersionRequest, ...]
    tasks: Mapping[str, Task[Any, Any]]
    slots: Mapping[str, int]
    labels: Mapping[str, str | int]
    lifespan: LifespanFn | None
    heartbeat_interval_s: float = HEARTBEAT_INTERVAL_S


@dataclass(slots=True)
class Session:
    """One life. `run` returns when it is over."""

    plan: WorkerPlan
    calls: EngineCalls
    worker_id: str = ""
    labels: dict[str, str | int] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _ended_count: int = 0
    _runner: Runner | None = None
    _heartbeat: Heartbeat | None = None
    _watchdog: LoopWatchdog | None = None

    @property
    def action_ids(self) -> frozenset[str]:
        """What the worker offers."""
        return frozenset(self.plan.tasks)

    def request_stop(self) -> None:
        """Begin to drain. In the event loop only."""
        self._stop.set()

    async def run(self) -> None:
        """Live until a stop is requested and everything has drained."""
        self.labels = dict(self.plan.labels)
        async with AsyncExitStack() as stack:
            lifespan = await self._enter_lifespan(stack)
            await self._register_first()
            await self._serve(lifespan)
        logger.info("Worker %s has left.", self.plan.name)

    def unsubscribe(self, timeout_s: float = UNSUBSCRIBE_TIMEOUT_S) -> None:
        """Tell the engine that this worker is gone; what still runs is handed to others at once (WK-35)."""
        request = dispatcher_pb2.WorkerUnsubscribeRequest(worker_id=self.worker_id)
        try:
            self.calls.transport.call(UNSUBSCRIBE, request, timeout_s=timeout_s, retries=NO_RETRIES)
        except grpc.RpcError as error:
            logger.warning("The engine could not be told that the worker leaves (%s); it will notice by itself.", error)

    def upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Merge labels, at the engine and then here."""
        request = dispatcher_pb2.UpsertWorkerLabelsRequest(worker_id=self.worker_id, labels=wire_worker_labels(labels))
        self.calls.transport.call(UPSERT_LABELS, request, timeout_s=UPSERT_TIMEOUT_S)
        self.labels = self.labels | dict(labels)

    async def aio_upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Merge labels, at the engine and then here."""
        request = dispatcher_pb2.UpsertWorkerLabelsRequest(worker_id=self.worker_id, labels=wire_worker_labels(labels))
        await self.calls.transport.acall(UPSERT_LABELS, request, timeout_s=UPSERT_TIMEOUT_S)
        self.labels = self.labels | dict(labels)

    def health(self) -> Health:
        """How the worker is. For any thread."""
        limit_s = self.calls.config.healthcheck.event_loop_block_threshold_seconds
        lag_s = self._watchdog.lag_s if self._watchdog is not None else 0.0
        beats = self._heartbeat is not None and self._heartbeat.last_succeeded
        is_healthy = self.ready.is_set() and beats and lag_s < limit_s
        status = "HEALTHY" if is_healthy else "UNHEALTHY" if self.ready.is_set() else "STARTING"
        used = self._runner.count if self._runner is not None else 0
        return Health(status, is_healthy, lag_s, {pool: (used, limit) for pool, limit in self.plan.slots.items()})

    async def _enter_lifespan(self, stack: AsyncExitStack) -> Any:
        if self.plan.lifespan is None:
            return None
        try:
            return await stack.enter_async_context(asynccontextmanager(self.plan.lifespan)())
        except Exception as error:
            raise LifespanSetupError(f"The lifespan function of worker {self.plan.name!r} failed: {error!r}") from error

    async def _register_first(self) -> None:
        """As `_register`, for a worker that starts: an address where nothing answers is most often a wrong one."""
        try:
            await self._register()
        except grpc.RpcError as error:
            if code_of(error) is not grpc.StatusCode.UNAVAILABLE:
                raise
            raise EngineNotFoundError(
                f"Worker {self.plan.name!r} cannot start: no engine answers at {self.calls.config.host_port} "
                f"({reason_of(error)}). Start one there, or set LIMPET_HOST_PORT; `limpet doctor` looks for the cause."
            ) from None

    async def _register(self) -> None:
        """Put the workflows, then register; the engine gives a new id."""
        gate = asyncio.Semaphore(PUT_WORKFLOW_CONCURRENCY)

        async def put(workflow: admin_pb2.CreateWorkflowVersionRequest) -> None:
            async with gate:
                await self.calls.aio_put_workflow(workflow)

        await asyncio.gather(*(put(workflow) for workflow in self.plan.workflows))
        request = dispatcher_pb2.WorkerRegisterRequest(
            worker_name=self.plan.name,
            actions=sorted(self.plan.tasks),
            services=["default"],
            labels=wire_worker_labels(self.labels),
            runtime_info=_runtime_info(),
            slot_config=self.plan.slots,
        )
        response = await self.calls.transport.acall(REGISTER, request, timeout_s=REGISTER_TIMEOUT_S, retries=REGISTER_RETRIES)
        self.worker_id = response.worker_id
        if self.ready.is_set():
            logger.info("Worker %s is registered again, as %s.", self.plan.name, self.worker_id)

    async def _serve(self, lifespan: Any) -> None:
        """Take assignments until a stop is requested, then drain."""
        loop = asyncio.get_running_loop()
        config = self.calls.config
        reports = Reports(self.calls.transport, lambda: self.worker_id)
        logs = LogSender(self.calls.transport, config.log_queue_size)
        threads = TaskThreads(sum(self.plan.slots.values()), loop)
        runs, workers = RunsClient(self.calls), WorkersClient(self.calls)
        parts = RunnerParts(
            tasks=self.plan.tasks,
            calls=EngineTaskCalls(self.calls, runs, logs),
            worker=self,
            reports=reports,
            threads=threads,
            on_end=self._count_end,
            lifespan=lifespan,
            force_kill_threads=config.enable_force_kill_sync_threads,
        )
        runner = self._runner = Runner(parts, WorkerProtocol(self.action_ids))
        listener = Listener(
            self.calls.transport,
            reports,
            loop,
            worker_id=lambda: self.worker_id,
            on_action=runner.on_action,
            register_again=self._register,
            stream_timeout_s=config.listener_v2_timeout,
        )
        heartbeat = self._heartbeat = Heartbeat(
            config,
            worker_id=lambda: self.worker_id,
            on_unknown_worker=listener.worker_is_unknown,
            on_lost_stream=listener.interrupt,
            interval_s=self.plan.heartbeat_interval_s,
        )
        self._watchdog = LoopWatchdog(loop)
        with self._running_parts(logs):
            self._watchdog.start()
            listener.start()
            heartbeat.start()
            self.ready.set()
            logger.info("Worker %s is ready, as %s: %s.", self.plan.name, self.worker_id, self._offer())
            try:
                await self._stop.wait()
                await self._drain(workers, listener, runner, reports)
            finally:
                await self._leave(listener, heartbeat)
                runner.stop_cancelled()
                threads.close()

    async def _drain(self, workers: WorkersClient, listener: Listener, runner: Runner, reports: Reports) -> None:
        if not await self._pause(workers):
            await _stop_listening(listener)  # the engine assigns nothing to a worker without a stream
        await runner.drained()
        await _stop_listening(listener)
        await runner.drained()
        await reports.flush()

    async def _pause(self, workers: WorkersClient) -> bool:
        try:
            async with asyncio.timeout(PAUSE_TIMEOUT_S):
                await workers.aio_pause(self.worker_id)
            return True
        except (ApiException, TimeoutError, ValueError) as error:
            logger.warning("The engine could not be told to pause the worker (%s); closing its stream instead.", error)
            return False

    async def _leave(self, listener: Listener, heartbeat: Heartbeat) -> None:
        await _stop_listening(listener)
        heartbeat.stop()
        await asyncio.to_thread(self.unsubscribe)
        await asyncio.to_thread(heartbeat.join)

    @contextmanager
    def _running_parts(self, logs: LogSender) -> Any:
        """Log capture and the health endpoint, for as long as the worker serves."""
        config = self.calls.config
        handler = TaskLogHandler(logs)
        health = HealthServer(config.healthcheck, self.health) if config.healthcheck.enabled else None
        logs.start()
        if not config.disable_log_capture:
            config.logger.addHandler(handler)
        if health is not None:
            health.start()
        try:
            yield
        finally:
            config.logger.removeHandler(handler)
            logs.close()
            if health is not None:
                health.stop()
            if self._watchdog is not None:
                self._watchdog.stop()

    def _offer(self) -> str:
        """What the worker offers, for a line of the log: the first few tasks by name, the slots by pool."""
        names = sorted(self.plan.tasks)
        more = f" and {len(names) - OFFERS_SHOWN_MAX} more" if len(names) > OFFERS_SHOWN_MAX else ""
        pools = ", ".join(f"{pool} {count}" for pool, count in self.plan.slots.items())
        return f"tasks {', '.join(names[:OFFERS_SHOWN_MAX])}{more}; slots {pools}"

    def _count_end(self) -> None:
        self._ended_count += 1
        limit = self.calls.config.terminate_worker_after_num_tasks
        if limit is not None and self._ended_count >= limit:
            self.request_stop()


async def _stop_listening(listener: Listener) -> None:
    """Close the stream, and hand over what had arrived on it."""
    listener.stop()
    await asyncio.to_thread(listener.join)
    listener.settle()


def wire_worker_labels(labels: Mapping[str, str | int]) -> dict[str, dispatcher_pb2.WorkerLabels]:
    """A worker's labels as the wire carries them. Raises ValueError for a number beyond 32 bits."""
    wire = {}
    for key, value in labels.items():
        if isinstance(value, str):
            wire[key] = dispatcher_pb2.WorkerLabels(str_value=value)
        else:
            wire[key] = dispatcher_pb2.WorkerLabels(int_value=check_label_number(key, value, what="the worker's label"))
    return wire


def _runtime_info() -> dispatcher_pb2.RuntimeInfo:
    return dispatcher_pb2.RuntimeInfo(
        sdk_version=__version__,
        language=dispatcher_pb2.PYTHON,
        language_version=platform.python_version(),
        os=sys.platform,
    )
