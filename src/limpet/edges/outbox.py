"""Messages on their way to one reader: filled without waiting, emptied by one writer, bounded (R43, R45).

Laws:
1. `put` never waits. It answers False once the stream has ended; the item then belongs to the caller again.
2. A reader is slow when more than the bound waits for it and its writer has been stuck in one write for
   `patience_s`. A burst alone makes nobody slow: what one commit starts on a worker may exceed any bound, and
   the number of free slots already bounds it.
3. An end is final and says why; what still waited is dropped. `finish` ends well: what waits is still written.
Everything here belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Generic, TypeVar

BUFFER_BYTES_MAX = 1024 * 1024  # of what waits for one reader [R45]
BUFFER_ITEMS_MAX = 1_000  # [R45]
STUCK_AFTER_S = 5.0  # one message of 4 MiB at 10 Mbit/s takes 3.4 s; a write that lasts longer has no reader

Item = TypeVar("Item")


class EndCause(Enum):
    """Who can mend the end of a stream."""

    TEMPORARY = "temporary"  # connect again
    NOT_AUTHENTICATED = "not authenticated"  # the credential counts no more [X2]


class StreamEnd(Exception):
    """The stream was ended from our side; the text is for whoever reads the client's log."""

    def __init__(self, reason: str, cause: EndCause = EndCause.TEMPORARY) -> None:
        self.reason = reason
        self.cause = cause
        super().__init__(reason)


class Outbox(Generic[Item]):
    """One reader's buffer. `clock` is monotonic seconds; `on_slow` counts the slow readers."""

    def __init__(
        self,
        *,
        patience_s: float = STUCK_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
        on_slow: Callable[[], None] = lambda: None,
    ) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._patience_s, self._clock, self._on_slow = patience_s, clock, on_slow
        self._changed = asyncio.Event()
        self._shrunk = asyncio.Event()
        self._ended = asyncio.Event()
        self._end: StreamEnd | None = None
        self._finished = False
        self._writing_since: float | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def end_reason(self) -> StreamEnd | None:
        return self._end

    @property
    def is_full(self) -> bool:
        """Whether more waits than the bound allows."""
        return self._bytes > BUFFER_BYTES_MAX or len(self._items) > BUFFER_ITEMS_MAX

    def has_room(self, size: int) -> bool:
        """Whether an item of that size stays within the bounds; an empty box takes anything."""
        return not self._items or (self._bytes + size <= BUFFER_BYTES_MAX and len(self._items) < BUFFER_ITEMS_MAX)

    def put(self, item: Item, size: int) -> bool:
        """Take an item, unless the stream has ended or its reader turns out to be slow."""
        if self._end is not None or self._finished:
            return False
        if not self.has_room(size) and self._is_stuck():
            self._end_slow()
            return False
        self._items.append((item, size))
        self._bytes += size
        self._changed.set()
        return True

    def check_pace(self) -> None:
        """End the stream if its reader is slow; called now and then, because a stuck stream may get no more items."""
        if self._end is None and self.is_full and self._is_stuck():
            self._end_slow()

    def finish(self) -> None:
        """No more items follow; what waits is still written."""
        self._finished = True
        self._changed.set()

    def end(self, reason: str, cause: EndCause = EndCause.TEMPORARY) -> None:
        """End the stream now; the first reason stays."""
        if self._end is None:
            self._end = StreamEnd(reason, cause)
            self._items.clear()
            self._bytes = 0
            for event in (self._changed, self._shrunk, self._ended):
                event.set()

    async def ready(self, timeout_s: float | None = None) -> bool:
        """Wait for an item; False: the time is up, or the stream is finished. Raises StreamEnd."""
        self._writing_since = None
        try:
            async with asyncio.timeout(timeout_s):
                while not self._items and not self._finished and self._end is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        if self._end is not None:
            raise self._end
        return bool(self._items)

    def pop(self) -> Item:
        """The oldest item. Only after `ready` said True; from now on the writer counts as writing."""
        item, size = self._items.popleft()
        self._bytes -= size
        self._writing_since = self._clock()
        self._shrunk.set()
        return item

    @property
    def is_finished(self) -> bool:
        return self._finished and not self._items

    async def room(self) -> None:
        """Wait until the box is within its bounds, or ended."""
        while self._end is None and self.is_full:
            self._shrunk.clear()
            await self._shrunk.wait()

    async def wait_ended(self) -> StreamEnd:
        """Return once the stream was ended from our side."""
        await self._ended.wait()
        assert self._end is not None
        return self._end

    def _is_stuck(self) -> bool:
        if self._patience_s == 0:
            return True
        return self._writing_since is not None and self._clock() - self._writing_since >= self._patience_s

    def _end_slow(self) -> None:
        self._on_slow()
        self.end(
            f"this stream was not read for too long: {len(self._items)} messages with {self._bytes} bytes wait "
            f"(at most {BUFFER_ITEMS_MAX} and {BUFFER_BYTES_MAX}); read faster and open it again"
        )


async def until_ended(box: Outbox[Item], work: Awaitable[None]) -> None:
    """Do the work, but stop it, even in the middle of a stuck write, when the stream is ended. Raises StreamEnd."""
    working = asyncio.ensure_future(work)
    ended = asyncio.ensure_future(box.wait_ended())
    try:
        await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        if box.end_reason is not None:
            raise box.end_reason
    finally:
        for task in (working, ended):
            task.cancel()
        await asyncio.gather(working, ended, return_exceptions=True)
