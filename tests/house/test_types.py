"""What a type checker sees of the installed package: every symbol that counts as public has a type, in every room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import limpet

SOURCE = Path(limpet.__file__).parent.parent
COMMAND = [sys.executable, "-m", "pyright", "--verifytypes", "limpet", "--ignoreexternal", "--outputjson"]
DERIVED = "partially unknown"  # how pyright speaks of a type that is made of another gap
GAPS_SHOWN = 20  # one cause alone may stand in a hundred types

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_every_public_symbol_is_typed(tmp_path: Path) -> None:
    """pyright's own check for libraries, started outside of the source, as users do.

    It asks the first `python` on PATH where packages are, whatever `--pythonpath` says. Were our dependencies not found
    there, the classes that derive from theirs would be listed.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(SOURCE)}
    ended = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=280)
    found = json.loads(ended.stdout)["typeCompleteness"]
    assert found["packageRootDirectory"] == str(SOURCE / "limpet")
    gaps = sorted((gap(symbol) for symbol in found["symbols"] if is_gap(symbol)), key=lambda text: DERIVED in text)
    assert not gaps, "\n".join([f"{len(gaps)} symbols have no certain type, causes first:", *gaps[:GAPS_SHOWN]])
    assert found["exportedSymbolCounts"]["withKnownType"] > 8_000
    assert (found["completenessScore"], ended.returncode) == (1, 0)


def is_gap(symbol: Mapping[str, Any]) -> bool:
    return symbol["isExported"] and (not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"])


def gap(symbol: Mapping[str, Any]) -> str:
    """Name and reasons; a symbol without a reason of its own has a part that is listed too."""
    reasons = [each["message"] for each in symbol["diagnostics"]] or [DERIVED]
    return f"{symbol['name']}: {' '.join(' '.join(reasons).split())}"
