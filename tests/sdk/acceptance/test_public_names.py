"""What users import is documented, and typed without a gap."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import limpet

SOURCE = Path(limpet.__file__).parent.parent
INNER_ROOMS = ("cli", "core", "edges", "engine", "store", "testing")  # no part of what users import from the client
VALUES = {"__version__"}


@pytest.mark.parametrize("name", sorted(set(limpet.__all__) - VALUES))
def test_every_public_name_has_a_docstring(name: str) -> None:
    value = getattr(limpet, name)
    assert inspect.isclass(value) or callable(value)
    assert vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__, name


@pytest.mark.parametrize("name", sorted(set(limpet.__all__) - VALUES))
def test_every_public_method_has_a_docstring(name: str) -> None:
    value = getattr(limpet, name)
    own = [(n, m) for n, m in (vars(value).items() if inspect.isclass(value) else ()) if not n.startswith("_")]
    methods = [(n, m) for n, m in own if inspect.isfunction(m) or isinstance(m, property | classmethod | staticmethod)]
    assert [n for n, method in methods if not inspect.getdoc(method)] == []


@pytest.mark.slow
def test_every_public_symbol_of_the_client_is_typed(tmp_path: Path) -> None:
    """pyright's own check for libraries; started outside of the source, where it looks the package up as users have it."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--verifytypes", "limpet", "--ignoreexternal"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    ended = subprocess.run(
        [*command, "--outputjson"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    symbols = json.loads(ended.stdout)["typeCompleteness"]["symbols"]
    client = [symbol for symbol in symbols if not symbol["name"].startswith(tuple(f"limpet.{room}" for room in INNER_ROOMS))]
    assert len(client) > 1_000
    exported = [symbol for symbol in client if symbol["isExported"]]
    assert [symbol["name"] for symbol in exported if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]] == []
