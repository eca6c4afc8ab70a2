"""A disk that takes its time: commits grow, nobody is answered early, and nobody is disconnected (R5, R10)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2 as events
from limpet.store.sqlite import commit as sqlite_commit

from .house import House

WAITING = 60  # calls that come while one commit is on its way
HOLD_MAX_S = 60.0  # the disk is let go then, so that a test that fails also ends


class SlowDisk:
    """Holds commits in the writer's thread, before the real one, for as long as the test wants. Counts them."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self.reached = threading.Event()
        self.commits = 0

    def commit(self, connection: Any, batch: Any) -> int:
        self.commits += 1
        self.reached.set()
        assert self._free.wait(HOLD_MAX_S), "nobody let the disk go"
        return REAL_COMMIT(connection, batch)

    def hold(self) -> None:
        self._free.clear()
        self.reached.clear()

    def release(self) -> None:
        self._free.set()


REAL_COMMIT = sqlite_commit.commit


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """Under every SQLite store of the test."""
    one = SlowDisk()
    monkeypatch.setattr(sqlite_commit, "commit", one.commit)
    yield one
    one.release()


async def test_T_FSYNC_SLOW_T_DB_SLOW_a_commit_on_its_way_answers_nobody_early_and_disconnects_nobody(
    tmp_path: Path, disk: SlowDisk
) -> None:
    async with House(tmp_path) as house:
        name = await house.workflow("slow")
        worker = await house.worker(name)
        disk.hold()
        first = asyncio.create_task(house.trigger(name))
        await asyncio.to_thread(disk.reached.wait, HOLD_MAX_S)
        others = [asyncio.create_task(house.trigger(name)) for _ in range(WAITING)]
        await house.call("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=worker.id))
        await until_inside(house, WAITING)
        assert not any(call.done() for call in (first, *others)), "D2: nothing is acknowledged that is not durable"
        assert not worker.stream.done()
        before = disk.commits
        disk.release()
        runs = {await call for call in (first, *others)}
        assert len(runs) == WAITING + 1
        assert disk.commits - before <= 5, "R5: what arrived meanwhile is one commit; starts of it may bring a few more"
        starts = [await worker.start() for _ in runs]
        assert {start.workflow_run_id for start in starts} == runs
        for start in starts:
            await worker.report(start, wire.STEP_EVENT_TYPE_COMPLETED)
        await worker.leave()
        await house.is_alive()


async def until_inside(house: House, count: int) -> None:
    """Return once so many inputs wait inside the engine; asking over HTTP takes its own time."""
    async with asyncio.timeout(HOLD_MAX_S / 2):
        while await house.counted("limpet_inbox_items") < count:
            pass


async def test_R10_log_lines_and_heartbeats_go_on_while_no_commit_does(tmp_path: Path, disk: SlowDisk) -> None:
    async with House(tmp_path) as house:
        name = await house.workflow("slow")
        worker = await house.worker(name)
        await house.trigger(name)
        start = await worker.start()
        disk.hold()
        pending = asyncio.create_task(worker.report(start, wire.STEP_EVENT_TYPE_STARTED))
        await asyncio.to_thread(disk.reached.wait, HOLD_MAX_S)
        path = f"/stable/tasks/{start.task_run_external_id}/logs"
        line = events.PutLogRequest(task_run_external_id=start.task_run_external_id, message=b"still writing")
        await house.call("/EventsService/PutLog", line)
        await house.engine.write_logs.flushed()
        rows = (await house.rest("GET", path)).json()["rows"]
        assert [row["message"] for row in rows] == ["still writing"]
        assert not pending.done()
        disk.release()
        await pending
        await worker.report(start, wire.STEP_EVENT_TYPE_COMPLETED)
        await worker.leave()
