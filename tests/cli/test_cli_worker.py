"""`limpet worker`: what a module defines is found and run; a changed file starts it again."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running_engine import LIMPET, STOP_MAX_S, Command, Running, clean_environment, until

ONE = """
from limpet import Context, EmptyModel, Limpet

limpet = Limpet()


@limpet.task(name="{name}")
def work(input: EmptyModel, ctx: Context) -> dict[str, str]:
    ctx.log("a line of the task")
    return {{"version": "{version}"}}


worker = limpet.worker("{name}-worker", slots=2, labels={{"zone": "a"}}, workflows=[work])
"""
MAKER = """

def make():
    return limpet.worker("made", workflows=[work])


def wants(something):
    return something


number = 7
"""


@contextmanager
def started(engine: Running, cwd: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A worker command, ended by its pid."""
    process = subprocess.Popen(
        [*LIMPET, "worker", *arguments], cwd=cwd, env=engine.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, written = process.communicate(timeout=STOP_MAX_S)
    assert "Traceback" not in written, written


def workers(engine: Running, limpet: Command) -> dict[str, Any]:
    """Active workers by name."""
    rows = json.loads(limpet("workers", "list", "--json", env=engine.environment).stdout)["rows"]
    return {row["name"]: row for row in rows if row["status"] == "ACTIVE"}


def output(engine: Running, limpet: Command, name: str) -> Any:
    """The output of a fresh run."""
    answer = limpet("workflows", "trigger", name, "--wait", "--json", env=engine.environment)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["output"]


def test_the_worker_of_a_module_runs_tasks_and_every_noun_shows_it(engine: Running, limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE.format(name="single", version="1"))
    with started(engine, tmp_path, "one"):
        until(lambda: "single-worker" in workers(engine, limpet), "the worker is there")
        run = json.loads(limpet("workflows", "trigger", "single", "--wait", "--json", env=engine.environment).stdout)
        identity = run["metadata"]["id"]
        assert run["status"] == "COMPLETED"
        ask = lambda *words: limpet(*words, env=engine.environment)  # noqa: E731  a word for each line below
        assert "COMPLETED" in ask("runs", "get", identity).stdout
        assert "a line of the task" in until(lambda: ask("runs", "logs", identity).stdout, "the log line is there")
        assert "ended" in ask("runs", "explain", identity).stdout
        assert json.loads(ask("runs", "list", "--workflow", "single", "--json").stdout)["rows"][0]["workflowName"] == "single"
        assert "single" in ask("workflows", "list").stdout
        assert json.loads(ask("workers", "labels", "single-worker", "--json").stdout)["zone"] == "a"
        assert "no new tasks" in ask("workers", "pause", "single-worker").stdout
        waiting = json.loads(ask("workflows", "trigger", "single", "--json").stdout)["run"]["metadata"]["id"]
        assert "workers_paused" in ask("runs", "explain", waiting).stdout
        assert "gets tasks again" in ask("workers", "unpause", "single-worker").stdout
        until(lambda: "COMPLETED" in ask("runs", "get", waiting).stdout, "the waiting run is done")
        assert "Replaying 1 task." in ask("runs", "replay", identity).stdout
        assert ask("workflows", "trigger", "nothing").returncode == 3


def test_a_run_can_be_cancelled_by_a_filter(engine: Running, limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text(ONE.format(name="idle", version="1"))
    with started(engine, tmp_path, "idle"):
        until(lambda: "idle-worker" in workers(engine, limpet), "the worker is there")
        limpet("workers", "pause", "idle-worker", env=engine.environment)
        run = json.loads(limpet("workflows", "trigger", "idle", "--json", env=engine.environment).stdout)["run"]["metadata"]["id"]
        cancelled = limpet("runs", "cancel", "--workflow", "idle", "--status", "QUEUED", "--since", "1h", env=engine.environment)
        assert cancelled.returncode == 0, cancelled.stderr
        until(lambda: "CANCELLED" in limpet("runs", "get", run, env=engine.environment).stdout, "the run is cancelled")


def test_two_workers_of_a_module_run_side_by_side_and_end_together(engine: Running, limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(
        ONE.format(name="pair", version="1") + '\nother = limpet.worker("other", workflows=[work])\n'
    )
    with started(engine, tmp_path, "two") as process:
        until(lambda: {"pair-worker", "other"} <= set(workers(engine, limpet)), "both are there")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=STOP_MAX_S) == 0


def test_a_function_that_makes_a_worker_is_called(engine: Running, limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "maker.py").write_text(ONE.format(name="maker", version="1") + MAKER)
    with started(engine, tmp_path, "maker:make"):
        until(lambda: "made" in workers(engine, limpet), "the worker is there")


def test_reload_runs_the_changed_code(engine: Running, limpet: Command, tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text(ONE.format(name="changing", version="old"))
    with started(engine, tmp_path, "changing", "--reload", "--watch", str(tmp_path)):
        until(lambda: "changing-worker" in workers(engine, limpet), "the worker is there")
        assert output(engine, limpet, "changing") == {"version": "old"}
        file.write_text(ONE.format(name="changing", version="new"))
        until(lambda: output(engine, limpet, "changing") == {"version": "new"}, "the new code runs")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("absent", "no module absent"),
        ("maker:nobody", "has no nobody"),
        ("maker:wants", "wants something"),
        ("maker:number", "not a worker"),
        ("empty", "has no worker"),
    ],
)
def test_a_target_that_is_no_worker_is_explained(limpet: Command, tmp_path: Path, target: str, says: str) -> None:
    (tmp_path / "maker.py").write_text(ONE.format(name="maker", version="1") + MAKER)
    (tmp_path / "empty.py").write_text("")
    answer = limpet("worker", target)
    assert answer.returncode == 2, answer.stderr
    assert says in answer.stderr


def test_a_module_that_needs_something_absent_says_what(limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "needs.py").write_text("import a_package_nobody_has\n")
    answer = limpet("worker", "needs")
    assert answer.returncode == 1
    assert "needs a_package_nobody_has" in answer.stderr


def test_a_module_with_a_mistake_shows_the_mistake_and_nothing_of_ours(limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "mistaken.py").write_text("def made():\n    raise OSError('no config')\n\n\nmade()\n")
    answer = limpet("worker", "mistaken")
    assert answer.returncode == 1
    first, *trace = answer.stderr.splitlines()
    assert first == "limpet: The module mistaken cannot be imported."
    assert trace[-1] == "OSError: no config"
    assert [line for line in trace if "File" in line and "mistaken.py" not in line] == []


def test_a_worker_that_finds_no_engine_says_so(limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(ONE.format(name="alone", version="1"))
    nowhere = clean_environment(LIMPET_HOST_PORT="127.0.0.1:9", LIMPET_TENACITY_MAX_ATTEMPTS="1")
    answer = limpet("worker", "alone", env=nowhere)
    assert answer.returncode == 4
    assert "no engine answers at 127.0.0.1:9" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_refused_worker_is_told_why(engine: Running, limpet: Command, tmp_path: Path) -> None:
    (tmp_path / "refused.py").write_text(
        ONE.format(name="refused", version="1").replace('slots=2, labels={"zone": "a"}', 'labels={"": "a"}')
    )
    answer = limpet("worker", "refused", env=engine.environment)
    assert answer.returncode == 1, answer.stderr
    assert "The engine refuses the worker refused-worker: " in answer.stderr
    assert "Traceback" not in answer.stderr


def test_reload_wants_something_to_watch(limpet: Command, tmp_path: Path) -> None:
    assert "nothing to watch" in limpet("worker", "x", "--reload", "--watch", "absent").stderr
