"""How streams end, and who cannot hold them open for nothing (T-STREAM-CODES, T-SLOW-READER, T-SLOWLORIS, R33, R45)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode as S

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2 as events
from limpet.core.ids import MILLISECOND_US
from limpet.core.settings import Settings
from limpet.edges.grpc import settings as grpc_settings
from limpet.edges.http import server as http_server
from limpet.edges.outbox import Outbox
from limpet.engine.settings import EngineSettings
from limpet.store.api import FenceMismatch

from .house import House, status_of

PATIENCE_S = 10.0
SMALL_WINDOW = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0), ("grpc.max_receive_message_length", -1)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An engine of its own for each test: most of them end it."""
    async with House(tmp_path) as one:
        yield one


async def open_streams(house: House) -> dict[str, Any]:
    """One of each kind, open and with something to wait for."""
    name = await house.workflow("w")
    run_id = await house.trigger("w")
    worker = await house.worker("unrelated")
    metadata = (("authorization", f"bearer {house.mine}"),)
    results: Any = house.channel.stream_stream("/Dispatcher/SubscribeToWorkflowRuns")(metadata=metadata)
    await results.write(wire.SubscribeToWorkflowRunsRequest(workflow_run_id=run_id).SerializeToString())
    path, pair = "/Dispatcher/SubscribeToWorkflowEvents", {"additional_meta_key": "k", "additional_meta_value": "v"}
    streams = {
        "assignments": worker.stream,
        "results": results,
        "events of a run": house.open(path, wire.SubscribeToWorkflowEventsRequest(workflow_run_id=run_id)),
        "events of runs with a pair": house.open(path, wire.SubscribeToWorkflowEventsRequest(**pair)),
    }
    for stream in streams.values():
        await stream.initial_metadata()
    assert name == "w"
    return streams


async def test_T_STREAM_CODES_a_stopping_engine_ends_every_stream_with_UNAVAILABLE(house: House) -> None:
    streams = await open_streams(house)
    assert len(house.streams) == 4
    stopping = asyncio.create_task(house.process.stop())
    for kind, stream in streams.items():
        assert await status_of(stream) == (S.UNAVAILABLE, "the engine is stopping: connect again"), kind
    await stopping


async def test_T_STREAM_CODES_an_engine_that_lost_its_store_ends_every_stream_with_UNAVAILABLE(house: House) -> None:
    """Somebody else claims the store; the next commit meets the fence (R7, R8)."""
    streams = await open_streams(house)
    await house.process.store.claim()
    refused = await house.status("/Dispatcher/Register", wire.WorkerRegisterRequest(worker_name="w", actions=["a"]))
    assert refused[0] is S.UNAVAILABLE
    for kind, stream in streams.items():
        code, says = await status_of(stream)
        assert code is S.UNAVAILABLE, kind
        assert says in ("the engine lost its store to another owner", "the engine ended"), "whichever comes first"
    with pytest.raises(FenceMismatch, match="somebody else has claimed it"):
        await house.process.failed()


async def test_T_STREAM_CODES_unsubscribing_ends_the_workers_stream_with_UNAVAILABLE(house: House) -> None:
    worker = await house.worker("a")
    await house.call("/Dispatcher/Unsubscribe", wire.WorkerUnsubscribeRequest(worker_id=worker.id))
    code, says = await status_of(worker.stream)
    assert code is S.UNAVAILABLE
    assert says
    code, says = await house.status("/Dispatcher/ListenV2", wire.WorkerListenRequest(worker_id=worker.id))
    assert code is S.NOT_FOUND, "it left for good: that is the truth, and it must register again"
    await house.is_alive()


async def test_T_STREAM_CODES_a_deaf_stream_is_ended_with_UNAVAILABLE_and_its_task_goes_elsewhere(tmp_path: Path) -> None:
    fast = Settings(receipt_timeout_us=300 * MILLISECOND_US, receipt_grace_us=100 * MILLISECOND_US)
    async with House(tmp_path, EngineSettings(core=fast)) as house:
        name = await house.workflow("w")
        deaf = await house.worker(name)
        run_id = await house.trigger(name)
        start = await deaf.start()
        code, says = await status_of(deaf.stream)
        assert code is S.UNAVAILABLE
        assert "receipt" in says or "acknowledged" in says, says
        good = await house.worker(name)
        again = await good.start()
        assert (again.task_run_external_id, again.retry_count) == (start.task_run_external_id, 1)
        await good.report(again, wire.STEP_EVENT_TYPE_COMPLETED)
        assert (await house.details(run_id)).done
        await good.leave()


