"""The pytest plugin: `limpet_engine` and what goes with it. Loaded by pytest at start, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from limpet.sdk.client import Limpet
    from limpet.testing.embedded import EmbeddedEngine
    from limpet.testing.fake_worker import FakeWorker


@pytest.fixture
def limpet_engine() -> Iterator[EmbeddedEngine]:
    """A fresh engine in this process, on free ports; safe with pytest-xdist. Forgets everything after the test."""
    from limpet.testing.embedded import EmbeddedEngine

    with EmbeddedEngine() as engine:
        yield engine


@pytest.fixture
def limpet_client(limpet_engine: EmbeddedEngine) -> Limpet:
    """A client of `limpet_engine`."""
    from limpet.sdk.client import Limpet
    from limpet.sdk.config import ClientConfig

    return Limpet(
        config=ClientConfig(token=limpet_engine.token, host_port=limpet_engine.grpc_address, server_url=limpet_engine.http_url)
    )


@pytest.fixture
def hatchet_environment(limpet_engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment variables of `limpet_engine`, set for the test: `hatchet_sdk.Hatchet()` then talks to it."""
    for name, value in limpet_engine.environment.items():
        monkeypatch.setenv(name, value)
    return limpet_engine.environment


@pytest.fixture
def fake_worker(limpet_engine: EmbeddedEngine) -> Iterator[Callable[..., FakeWorker]]:
    """Makes workers that do what the test says: `fake_worker("w1", ["mywf:task"], slots=2, labels={"gpu": "yes"})`."""
    from limpet.testing.fake_worker import FakeWorker

    made: list[FakeWorker] = []

    def make(name: str, actions: list[str], **options: Any) -> FakeWorker:
        worker = FakeWorker(limpet_engine, name, actions, **options)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()
