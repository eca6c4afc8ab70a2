"""Writes pins/development.txt anew: the newest versions that pyproject.toml allows, everything that they need included.

Run by `make pins`. Asks pip to resolve the development environment without installing anything, so it needs the network.
Read the difference, run the tests, then commit it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "pins" / "development.txt"
OWN_NAME = "limpet"
INTRODUCTION = """\
# Exact versions of the development environment, so that a fresh machine gets the verdict of today. Written by `make pins`.
# They bind `make setup` alone: what users install follows the ranges of pyproject.toml (decision 9).
"""


def resolved() -> list[tuple[str, str]]:
    """Name and version of every distribution that the development environment consists of."""
    asked = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    answer = subprocess.run([*asked, "--editable", ".", "--group", "dev"], cwd=ROOT, check=True, capture_output=True, text=True)
    return versions(json.loads(answer.stdout)["install"])


def versions(report: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What a report of pip names, but this project itself."""
    found = [(normalised(item["metadata"]["name"]), str(item["metadata"]["version"])) for item in report]
    return sorted(pair for pair in found if pair[0] != OWN_NAME)


def normalised(name: str) -> str:
    """A distribution's name in the one form in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def page(pins: Iterable[tuple[str, str]]) -> str:
    """The file's text."""
    return INTRODUCTION + "".join(f"{name}=={version}\n" for name, version in pins)


if __name__ == "__main__":
    PINS.write_text(page(resolved()), encoding="utf-8")
    sys.stdout.write(f"{PINS.relative_to(ROOT)}\n")
