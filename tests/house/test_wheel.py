"""The wheel, built from this checkout and installed into an empty environment, plays the demo."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    ended = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, f"{command} ended with {ended.returncode}:\n{ended.stdout[-2_000:]}\n{ended.stderr[-2_000:]}"
    return ended.stdout


def test_the_installed_wheel_plays_the_demo(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    wheel = next(tmp_path.glob("limpet-*.whl"))
    run(sys.executable, "-m", "venv", tmp_path / "fresh", cwd=tmp_path)
    run(tmp_path / "fresh/bin/pip", "install", "--quiet", wheel, cwd=tmp_path)
    told = json.loads(run(tmp_path / "fresh/bin/limpet", "demo", "--json", cwd=tmp_path))
    assert told["kept"] is True
