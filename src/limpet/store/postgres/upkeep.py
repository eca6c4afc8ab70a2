"""Work between the commits: the metadata index, and partitions for the days to come. Nobody waits for it.

It has a connection of its own. What it cannot do now it does later: a commit needs neither the index nor the partition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple

from limpet.core.ids import TenantNo
from limpet.store.api import StoreError
from limpet.store.indexing import index_for_ever
from limpet.store.key_range import key_range
from limpet.store.postgres.days import KEPT, day_of
from limpet.store.postgres.lane import Lane, Link
from limpet.store.postgres.pairs import digests

_log = logging.getLogger(__name__)
DAYS_FAILED = {"event": "store.days_failed"}

INDEX_RUNS_MAX = 1_000  # runs looked at in one transaction
INDEX_PAIRS_MAX = 1_000  # entries written by one; a run's own entries stay together
DAYS_AHEAD = 3  # a database that refuses for two days costs nothing
DAYS_PAUSE_SECONDS = 3_600.0


class Upkeep:
    """Asked by the store after each commit."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._runs_opened = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; the first pass finds what an earlier process left."""
        self._runs_opened = asyncio.Event()
        self._runs_opened.set()
        self._tasks = [
            asyncio.create_task(index_for_ever(self._runs_opened, self.index_metadata, _log), name="limpet-metadata-index"),
            asyncio.create_task(self._add_days_for_ever(), name="limpet-days"),
        ]

    async def stop(self) -> None:
        """End the background tasks."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def after_commit(self, *, runs_opened: bool) -> None:
        """Note that there is work. Never waits."""
        if runs_opened:
            self._runs_opened.set()

    async def add_days(self, days: Iterable[int]) -> int:
        """Make the partitions of some days; returns how many days had none."""
        added = 0
        async with self._lane.link() as link:
            for day in days:
                added += await link.value("add_day", day=day)
                await link.value("add_log_day", day=day)
        return added

    async def add_days_ahead(self) -> int:
        """Today's partitions, by the clock of the database, and those of the days to come."""
        async with self._lane.link() as link:
            today = day_of(await link.value("now"))
        return await self.add_days(range(max(today, KEPT + 1), today + DAYS_AHEAD + 1))

    async def index_metadata(self) -> int:
        """Index everything that is not; returns the number of runs it has looked at."""
        total = 0
        async with self._lane.link() as link:
            progress = await link.rows("metadata_progress")
        for tenant_no, cursor in progress:
            while True:
                async with self._lane.link() as link:
                    seen = await _index(link, tenant_no, cursor)
                if seen is None:
                    break
                total, cursor = total + seen.runs, seen.cursor
        return total

    async def _add_days_for_ever(self) -> None:
        while True:
            await asyncio.sleep(DAYS_PAUSE_SECONDS)
            await self.try_to_add_days()

    async def try_to_add_days(self) -> None:
        """Like `add_days_ahead`; a failure is logged, because there is a next time."""
        try:
            await self.add_days_ahead()
        except Exception as error:
            _log.warning(
                "Partitions for the coming days could not be made; rows without one are kept apart: %s", error,
                exc_info=not isinstance(error, StoreError), extra=DAYS_FAILED,
            )  # fmt: skip


class Indexed(NamedTuple):
    """What one indexing transaction has done."""

    runs: int
    cursor: int


async def _index(link: Link, tenant_no: TenantNo, cursor: int) -> Indexed | None:
    where = key_range(tenant_no)
    start = max(cursor, where["key_first"] - 1)
    runs = await link.rows("metadata_to_index", cursor=start, key_last=where["key_last"], limit=INDEX_RUNS_MAX)
    if not runs:
        return None
    days: list[int] = []
    keys: list[int] = []
    pairs: list[bytes] = []
    seen = 0
    for key, day, metadata in runs:
        if len(keys) >= INDEX_PAIRS_MAX:
            break
        found = digests(metadata)
        days += [day] * len(found)
        keys += [key] * len(found)
        pairs += found
        seen += 1
    reached = runs[seen - 1][0]
    async with link.writing():
        await link.rows("insert_metadata", tenant_no=tenant_no, days=days, run_keys=keys, pairs=pairs)
        await link.rows("move_metadata_cursor", cursor=reached, tenant_no=tenant_no)
    return Indexed(seen, reached)
