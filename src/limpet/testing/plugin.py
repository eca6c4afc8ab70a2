"""The pytest plugin: `limpet_engine` and what goes with it. Loaded at every start of pytest, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from limpet.core.settings import Settings
    from limpet.sdk.client import Limpet
    from limpet.testing.embedded import EmbeddedEngine
    from limpet.testing.fake_worker import FakeWorker


@pytest.fixture
def limpet_settings() -> Settings:
    """Settings of `limpet_engine`; override this fixture to change them."""
    from limpet.core.settings import Settings

    return Settings()


@pytest.fixture
def limpet_engine(limpet_settings: Settings) -> Iterator[EmbeddedEngine]:
    """A fresh engine in this process, on free ports; safe with pytest-xdist. Forgets everything after the test."""
    from limpet.testing.embedded import EmbeddedEngine

    with EmbeddedEngine(limpet_settings) as engine:
        yield engine


@pytest.fixture
def limpet_client(limpet_engine: EmbeddedEngine) -> Iterator[Limpet]:
    """A client of `limpet_engine`."""
    from limpet.sdk.client import Limpet
    from limpet.sdk.config import ClientConfig, ClientTLSConfig
    from limpet.sdk.engine_calls import EngineCalls

    config = ClientConfig(
        token=limpet_engine.token,
        host_port=limpet_engine.grpc_address,
        server_url=limpet_engine.http_url,
        tls_config=ClientTLSConfig(strategy="none"),
    )
    calls = EngineCalls(config)
    yield Limpet(client=calls)
    calls.transport.close()  # before the engine goes: a channel without a server would try to reconnect for ever


@pytest.fixture
def limpet_environment(limpet_engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables of `limpet_engine`, set for the test: a client made without arguments talks to it, ours or an official one."""
    for name, value in limpet_engine.environment.items():
        monkeypatch.setenv(name, value)
    return limpet_engine.environment


@pytest.fixture
def hatchet_environment(limpet_environment: dict[str, str]) -> dict[str, str]:
    """The same, under the name that tests of official clients look for: `hatchet_sdk.Hatchet()` then talks to the engine."""
    return limpet_environment


@pytest.fixture
def fake_worker(limpet_engine: EmbeddedEngine) -> Callable[..., FakeWorker]:
    """Makes workers that do what the test says: `fake_worker("w1", [my_workflow], slots=2, labels={"gpu": "yes"})`."""
    from limpet.testing.fake_worker import FakeWorker

    def make(name: str, offers: list[Any], **options: Any) -> FakeWorker:
        return FakeWorker(limpet_engine, name, offers, **options)

    return make
