"""Log lines and stream chunks."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from limpet.contracts import events_pb2 as wire
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.chunk_order import Chunk
from limpet.store.api import LogLine

from ..test_json_text import POISON
from .conftest import MINE, THEIRS, Edge, status_of
from .fake_door import AT, TENANT, run_id, run_record, task_row

S = grpc.StatusCode
RUN, TASK = run_id(1), run_id(2)


def with_task(edge: Edge) -> None:
    edge.door.reader.add(run_record(1, RunStatus.RUNNING, [task_row(2, 0, TaskStatus.ASSIGNED)]))


def line(**fields: Any) -> wire.PutLogRequest:
    return wire.PutLogRequest(**{"task_run_external_id": TASK, "message": b"hello", **fields})


class TestPutLog:
    async def test_every_field_reaches_the_logs_own_writer(self, edge: Edge) -> None:
        with_task(edge)
        request = line(
            created_at=Timestamp(seconds=1_600_000_000, nanos=5_000),
            message="hé".encode(),
            level="WARN",
            metadata=b'{"a":1}',
            task_retry_count=3,
        )
        await edge.events.PutLog(request, metadata=MINE)
        assert edge.door.lines == [LogLine(1, TASK, 3, 1_600_000_000_000_005, "WARN", "hé", '{"a":1}')]
        assert edge.door.submitted == [], "a log line never enters a commit (R10)"

    @pytest.mark.parametrize(("sent", "stored"), [("debug", "DEBUG"), ("ERROR", "ERROR"), ("CRITICAL", "INFO"), ("", "INFO")])
    async def test_W14_6_levels(self, edge: Edge, sent: str, stored: str) -> None:
        with_task(edge)
        await edge.events.PutLog(line(level=sent), metadata=MINE)
        assert edge.door.lines[0].level == stored

    @pytest.mark.parametrize("stamp", [None, Timestamp(seconds=-5), Timestamp(seconds=10**18), Timestamp(seconds=1, nanos=-1)])
    async def test_a_line_without_a_usable_time_gets_ours(self, edge: Edge, stamp: Timestamp | None) -> None:
        with_task(edge)
        await edge.events.PutLog(line(created_at=stamp), metadata=MINE)
        assert (edge.door.lines[0].at, edge.door.lines[0].retry_count, edge.door.lines[0].metadata) == (AT, 0, "{}")

    @pytest.mark.parametrize(("text", "fits"), [("x", True), ("é" * 10_000, True), ("x" * 10_001, False), ("", False)])
    async def test_W14_5_one_to_ten_thousand_characters(self, edge: Edge, text: str, fits: bool) -> None:
        with_task(edge)
        code, _ = await status_of(edge.events.PutLog(line(message=text.encode()), metadata=MINE))
        assert code is (S.OK if fits else S.INVALID_ARGUMENT)
        assert len(edge.door.lines) == fits

    async def test_TPOISONPAYLOAD_broken_characters_are_replaced_and_the_line_kept(self, edge: Edge) -> None:
        with_task(edge)
        await edge.events.PutLog(line(message=b"a\xff\x00b"), metadata=MINE)
        assert edge.door.lines[0].message == "a\ufffd\ufffdb"

    @pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
    async def test_TPOISONPAYLOAD_metadata(self, edge: Edge, poison: bytes) -> None:
        with_task(edge)
        assert (await status_of(edge.events.PutLog(line(metadata=poison), metadata=MINE)))[0] is S.INVALID_ARGUMENT

    async def test_W14_6_unknown_and_foreign_tasks(self, edge: Edge) -> None:
        assert (await status_of(edge.events.PutLog(line(), metadata=MINE)))[0] is S.NOT_FOUND
        with_task(edge)
        assert (await status_of(edge.events.PutLog(line(), metadata=THEIRS)))[0] is S.NOT_FOUND
        assert edge.door.lines == []

    async def test_TLOGFLOOD_the_store_is_asked_once_per_task(self, edge: Edge) -> None:
        with_task(edge)
        for _ in range(5):
            await edge.events.PutLog(line(), metadata=MINE)
        assert edge.door.reader.asked == [("task", TASK)]


class TestPutStreamEvent:
    async def test_a_chunk_reaches_who_follows_its_run_and_nothing_is_stored(self, edge: Edge) -> None:
        with_task(edge)
        watcher = edge.streams.watchers.open(TENANT, RUN)
        request = wire.PutStreamEventRequest(task_run_external_id=TASK, message="é".encode(), event_index=0)
        await edge.events.PutStreamEvent(request, metadata=MINE)
        assert watcher.box.pop() == Chunk(RUN, TASK, "é".encode(), 0, AT)
        assert (edge.door.submitted, edge.door.lines) == ([], [])

    async def test_an_unnumbered_chunk_stays_so(self, edge: Edge) -> None:
        with_task(edge)
        watcher = edge.streams.watchers.open(TENANT, RUN)
        await edge.events.PutStreamEvent(wire.PutStreamEventRequest(task_run_external_id=TASK, message=b"x"), metadata=MINE)
        assert watcher.box.pop() == Chunk(RUN, TASK, b"x", None, AT)

    async def test_bytes_that_are_no_text_cannot_be_relayed(self, edge: Edge) -> None:
        with_task(edge)
        call = edge.events.PutStreamEvent(wire.PutStreamEventRequest(task_run_external_id=TASK, message=b"\xff"), metadata=MINE)
        assert (await status_of(call))[0] is S.INVALID_ARGUMENT

    async def test_S1_a_task_of_another_tenant_looks_unknown(self, edge: Edge) -> None:
        with_task(edge)
        watcher = edge.streams.watchers.open(TENANT, RUN)
        call = edge.events.PutStreamEvent(wire.PutStreamEventRequest(task_run_external_id=TASK, message=b"x"), metadata=THEIRS)
        assert (await status_of(call))[0] is S.NOT_FOUND
        assert len(watcher.box) == 0
