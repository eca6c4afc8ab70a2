"""Every example runs as its README says: an engine, its workers, and `run.py`, each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compatibility.processes import EngineProcess, wait_for

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RUN_WITHIN_S = 60.0  # on a busy machine; usually a second
STOP_WITHIN_S = 20.0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine in memory for all examples."""
    process = EngineProcess(tmp_path_factory.mktemp("engine"), store=None)
    process.start()
    yield process
    process.stop()


class Example:
    """A folder of `examples/`, with workers in the given roles."""

    def __init__(self, engine: EngineProcess, name: str, *roles: str) -> None:
        self._engine, self._name, self._roles = engine, name, roles
        self._folder = EXAMPLES / name
        self._environment = {**os.environ, **engine.client_environment()}

    def output(self) -> list[str]:
        """The lines that `run.py` prints; then the workers are told to stop, and do."""
        before = {row["metadata"]["id"] for row in self._engine.workers()}
        workers = [self._worker(role) for role in self._roles]
        try:
            wait_for(f"the workers of {self._name} listen", lambda: self._listening(workers, before))
            run = subprocess.run(
                [sys.executable, "run.py"], cwd=self._folder, env=self._environment, capture_output=True, text=True,
                timeout=RUN_WITHIN_S,
            )  # fmt: skip
            assert run.returncode == 0, run.stderr[-3000:] + self._logs()
            return run.stdout.splitlines()
        finally:
            self._stop(workers)

    def _worker(self, role: str) -> subprocess.Popen[bytes]:
        with open(self._engine.folder / f"{self._name}.log", "a") as log:
            return subprocess.Popen(
                [sys.executable, "worker.py"], cwd=self._folder, env={**self._environment, "ROLE": role}, stdout=log, stderr=log
            )

    def _listening(self, workers: list[subprocess.Popen[bytes]], before: set[str]) -> bool:
        assert all(worker.poll() is None for worker in workers), self._logs()
        rows = [row for row in self._engine.workers() if row["metadata"]["id"] not in before]
        return len([row for row in rows if row["status"] == "ACTIVE"]) == len(workers)

    def _logs(self) -> str:
        return (self._engine.folder / f"{self._name}.log").read_text()[-3000:]

    def _stop(self, workers: list[subprocess.Popen[bytes]]) -> None:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                assert worker.wait(STOP_WITHIN_S) == 0, self._logs()
            finally:
                worker.kill()


def told_by(name: str) -> list[str]:
    """What the example's own page says that it prints."""
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    return page.partition("```text\n")[2].partition("```")[0].splitlines()


def test_sticky_cache(engine: EngineProcess) -> None:
    lines = Example(engine, "sticky_cache", "first", "second").output()
    found = [re.fullmatch(r"document-(\d): process (\d+), sum (\d+)", line) for line in lines]
    assert [match and match[1] for match in found] == [str(n) for n in range(10)]
    assert [match and int(match[3]) for match in found] == [sum(map(ord, f"document-{n}")) for n in range(10)]
    assert len({match[2] for match in found if match}) == 2


def test_gpu_routing(engine: EngineProcess) -> None:
    assert Example(engine, "gpu_routing", "gpu", "cpu").output() == [
        "train ran on: gpu",
        "report ran on: cpu",
        "report in the north ran on: gpu",
    ]


def test_priority_lanes(engine: EngineProcess) -> None:
    assert Example(engine, "priority_lanes", "only").output() == [
        "occupies the only slot",
        "password reset 0",
        "password reset 1",
        *(f"newsletter {n}" for n in range(4)),
    ]


def test_dag_with_retries(engine: EngineProcess) -> None:
    assert Example(engine, "dag_with_retries", "only").output() == [
        "total: 357 cents",
        "failed: NonRetryableException: the tax office does not know this order",
    ]


def test_approval(engine: EngineProcess) -> None:
    assert Example(engine, "approval", "only").output() == [
        "1 by parcel, approved by Ada",
        "2 by letter, approved by nobody",
        "3 was withdrawn",
    ]


def test_order_events(engine: EngineProcess) -> None:
    assert Example(engine, "order_events", "only").output() == [
        "order:created in eu: order 1 checked, because 250000 >= 100000; order 1 confirmed, because of order:created",
        "order:created in us: order 2 confirmed, because of order:created",
        "order:changed in eu: order 1 confirmed, because of order:changed",
    ]


def test_fair_lanes(engine: EngineProcess) -> None:
    assert Example(engine, "fair_lanes", "only").output() == told_by("fair_lanes")


def test_paid_api(engine: EngineProcess) -> None:
    lines, told = Example(engine, "paid_api", "only").output(), told_by("paid_api")
    found = [re.fullmatch(r"(\w+) \(\w+\): 6 addresses within (\d+) s", line) for line in lines[:2]]
    assert [match and match[1] for match in found] == ["bob", "ada"]
    assert int(lines[1].split()[-2]) >= 2
    assert lines[2:] == told[2:]


def test_by_the_clock(engine: EngineProcess) -> None:
    assert Example(engine, "by_the_clock", "only").output() == told_by("by_the_clock")


def test_github_issues(engine: EngineProcess) -> None:
    assert Example(engine, "github_issues", "only").output() == told_by("github_issues")


def test_sticky_fan_out(engine: EngineProcess) -> None:
    lines = Example(engine, "sticky_fan_out", "first", "second").output()
    found = [re.fullmatch(r"set-(\d): sum 285, all in process \d+", line) for line in lines]
    assert [match and match[1] for match in found] == ["0", "1", "2", "3"]


def test_every_folder_is_in_the_readme_and_has_a_test() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/worker.py")}
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert folders == set(re.findall(r"\| \[(\w+)\]\(\1\) \|", readme))
    assert folders == {name.removeprefix("test_") for name in globals() if name.startswith("test_")} & folders
    assert all((EXAMPLES / name / "run.py").exists() for name in folders)
