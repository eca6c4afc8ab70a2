"""Real processes for the tests: an engine on its file, and workers of the official client. All end by their pid."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_WITHIN_S = 60.0


def wait_for(what: str, holds: Callable[[], Any], within_s: float = READY_WITHIN_S) -> Any:
    """Poll until the condition holds, and return what it returned; another process cannot signal this one."""
    deadline = time.monotonic() + within_s
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within_s:g} s in vain for: {what}")
        time.sleep(0.02)


@dataclass
class EngineProcess:
    """`limpet dev` on a store file or a database; killed and started again on the same ports.

    store: a file name in the folder, the URL of a database, or None for memory
    """

    folder: Path
    store: str | None = "engine.db"
    grpc_port: int = 0
    http_port: int = 0
    token: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once the engine has said that it is ready."""
        command = [sys.executable, "-m", "limpet.cli.main", "dev", "--json"]
        command += ["--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port)]
        if self.store is not None:
            command += ["--store", self.store if "://" in self.store else str(self.folder / self.store)]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        with open(self.folder / "engine.log", "a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the engine did not start: {(self.folder / 'engine.log').read_text()[-3000:]}"
        ready = json.loads(line)
        self.token = ready["token"]
        self.grpc_port = int(str(ready["grpc"]).rsplit(":", 1)[1])
        self.http_port = int(str(ready["http"]).rstrip("/").rsplit(":", 1)[1])
        wait_for("the engine owns its store", self.is_ready)  # a killed one's lease of a database runs out first

    def is_ready(self) -> bool:
        """Whether it serves."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/ready", timeout=10):
                return True
        except urllib.error.HTTPError:
            return False

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it gracefully; killed after 20 s."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def client_environment(self) -> dict[str, str]:
        """What the official clients read."""
        return {
            "HATCHET_CLIENT_TOKEN": self.token,
            "HATCHET_CLIENT_HOST_PORT": f"127.0.0.1:{self.grpc_port}",
            "HATCHET_CLIENT_SERVER_URL": f"http://127.0.0.1:{self.http_port}",
            "HATCHET_CLIENT_API_URL": f"http://127.0.0.1:{self.http_port}",
            "HATCHET_CLIENT_TLS_STRATEGY": "none",
            "JOURNAL": str(self.folder / "journal.jsonl"),
        }

    def get(self, path: str) -> Any:
        """A JSON answer of the HTTP side."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def workers(self) -> list[dict[str, Any]]:
        """Workers as the REST API lists them."""
        tenant = tenant_of(self.token)
        return list(self.get(f"/api/v1/tenants/{tenant}/worker").get("rows") or [])


def tenant_of(token: str) -> str:
    """The tenant that a token names."""
    import base64

    body = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"])


@dataclass
class WorkerProcess:
    """A worker of the official client, with its listener: one process group."""

    engine: EngineProcess
    name: str
    options: dict[str, Any]
    module: str = "tests.compatibility.programs.worker"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once the engine lists the worker as active."""
        with open(self.engine.folder / f"{self.name}.log", "a") as log:
            self.process = subprocess.Popen(
                self.command(json.dumps({"name": self.name, **self.options})),
                stdout=log,
                stderr=log,
                env={**os.environ, **self.engine.client_environment()},
                start_new_session=True,
            )
        wait_for(f"worker {self.name} is active", self.row)

    def command(self, options: str) -> list[str]:
        """What starts it."""
        return [sys.executable, "-m", self.module, options]

    def row(self) -> dict[str, Any] | None:
        """The worker as the engine lists it, once it is active."""
        assert self.process is not None
        assert self.process.poll() is None, f"worker {self.name} has ended: {self.log()[-3000:]}"
        rows = [row for row in self.engine.workers() if row["name"] == self.name and row["status"] == "ACTIVE"]
        return rows[0] if rows else None

    @property
    def id(self) -> str:
        row = wait_for(f"worker {self.name} is active", self.row)
        return str(row["metadata"]["id"])

    def log(self) -> str:
        return (self.engine.folder / f"{self.name}.log").read_text()

    def signal(self, number: int) -> None:
        """To the worker and its listener."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self) -> None:
        """Gracefully, to the main process only, as a service manager does; killed after 15 s."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def running(*parts: Any) -> Iterator[None]:
    """Start the parts in order, stop them in reverse, whatever happens."""
    started: list[Any] = []
    try:
        for part in parts:
            started.append(part)
            part.start()
        yield
    finally:
        for part in reversed(started):
            part.stop()
