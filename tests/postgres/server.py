"""One PostgreSQL server, a child of this process, on loopback. It keeps what it acknowledges, unless a test starts it without fsync."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path

from tests.postgres import binaries, launch

USER = "limpet"
UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL refuses to run as root
READY = "database system is ready to accept connections"
START_SECONDS = 60
STOP_SECONDS = 60
SETTINGS = {
    "listen_addresses": "127.0.0.1", "max_connections": "120", "shared_buffers": "64MB", "fsync": "on", "synchronous_commit": "on",
    "log_min_messages": "log", "log_destination": "stderr", "logging_collector": "off", "max_prepared_transactions": "0",
}  # fmt: skip


class Server:
    """`start`, `stop`, `crash`, as often as one likes; `remove` at the end. `url` names its first database."""

    def __init__(self) -> None:
        self.programs = binaries.folder()
        self.version = binaries.version(self.programs)
        self.owner = _owner()
        self.folder = Path(tempfile.mkdtemp(prefix="limpet-postgres-"))
        self.port = _free_port()
        self.log: deque[str] = deque(maxlen=10_000)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        if self.owner is not None:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        self._run("initdb", "--pgdata", str(self.data), "--username", USER, "--auth", "trust", "--encoding", "UTF8",
                  "--locale", "C", "--no-sync")  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self, **settings: str) -> None:
        """Returns when it accepts connections. `settings` hold until the next start."""
        options = [part for name, value in {**SETTINGS, **settings}.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), *options]
        self._process = self._popen(command)
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_SECONDS) or self._process.poll() is not None:
            self.stop()
            raise RuntimeError("PostgreSQL did not start:\n" + "".join(self.log))

    def stop(self) -> None:
        """As an operator stops it: sessions are ended, everything is written. Harmless when it does not run."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Like `pg_ctl stop -m immediate`: the next start has to recover."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Nothing stays."""
        self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.log.append(line)
            if READY in line:
                ready.set()
        process.stdout.close()
        ready.set()  # it ended: whoever waits looks at why

    def _run(self, program: str, *arguments: str) -> None:
        process = self._popen([str(self.programs / program), *arguments])
        said, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{said}")

    def _popen(self, command: list[str]) -> subprocess.Popen[str]:
        """As an unprivileged user, and never longer than this process."""
        whom = (-1, -1) if self.owner is None else (self.owner.pw_uid, self.owner.pw_gid)
        return subprocess.Popen(
            [sys.executable, launch.__file__, *map(str, whom), *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder, env=_environment(),
        )  # fmt: skip


def _owner() -> pwd.struct_passwd | None:
    """Whom to run as; None: as who we are."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name: one for one in pwd.getpwall()}
    return next(known[name] for name in UNPRIVILEGED if name in known)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
