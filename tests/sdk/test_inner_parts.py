"""Parts of the worker and the client by themselves: protocol, threads, logs, serialisation, settings."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SerializationInfo, TypeAdapter, field_serializer

from limpet import ClientConfig, EmptyModel, is_in_hatchet_serialization_context, remove_null_unicode_character
from limpet.exceptions import IllegalTaskOutputError
from limpet.sdk._transport import Transport
from limpet.sdk._worker.health import Health, HealthServer
from limpet.sdk._worker.logs import LogLine, LogSender
from limpet.sdk._worker.protocol import RECONNECT_WAIT_MAX_S, Start, StreamEnd, StreamProtocol, WorkerProtocol
from limpet.sdk._worker.threads import TaskThreads
from limpet.sdk.attempt import AttemptKey, read_payload
from limpet.sdk.config import HealthcheckConfig
from limpet.sdk.serde import dump_input, dump_output, load_output

KEY = AttemptKey("t", 0)


# Protocol


def test_R25_an_attempt_is_run_once_also_after_its_end() -> None:
    protocol = WorkerProtocol(frozenset({"a"}))
    assert protocol.on_start(KEY, "a") is Start.RUN
    assert protocol.on_start(KEY, "a") is Start.DUPLICATE
    assert protocol.on_end(KEY)
    assert protocol.on_start(KEY, "a") is Start.DUPLICATE
    assert protocol.on_start(AttemptKey("t", 1), "a") is Start.RUN
    assert protocol.on_start(AttemptKey("u", 0), "b") is Start.UNKNOWN_ACTION


def test_CN4_a_cancelled_attempt_is_neither_waited_for_nor_reported() -> None:
    protocol = WorkerProtocol(frozenset({"a"}))
    assert not protocol.on_cancel(KEY)
    protocol.on_start(KEY, "a")
    assert protocol.on_cancel(KEY)
    assert not protocol.on_cancel(KEY)
    assert protocol.running == []
    assert not protocol.on_end(KEY)


def test_WK8_waits_grow_to_a_limit_and_begin_anew() -> None:
    stream = StreamProtocol()
    waits = [stream.on_stream_end(StreamEnd.LOST, lasted_s=0, jitter=0).wait_s for _ in range(9)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, RECONNECT_WAIT_MAX_S, RECONNECT_WAIT_MAX_S, RECONNECT_WAIT_MAX_S]
    stream.on_action()
    assert stream.on_stream_end(StreamEnd.LOST, lasted_s=0, jitter=1).wait_s == pytest.approx(0.2)
    assert stream.on_stream_end(StreamEnd.LOST, lasted_s=6, jitter=0).wait_s == pytest.approx(0.1)
    assert stream.on_stream_end(StreamEnd.WORKER_UNKNOWN, lasted_s=0, jitter=0).register_first


def test_payloads_are_read_with_tolerance() -> None:
    payload = read_payload(b'{"input": {"a": 1}, "triggers": null, "more": 1}', task_run_id="t")
    assert (payload.input, payload.parents, payload.triggers) == ({"a": 1}, {}, {})
    assert read_payload("no json", task_run_id="t").input == {}


# Threads


async def test_D17_threads_keep_context_and_results() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("seen")
    threads = TaskThreads(2, asyncio.get_running_loop())
    both = threading.Barrier(2)
    jobs = [threads.submit(lambda: (both.wait(10), variable.get())[1]) for _ in range(4)]
    assert await asyncio.gather(*(job.done for job in jobs)) == ["seen"] * 4

    def fail() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError):
        await threads.submit(fail).done
    threads.close()


async def test_a_sync_function_can_be_interrupted() -> None:
    threads = TaskThreads(1, asyncio.get_running_loop())
    started, ended = threading.Event(), threading.Event()

    def spin() -> None:
        try:
            started.set()
            while True:
                threading.Event().wait(0.001)
        finally:
            ended.set()

    job = threads.submit(spin)
    await asyncio.to_thread(started.wait, 10)
    assert threads.interrupt(job)
    assert await asyncio.to_thread(ended.wait, 10)
    assert await threads.submit(lambda: 5).done == 5
    threads.close()


# Logs


def test_W14_5_a_full_queue_drops_lines_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    sender = LogSender(Transport(ClientConfig()), queue_size=2)
    for _ in range(5):
        sender.put(LogLine("t", 0, "line", "INFO", datetime.now(UTC)))
    sender.put(LogLine("t", 0, "", "INFO", datetime.now(UTC)))
    assert sender._lines.qsize() == 2
    assert len([record for record in caplog.records if "dropped" in record.message]) == 1


# Health


def test_WK38_the_health_endpoint() -> None:
    health = Health("HEALTHY", True, 0.0, {"default": (1, 4)})
    server = HealthServer(HealthcheckConfig(port=0, bind_address="127.0.0.1"), lambda: health)
    server.start()
    base = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(f"{base}/health") as answer:
        assert json.load(answer) == {"status": "HEALTHY", "slots": {"default": {"used": 1, "limit": 4}}}
    with urllib.request.urlopen(f"{base}/metrics") as answer:
        assert b'limpet_worker_slots_used{pool="default"} 1' in answer.read()
    health = Health("UNHEALTHY", False, 9.0, {})
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"{base}/health")
    server.stop()


# Serialisation


class Secret(BaseModel):
    text: str

    @field_serializer("text")
    def _hide(self, value: str, info: SerializationInfo) -> str:
        return "hidden" if is_in_hatchet_serialization_context(info.context) else value


def test_W2_9_serialisers_can_tell_where_they_run() -> None:
    adapter = TypeAdapter(Secret)
    assert json.loads(dump_output(Secret(text="x"), adapter, task_name="t")) == {"text": "hidden"}
    assert Secret(text="x").model_dump() == {"text": "x"}


def test_W2_7_outputs() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(EmptyModel)
    assert dump_output(None, adapter, task_name="t") == dump_output({}, adapter, task_name="t") == ""
    assert json.loads(dump_output({"a": datetime(2026, 1, 1, tzinfo=UTC)}, adapter, task_name="t"))["a"].startswith("2026")
    assert json.loads(dump_output(Secret(text="x"), adapter, task_name="t")) == {"text": "hidden"}
    for illegal in ("text", 5, [1], Secret):
        with pytest.raises(IllegalTaskOutputError, match="Task 't'"):
            dump_output(illegal, adapter, task_name="t")


def test_W2_8_nul_characters() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(dict)
    with pytest.raises(IllegalTaskOutputError, match="NUL"):
        dump_output({"a": "x\u0000"}, adapter, task_name="t")
    assert dump_output({"a": "\\u0000"}, adapter, task_name="t")
    assert remove_null_unicode_character({"a\u0000": ["x\u0000", ("y\u0000", 1)]}) == {"a": ["x", ("y", 1)]}


def test_an_input_is_an_object() -> None:
    with pytest.raises(ValueError, match="must be a model"):
        dump_input([1], TypeAdapter(list))
    assert dump_input(None, TypeAdapter(dict)) == "{}"


def test_absent_outputs() -> None:
    assert load_output(None, TypeAdapter(dict)) == {}
    assert load_output(None, TypeAdapter(Secret | None)) is None


# Settings


def test_names_of_variables_and_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HATCHET_CLIENT_NAMESPACE", "Third")
    monkeypatch.setenv("HATCHET_CLIENT_HOST_PORT", "there:1")
    assert (ClientConfig().namespace, ClientConfig().host_port) == ("third_", "there:1")
    monkeypatch.setenv("LIMPET_CLIENT_NAMESPACE", "Second")
    assert ClientConfig().namespace == "second_"
    monkeypatch.setenv("LIMPET_NAMESPACE", "first")
    assert ClientConfig().namespace == "first_"
    assert ClientConfig(namespace="argument").namespace == "argument_"


def test_files_and_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("HATCHET_CLIENT_NAMESPACE=a\nHATCHET_CLIENT_TLS_STRATEGY=none\n")
    Path(".env.local").write_text("HATCHET_CLIENT_NAMESPACE=b\n")
    assert (ClientConfig().namespace, ClientConfig().tls_config.strategy) == ("b_", "none")
    monkeypatch.setenv("HATCHET_CLIENT_NAMESPACE", "c")
    assert ClientConfig().namespace == "c_"


def test_a_token_names_tenant_and_addresses() -> None:
    import base64

    claims = {"sub": "tenant", "server_url": "https://engine/", "grpc_broadcast_address": "engine:7077"}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    config = ClientConfig(token=f"eyJ9.{payload}.x")
    assert (config.tenant_id, config.server_url, config.host_port) == ("tenant", "https://engine", "engine:7077")
    assert (config.tls_config.strategy, config.tls_config.server_name) == ("tls", "engine")
    assert not config.looks_for_dev


@pytest.mark.parametrize("token", ["no.token.here", "eyJ9.only-two", "eyJ9.!!!.x"])
def test_a_text_that_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        ClientConfig(token=token)


def test_nothing_configured_means_the_engine_of_this_machine() -> None:
    config = ClientConfig()
    assert (config.host_port, config.server_url, config.tls_config.strategy) == (
        "127.0.0.1:7077",
        "http://127.0.0.1:8888",
        "none",
    )
    assert config.looks_for_dev
