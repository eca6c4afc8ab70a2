"""Assertions about where and when tasks ran, as methods of the engine. On failure they print what the engine says.

Each waits a little for what it asserts, and fails at once where waiting is no use. Each has a twin `aio_…` for tests
whose own event loop runs the workers: a blocking call would stop them.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from limpet.core.explain import Reason
from limpet.testing.insight import WAITING, Insight, RunLike, RunView, run_id_of

T = TypeVar("T")
PATIENCE_S = 10.0  # for what takes milliseconds unless something is wrong
BLOCKED = "this call blocks the event loop of the test: if that loop runs the workers, await the twin `aio_…` instead"


class HasName(Protocol):
    """A worker object of an SDK, or a FakeWorker."""

    @property
    def name(self) -> str: ...


WorkerLike = str | HasName


class Assertions(ABC):
    """The mixin: whoever has it supplies `insight` and the two ways into the engine's event loop."""

    insight: Insight

    @abstractmethod
    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """Run a coroutine function in the engine's event loop and wait for it."""

    @abstractmethod
    async def aio_call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """The same, without blocking the event loop of the caller."""

    def wait_until_ended(self, run: RunLike, *, within_s: float = PATIENCE_S) -> RunView:
        """Wait until the run has ended, however; returns it."""
        __tracebackhide__ = True
        return self._blocking(self._ended, run, within_s)

    async def aio_wait_until_ended(self, run: RunLike, *, within_s: float = PATIENCE_S) -> RunView:
        """The twin of `wait_until_ended`."""
        __tracebackhide__ = True
        return await self.aio_call(self._ended, run, within_s)

    def assert_ran_on(self, run: RunLike, worker: WorkerLike, *, within_s: float = PATIENCE_S) -> RunView:
        """The run ends, and all its tasks ran on that worker (a worker object, a name or an id)."""
        __tracebackhide__ = True
        return self._blocking(self._ran_on, run, worker, within_s)

    async def aio_assert_ran_on(self, run: RunLike, worker: WorkerLike, *, within_s: float = PATIENCE_S) -> RunView:
        """The twin of `assert_ran_on`."""
        __tracebackhide__ = True
        return await self.aio_call(self._ran_on, run, worker, within_s)

    def assert_same_worker(self, *runs: RunLike, within_s: float = PATIENCE_S) -> None:
        """The runs end, and all their tasks ran on one worker."""
        __tracebackhide__ = True
        self._blocking(self._same_worker, runs, within_s)

    async def aio_assert_same_worker(self, *runs: RunLike, within_s: float = PATIENCE_S) -> None:
        """The twin of `assert_same_worker`."""
        __tracebackhide__ = True
        await self.aio_call(self._same_worker, runs, within_s)

    def assert_order(self, *runs: RunLike, within_s: float = PATIENCE_S) -> None:
        """The runs start, none before one that stands earlier here."""
        __tracebackhide__ = True
        self._blocking(self._order, runs, within_s)

    async def aio_assert_order(self, *runs: RunLike, within_s: float = PATIENCE_S) -> None:
        """The twin of `assert_order`."""
        __tracebackhide__ = True
        await self.aio_call(self._order, runs, within_s)

    def assert_waiting(self, run: RunLike, *, because: Reason | str | None = None, within_s: float = PATIENCE_S) -> None:
        """A task of the run waits; `because`: for that reason, a `Reason` or its text, as in "no_free_slot"."""
        __tracebackhide__ = True
        self._blocking(self._waiting, run, because, within_s)

    async def aio_assert_waiting(
        self, run: RunLike, *, because: Reason | str | None = None, within_s: float = PATIENCE_S
    ) -> None:  # fmt: skip
        """The twin of `assert_waiting`."""
        __tracebackhide__ = True
        await self.aio_call(self._waiting, run, because, within_s)

    # In the engine's event loop

    async def _ended(self, run: RunLike, within_s: float) -> RunView:
        async def look(view: RunView) -> bool:
            return view.has_ended

        return await self._until(run, look, "it has ended", within_s)

    async def _ran_on(self, run: RunLike, worker: WorkerLike, within_s: float) -> RunView:
        view = await self._ended(run, within_s)
        wanted = worker if isinstance(worker, str) else worker.name
        if view.workers != {wanted} and view.worker_ids != {wanted}:
            raise AssertionError(f"expected all tasks on {wanted}\n{await self.insight.describe(view)}")
        return view

    async def _same_worker(self, runs: tuple[RunLike, ...], within_s: float) -> None:
        views = [await self._ended(run, within_s) for run in runs]
        used = {worker for view in views for worker in view.worker_ids}
        if len(used) != 1:
            described = "\n".join([await self.insight.describe(view) for view in views])
            raise AssertionError(f"expected one worker for all tasks, got {len(used)}\n{described}")

    async def _order(self, runs: tuple[RunLike, ...], within_s: float) -> None:
        async def look(view: RunView) -> bool:
            return view.started_at is not None

        views = [await self._until(run, look, "it has started", within_s) for run in runs]
        actual = sorted(views, key=lambda view: view.started_at or 0)  # stable: equal instants stay as asked for
        if actual != views:
            said = "\n".join(f"  {view.workflow} {view.id}" for view in actual)
            raise AssertionError(f"the runs started in another order:\n{said}")

    async def _waiting(self, run: RunLike, because: Reason | str | None, within_s: float) -> None:
        reason = None if because is None else Reason(because)

        async def look(view: RunView) -> bool:
            if view.has_ended:
                raise AssertionError(f"expected a waiting task\n{await self.insight.describe(view)}")
            ids = [task.id for task in view.tasks.values() if task.status in {status.name for status in WAITING}]
            return any([reason is None or (await self.insight.explain(one)).reason is reason for one in ids])

        await self._until(run, look, "a task waits" + (f" because of {reason}" if reason else ""), within_s)

    async def _until(self, run: RunLike, holds: Callable[[RunView], Awaitable[bool]], what: str, within_s: float) -> RunView:
        """The run once the condition holds; on time-out the test fails with the reason of every waiting task."""
        run_id = run_id_of(run)

        async def look() -> RunView | None:
            view = await self.insight.run(run_id)
            return view if await holds(view) else None

        try:
            return await self.insight.pulse.until(look, within_s)
        except TimeoutError:
            described = await self.insight.describe(await self.insight.run(run_id))
            others = await self.insight.describe_waiting(besides=run_id)
            raise AssertionError(f"waited {within_s:g} s for run {run_id}: {what}\n{described}\n{others}") from None

    def _blocking(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        __tracebackhide__ = True
        try:
            return self.call(function, *arguments)
        except AssertionError as error:
            if _is_inside_a_loop():
                error.add_note(BLOCKED)
            raise


def _is_inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
