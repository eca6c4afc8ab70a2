"""The life of an engine process: start, say so, wait for a signal or a failure, stop in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from limpet.cli.exits import ExitCode
from limpet.cli.printing import print_note
from limpet.cli.ready import Ready

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Process(Protocol):
    """What can be kept alive."""

    async def start(self) -> Ready: ...

    async def failed(self) -> None:
        """Raises when the process must end; returns never, or when it was stopped."""

    async def stop(self) -> None: ...


async def live(process: Process, announce: Callable[[Ready], None]) -> None:
    """Until a signal or a failure, whichever comes first. Raises the failure."""
    asked = asyncio.Event()
    watch_signals(asked)
    try:
        announce(await process.start())
        await first_of(process.failed(), asked.wait())
    finally:
        await process.stop()


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of them does, raise what it raises; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def watch_signals(asked: asyncio.Event) -> None:
    """The first signal asks for an orderly end, the second one ends at once: what was promised is on disk already."""

    def note() -> None:
        if asked.is_set():
            print_note("limpet: ended at once.")
            sys.stdout.flush()
            os._exit(ExitCode.FAILED)
        print_note("limpet: stopping; once more to end at once.")
        asked.set()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, note)
