"""X-SECRETS, X23, X24: what is secret stands in no log, no store file, no error and no metric; payloads in no log."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2 as events
from limpet.contracts import trigger_pb2 as triggers

from .house import ANSWER_WITHIN_S, BY_PATH, Callers, sentences

CANARY = "canary-4f1d5b"
LIMPET = (sys.executable, "-m", "limpet.cli.main")
INSIDE = ("Traceback", 'File "', "SELECT ", "INSERT ", "sqlite", "/src/limpet")  # what callers must not see of us


def token_of(folder: Path, name: str) -> str:
    made = subprocess.run(
        [*LIMPET, "token", "create", name, "--store", "store.db"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return made.stdout.strip()


def revoke(folder: Path, name: str) -> None:
    subprocess.run(
        [*LIMPET, "token", "revoke", name, "--store", "store.db"], cwd=folder, capture_output=True, timeout=60, check=True
    )


def left_behind(folder: Path) -> tuple[dict[str, bytes], str]:
    """Every file that the engine wrote, and what is secret in the one that holds the signing key."""
    key_file = folder / "store.db.signing-key"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path != key_file}
    return files, key_file.read_text().splitlines()[1]


@contextlib.contextmanager
def server(folder: Path, log: Path, *more: str) -> Iterator[dict[str, Any]]:
    """`limpet server` that logs everything it can."""
    command = [
        *LIMPET,
        "server",
        "--store",
        "store.db",
        "--grpc-port",
        "0",
        "--http-port",
        "0",
        "--json",
        "--log-level",
        "debug",
        *more,
    ]
    with log.open("w") as to, subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=to, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ANSWER_WITHIN_S)


@pytest.mark.parametrize("form", [(), ("--log-json",)], ids=["text", "json"])
async def test_X_SECRETS_a_days_work_leaves_no_token_behind_and_no_payload_in_the_log(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    token, revoked = token_of(tmp_path, "ci"), token_of(tmp_path, "gone")
    revoke(tmp_path, "gone")
    log = tmp_path / "engine.log"
    with server(tmp_path, log, *form) as ready:
        async with Callers(ready["grpc"], ready["http"], token) as callers:
            answers = await busy(callers, revoked)
    files, key = left_behind(tmp_path)
    secrets = {"token": token, "signature": token.split(".")[2], "revoked": revoked.split(".")[2], "key": key}
    assert {"store.db", "engine.log"} <= files.keys()
    for name, secret in secrets.items():
        for file, content in files.items():
            assert secret.encode() not in content, (name, file)
        assert secret not in "".join(answers), name
    assert any(CANARY.encode() in files[name] for name in files if name.startswith("store.db")), "the payloads were really stored"
    assert CANARY.encode() not in files["engine.log"], "payloads are never logged"
    assert files["engine.log"].count(b"\n") < 500
    for line in files["engine.log"].decode().splitlines():
        assert "\x1b" not in line


async def busy(callers: Callers, revoked: str) -> list[str]:
    """Good work and bad calls, secrets everywhere; returns every error's text and the metrics."""
    name = await callers.workflow("w")
    worker = await callers.worker(name)
    secret = json.dumps({"password": CANARY}).encode()
    for kind in (wire.STEP_EVENT_TYPE_COMPLETED, wire.STEP_EVENT_TYPE_FAILED):
        await callers.trigger(name, input=secret, additional_metadata=secret)
        start = await worker.start()
        line = events.PutLogRequest(task_run_external_id=start.task_run_external_id, message=CANARY.encode())
        await callers.call("/EventsService/PutLog", line)
        await worker.report(start, kind, secret)
    await worker.leave()
    heard = [str(await callers.status(path, b"\xff", token=token)) for path in BY_PATH for token in (revoked, callers.mine + "x")]
    heard += [str(await callers.status(path, b"\xff\xff\xff")) for path in BY_PATH]
    heard.append(
        str(await callers.status("/WorkflowService/TriggerWorkflow", triggers.TriggerWorkflowRequest(name=name, input=b"{")))
    )
    for path in ("/nowhere", f"/stable/tasks/{callers.mine}", f"/workers/{callers.mine[:60]}"):
        heard.append(sentences(await callers.rest("GET", path, token=callers.mine + "x")))
    assert (await callers.http.get("/metrics")).status_code == 200
    heard.append((await callers.http.get("/metrics")).text)
    for text in heard:
        assert not [word for word in INSIDE if word in text], text
        assert CANARY not in text
    await callers.is_alive()
    return heard


async def test_X_BOMB_a_gzip_bomb_leaves_the_memory_of_the_engine_flat(tmp_path: Path) -> None:
    bomb = triggers.TriggerWorkflowRequest(name="w", input=b"\0" * (96 * 1024 * 1024))
    token = token_of(tmp_path, "ci")
    with server(tmp_path, tmp_path / "engine.log") as ready:
        pid = int((tmp_path / "store.db.lock").read_text())
        async with Callers(ready["grpc"], ready["http"], token) as callers:
            await callers.is_alive()
            before = peak_kib(pid)
            async with callers.dial(compression=grpc.Compression.Gzip) as zipping:
                for _ in range(3):
                    code, _ = await callers.status("/WorkflowService/TriggerWorkflow", bomb, channel=zipping)
                    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert peak_kib(pid) - before < 48 * 1024, "what is unpacked stays bounded"
            await callers.is_alive()


def peak_kib(pid: int) -> int:
    """The most memory that the process ever held."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])
