"""A lane: one or more threads, a connection for each, and one bounded queue of jobs before them.

Jobs of a lane with one thread run one after the other, in the order they came: that is what makes it a writer.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from limpet.store.api import TransientStoreError
from limpet.store.sqlite.errors import translated

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
_Work = tuple[Job[Any], Callable[[Any, BaseException | None], None]]

_log = logging.getLogger(__name__)


class Lane:
    """Owner of its threads, connections and queue. Called from the event loop; `post` from any thread."""

    def __init__(
        self, name: str, path: Path, connect: Callable[[Path], sqlite3.Connection], *, waiting_max: int, threads: int = 1
    ) -> None:
        self._name, self._path, self._connect = name, path, connect
        self._waiting_max, self._size = waiting_max, threads
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    async def open(self) -> None:
        """Start the threads; returns when all are connected, raises what the first connection raised."""
        self._queue = SimpleQueue()
        opened = [self._start(number) for number in range(self._size)]
        outcomes = await asyncio.gather(*map(asyncio.wrap_future, opened), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self.close()
                raise outcome

    async def close(self) -> None:
        """Finish what waits, disconnect, end the threads. Harmless when not open."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            await asyncio.to_thread(thread.join)

    async def run(self, job: Job[T]) -> T:
        """Do the job on the lane and return what it returns. Raises StoreError."""
        if not self._threads:
            raise TransientStoreError(f"The store {self._path} is not open.")
        if self._queue.qsize() >= self._waiting_max:
            raise TransientStoreError(f"Too many calls wait for the store {self._path}. Try again in a moment.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def done(result: T, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, result, error)

        self._queue.put((job, done))
        return await answer

    def post(self, job: Job[object]) -> None:
        """Do the job some time; nobody waits. A failure is logged: whoever posts has a next time."""
        if self._threads:
            self._queue.put((job, self._log_failure))

    def _start(self, number: int) -> Future[None]:
        opened: Future[None] = Future()
        thread = threading.Thread(target=self._serve, args=(opened,), name=f"limpet-{self._name}-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return opened

    def _serve(self, opened: Future[None]) -> None:
        try:
            with translated(self._path):
                connection = self._connect(self._path)
        except BaseException as error:
            opened.set_exception(error)
            return
        opened.set_result(None)
        while (work := self._queue.get()) is not None:
            self._do(connection, *work)
        connection.close()

    def _do(self, connection: sqlite3.Connection, job: Job[Any], done: Callable[[Any, BaseException | None], None]) -> None:
        try:
            with translated(self._path):
                result = job(connection)
        except BaseException as error:
            done(None, error)
        else:
            done(result, None)

    def _log_failure(self, _: object, error: BaseException | None) -> None:
        if error is not None:
            _log.warning("Upkeep of the store failed and will be tried again: %s", error, extra={"event": "store.upkeep_failed"})


def _settle(answer: asyncio.Future[T], result: T, error: BaseException | None) -> None:
    if answer.done():  # cancelled
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
