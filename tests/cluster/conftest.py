"""One stage for all tests of a file. Each test breaks one thing; at the end the auditor goes over everything that happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from tests.cluster import witness
from tests.cluster.stage import QUIET_WITHIN_S, RATES, SEED, WORKERS, Cluster
from tests.postgres.proxy import Proxy
from tests.postgres.server import Server

MEASURED: list[str] = []  # sentences for the end of the session


def measured(what: str, seconds: float) -> None:
    """Have a span told when the session is over."""
    MEASURED.append(f"{what}: {seconds:.2f} s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What took how long; nothing of it is asserted beyond the bounds of recovery."""
    for sentence in MEASURED:
        terminalreporter.write_line(sentence)


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    """A PostgreSQL of the file's own, with real syncs, to be crashed."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


C = TypeVar("C", bound=Cluster)


@asynccontextmanager
async def stage_on(folder: Path, database: Server, kind: type[C]) -> AsyncIterator[C]:
    """Servers and balancer; ended by force if nothing else has ended them."""
    ways = Proxy(database.port), Proxy(database.port)
    for way in ways:
        await way.start()
    stage = kind(folder, database, ways)
    try:
        yield stage
    finally:
        await stage.stop()
        for way in ways:
            await way.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory, database: Server) -> AsyncIterator[Cluster]:
    """Under load from the first test to the last; then nothing may be lost, doubled or untrue."""
    async with stage_on(tmp_path_factory.mktemp("cluster"), database, Cluster) as stage:
        await stage.start(dict(WORKERS), dict(RATES), SEED)
        yield stage
        await audit(stage)


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared_cluster: Cluster) -> AsyncIterator[Cluster]:
    """Served before the fault and after it, with a standby."""
    await shared_cluster.whole()
    await shared_cluster.serves()
    yield shared_cluster
    await shared_cluster.serves()


async def audit(stage: Cluster) -> None:
    """Let the load end, then hold what was told against what is stored."""
    await stage.until_ready()
    await stage.stop_triggering()
    ended = await asyncio.gather(*(client.ended(QUIET_WITHIN_S) for client in stage.clients.values()))
    ended.append(await stage.quiet(QUIET_WITHIN_S))
    logs = {name: log.all() for name, log in stage.logs.items()}
    await stage.stop()
    assert all(ended), f"a client still waited for results, or a run had not ended, {QUIET_WITHIN_S:g} s after the last fault"
    assert witness.violations(await witness.truth(stage.database.url()), stage.seen.all(), logs) == []
