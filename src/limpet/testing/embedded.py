"""A whole engine inside a test process: memory store, real gRPC and HTTP on loopback, in a thread of its own.

The thread has its own event loop, so that synchronous tests, asynchronous tests and blocking clients can all use it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from limpet.core.explain import Explanation
from limpet.core.ids import SECOND_US
from limpet.core.settings import Settings
from limpet.core.views import WorkerView
from limpet.edges.grpc.server import GrpcServer
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.streams import StreamRegistry
from limpet.edges.tokens import Addresses, OpenAccess, dev_token
from limpet.edges.traces import TraceShelf
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings
from limpet.testing.assertions import Assertions
from limpet.testing.insight import Insight, RunLike, RunView, run_id_of
from limpet.testing.lazy_http import LazyHttp
from limpet.testing.observed import ObservedEngine
from limpet.testing.shifting_clock import ShiftingClock
from limpet.testing.virtual_time import VirtualTime

if TYPE_CHECKING:
    from limpet.edges.http.server import HttpServer

T = TypeVar("T")
STOP_GRACE_S = 1.0  # for calls under way when the test ends
STOP_PATIENCE_S = 30.0  # an engine that takes longer to stop hangs


class EmbeddedEngine(Assertions):
    """`start`, use, `stop`; or as a context manager. Forgets everything at its end."""

    settings: Settings
    grpc_address: str
    http_url: str
    token: str
    engine: ObservedEngine
    insight: Insight
    time: VirtualTime

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.tenant_id = DEFAULT_TENANT_ID
        self.grpc_address = self.http_url = self.token = ""
        self._access = OpenAccess(DEFAULT_TENANT_ID)
        self._clock = ShiftingClock()
        self._streams = StreamRegistry(end_spread_s=0)
        self._traces = TraceShelf()
        self.engine = ObservedEngine(self._streams, self._clock, EngineSettings(core=self.settings))
        self.insight = Insight(self.engine, self.tenant_id)
        self.time = VirtualTime(self.engine, self._streams, self._clock, self.tenant_id)
        self._http = LazyHttp(self._make_http)
        self._ends = AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="limpet-engine", daemon=True)

    # Life

    def __enter__(self) -> EmbeddedEngine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on free ports of the loopback address."""
        self._thread.start()
        try:
            self.call(self._start)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End streams and threads; what the engine knew is gone. Harmless when called twice."""
        if not self._thread.is_alive():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._ends.aclose(), self._loop).result(STOP_PATIENCE_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_PATIENCE_S)
            self._loop.close()

    def at_stop(self, end: Callable[[], Awaitable[object]]) -> None:
        """Await this in the engine's event loop before the engine stops."""
        self._ends.push_async_callback(end)

    async def _start(self) -> None:
        self._ends.push_async_callback(self.engine.stop)
        await self.engine.start()
        keys = asyncio.create_task(self._streams.clock_keys.run(self.engine))
        self._ends.callback(keys.cancel)
        settings = GrpcSettings(limits=self.settings)
        grpc = GrpcServer(self.engine, self._streams, self._access, settings, clock=self._clock.now, traces=self._traces)
        self._ends.push_async_callback(grpc.stop, STOP_GRACE_S)
        self.grpc_address = f"127.0.0.1:{await grpc.start('127.0.0.1', 0)}"
        self._ends.push_async_callback(self._http.stop)
        self.http_url = self._http.listen()
        self.token = dev_token(self.tenant_id, Addresses(self.http_url, self.grpc_address))

    def _make_http(self) -> HttpServer:
        from limpet.edges.http.options import HttpOptions
        from limpet.edges.http.server import HttpServer
        from limpet.edges.rest.facts import RestFacts

        facts = RestFacts(
            tenants=self.engine.store.tenants,
            settings=self.settings,
            clock=lambda: self._clock.now() / SECOND_US,
            server_url=self.http_url,
            environment="development",
            traces=self._traces,
        )
        return HttpServer(self.engine, self._access, HttpOptions(dev_mode=True, calls_per_second=None, rest=facts))

    # The two ways into the engine's event loop

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """Run a coroutine function in the engine's event loop and wait for it."""
        __tracebackhide__ = True
        return asyncio.run_coroutine_threadsafe(function(*arguments), self._loop).result()

    async def aio_call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """The same, without blocking the event loop of the caller."""
        __tracebackhide__ = True
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*arguments), self._loop))

    # What a client needs

    @property
    def environment(self) -> dict[str, str]:
        """Variables that clients read, ours and the official ones; set them before a client is made."""
        values = {
            "TOKEN": self.token,
            "HOST_PORT": self.grpc_address,
            "SERVER_URL": self.http_url,
            "TLS_STRATEGY": "none",
        }
        both = {f"{prefix}_{name}": value for prefix in ("LIMPET", "HATCHET_CLIENT") for name, value in values.items()}
        return {**both, "HATCHET_CLIENT_API_URL": self.http_url}

    @property
    def http_is_used(self) -> bool:
        """Whether anybody has called the HTTP side; it is made at the first call."""
        return self._http.is_used

    # What a test asks

    def run(self, run: RunLike) -> RunView:
        """A run with its tasks as it stands now."""
        return self.call(self.insight.run, run_id_of(run))

    def explain(self, task: RunLike) -> Explanation:
        """Why a task waits, or where it is. A run of one task is named by the run too. Raises NotFound."""
        return self.call(self.insight.explain, run_id_of(task))

    def explain_waiting(self) -> str:
        """Every waiting task with its reason, as the failing assertions print it."""
        return self.call(self.insight.describe_waiting)

    def workers(self) -> list[WorkerView]:
        """All registered workers, with slots, labels and what they run."""
        return self.call(self._workers)

    async def _workers(self) -> list[WorkerView]:
        return list(self.engine.workers(self.tenant_id))

    # Virtual time

    def advance(self, seconds: float) -> None:
        """Let time pass at once: time-outs, back-offs and delays fall due in their order.

        Workers do not get faster: advance up to what you wait for, let it happen, and go on from there.
        """
        self.call(self.time.advance, seconds)

    async def aio_advance(self, seconds: float) -> None:
        """The twin of `advance`, for tests whose own event loop runs the workers."""
        await self.aio_call(self.time.advance, seconds)
