"""Retention: what ended long ago is hidden at once, and goes with its day (R50).

A day goes one round after the last of its runs was hidden, so that nobody who saw one still works on it. Runs of the day
that live on, or ended late, are moved to the kept rows first, by the owner, in small transactions that hold its leases
(R19). The day's partitions are then detached without a lock that a commit waits for, and dropped. Kept rows are deleted one
by one when their time has come.

Days go oldest first. So whatever belongs to an older day than the one that goes, and still lives, is among the kept rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from limpet.store.api import PRUNE_ROWS_MAX, FenceMismatch, Fences
from limpet.store.postgres.commit import fence_rows
from limpet.store.postgres.days import KEPT, day_of, day_of_id, homes
from limpet.store.postgres.lane import Lane, Link
from limpet.store.postgres.statements import in_schema

PRUNE_RUNS_AT_ONCE = 100  # whose row keys are in memory together: 100,000 of the largest graphs
PARTITIONED = ("events", "run_metadata", "tasks", "log_lines", "runs")  # in the order in which their parts of a day go
EVENT_TABLES = ("event_runs", "pushed_events", "expression_failures")  # in the order in which their rows go
DETACH = "ALTER TABLE limpet.{table} DETACH PARTITION limpet.{table}_d{day} CONCURRENTLY"
FINISH_DETACH = "ALTER TABLE limpet.{table} DETACH PARTITION limpet.{table}_d{day} FINALIZE"
DROP = "DROP TABLE limpet.{table}_d{day}"


class Item(NamedTuple):
    """A row to delete: the run it belongs to, what it is, and its key or name there."""

    run_key: int
    kind: str
    key: Any


class Retention:
    """`owned` tells what this server owns; who owns nothing deletes nothing."""

    def __init__(self, lane: Lane, owned: Callable[[], Fences]) -> None:
        self._lane, self._owned = lane, owned

    async def prune(self, before: int, limit: int) -> int:
        """Hide what ended before the instant, delete whole days and up to `limit` kept runs; returns how many runs went."""
        async with self._held() as link:
            hidden = await link.value("gone_before")
            await link.rows("hide_finished", before=before)
        if limit <= 0:
            return 0
        gone = 0
        for day in await self._days_before(min(hidden, before)):
            gone += await self._drop_day(day, hidden)
        return gone + await self._prune_kept(before, limit)

    async def purge_claims(self, before: int, limit: int) -> int:
        """Delete up to `limit` idempotency keys that had expired by then; returns how many were found."""
        async with self._lane.link() as link:
            rows = await link.rows("expired_claims", before=before, limit=max(0, min(limit, PRUNE_ROWS_MAX)))
        if rows:
            await self._fenced("purge_claims", keys=[key for (key,) in rows], before=before)
        return len(rows)

    async def prune_events(self, before: int, limit: int) -> int:
        """Delete up to `limit` rows of events and what belongs to them; see `Store.prune_events`."""
        async with self._lane.link() as link:  # beside the commits: what is old by now is seen by nobody anew
            held = [key for (key,) in await link.rows("held_events", before=before)]
        gone = 0
        for table in EVENT_TABLES:
            while gone < limit:
                keys = await self._prune_some(table, before, min(PRUNE_ROWS_MAX, limit - gone), held)
                gone += keys
                if not keys:
                    break
        return gone

    async def _prune_some(self, table: str, before: int, limit: int, held: Sequence[int]) -> int:
        async with self._held() as link:
            keys = [key for (key,) in await link.rows(f"{table}_to_prune", before=before, limit=limit, held=held)]
            if keys:
                await link.rows(f"delete_{table}", keys=keys)
                await link.rows("raise_key_floors", keys=keys)
        return len(keys)

    async def _days_before(self, instant: int) -> list[int]:
        """Days that were over and hidden at the instant, oldest first; one that was half dropped when a server died too."""
        async with self._lane.link() as link:
            days = await link.rows("days_with_parts", schema=link.sql.schema)
        return [day for (day,) in days if KEPT < day < day_of(instant)]

    async def _drop_day(self, day: int, before: int) -> int:
        await self._move("runs", "stragglers_of_runs", day, before=before)
        for table in ("tasks", "events", "run_metadata", "log_lines"):
            await self._move(table, f"stragglers_of_{table}", day)
        for statement in ("delete_names_of_day", "delete_waits_of_day"):
            while await self._fenced(statement, day=day, limit=PRUNE_ROWS_MAX):
                pass
        async with self._held() as link:
            gone = await link.value("count_runs_of_day", day=day)
            await link.rows("raise_key_floors_of_day", day=day)
            await link.rows("forget_day", day=day)
            await link.rows("forget_log_day", day=day)
        async with self._lane.link() as link:
            for table, state in await link.rows("parts_of_day", day=day, schema=link.sql.schema):
                await _drop_part(link, table, day, state)
        return int(gone)

    async def _move(self, table: str, stragglers: str, day: int, **where: Any) -> None:
        """Rows of the day that live on become kept ones."""
        async with self._lane.link() as link:
            if await link.value("has_schema", name=f"{link.sql.schema}.{table}_d{day}") is None:
                return
            keys = [row[0] if len(row) == 1 else tuple(row) for row in await link.rows(stragglers, day=day, **where)]
        for some in _pieces(keys, PRUNE_ROWS_MAX):
            await self._fenced(f"keep_{table}", day=day, keys=some)

    async def _prune_kept(self, before: int, limit: int) -> int:
        async with self._lane.link() as link:
            keys = [key for (key,) in await link.rows("finished_kept_runs", before=before, limit=limit)]
        for some in _pieces(keys, PRUNE_RUNS_AT_ONCE):
            await self._prune_runs(some, before)
        return len(keys)

    async def _prune_runs(self, keys: Sequence[int], before: int) -> None:
        async with self._lane.link() as link, link.reading():
            tasks = await link.rows("task_ids_of_runs", run_keys=keys)
            items = await _rows_of(link, keys, tasks)
        for tenant_no, task_run_id in {(tenant_no, name) for _, _, tenant_no, name in tasks}:
            for day in homes([day_of_id(task_run_id)]):
                where = {"tenant_no": tenant_no, "task_run_id": task_run_id, "limit": PRUNE_ROWS_MAX}
                while await self._fenced("delete_log_lines", day=day, **where):
                    pass
        for some in _pieces(items, PRUNE_ROWS_MAX):
            await self._delete(some, before)

    async def _delete(self, items: Sequence[Item], before: int) -> None:
        """Only rows of runs that are still ended: the owner may have replayed one meanwhile (R19)."""
        async with self._held() as link:
            wanted = sorted({item.run_key for item in items})
            ended = {key for (key,) in await link.rows("still_finished", keys=wanted, before=before)}
            by_kind: dict[str, list[Any]] = defaultdict(list)
            for item in items:
                if item.run_key in ended:
                    by_kind[item.kind].append(item.key)
            for kind, keys in by_kind.items():
                await link.rows(f"delete_{kind}", keys=keys)
            await link.rows("raise_key_floors", keys=[*by_kind["events"], *by_kind["tasks"], *by_kind["runs"]])

    async def _fenced(self, name: str, **where: Any) -> int:
        """A statement as the owner; returns how many rows it has touched."""
        async with self._held() as link:
            return len(await link.rows(name, **where))

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Link]:
        """A transaction during which no other server can become the owner, and no commit runs."""
        owned = self._owned()
        if not owned:
            raise FenceMismatch("This server owns no tenants, so it deletes nothing of theirs.")
        async with self._lane.link() as link, link.writing():
            await link.rows("hold", fences=fence_rows(owned))
            yield link


async def _rows_of(link: Link, keys: Sequence[int], tasks: Sequence[Any]) -> list[Item]:
    """Everything that goes with the runs, each run's own row last."""
    run_of = {key: run_key for run_key, key, _, _ in tasks}
    events = await link.rows("event_keys_of_tasks", task_keys=list(run_of))
    pairs = await link.rows("metadata_of_runs", run_keys=keys)
    names = await link.rows("names_of_runs", run_keys=keys)
    waits = await link.rows("waits_by_run", run_keys=keys)
    items = [
        *(Item(run_of[task_key], "events", key) for task_key, key in events),
        *(Item(run_key, "tasks", key) for key, run_key in run_of.items()),
        *(Item(run_key, "metadata", (run_key, pair)) for run_key, pair in pairs),
        *(Item(run_key, "names", (tenant_no, name)) for run_key, tenant_no, name in names),
        *(Item(run_key, "waits", run_key) for run_key in dict.fromkeys(row[0] for row in waits)),
        *(Item(key, "runs", key) for key in keys),
    ]
    rank = {key: position for position, key in enumerate(keys)}
    return sorted(items, key=lambda item: rank[item.run_key])  # stable: the order above stays within a run


async def _drop_part(link: Link, table: str, day: int, state: str) -> None:
    assert table in PARTITIONED, f"{table} is not partitioned by day"
    texts = {"attached": (DETACH, DROP), "pending": (FINISH_DETACH, DROP), "detached": (DROP,)}[state]
    for text in texts:
        await link.connection.execute(in_schema(text.format(table=table, day=day), link.sql.schema))


def _pieces(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
