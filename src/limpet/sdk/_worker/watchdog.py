"""Notices an event loop that is blocked, and names the task that blocks it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from limpet.sdk.exceptions import OWN_FOLDER

logger = logging.getLogger(__name__)

TICK_S = 0.25  # how often the loop shows that it turns
BLOCKED_AFTER_S = 1.0  # long enough to be no accident, short enough to be seen while developing
STACK_LINES_MAX = 3  # the innermost frames say where the time goes


class LoopWatchdog:
    """Watches one event loop from a thread and warns once for each time it is blocked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, blocked_after_s: float = BLOCKED_AFTER_S) -> None:
        self._loop = loop
        self._loop_thread_id = threading.get_ident()
        self._blocked_after_s = blocked_after_s
        self._turned_at = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="limpet-watchdog", daemon=True)
        self._tick_handle: asyncio.TimerHandle | None = None

    @property
    def lag_s(self) -> float:
        """How long the loop has not turned, beyond its tick."""
        return max(0.0, time.monotonic() - self._turned_at - TICK_S)

    def start(self) -> None:
        """Begin to watch. Call it in the loop's thread."""
        self._tick()
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        if self._tick_handle is not None:
            self._tick_handle.cancel()

    def _tick(self) -> None:
        self._turned_at = time.monotonic()
        self._tick_handle = self._loop.call_later(TICK_S, self._tick)

    def _watch(self) -> None:
        warned_of: float | None = None
        while not self._stopped.wait(self._blocked_after_s / 4):
            turned_at = self._turned_at
            if self.lag_s > self._blocked_after_s and warned_of != turned_at:
                warned_of = turned_at
                self._warn()

    def _warn(self) -> None:
        task = asyncio.current_task(self._loop)
        name = task.get_name() if task is not None else "code outside a task"
        logger.warning(
            "The event loop has been blocked for more than %.1f s by %s. Other tasks of this worker stand still: use "
            "async libraries, or a sync task function, which runs in a thread. It is here:\n%s",
            self._blocked_after_s,
            name,
            self._where(),
        )

    def _where(self) -> str:
        frame = sys._current_frames().get(self._loop_thread_id)
        if frame is None:
            return "(unknown)"
        frames = traceback.extract_stack(frame)
        own = [number for number, each in enumerate(frames, start=1) if each.filename.startswith(OWN_FOLDER)]
        theirs = frames[max(own, default=0) :]  # what the task called, below our own call of it
        return "".join(traceback.format_list((theirs or frames)[-STACK_LINES_MAX:]))
