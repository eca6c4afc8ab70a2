"""Fixtures beside those of the plugin, which pytest has loaded already."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from limpet.testing import EmbeddedEngine
from tests.testing.wire import Wire


@pytest.fixture(autouse=True)
def _no_configuration_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of the machine that runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(("LIMPET_", "HATCHET_CLIENT_")):
            monkeypatch.delenv(name)


@pytest.fixture
def wire(limpet_engine: EmbeddedEngine) -> Iterator[Wire]:
    one = Wire(limpet_engine)
    yield one
    one.close()


@pytest.fixture
def rest(limpet_engine: EmbeddedEngine) -> Callable[[str], Any]:
    """A GET below `/api/v1`."""

    def get(path: str) -> Any:
        url = f"{limpet_engine.http_url}/api/v1/{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {limpet_engine.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    return get
