"""The processes of the soak: servers behind a balancer, workers, clients. All are ended by their pid, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.compatibility.processes import tenant_of
from tests.soak.balancer import Backend, Balancer

READY_WITHIN_S = 60.0
HANGS_AFTER_S = 45.0  # not heard by an engine that answers: far above what any client needs to come back
ENDS_WITHIN_S = 15.0
# Shorter than the defaults, so that a minute shows more; the lease keeps its real length.
SETTINGS = {"worker_lost_after": "10s", "worker_assignable": "7s"}
PREFIXES = ("LIMPET_", "HATCHET_CLIENT_")


class Child:
    """A process with a log, started again under the same name after it was killed."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        self.command, self._environment = command, environment
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(PREFIXES)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
                env={**clean, **self._environment}, start_new_session=True,
            )  # fmt: skip

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """To the process and its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As a crash would."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def terminate(self) -> None:
        """As a service manager would: the main process only."""
        if self.process is not None:
            self.process.terminate()

    async def ended(self, within_s: float = ENDS_WITHIN_S) -> bool:
        """Whether it ends by itself; killed if it does not."""
        assert self.process is not None
        try:
            await asyncio.to_thread(self.process.wait, within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True


class Stage:
    """Everything that runs. `store`: what the servers are given; `servers`: how many, one for a file."""

    settings: Mapping[str, str] = SETTINGS
    ready_within_s = 1.0  # an answer of `/ready` that takes longer is none: a frozen server does not answer at all

    def __init__(self, folder: Path, store: str, servers: int, switched: list[tuple[float, str | None]]) -> None:
        self.folder, self.store = folder, store
        self.journal = folder / "journal.jsonl"
        self.switched = switched
        ports = free_ports(2 * servers)
        self.backends = [Backend(f"server-{n}", ports[2 * n], ports[2 * n + 1]) for n in range(servers)]
        self.servers = {one.name: self._server(one) for one in self.backends}
        self.balancer = Balancer(self.backends, self._note_switch, self.ready_within_s)
        self.workers: dict[str, Child] = {}
        self.clients: dict[str, Child] = {}
        self.restarted = self.replaced = 0
        self.token = ""
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self, workers: dict[str, str], clients: dict[str, float], seed: int) -> None:
        """Servers, a token, workers (name to kind of client), clients (kind to triggers a second)."""
        for server in self.servers.values():
            server.start()
        await self.balancer.start()
        await self.until_ready()
        self.token = await self._token()
        environment = self._environment(self.token)
        for name, kind in workers.items():
            command = [sys.executable, "-m", "tests.soak.programs.worker", kind, name]
            self.workers[name] = Child(name, command, self.folder, environment)
        for kind, rate in clients.items():
            command = [sys.executable, "-m", "tests.soak.programs.client", kind, str(rate), str(seed)]
            self.clients[kind] = Child(f"client-{kind}", command, self.folder, environment)
        for child in (*self.workers.values(), *self.clients.values()):
            child.start()
        self._supervisor = asyncio.create_task(self._supervise())

    async def until_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Return once some server owns the store."""
        try:
            async with asyncio.timeout(within_s):
                await self.balancer.has_owner.wait()
        except TimeoutError:
            logs = "\n".join(server.log.read_text()[-2_000:] for server in self.servers.values())
            raise SystemExit(f"No server became ready within {within_s:g} s:\n{logs}") from None

    async def stop_triggering(self) -> None:
        """Clients trigger nothing more, and end when they have all their results."""
        for client in self.clients.values():
            assert client.process is not None
            assert client.process.stdin is not None
            client.process.stdin.write("stop\n")
            client.process.stdin.close()

    async def quiet(self, within_s: float) -> bool:
        """Whether every run has ended, also those that nobody waits for; asked until then."""
        where = f"http://127.0.0.1:{self.balancer.ports[1]}/api/v1/stable/tenants/{tenant_of(self.token)}/workflow-runs"
        query = {"since": "2000-01-01T00:00:00Z", "only_tasks": "false", "limit": "1", "statuses": ["QUEUED", "RUNNING"]}
        async with httpx.AsyncClient(timeout=5.0, headers={"Authorization": f"Bearer {self.token}"}) as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while True:
                        with contextlib.suppress(httpx.HTTPError):
                            answer = await client.get(where, params=query)
                            if answer.is_success and not answer.json()["rows"]:
                                return True
                        await asyncio.sleep(0.5)
        return False

    async def _supervise(self) -> None:
        """Start workers that ended by themselves, and replace those that hang, as a service manager with a probe does.

        Observed with the official client 1.43.1: a worker whose engine is away while it starts ends with an error, and in a
        hundred restarts of the engine one left a worker that lived and did not listen for minutes.
        """
        loop = asyncio.get_running_loop()
        heard_at = dict.fromkeys(self.workers, loop.time())
        async with httpx.AsyncClient(timeout=2.0, headers={"Authorization": f"Bearer {self.token}"}) as client:
            while True:
                await asyncio.sleep(1.0)
                for name in await self._listening(client):
                    heard_at[name] = loop.time()
                for name, worker in self.workers.items():
                    if worker.is_alive and loop.time() - heard_at[name] > HANGS_AFTER_S:
                        self.replaced += 1
                        worker.kill()
                    if not worker.is_alive:
                        self.restarted += 1
                        heard_at[name] = loop.time()
                        worker.start()

    async def _listening(self, client: httpx.AsyncClient) -> set[str]:
        """Names of the workers that the engine hears; all of them while no engine answers."""
        try:
            answer = await client.get(f"http://127.0.0.1:{self.balancer.ports[1]}/api/v1/tenants/{tenant_of(self.token)}/worker")
            rows = answer.json().get("rows") or [] if answer.is_success else None
        except (httpx.HTTPError, ValueError):
            rows = None
        return (
            set(self.workers) if rows is None else {row["name"] for row in rows if row["status"] == "ACTIVE"} & set(self.workers)
        )

    async def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
        for child in (*self.clients.values(), *self.workers.values(), *self.servers.values()):
            child.signal(signal.SIGCONT)
            child.kill()
        await self.balancer.stop()

    def owner(self) -> Child | None:
        """The server that serves now."""
        return None if self.balancer.ready is None else self.servers[self.balancer.ready.name]

    def store_of(self, backend: Backend) -> str:
        """How this server reaches the store; all the same way, but where a test breaks one of the ways."""
        return self.store

    def _server(self, backend: Backend) -> Child:
        command = [sys.executable, "-m", "limpet.cli.main", "server", "--store", self.store_of(backend), "--log-json"]
        command += ["--grpc-port", str(backend.grpc), "--http-port", str(backend.http), "--key-file", str(self.folder / "key")]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        return Child(backend.name, command, self.folder, {})

    async def _token(self) -> str:
        command = [sys.executable, "-m", "limpet.cli.main", "token", "create", "soak", "--json", "--store", self.store]
        made = await asyncio.to_thread(
            subprocess.run, [*command, "--key-file", str(self.folder / "key")], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise SystemExit(f"No token could be made:\n{made.stderr}")
        return str(json.loads(made.stdout)["token"])

    def _environment(self, token: str) -> dict[str, str]:
        grpc, http = self.balancer.ports
        values = {
            "TOKEN": token,
            "HOST_PORT": f"127.0.0.1:{grpc}",
            "SERVER_URL": f"http://127.0.0.1:{http}",
            "TLS_STRATEGY": "none",
        }
        named = {f"{prefix}{key}": value for key, value in values.items() for prefix in ("LIMPET_", "HATCHET_CLIENT_")}
        return {**named, "JOURNAL": str(self.journal)}

    def _note_switch(self, name: str | None) -> None:
        self.switched.append((asyncio.get_running_loop().time(), name))


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
