"""Real engines and real commands: `limpet dev` in a process of its own, commands in processes of their own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from limpet.cli.main import main

LIMPET = [sys.executable, "-m", "limpet.cli.main"]
READY_MAX_S = 30.0  # a busy machine with two cores; usually one second
STOP_MAX_S = 20.0
ANSWER_MAX_S = 60.0
OWN_PROCESS = frozenset({"dev", "server", "worker"})  # these own signals, logging and the loop

Answer = subprocess.CompletedProcess[str]
Command = Callable[..., Answer]


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


def in_a_process(*arguments: str, env: Mapping[str, str], cwd: Path, given: str = "") -> Answer:
    """A command as a shell runs it."""
    return subprocess.run(
        [*LIMPET, *arguments],
        cwd=cwd, env=dict(env), input=given, capture_output=True, text=True, timeout=ANSWER_MAX_S, check=False,
    )  # fmt: skip


def in_here(*arguments: str, env: Mapping[str, str], cwd: Path, given: str = "") -> Answer:
    """The same command line through the same entry point, without the third of a second that an interpreter needs."""
    out, err = io.StringIO(), io.StringIO()
    kept_environment, kept_arguments, kept_input = dict(os.environ), sys.argv, sys.stdin
    code: Any = 0
    try:
        os.environ.clear()
        os.environ.update(env)
        sys.argv, sys.stdin = ["limpet", *arguments], io.StringIO(given)
        with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        os.environ.clear()
        os.environ.update(kept_environment)
        sys.argv, sys.stdin = kept_arguments, kept_input
    return subprocess.CompletedProcess(list(arguments), int(code), out.getvalue(), err.getvalue())


def command_of(tmp_path: Path, run: Callable[..., Answer]) -> Command:
    """A command that runs in the test's folder, in a clean environment unless told otherwise."""

    def command(*arguments: str, env: Mapping[str, str] | None = None, given: str = "") -> Answer:
        how = in_a_process if arguments[0] in OWN_PROCESS else run
        return how(*arguments, env=env or clean_environment(), cwd=tmp_path, given=given)

    return command


@pytest.fixture
def limpet(tmp_path: Path) -> Command:
    """Run a command to its end: `limpet("runs", "list", env=...)`."""
    return command_of(tmp_path, in_here)


@pytest.fixture
def limpet_process(tmp_path: Path) -> Command:
    """The same in a process of its own."""
    return command_of(tmp_path, in_a_process)


def until(happened: Callable[[], Any], what: str) -> Any:
    """Ask a real process again until its answer is true; asking takes its own time, so nothing here sleeps."""
    deadline = time.monotonic() + READY_MAX_S
    while time.monotonic() < deadline:
        if found := happened():
            return found
    raise AssertionError(f"in {READY_MAX_S:.0f} s it did not happen that {what}")
