"""Code written for the official client runs on ours after changing only the import name.

The programs and tests of `tests/compatibility` are such code. They are copied, the one name is changed, and the
copy must pass: workers in processes of their own, sticky runs, labels, priorities, crashes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = "hatchet_sdk", "limpet"
PRIORITY_ROUNDS = 3  # the order is the engine's, and was shown twenty times with the official client

pytestmark = [pytest.mark.compat, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy, with the import name changed."""
    target = tmp_path_factory.mktemp("moved")
    ignored = shutil.ignore_patterns("node_modules", "test_typescript*", "__pycache__")
    for folder in ("compatibility", "postgres", "store"):  # the last two hold fixtures that the first one names
        shutil.copytree(ROOT / "tests" / folder, target / "tests" / folder, ignore=ignored)
    shutil.copy(ROOT / "tests" / "__init__.py", target / "tests")
    shutil.copy(ROOT / "pyproject.toml", target)
    for path in target.rglob("*.py"):
        path.write_text(path.read_text().replace(OLD, NEW))
    return target


@pytest.mark.parametrize(
    "name",
    ["test_seed.py", *(pytest.param(name, marks=pytest.mark.slow) for name in ("test_behaviour.py", "test_crash.py"))],
)
def test_the_official_tests_pass_with_our_client(moved: Path, name: str) -> None:
    paths = [str(moved), *filter(None, [os.environ.get("PYTHONPATH")])]  # the copy first, then the code under test
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            f"tests/compatibility/{name}",
            "-k",
            "not postgres",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore",
        ],
        cwd=moved,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PRIORITY_ROUNDS": str(PRIORITY_ROUNDS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert ended.returncode == 0, ended.stdout[-6_000:] + ended.stderr[-1_000:]
    assert "passed" in ended.stdout
