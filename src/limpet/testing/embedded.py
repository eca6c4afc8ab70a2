"""A whole engine inside a test process: memory store, real gRPC and HTTP on loopback, in a thread of its own.

The thread has its own event loop, so that synchronous tests, asynchronous tests and blocking clients can all use it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from limpet.core.explain import Explanation
from limpet.core.ids import TenantNo
from limpet.core.inputs import TimePassed, WorkerSeen
from limpet.core.settings import Settings
from limpet.edges.grpc.server import GrpcServer
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.http.options import HttpOptions
from limpet.edges.http.server import HttpServer
from limpet.edges.streams import StreamRegistry
from limpet.edges.tokens import Addresses, OpenAccess, dev_token
from limpet.engine.engine import Engine
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings
from limpet.store.api import RunRecord, TaskRecord
from limpet.store.memory import MemoryStore
from limpet.testing.shifting_clock import ShiftingClock

T = TypeVar("T")
CALL_PATIENCE_S = 30.0  # a call into the engine's thread that takes longer is a hang


class EmbeddedEngine:
    """`start`, use, `stop`; or as a context manager. Forgets everything at its end."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.grpc_address = ""
        self.http_url = ""
        self.token = ""
        self.tenant_id = DEFAULT_TENANT_ID
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="limpet-engine", daemon=True)
        self._ends = AsyncExitStack()

    def __enter__(self) -> EmbeddedEngine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on free ports of the loopback address."""
        self._thread.start()
        self.call(self._start)

    def stop(self) -> None:
        """End streams and threads; what the engine knew is gone. Harmless when called twice."""
        if not self._thread.is_alive():
            return
        self.call(self._ends.aclose)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_PATIENCE_S)
        self._loop.close()

    async def _start(self) -> None:
        streams = StreamRegistry()
        self._clock = ShiftingClock()
        self.engine = Engine(MemoryStore(), streams, self._clock, EngineSettings(core=self.settings))
        self._ends.push_async_callback(self.engine.stop)
        await self.engine.start()
        access = OpenAccess(DEFAULT_TENANT_ID)
        grpc = GrpcServer(self.engine, streams, access, GrpcSettings(limits=self.settings))
        self._ends.push_async_callback(grpc.stop)
        self.grpc_address = f"127.0.0.1:{await grpc.start('127.0.0.1', 0)}"
        http = HttpServer(self.engine, access, HttpOptions(dev_mode=True, calls_per_second=None))
        self._ends.push_async_callback(http.stop)
        self.http_url = f"http://127.0.0.1:{await http.start('127.0.0.1', 0)}"
        self.token = dev_token(DEFAULT_TENANT_ID, Addresses(self.http_url, self.grpc_address))

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """Run a coroutine function in the engine's event loop and wait for it."""
        future = asyncio.run_coroutine_threadsafe(function(*arguments), self._loop)
        return future.result(CALL_PATIENCE_S)

    # What a client needs

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the official clients read; `monkeypatch.setenv` them before making a client."""
        return {
            "HATCHET_CLIENT_TOKEN": self.token,
            "HATCHET_CLIENT_HOST_PORT": self.grpc_address,
            "HATCHET_CLIENT_SERVER_URL": self.http_url,
            "HATCHET_CLIENT_API_URL": self.http_url,
            "HATCHET_CLIENT_TLS_STRATEGY": "none",
        }

    # What a test asks

    def run(self, run_id: str) -> RunRecord | None:
        """A run with its tasks, as the store has it."""
        return self.call(self.engine.reader.run, self._tenant_no(), run_id)

    def task(self, task_run_id: str) -> TaskRecord | None:
        """A task with its run, as the store has it."""
        return self.call(self.engine.reader.task, self._tenant_no(), task_run_id)

    def explain(self, task_run_id: str) -> Explanation:
        """Why a task waits, or where it is. Raises NotFound."""
        return self.call(self.engine.explain, self.tenant_id, task_run_id)

    def worker_name(self, worker_key: int | None) -> str:
        """The name of a worker, by its row key; "nobody" for None."""
        if worker_key is None:
            return "nobody"
        return next((w.name for w in self.engine.workers(self.tenant_id) if w.key == worker_key), f"worker #{worker_key}")

    def _tenant_no(self) -> TenantNo:
        number = self.engine.tenant_no(self.tenant_id)
        assert number is not None, "the default tenant exists from the start"
        return number

    # Virtual time

    def advance(self, seconds: float) -> None:
        """Let time pass at once: timeouts, back-offs and delays fall due in their order.

        Liveness stays real: a worker that is connected now is not taken for lost because of a jump.
        """
        self.call(self._advance, round(seconds * 1_000_000))

    async def _advance(self, by_us: int) -> None:
        target = self._clock.now() + by_us
        while True:
            due = self.engine.next_due(self.tenant_id)
            left = target - self._clock.now()
            step = left if due is None else min(left, max(0, due - self._clock.now()))
            for worker in self.engine.workers(self.tenant_id):
                if worker.stream_open:
                    self.engine.notify(self.tenant_id, WorkerSeen(worker.worker_id))
            self._clock.shift(max(0, step))
            await self.engine.submit(self.tenant_id, TimePassed())
            if self._clock.now() >= target:
                return
