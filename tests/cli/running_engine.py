"""Real engines and real commands: `limpet dev` in a process of its own, commands in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LIMPET = [sys.executable, "-m", "limpet.cli.main"]
READY_MAX_S = 30.0  # a busy machine with two cores; usually one second
STOP_MAX_S = 20.0
ANSWER_MAX_S = 60.0


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that would configure a client or an engine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIMPET_", "HATCHET_"))}
    return kept | {"NO_COLOR": "1", "COLUMNS": "120"} | more


@dataclass(frozen=True)
class Running:
    """An engine that said it is ready."""

    process: subprocess.Popen[str]
    ready: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return clean_environment(LIMPET_HOST_PORT=self.ready["grpc"], LIMPET_SERVER_URL=self.ready["http"])

    def stop(self) -> tuple[int, str]:
        """Ask it to end, as an operator would; exit code and what it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, written = self.process.communicate(timeout=STOP_MAX_S)
        return self.process.returncode, written


@contextmanager
def running(*arguments: str, cwd: Path, **environment: str) -> Iterator[Running]:
    """An engine started by this command line with free ports; ended by its pid at the end, whatever happened."""
    command = [*LIMPET, *arguments, "--grpc-port", "0", "--http-port", "0", "--json"]
    process = subprocess.Popen(
        command, cwd=cwd, env=clean_environment(**environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            _, written = process.communicate(timeout=STOP_MAX_S)
            raise AssertionError(f"the engine ended with {process.returncode} before it was ready:\n{written}")
        yield Running(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One development engine for the tests of a file."""
    with running("dev", cwd=tmp_path_factory.mktemp("dev")) as found:
        yield found


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def limpet(tmp_path: Path) -> Command:
    """Run a command to its end: `limpet("runs", "list", env=...)`."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None, cwd: Path = tmp_path, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LIMPET, *arguments],
            cwd=cwd, env=dict(env or clean_environment()), input=given, capture_output=True, text=True, timeout=ANSWER_MAX_S, check=False,
        )  # fmt: skip

    return run


def until(happened: Callable[[], Any], what: str) -> Any:
    """Ask a real process again until its answer is true; asking takes its own time, so nothing here sleeps."""
    deadline = time.monotonic() + READY_MAX_S
    while time.monotonic() < deadline:
        if found := happened():
            return found
    raise AssertionError(f"in {READY_MAX_S:.0f} s it did not happen that {what}")