async def test_WK17_opening_a_stream_again_and_again_is_harmless(house: House) -> None:
    worker = await house.worker("a")
    streams = [worker.stream]
    for _ in range(30):
        await worker.listen()
        streams.append(worker.stream)
    for stream in streams[::2]:
        stream.cancel()
    await house.call("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=worker.id))
    for stream in streams:
        stream.cancel()
    await house.is_alive()


async def test_T_SLOW_READER_a_worker_that_never_reads_loses_its_stream_and_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await house.workflow("w")
    async with grpc.aio.insecure_channel(house.grpc_address, options=SMALL_WINDOW) as channel:
        worker = await house.worker("unrelated", name)
        worker.stream.cancel()
        await worker.listen(channel=channel)
        (session,) = [one for one in house.streams.sessions if one.worker_id == worker.id and one.box.end_reason is None]
        make_impatient(session.box)
        payload = b'{"a": "' + b"x" * 200_000 + b'"}'
        runs = [await house.trigger(name, input=payload) for _ in range(30)]
        house.streams.check_pace()
        end = await asyncio.wait_for(session.box.wait_ended(), PATIENCE_S)
        assert "this stream was not read for too long" in str(end)
        assert "read faster and open it again" in str(end)
        assert house.streams.counts.slow_readers_ended == 1
        await house.call("/Dispatcher/Unsubscribe", wire.WorkerUnsubscribeRequest(worker_id=worker.id))
    good = await house.worker(name)
    for _ in runs:
        await good.report(await good.start(), wire.STEP_EVENT_TYPE_COMPLETED)
    for run_id in runs:
        assert (await house.details(run_id)).done, "what the slow one never read is done by another"
    await good.leave()
    await house.is_alive()


def make_impatient(box: Outbox[Any]) -> None:
    """A writer that is stuck at all counts as stuck for long enough."""
    box._patience_s = 0


async def test_T_SLOW_READER_a_follower_that_never_reads_holds_only_its_buffer(house: House) -> None:
    name = await house.workflow("w")
    worker = await house.worker(name)
    run_id = await house.trigger(name)
    start = await worker.start()
    async with grpc.aio.insecure_channel(house.grpc_address, options=SMALL_WINDOW) as channel:
        request = wire.SubscribeToWorkflowEventsRequest(workflow_run_id=run_id)
        follower = house.open("/Dispatcher/SubscribeToWorkflowEvents", request, channel=channel)
        await follower.initial_metadata()
        chunk = events.PutStreamEventRequest(task_run_external_id=start.task_run_external_id, message=b"x" * 100_000)
        for _ in range(60):
            await house.call("/EventsService/PutStreamEvent", chunk)
        assert house.streams.counts.slow_readers_ended == 1
        code, says = await status_of(follower)
        assert code is S.UNAVAILABLE
        assert "this stream was not read for too long" in says
    await worker.report(start, wire.STEP_EVENT_TYPE_COMPLETED)
    await worker.leave()
    await house.is_alive()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came until the peer closed the connection."""
    try:
        return await asyncio.wait_for(reader.read(-1), PATIENCE_S)
    except ConnectionResetError:
        return b""


LORISES = {
    "says nothing": b"",
    "half a request line": b"POST /api/v1/sta",
    "half a head": b"POST /api/v1/stable/tenants/x/workflow-runs/trigger HTTP/1.1\r\nhost: localhost\r\nx-a: ",
}


async def test_T_SLOWLORIS_half_requests_are_cut_off_and_nobody_else_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http_server.HEAD_TIMEOUT_S <= 10
    monkeypatch.setattr(http_server, "HEAD_TIMEOUT_S", 0.5)
    async with House(tmp_path) as house:
        host, port = house.http_address.removeprefix("http://").split(":")
        connections = [(await asyncio.open_connection(host, int(port)), said) for said in LORISES.values() for _ in range(20)]
        for (_, writer), said in connections:
            writer.write(said)
        await house.is_alive()
        assert (await house.http.get("/health")).status_code == 200
        for (reader, writer), _ in connections:
            assert b"200" not in await closed(reader)
            writer.close()


async def test_T_SLOWLORIS_a_grpc_peer_that_never_shakes_hands_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grpc_settings.HANDSHAKE_MS <= 10_000
    monkeypatch.setattr(grpc_settings, "HANDSHAKE_MS", 500)
    async with House(tmp_path) as house:
        host, port = house.grpc_address.split(":")
        said = (b"", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 5000)
        connections = [(await asyncio.open_connection(host, int(port)), text) for text in said for _ in range(10)]
        for (_, writer), text in connections:
            writer.write(text)
        await house.is_alive()
        for (reader, writer), _ in connections:
            await closed(reader)
            writer.close()
        await house.is_alive()
