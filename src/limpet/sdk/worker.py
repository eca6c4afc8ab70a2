"""A worker: a process that offers tasks and runs them.

`start()` blocks, in a script. `await aio_start()`, or `async with worker:`, serves inside an event loop that runs
already. `start()` there (a notebook, for one) serves in a thread of its own and returns once the worker is ready.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType, TracebackType
from typing import Any, Self

from limpet.contracts import admin_pb2
from limpet.sdk._worker.console import lines_on_console
from limpet.sdk._worker.heartbeat import HEARTBEAT_INTERVAL_S
from limpet.sdk._worker.session import LifespanFn, Session, WorkerPlan
from limpet.sdk.config import ClientConfig
from limpet.sdk.declaration import Declaration
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.options import SlotType
from limpet.sdk.task import Task

logger: logging.Logger = logging.getLogger(__name__)

SLOTS_DEFAULT = 100  # [SL-1]
FORCED_UNSUBSCRIBE_TIMEOUT_S = 2.0  # a forced exit waits no longer for the engine to hear of it
FORCED_EXIT_CODE = 1


class WorkerStatus(Enum):
    """Where a worker stands in its life, as far as this process knows."""

    INITIALIZED = 1
    STARTING = 2
    HEALTHY = 3
    UNHEALTHY = 4


class WorkerStartOptions:
    """The older argument of `Worker.start`. The event loop in it is not used: a worker makes its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop


