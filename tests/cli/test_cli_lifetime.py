"""The life of an engine process: it ends in order, also when it could not begin, and says why."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from limpet.cli.compose import EngineProcess
from limpet.cli.engine_command import as_sentence
from limpet.cli.exits import ExitCode, Misuse
from limpet.cli.lifetime import live
from limpet.cli.plan import Plan
from limpet.cli.ready import Ready
from limpet.edges.signing import SigningKeyError
from limpet.store.api import FatalStoreError, FenceMismatch, SchemaError, StoreLocked, TransientStoreError
from limpet.store.sqlite.lock import FileLock

READY = Ready("127.0.0.1:1", "http://127.0.0.1:2", None, "memory", is_encrypted=False)


@dataclass
class Scripted:
    """A process that notes what was asked of it, and fails when told to."""

    failure: Exception | None = None
    fails_at_start: bool = False
    noted: list[str] = field(default_factory=list)

    async def start(self) -> Ready:
        self.noted.append("start")
        if self.failure and self.fails_at_start:
            raise self.failure
        return READY

    async def failed(self) -> None:
        if self.failure:
            raise self.failure
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.noted.append("stop")


async def test_a_signal_ends_a_process_in_order() -> None:
    process = Scripted()
    await live(process, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert process.noted == ["start", "stop"]


@pytest.mark.parametrize("fails_at_start", [True, False])
async def test_R8_a_failure_ends_a_process_and_is_raised(fails_at_start: bool) -> None:
    process = Scripted(FatalStoreError("fsync failed"), fails_at_start)
    with pytest.raises(FatalStoreError):
        await live(process, lambda _: None)
    assert process.noted == ["start", "stop"]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (FatalStoreError("fsync failed"), ExitCode.FAILED, "cannot be trusted"),
        (FenceMismatch("somebody else"), ExitCode.FAILED, "cannot be trusted"),
        (StoreLocked("in use by 7"), ExitCode.FAILED, "in use by 7"),
        (TransientStoreError("disk full"), ExitCode.FAILED, "disk full"),
        (SchemaError("schema 3"), ExitCode.USAGE, "schema 3"),
        (SigningKeyError("mode 0644"), ExitCode.USAGE, "mode 0644"),
        (OSError(errno.EADDRINUSE, "in use"), ExitCode.FAILED, "listens on 127.0.0.1:7077"),
        (OSError(errno.EACCES, "denied"), ExitCode.FAILED, "denied"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_end_has_a_sentence_and_an_exit_code(error: Exception, code: ExitCode, says: str) -> None:
    found = as_sentence(error, Plan(store=Path("s.db"), is_dev=True))
    assert found.code is code
    assert says in found.sentence
    assert isinstance(found, Misuse) is (code is ExitCode.USAGE)


async def test_a_process_that_cannot_listen_lets_go_of_its_store(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for ports in ({"grpc_port": port, "http_port": 0}, {"grpc_port": 0, "http_port": port}):
            process = EngineProcess(Plan(store=tmp_path / "s.db", is_dev=True, **ports))
            with pytest.raises(OSError, match=r"in use|bind"):
                await process.start()
            await process.stop()
            lock = FileLock(tmp_path / "s.db")
            lock.acquire()
            lock.release()


async def test_stopping_twice_and_before_the_start_is_harmless() -> None:
    process = EngineProcess(Plan(grpc_port=0, http_port=0, is_dev=True))
    await process.stop()
    await process.start()
    await process.stop()
    await process.stop()


async def test_a_stopped_engine_answers_nobody_any_more() -> None:
    process = EngineProcess(Plan(grpc_port=0, http_port=0, is_dev=True))
    ready = await process.start()
    assert process.engine.is_ready
    await process.stop()
    assert not process.engine.is_ready
    for address in (ready.grpc, ready.http.removeprefix("http://")):
        host, port = address.split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=2)


def test_a_plan_with_an_open_door_is_never_composed() -> None:
    with pytest.raises(Misuse):
        EngineProcess(Plan(host="0.0.0.0", is_dev=True))
