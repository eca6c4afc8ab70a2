"""Fixtures: an engine process for each module, official workers on it, an official client for each test."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchet_sdk import ClientConfig, Hatchet
from hatchet_sdk.config import ClientTLSConfig

from tests.compatibility.processes import EngineProcess, WorkerProcess


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


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine on a fresh SQLite file."""
    process = EngineProcess(tmp_path_factory.mktemp("engine"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine of the test's own, to be killed."""
    process = EngineProcess(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def hatchet(engine: EngineProcess) -> Hatchet:
    return client_of(engine)


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
