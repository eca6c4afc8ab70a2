"""Whole processes to measure: an engine as users start it, workers, clients; their CPU time and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.postgres.server import Server

SQLITE, POSTGRES = "sqlite", "postgres"
LIMPET = Path(sys.executable).with_name("limpet")
ENDS_WITHIN_S = 15.0
CONNECTS_WITHIN_S = 60.0
PREFIXES = ("LIMPET_", "HATCHET_CLIENT_")


class Process:
    """A child with its log, ended by its process group. `answers`: it says JSON lines, which are read; else nobody listens."""

    def __init__(
        self, command: list[str], folder: Path, name: str, environment: dict[str, str] | None = None, *, answers: bool = True
    ) -> None:
        self._name, self._log = name, folder / f"{name}.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(PREFIXES)}
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if answers else log, stderr=log, text=True,
                env={**clean, **(environment or {})}, start_new_session=True,
            )  # fmt: skip

    def read(self) -> dict[str, Any]:
        """The next JSON line; other lines are left out."""
        assert self.popen.stdout is not None
        while line := self.popen.stdout.readline():
            with suppress(json.JSONDecodeError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
        raise SystemExit(f"The {self._name} ended without an answer:\n{self._log.read_text()[-4_000:]}")

    def ask(self, **command: Any) -> dict[str, Any]:
        """Give a command, wait for the answer."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(command) + "\n")
        self.popen.stdin.flush()
        return self.read()

    def cpu_s(self) -> float:
        """CPU time so far, with that of its children."""
        return family_cpu_s(self.popen.pid)

    def rss_mb(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        return float(sum(one.memory_info().rss for one in _family(self.popen.pid)) / 1e6)

    def end(self) -> None:
        """Gracefully, then not."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                print(f"  (the {self._name} did not end within {ENDS_WITHIN_S:g} s and was killed)")
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def family_cpu_s(pid: int) -> float:
    """CPU time so far of a process and its children."""
    return sum(one.cpu_times().user + one.cpu_times().system for one in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    me = psutil.Process(pid)
    return [me, *me.children(recursive=True)]


class Engine(Process):
    """`limpet dev --json`, ready when made. `ready_s`: from the start of the process to its ready line."""

    def __init__(self, folder: Path, *, in_memory: bool = False, database: str | None = None) -> None:
        """`database`: a URL of PostgreSQL; else a file, or memory."""
        command = [str(LIMPET), "dev", "--json", "--grpc-port", "0", "--http-port", "0"]
        self.store = folder / "engine.db"
        began = time.perf_counter()
        super().__init__(command if in_memory else [*command, "--store", database or str(self.store)], folder, "engine")
        ready = self.read()
        self.ready_s = time.perf_counter() - began
        self.grpc, self.http, self.token = ready["grpc"], ready["http"], ready["token"]

    def metric(self, name: str) -> float:
        """A value of the engine's metrics; 0 when it is not there yet."""
        lines = httpx.get(f"{self.http}/metrics").raise_for_status().text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    @property
    def environment(self) -> dict[str, str]:
        """What a client of either SDK needs."""
        names = {"TOKEN": self.token, "HOST_PORT": self.grpc, "SERVER_URL": self.http, "TLS_STRATEGY": "none"}
        return {f"HATCHET_CLIENT_{name}": value for name, value in names.items()}


class Stage:
    """An engine and what is started beside it, in a folder that is deleted at the end."""

    def __init__(self, folder: Path, database: Server | None = None) -> None:
        self.folder = folder
        self.database = database
        self.engine = Engine(folder, database=None if database is None else database.url())
        self.others: dict[str, Process] = {}

    def worker(self, sdk: str, slots: int) -> Process:
        """A worker process of the no-op task, connected when this returns."""
        process = self._start("worker", "bench.programs.worker", json.dumps({"sdk": sdk, "slots": slots}), answers=False)
        self.await_active_workers(1)
        return process

    def await_active_workers(self, count: int) -> None:
        """Return once the engine has so many."""
        deadline = time.monotonic() + CONNECTS_WITHIN_S
        while self.engine.metric('limpet_workers{state="active"}') != count:
            if time.monotonic() > deadline:
                raise SystemExit(f"The engine did not come to {count} active workers within {CONNECTS_WITHIN_S:g} s.")
            time.sleep(0.05)

    def client(self, sdk: str) -> Process:
        """A client process."""
        return self._start("client", "bench.programs.client", sdk)

    def cpu_s(self) -> dict[str, float]:
        """CPU time so far by process."""
        shares = {"engine": self.engine.cpu_s(), **{name: process.cpu_s() for name, process in self.others.items()}}
        return shares if self.database is None else {**shares, "database": family_cpu_s(self.database.pid)}

    def end(self) -> None:
        """All, the engine last."""
        for process in self.others.values():
            process.end()
        self.engine.end()

    def _start(self, name: str, *arguments: str, answers: bool = True) -> Process:
        process = Process([sys.executable, "-m", *arguments], self.folder, name, self.engine.environment, answers=answers)
        self.others[name] = process
        return process


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder on the disk that holds temporary files; set TMPDIR to measure another one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a stopped benchmark leaves no process behind
    with tempfile.TemporaryDirectory(prefix="limpet-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def stage(store: str = SQLITE) -> Iterator[Stage]:
    """An engine on a file, or on a PostgreSQL of its own on this machine. Both commit to the disk: `synchronous=FULL`, `fsync=on`."""
    with temporary_folder() as folder, ExitStack() as ends:
        database = None
        if store == POSTGRES:
            database = Server()
            ends.callback(database.remove)
            database.start()
        made = Stage(folder, database)
        ends.callback(made.end)
        yield made
