"""Fixtures: a scripted engine, and a client of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limpet import Limpet
from tests.sdk.scripted_engine import ScriptedEngine


@pytest.fixture(autouse=True)
def _no_configuration_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables and no `.env` files of the machine that runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(("LIMPET_", "HATCHET_CLIENT_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        yield engine


@pytest.fixture
def client(scripted: ScriptedEngine) -> Limpet:
    return Limpet(config=scripted.config)


@pytest.fixture
def offline() -> Limpet:
    """A client that never calls anybody."""
    return Limpet()
