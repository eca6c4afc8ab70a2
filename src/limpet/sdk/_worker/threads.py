"""The pool in which sync task functions run (design D17).

Results of a burst come back to the event loop in one wake-up; a thread is made only when all others are busy; context
variables of the caller hold in the thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


class ForcedStop(BaseException):
    """Raised inside a sync task whose cancellation is enforced."""


@dataclass(slots=True, eq=False)
class Job:
    """One function on its way through a thread. `thread_id` is set while it runs."""

    context: contextvars.Context
    fn: Callable[[], Any]
    done: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None
    thread_id: int | None = None


class TaskThreads:
    """Runs functions in at most `size_max` daemon threads, for one event loop."""

    def __init__(self, size_max: int, loop: asyncio.AbstractEventLoop) -> None:
        self._size_max = size_max
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ended: deque[Job] = deque()
        self._wake_pending = False
        self._lock = threading.Lock()
        self._size = 0
        self._free = 0

    def submit(self, fn: Callable[[], Any]) -> Job:
        """Queue a function; await `job.done` for its result. Call it in the event loop."""
        job = Job(contextvars.copy_context(), fn, self._loop.create_future())
        with self._lock:
            must_grow = self._free <= self._jobs.qsize() and self._size < self._size_max
            self._size += must_grow
        if must_grow:
            threading.Thread(target=self._work, name=f"limpet-task-{self._size}", daemon=True).start()
        self._jobs.put(job)
        return job

    def interrupt(self, job: Job) -> bool:
        """Raise `ForcedStop` in the thread that runs the job, at its next bytecode. False when it does not run."""
        with self._lock:
            if job.thread_id is None:
                return False
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(job.thread_id), ctypes.py_object(ForcedStop))
            return True

    def close(self) -> None:
        """Let the threads end when they are free."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._free += 1
            job = self._jobs.get()
            with self._lock:
                self._free -= 1
            if job is None:
                return
            with suppress(ForcedStop):  # it may land a moment after the job has ended
                self._run(job)

    def _run(self, job: Job) -> None:
        with self._lock:
            job.thread_id = threading.get_ident()
        try:
            job.value = job.context.run(job.fn)
        except BaseException as error:
            job.error = error
        finally:
            with self._lock:
                job.thread_id = None
        self._ended.append(job)
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            if self._wake_pending or self._loop.is_closed():
                return
            self._wake_pending = True
        self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        with self._lock:
            self._wake_pending = False
        while self._ended:
            job = self._ended.popleft()
            if job.done.done():
                continue
            if job.error is not None:
                job.done.set_exception(_catchable(job.error))
            else:
                job.done.set_result(job.value)


def _catchable(error: BaseException) -> BaseException:
    """A future refuses StopIteration, which would end whoever awaits it."""
    return RuntimeError(f"The task raised {error!r}.") if isinstance(error, StopIteration) else error
