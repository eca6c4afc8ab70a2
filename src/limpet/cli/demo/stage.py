"""The processes of the demo: an engine on a file, workers beside it. Whatever happens, all are ended by their pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from limpet import ClientConfig, ClientTLSConfig, Limpet
from limpet.cli.exits import CommandError

READY_WITHIN_S = 30.0
ENDS_WITHIN_S = 10.0
GENERAL_WORKERS: dict[str, dict[str, Any]] = {
    "north": {"slots": 40, "labels": {"zone": "north", "gpu": "yes", "memory": 64}},
    "south": {"slots": 40, "labels": {"zone": "south", "memory": 16}},
    "east": {"slots": 40, "labels": {"zone": "east", "memory": 32}},
}
LANE_WORKER: dict[str, dict[str, Any]] = {"single": {"slots": 1, "lanes": True}}


class Stage:
    """An engine and its workers, in a folder that is deleted at the end."""

    grpc: str
    http: str

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="limpet-demo-", ignore_cleanup_errors=True)
        self._engine: subprocess.Popen[str] | None = None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = (0, 0)
        self.grpc = self.http = self._token = ""

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        processes: list[subprocess.Popen[Any]] = list(self._workers.values())
        if self._engine is not None:
            processes.append(self._engine)
        for process in processes:
            end(process)
        self._folder.cleanup()

    def start_engine(self) -> None:
        """`limpet dev` on the demo's file; on the same ports when it is started again."""
        grpc_port, http_port = self._ports
        command = [sys.executable, "-m", "limpet.cli.main", "dev", "--json", "--store", str(self._path("engine.db"))]
        command += ["--grpc-port", str(grpc_port), "--http-port", str(http_port)]
        with open(self._path("engine.log"), "ab") as log:
            self._engine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        assert self._engine.stdout is not None
        line = self._engine.stdout.readline()
        if not line:
            raise CommandError("The engine of the demo did not start.", self._path("engine.log").read_text()[-2_000:])
        ready = json.loads(line)
        self.grpc, self.http, self._token = ready["grpc"], ready["http"], ready["token"]
        self._ports = (int(self.grpc.rsplit(":", 1)[1]), int(self.http.rsplit(":", 1)[1]))

    def kill_engine(self) -> None:
        """End the engine as a crash would: SIGKILL, no good-bye."""
        assert self._engine is not None
        self._engine.kill()
        self._engine.wait()

    def start_workers(self) -> None:
        """All workers, each a process of its own."""
        for name, options in (GENERAL_WORKERS | LANE_WORKER).items():
            with open(self._path(f"{name}.log"), "ab") as log:
                self._workers[name] = subprocess.Popen(
                    [sys.executable, "-m", "limpet.cli.demo.worker", json.dumps({"name": name, **options})],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self._environment()},
                    start_new_session=True,
                )

    async def workers_by_id(self, limpet: Limpet) -> dict[str, str]:
        """Names by id, once every worker is active."""
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while True:
            rows = (await limpet.workers.aio_list()).rows or []
            active = {row.metadata.id: row.name for row in rows if row.status == "ACTIVE"}
            if set(active.values()) >= set(self._workers):
                return active
            self._check_alive()
            if asyncio.get_running_loop().time() > deadline:
                missing = ", ".join(sorted(set(self._workers) - set(active.values())))
                raise CommandError(f"These workers of the demo did not become active: {missing}.", self._logs(missing))
            await asyncio.sleep(0.05)

    def client(self) -> Limpet:
        """A client of the demo's engine."""
        return Limpet(
            config=ClientConfig(
                token=self._token, host_port=self.grpc, server_url=self.http, tls_config=ClientTLSConfig(strategy="none")
            )
        )

    def explain(self, task_run_id: str) -> dict[str, Any]:
        """What the engine says of a task."""
        answer = httpx.get(
            f"{self.http}/api/v1/stable/tasks/{task_run_id}/explain", headers={"Authorization": f"Bearer {self._token}"}
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _environment(self) -> dict[str, str]:
        return {
            "LIMPET_TOKEN": self._token,
            "LIMPET_HOST_PORT": self.grpc,
            "LIMPET_SERVER_URL": self.http,
            "LIMPET_TLS_STRATEGY": "none",
        }

    def _check_alive(self) -> None:
        for name, process in self._workers.items():
            if process.poll() is not None:
                raise CommandError(f"Worker {name} of the demo ended with code {process.returncode}.", self._logs(name))

    def _logs(self, names: str) -> str:
        """The ends of the workers' logs."""
        paths = [self._path(f"{name}.log") for name in names.split(", ")]
        return "\n".join(path.read_text()[-1_000:] for path in paths if path.exists())

    def _path(self, name: str) -> Path:
        return Path(self._folder.name, name)


def end(process: subprocess.Popen[Any]) -> None:
    """Gracefully, then not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
