"""Write the log lines of tasks through their own writer, never the commit's (R10).

The queue is bounded in lines and bytes; what does not fit is dropped and counted, because a flood of logs must
not slow dispatch (T-LOG-FLOOD).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar

from limpet.engine.clock import Clock
from limpet.engine.duties.duty import Duty
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Patience
from limpet.engine.settings import EngineSettings
from limpet.store.api import LogLine, Store, StoreError

LINE_BYTES = 400  # what a line costs beside its texts


class WriteLogs(Duty):
    """A round writes everything that waits, a batch at a time."""

    name: ClassVar[str] = "write_logs"

    def __init__(self, store: Store, patience: Patience, clock: Clock, metrics: Metrics, settings: EngineSettings) -> None:
        super().__init__(clock, metrics)
        self._store, self._patience, self._settings = store, patience, settings
        self._lines: deque[LogLine] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: LogLine) -> bool:
        """Queue a line; False: the queue is full and the line is dropped."""
        size = _size_of(line)
        if len(self._lines) >= self._settings.log_queue_max or self._bytes + size > self._settings.log_queue_bytes_max:
            self._metrics.dropped_logs.inc()
            return False
        self._lines.append(line)
        self._bytes += size
        self._arrived.set()
        return True

    async def until_due(self) -> None:
        await self._arrived.wait()

    async def round(self) -> None:
        self._arrived.clear()
        while self._lines:
            batch = [self._lines.popleft() for _ in range(min(len(self._lines), self._settings.log_batch_max))]
            try:
                await self._write(batch)
            finally:
                self._bytes -= sum(map(_size_of, batch))

    async def flushed(self) -> None:
        """Return once every line that was taken is written or given up."""
        while self._bytes:
            await self.done_round()

    async def _write(self, batch: list[LogLine]) -> None:
        """A batch that is refused is written line by line, and only the lines at fault are dropped."""
        try:
            await self._append(batch)
        except StoreError:
            for line in batch:
                await self._write_alone(line)

    async def _write_alone(self, line: LogLine) -> None:
        try:
            await self._append([line])
        except StoreError:
            self._metrics.dropped_logs.inc()

    async def _append(self, lines: list[LogLine]) -> None:
        await self._patience.insist("append logs", lambda: self._store.append_logs(lines))


def _size_of(line: LogLine) -> int:
    return LINE_BYTES + len(line.message) + len(line.metadata)
