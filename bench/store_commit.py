"""How long commits take: batches of task lives, as a busy engine makes them. Prints raw numbers.

    python -m bench.store_commit [--batch 200] [--batches 100] [--waits] [--store sqlite|memory]

Each batch is two commits: runs and tasks are born assigned, then both end (with `--waits` a commit between them: born
waiting, then assigned). "statements" is the time of a commit without its COMMIT, measured on the writer's thread.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from limpet.core.decision import Changes
from limpet.core.ids import TenantId
from limpet.core.rows import RunRow, TaskRow
from limpet.store.memory import MemoryStore
from limpet.store.sqlite import SqliteStore
from limpet.store.sqlite import commit as commit_module
from tests.store.builders import NOW, Owner, Rows

INPUT = b'{"name":"abcdefghijklmnopqrstuvwxyz0123456789","more":"..............................."}'


class Clock:
    """Splits the time of the writer's thread into statements and COMMIT, seen from SQLite's trace."""

    def __init__(self) -> None:
        self.statements_s: list[float] = []
        self.commit_s: list[float] = []
        self.began = 0.0

    def watch(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        return Watched(connection, self)  # type: ignore[return-value]


class Watched:
    """A connection that tells the clock when a transaction begins and ends."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection, self._clock = connection, clock
        self.executemany = connection.executemany

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, text: str, *values: object) -> sqlite3.Cursor:
        if text == "COMMIT":
            now = time.perf_counter()
            self._clock.statements_s.append(now - self._clock.began)
            cursor = self._connection.execute(text)
            self._clock.commit_s.append(time.perf_counter() - now)
            return cursor
        if text == "BEGIN IMMEDIATE":
            self._clock.began = time.perf_counter()
        return self._connection.execute(text, *values)


def lives(rows: Rows, batch: int, *, waits: bool) -> list[Changes]:
    """The commits of a batch of task lives, in order."""
    runs: list[RunRow] = [rows.run(input=INPUT) for _ in range(batch)]
    waiting: list[TaskRow] = [rows.task(run, id=run.id) for run in runs]
    assigned = [rows.assigned(task) for task in waiting]
    end = Changes(runs_changed=[rows.ended_run(run) for run in runs], tasks_changed=[rows.ended(task) for task in assigned])
    receipts = Changes(receipts=[rows.receipt(items=b"x" * 12 * batch)])
    if waits:
        return [Changes(runs_opened=runs, tasks_opened=waiting), Changes(tasks_changed=assigned), receipts, end]
    return [Changes(runs_opened=runs, tasks_opened=assigned), receipts, end]


def show(name: str, seconds: Sequence[float], per: int) -> None:
    ordered = sorted(seconds)
    print(
        f"{name:<34} mean {statistics.fmean(ordered) * 1e3:7.3f} ms   p50 {statistics.median(ordered) * 1e3:7.3f}   "
        f"p99 {ordered[int(len(ordered) * 0.99)] * 1e3:7.3f}   sum/task {sum(ordered) / per * 1e6:6.2f} us"
    )


async def measure(arguments: argparse.Namespace, path: Path) -> None:
    store = SqliteStore(path) if arguments.store == "sqlite" else MemoryStore()
    rows, owner, clock = Rows(), Owner(store), Clock()
    await store.open()
    await store.create_tenant(TenantId("one"), "One", NOW)
    await owner.claim()
    await owner.commit(rows.definitions())
    plain = commit_module.commit
    commit_module.commit = lambda connection, batch: plain(clock.watch(connection), batch)
    totals: list[float] = []
    for _ in range(arguments.batches):
        for changes in lives(rows, arguments.batch, waits=arguments.waits):
            began = time.perf_counter()
            await owner.commit(changes)
            totals.append(time.perf_counter() - began)
    lived = arguments.batch * arguments.batches
    print(f"{lived} task lives, {len(totals)} commits, {arguments.store}, waits={arguments.waits}")
    show("commit as the loop sees it", totals, lived)
    if clock.commit_s:
        show("  its statements", clock.statements_s, lived)
        show("  its COMMIT (with fsync)", clock.commit_s, lived)
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--waits", action="store_true")
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--folder", default=None, help="where the store is made; a temporary folder by default")
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        asyncio.run(measure(arguments, Path(folder) / "store.db"))


if __name__ == "__main__":
    main()
