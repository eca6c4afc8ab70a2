"""Fixtures: an engine process for each module, official workers on it, an official client for each test."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hatchet_sdk import ClientConfig, Hatchet
from hatchet_sdk.config import ClientTLSConfig

from tests.compatibility.processes import EngineProcess, WorkerProcess, running
from tests.compatibility.typescript.processes import TypeScriptClient, install
from tests.postgres.fixtures import Databases

IN_BOTH = ("test_seed", "test_behaviour")  # in the short tier over both stores


def worker_for_all(name: str, options: dict[str, Any]) -> Any:
    """A fixture of a module: one worker process that runs while its tests do."""

    @pytest.fixture(scope="module", autouse=True)
    def worker(engine: EngineProcess) -> Iterator[WorkerProcess]:
        process = WorkerProcess(engine, name, options)
        with running(process):
            yield process

    return worker


def client_of(engine: EngineProcess) -> Hatchet:
    """An official client of that engine."""
    os.environ.setdefault("JOURNAL", str(engine.folder / "journal.jsonl"))
    environment = engine.client_environment()
    return Hatchet(
        config=ClientConfig(
            token=environment["HATCHET_CLIENT_TOKEN"],
            host_port=environment["HATCHET_CLIENT_HOST_PORT"],
            server_url=environment["HATCHET_CLIENT_SERVER_URL"],
            tls_config=ClientTLSConfig(strategy="none"),
        )
    )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The official client warns of forms that the seed uses; they are used on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test over SQLite; over PostgreSQL those of `IN_BOTH` too, and all of them by `make compat`."""
    if "store_kind" in metafunc.fixturenames:
        is_short = metafunc.module.__name__.rpartition(".")[2] in IN_BOTH
        postgres = pytest.param("postgres", marks=() if is_short else (pytest.mark.slow,))
        metafunc.parametrize("store_kind", ["sqlite", postgres], scope="module")


@pytest.fixture(scope="module")
def place(store_kind: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes an empty store: a file's name, or the URL of a database."""
    if store_kind == "sqlite":
        return lambda: "engine.db"
    databases: Databases = request.getfixturevalue("databases")

    def create() -> str:
        with ThreadPoolExecutor(1) as other_thread:  # this one may have a loop of the tests' already
            return other_thread.submit(asyncio.run, databases.empty()).result()

    return create


@pytest.fixture(scope="module")
def engine(place: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine on a store of its own."""
    process = EngineProcess(tmp_path_factory.mktemp("engine"), place())
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_engine(place: Callable[[], str], tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine of the test's own, to be killed."""
    process = EngineProcess(tmp_path, place())
    process.start()
    yield process
    process.stop()


@pytest.fixture
def hatchet(engine: EngineProcess) -> Hatchet:
    return client_of(engine)


@pytest.fixture(scope="session")
def typescript() -> None:
    """The official TypeScript client is installed."""
    install()


@pytest.fixture(scope="module")
def client(engine: EngineProcess, typescript: None) -> Iterator[TypeScriptClient]:
    """A program of the official TypeScript client."""
    program = TypeScriptClient(engine)
    with running(program):
        yield program


@pytest.fixture
def workers() -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers of the test; all are ended after it."""
    started: list[WorkerProcess] = []

    def start(engine: EngineProcess, name: str, **options: Any) -> WorkerProcess:
        worker = WorkerProcess(engine, name, options)
        started.append(worker)
        worker.start()
        return worker

    yield start
    for worker in started:
        worker.stop()
