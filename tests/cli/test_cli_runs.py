"""How `limpet runs` shows a run that failed and one that waits, and what it says about ids that nobody knows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_engine import LIMPET, STOP_MAX_S, Command, Running, until

UNKNOWN = "01934f2e-0000-7000-8000-000000000001"
FAILING = """
from limpet import Context, EmptyModel, Limpet, SleepCondition, UserEventCondition, or_

limpet = Limpet()


@limpet.task(name="failing")
def work(input: EmptyModel, ctx: Context) -> None:
    raise ValueError("the disk is\\nfull")


patient = limpet.workflow(name="patient")


@patient.task(wait_for=[or_(SleepCondition("1h"), UserEventCondition("paid", scope="eu"))])
def ship(input: EmptyModel, ctx: Context) -> None: ...


worker = limpet.worker("failing-worker", workflows=[work, patient])
"""


@pytest.fixture(scope="module")
def worker(engine: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A worker whose task fails; the path of its module."""
    folder = tmp_path_factory.mktemp("failing")
    module = folder / "failing.py"
    module.write_text(FAILING)
    process = subprocess.Popen([*LIMPET, "worker", "failing"], cwd=folder, env=engine.environment, stderr=subprocess.DEVNULL)
    try:
        yield module
    finally:
        process.terminate()
        process.wait(timeout=STOP_MAX_S)


def test_a_failed_run_shows_a_sentence_and_the_users_own_lines(engine: Running, limpet: Command, worker: Path) -> None:
    until(lambda: "failing-worker" in limpet("workers", "list", env=engine.environment).stdout, "the worker is there")
    ended = limpet("workflows", "trigger", "failing", "--wait", env=engine.environment)
    assert ended.returncode == 1
    assert "is FAILED: ValueError: the disk is\\nfull\nSee what happened: limpet runs get " in ended.stderr
    assert "Traceback" not in ended.stderr
    run = ended.stderr.split()[-1]
    page = limpet("runs", "get", run, env=engine.environment).stdout
    assert "Workflow:  failing\n" in page
    assert "Error:     ValueError: the disk is\\nfull\n" in page
    assert str(worker) in page
    assert "limpet/sdk" not in page
    assert "__hatchet_error_metadata__" not in page
    [task] = [line.split() for line in page.splitlines() if line.endswith(run) and not line.startswith("Run:")]
    assert task[:4] == ["failing", "FAILED", "1", "failing-worker"]
    assert [line.split()[2] for line in page.splitlines() if ":" in line.split(" ")[0] and "failing-worker" in line] == [
        "ASSIGNED",
        "SENT_TO_WORKER",
        "STARTED",
        "FAILED",
    ]


def test_OB_14_a_run_that_waits_says_what_for(engine: Running, limpet: Command, worker: Path) -> None:
    until(lambda: "failing-worker" in limpet("workers", "list", env=engine.environment).stdout, "the worker is there")
    run = json.loads(limpet("workflows", "trigger", "patient", "--json", env=engine.environment).stdout)["run"]["metadata"]["id"]
    page = limpet("runs", "get", run, env=engine.environment).stdout
    [line] = [line for line in page.splitlines() if line.startswith("ship: ")]
    assert line.startswith("ship: It waits for its conditions: wait_for still needs a sleep of 3600s (")
    assert line.endswith(" left) or event paid of scope eu.")
    [answer] = json.loads(limpet("runs", "explain", run, "--json", env=engine.environment).stdout)
    assert answer["unblock"] == ["Push an event paid of scope eu."]
    limpet("runs", "cancel", run, env=engine.environment)
    assert "ship: It waits" not in limpet("runs", "get", run, env=engine.environment).stdout


@pytest.mark.parametrize("identity", ["nonsense", UNKNOWN])
@pytest.mark.parametrize("verb", ["get", "explain", "logs"])
def test_an_unknown_id_is_said_to_be_neither_run_nor_task(engine: Running, limpet: Command, verb: str, identity: str) -> None:
    answer = limpet("runs", verb, identity, env=engine.environment)
    assert answer.returncode == 3
    assert f"There is no run and no task {identity}." in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize("verb", ["cancel", "replay"])
def test_nothing_to_do_for_an_unknown_id_is_no_success(engine: Running, limpet: Command, verb: str) -> None:
    answer = limpet("runs", verb, UNKNOWN, env=engine.environment)
    assert answer.returncode == 3
    assert f"There is no run and no task {UNKNOWN}." in answer.stderr


def test_cancelling_a_run_that_has_ended_does_nothing(engine: Running, limpet: Command, worker: Path) -> None:
    ended = json.loads(limpet("workflows", "trigger", "failing", "--wait", "--json", env=engine.environment).stdout)
    answer = limpet("runs", "cancel", ended["metadata"]["id"], env=engine.environment)
    assert (answer.returncode, answer.stdout) == (0, "Cancelling 0 tasks.\n")
