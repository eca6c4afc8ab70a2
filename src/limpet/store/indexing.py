"""The loop around the metadata index, the same for every store that has one. Nobody waits for it: reads are right without it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from limpet.store.api import StoreError

INDEX_PAUSE_SECONDS = 0.25  # what comes late costs nothing but a scan
INDEX_RETRY_SECONDS = 2.0  # after a failure
INDEX_FAILED = {"event": "store.index_failed"}


async def index_for_ever(runs_opened: asyncio.Event, index: Callable[[], Awaitable[object]], log: logging.Logger) -> None:
    """Index whenever there are new runs. An outage is logged once, with a traceback only if the store has no name for it."""
    fails = False
    while await runs_opened.wait():
        runs_opened.clear()
        try:
            await index()
        except Exception as error:
            if not fails:
                known = isinstance(error, StoreError)
                log.warning(
                    "Metadata could not be indexed; filters scan it meanwhile: %s", error, exc_info=not known, extra=INDEX_FAILED
                )
            runs_opened.set()  # again after the pause
            fails = True
        else:
            fails = False
        await asyncio.sleep(INDEX_RETRY_SECONDS if fails else INDEX_PAUSE_SECONDS)
