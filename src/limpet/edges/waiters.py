"""Who waits for the end of runs (R36, E2).

Laws:
1. A waiter is registered first and looks the run up second, so an end in between is seen by one of the two.
2. Each id is answered once for each time it was asked for while unanswered; a second ask meanwhile changes nothing.
3. A result that does not fit the buffer is not kept: its id goes back to be looked up when there is room.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limpet.core.decision import RunFinished
from limpet.core.ids import TenantId
from limpet.edges.outbox import Outbox
from limpet.store.api import RunRecord

RESULT_BYTES = 256  # what a result costs besides its payloads
OPEN_IDS_MAX = 100_000  # runs that one stream waits for; beyond it its requests are not read until some are answered


@dataclass(frozen=True, slots=True)
class RunUnknown:
    """The run was not found although it was looked for again and again."""

    workflow_run_id: str


Answer = RunFinished | RunRecord | RunUnknown


class ResultWaiter:
    """One stream that waits for runs. `lookups` are ids whose state must be read from the store."""

    def __init__(self, tenant: TenantId, box: Outbox[Answer]) -> None:
        self.tenant = tenant
        self.box = box
        self.open_ids: set[str] = set()
        self._lookups: deque[str] = deque()
        self._asked = asyncio.Event()
        self._answered = asyncio.Event()

    def look_up_later(self, run_id: str) -> None:
        """The run's state must be read, again maybe."""
        self._lookups.append(run_id)
        self._asked.set()

    async def next_lookup(self) -> str:
        """The next id to look up that is still unanswered."""
        while True:
            while self._lookups:
                run_id = self._lookups.popleft()
                if run_id in self.open_ids:
                    return run_id
            self._asked.clear()
            await self._asked.wait()

    async def room(self) -> None:
        """Wait until the stream may ask for more."""
        await self._until(lambda: len(self.open_ids) < OPEN_IDS_MAX)

    async def all_answered(self) -> None:
        """Wait until nothing is open."""
        await self._until(lambda: not self.open_ids)

    def closed(self, run_id: str) -> None:
        """The run was answered."""
        self.open_ids.discard(run_id)
        self._answered.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._answered.clear()
            await self._answered.wait()


class ResultWaiters:
    """All streams that wait for runs, by run. `new_box` makes their buffers."""

    def __init__(self, new_box: Callable[[], Outbox[Answer]]) -> None:
        self._new_box = new_box
        self._waiters: set[ResultWaiter] = set()
        self._by_run: dict[tuple[str, str], list[ResultWaiter]] = {}

    def __iter__(self) -> Iterator[ResultWaiter]:
        return iter(list(self._waiters))

    def open(self, tenant: TenantId) -> ResultWaiter:
        """A new waiting stream; give it back with `close`."""
        waiter = ResultWaiter(tenant, self._new_box())
        self._waiters.add(waiter)
        return waiter

    def close(self, waiter: ResultWaiter) -> None:
        """The stream is over; harmless when called twice."""
        self._waiters.discard(waiter)
        for run_id in list(waiter.open_ids):
            self._forget(waiter, run_id)

    def ask(self, waiter: ResultWaiter, run_id: str) -> None:
        """Wait for that run; asking again while it is open changes nothing."""
        if run_id not in waiter.open_ids:
            waiter.open_ids.add(run_id)
            self._by_run.setdefault((waiter.tenant, run_id), []).append(waiter)
            waiter.look_up_later(run_id)

    def is_waited_for(self, tenant: str, run_id: str) -> bool:
        """Whether somebody waits for the run."""
        return (tenant, run_id) in self._by_run

    def answer(self, waiter: ResultWaiter, run_id: str, answer: Answer) -> None:
        """Give one waiter its answer, if it still waits for it."""
        if run_id in waiter.open_ids:
            waiter.box.put(answer, answer_bytes(answer))
            self._forget(waiter, run_id)

    def finished(self, tenant: TenantId, finished: RunFinished) -> None:
        """A run has ended: tell all who wait for it."""
        run_id, size = finished.workflow_run_id, answer_bytes(finished)
        for waiter in list(self._by_run.get((tenant, run_id), ())):
            if is_complete(finished) and waiter.box.has_room(size):
                waiter.box.put(finished, size)
                self._forget(waiter, run_id)
            else:
                waiter.look_up_later(run_id)

    def _forget(self, waiter: ResultWaiter, run_id: str) -> None:
        key = (waiter.tenant, run_id)
        left = [other for other in self._by_run.get(key, ()) if other is not waiter]
        if left:
            self._by_run[key] = left
        else:
            self._by_run.pop(key, None)
        waiter.closed(run_id)


def is_complete(finished: RunFinished) -> bool:
    """Whether all payloads were read; they are not when the waiter came after the engine had asked."""
    return all(result.payload is None or result.payload.data is not None for result in finished.results)


def answer_bytes(answer: Answer) -> int:
    """About how much memory an answer holds."""
    match answer:
        case RunFinished():
            payloads = (result.payload for result in answer.results)
            return RESULT_BYTES * (1 + len(answer.results)) + sum(len(ref.data or b"") for ref in payloads if ref is not None)
        case RunRecord():
            texts = sum(len(task.output or b"") + len(task.error or "") for task in answer.tasks)
            return RESULT_BYTES * (1 + len(answer.tasks)) + texts + len(answer.run.input or b"")
        case _:
            return RESULT_BYTES