class Worker:
    """A worker process. Made by `Limpet.worker`."""

    def __init__(
        self,
        name: str,
        config: ClientConfig,
        slot_config: Mapping[str, int],
        labels: Mapping[str, str | int] | None = None,
        debug: bool = False,
        handle_kill: bool = True,
        workflows: Sequence[Declaration[Any]] | None = None,
        lifespan: LifespanFn | None = None,
        calls: EngineCalls | None = None,
    ) -> None:
        self.config = config
        self._name = config.apply_namespace(name)
        self._calls = calls or EngineCalls(config)
        self._slots = dict(slot_config)
        self._labels: dict[str, str | int] = {**(labels or {}), **config.worker_preset_labels}
        self._handle_kill = handle_kill
        self._lifespan = lifespan
        self._heartbeat_interval_s = HEARTBEAT_INTERVAL_S
        self._workflows: list[Declaration[Any]] = []
        self._extra_workflows: list[admin_pb2.CreateWorkflowVersionRequest] = []
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_known = threading.Event()
        self._serving: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._ended = False
        self._signals_seen = 0
        self.register_workflows(workflows or [])

    @property
    def name(self) -> str:
        """The worker's name, with the namespace in front."""
        return self._name

    @property
    def id(self) -> str | None:
        """The id that the engine gave; None before the worker is registered."""
        return (self._session.worker_id or None) if self._session is not None else None

    @property
    def slots(self) -> int:
        """The size of the default pool."""
        return self._slots.get(SlotType.DEFAULT.value, 0)

    @property
    def durable_slots(self) -> int:
        """The size of the durable pool."""
        return self._slots.get(SlotType.DURABLE.value, 0)

    @property
    def status(self) -> WorkerStatus:
        """Where the worker stands in its life."""
        if self._session is None:
            return WorkerStatus.INITIALIZED
        if self._ended:
            return WorkerStatus.UNHEALTHY
        return WorkerStatus.HEALTHY if self._session.ready.is_set() else WorkerStatus.STARTING

    def register_workflow(self, workflow: Declaration[Any]) -> None:
        """Let the worker carry a workflow or a standalone task. Before the start only."""
        if workflow.is_stub:
            raise ValueError(f"{workflow.name!r} is a stub: its functions live elsewhere, so no worker here can carry it.")
        if self._session is not None:
            raise RuntimeError("The worker runs already. Register workflows before it starts.")
        self._workflows.append(workflow)

    async def aio_register_workflow(self, workflow: Declaration[Any]) -> None:
        """As `register_workflow`."""
        self.register_workflow(workflow)

    def register_workflows(self, workflows: Sequence[Declaration[Any]]) -> None:
        """Let the worker carry several workflows."""
        for workflow in workflows:
            self.register_workflow(workflow)

    def register_workflow_from_opts(self, opts: admin_pb2.CreateWorkflowVersionRequest) -> None:
        """Register a prepared message together with the worker's workflows, without tasks of this worker."""
        self._extra_workflows.append(opts)

    def start(self, options: WorkerStartOptions | None = None) -> None:
        """Register everything and run tasks until SIGTERM or SIGINT, then drain and return.

        A second signal, or SIGQUIT, ends the process at once with exit code 1; its tasks go to other workers. Where
        an event loop runs already, the worker serves in a thread and this returns once it is ready, so that the next
        line can trigger its tasks. A program that has set up no logging sees the worker's own lines on standard error.
        """
        if not _inside_event_loop():
            with lines_on_console():
                asyncio.run(self.aio_start())
            return
        session, is_ready = self._new_session(), Future[None]()
        serve = self._serve_in_background(session, is_ready)
        self._thread = threading.Thread(target=asyncio.run, args=(serve,), name="limpet-worker", daemon=True)
        self._thread.start()
        is_ready.result()
        logger.info("Worker %s serves in the background; `await worker.exit_gracefully()` ends it.", self._name)

    async def aio_start(self) -> None:
        """Serve in the running event loop until stopped."""
        session = self._new_session()
        self._loop = asyncio.get_running_loop()
        self._loop_known.set()
        with self._signal_handlers():
            try:
                await session.run()
            finally:
                self._ended = True

    async def wait_until_ready(self) -> None:
        """Await the moment when the worker is registered and listens. Raises what made its start fail."""
        if self._serving is None or self._session is None:
            raise RuntimeError("The worker has not been started in this event loop. Use `async with worker:`.")
        await _ready_or_failed(self._session, self._serving)

    async def exit_gracefully(self) -> None:
        """Drain: take no new tasks, let running ones end, leave. Returns when that is done."""
        if self._thread is not None:
            await asyncio.to_thread(self._loop_known.wait)  # a background start may not have come that far
        if self._session is None or self._loop is None:
            return
        if not self._ended:
            self._loop.call_soon_threadsafe(self._session.request_stop)
        if self._serving is not None:
            await asyncio.shield(self._serving)
        elif self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def __aenter__(self) -> Self:
        self._new_session()
        self._serving = asyncio.get_running_loop().create_task(self.aio_start(), name=f"worker {self._name}")
        await self.wait_until_ready()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.exit_gracefully()

    async def _serve_in_background(self, session: Session, is_ready: Future[None]) -> None:
        """Serve in this thread's loop; whoever waits for `is_ready` hears of the start, or of what made it fail."""
        serving = asyncio.create_task(self.aio_start())
        try:
            await _ready_or_failed(session, serving)
        except BaseException as error:
            is_ready.set_exception(error)
            return
        is_ready.set_result(None)
        await serving

    def _new_session(self) -> Session:
        """The session of this start; the one that `async with` has made, or a new one."""
        if self._session is None or self._ended:
            self._ended = False
            self._session = Session(self._plan(), self._calls)
        return self._session

    def _plan(self) -> WorkerPlan:
        if not self._workflows:
            raise ValueError(f"Worker {self._name!r} carries no workflows. Pass workflows=[...] to it.")
        return WorkerPlan(
            name=self._name,
            workflows=(*(workflow.to_proto() for workflow in self._workflows), *self._extra_workflows),
            tasks=_tasks_by_action(self._workflows),
            slots=self._slots or {SlotType.DEFAULT.value: SLOTS_DEFAULT},
            labels=self._labels,
            lifespan=self._lifespan,
            heartbeat_interval_s=self._heartbeat_interval_s,
        )

    @contextmanager
    def _signal_handlers(self) -> Iterator[None]:
        """Handlers of the process, in the main thread only. They run also while the event loop is blocked."""
        if not self._handle_kill or threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {signal.SIGTERM: self._on_stop, signal.SIGINT: self._on_stop, signal.SIGQUIT: self._on_quit}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._signals_seen += 1
        if self._signals_seen > 1 or self.config.force_shutdown_on_shutdown_signal:
            self._force_exit()
        elif self._session is not None and self._loop is not None:
            logger.info("Worker %s drains; a second signal ends it at once.", self._name)
            self._loop.call_soon_threadsafe(self._session.request_stop)

    def _on_quit(self, number: int, frame: FrameType | None) -> None:
        self._force_exit()

    def _force_exit(self) -> None:
        """End the process after telling the engine, so that running attempts go elsewhere at once (WK-35).

        In a thread: a signal handler may have interrupted code that holds the locks which the call needs.
        """
        threading.Thread(target=self._unsubscribe_and_exit, name="limpet-forced-exit", daemon=True).start()

    def _unsubscribe_and_exit(self) -> None:
        logger.warning("Worker %s ends at once; its running tasks go to other workers.", self._name)
        with suppress(Exception):
            if self._session is not None and self._session.worker_id:
                self._session.unsubscribe(FORCED_UNSUBSCRIBE_TIMEOUT_S)
        os._exit(FORCED_EXIT_CODE)


async def _ready_or_failed(session: Session, serving: asyncio.Task[None]) -> None:
    """Returns when the worker is registered and listens. Raises what made its start fail."""
    ready = asyncio.ensure_future(session.ready.wait())
    await asyncio.wait({ready, serving}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        await serving


def _inside_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _tasks_by_action(workflows: Sequence[Declaration[Any]]) -> dict[str, Task[Any, Any]]:
    tasks: dict[str, Task[Any, Any]] = {}
    for workflow in workflows:
        for action_id, task in zip(workflow.action_ids, workflow.tasks, strict=True):
            if action_id in tasks:
                raise ValueError(f"Two tasks of this worker have the action id {action_id!r}. Rename one of them.")
            tasks[action_id] = task
    return tasks
