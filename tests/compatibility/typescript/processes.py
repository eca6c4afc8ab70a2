"""Node.js processes of the official TypeScript client: its installation, workers, and a client that does what it is told."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.processes import EngineProcess, WorkerProcess

FOLDER = Path(__file__).parent
INSTALLED = FOLDER / "node_modules"
INSTALL_WITHIN_S = 300.0
ANSWER_WITHIN_S = 30.0
NODE_IS_MISSING = (
    "The tests of the TypeScript client need `{program}`, which is not on the PATH: install Node.js 20 or newer with npm "
    "(Debian: `apt-get install nodejs npm`), or leave these tests out with `--ignore-glob '*/test_typescript*'`."
)


class RunFailed(Exception):
    """The client's promise was rejected; `reason` is what it was rejected with: a text, or a list of the tasks' errors."""

    def __init__(self, reason: Any) -> None:
        super().__init__(json.dumps(reason))
        self.reason = reason


def require(program: str) -> str:
    """Where the program is; AssertionError with what to do if it is nowhere."""
    found = shutil.which(program)
    assert found is not None, NODE_IS_MISSING.format(program=program)
    return found


def install() -> None:
    """Install what package-lock.json names into node_modules, once for each content of that file."""
    npm = require("npm")
    wanted = (FOLDER / "package-lock.json").read_bytes()
    stamp = INSTALLED / ".installed-lock.json"
    with open(FOLDER / "package.json") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # test processes may run side by side
        if stamp.exists() and stamp.read_bytes() == wanted:
            return
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False)
        assert done.returncode == 0, f"`{' '.join(command)}` in {FOLDER} ended with {done.returncode}: {done.stderr[-2000:]}"
        stamp.write_bytes(wanted)


def _instant(value: datetime) -> dict[str, str]:
    """An instant as the driver reads it."""
    return {"$date": value.isoformat()}


class TypeScriptWorker(WorkerProcess):
    """A worker of the TypeScript client."""

    def command(self, options: str) -> list[str]:
        return [require("node"), str(FOLDER / "worker.js"), options]


@dataclass
class TypeScriptClient:
    """The program driver.js: requests go in as lines, answers come out as lines, each to its future."""

    engine: EngineProcess
    process: subprocess.Popen[str] | None = None
    _numbers: Any = field(default_factory=itertools.count)
    _open: dict[int, Future[Any]] = field(default_factory=dict)
    _reader: threading.Thread | None = None

    def start(self) -> None:
        with open(self.engine.folder / "client.log", "a") as log:
            self.process = subprocess.Popen(
                [require("node"), str(FOLDER / "driver.js")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self.engine.client_environment()},
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer = json.loads(line)
            waiting = self._open.pop(answer["id"])
            if "error" in answer:
                waiting.set_exception(RunFailed(answer["error"]))
            else:
                waiting.set_result(answer["value"])
        for waiting in list(self._open.values()):
            waiting.set_exception(AssertionError(f"the client has ended: {self.log()[-3000:]}"))

    def ask(self, deed: str, **facts: Any) -> Future[Any]:
        """Hand in a request; the future is its answer."""
        assert self.process is not None
        assert self.process.stdin is not None
        number = next(self._numbers)
        answer = self._open[number] = Future()
        self.process.stdin.write(json.dumps({"id": number, "deed": deed, **facts}, default=_instant) + "\n")
        self.process.stdin.flush()
        return answer

    def do(self, deed: str, **facts: Any) -> Any:
        """Hand in a request and wait for its answer. Raises RunFailed."""
        return self.ask(deed, **facts).result(ANSWER_WITHIN_S)

    def call(self, method: str, *arguments: Any, deed: str = "call") -> Any:
        """A method of a feature, as `events.push`, and its answer. Raises RunFailed."""
        feature, name = method.split(".")
        return self.do(deed, feature=feature, method=name, args=arguments)

    def refusal(self, method: str, *arguments: Any) -> str:
        """What such a call is refused with, at its first try."""
        with pytest.raises(RunFailed) as refused:
            self.call(method, *arguments, deed="once")
        return str(refused.value)

    def declared(self, workflow: str, method: str, *arguments: Any) -> Any:
        """A method of a declared workflow or task, as `schedule`, and its answer. Raises RunFailed."""
        return self.do("declared", workflow=workflow, method=method, args=arguments)

    def log(self) -> str:
        return (self.engine.folder / "client.log").read_text()

    def stop(self) -> None:
        """The end of its input ends it; killed after 10 s."""
        if self.process is None or self._reader is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
