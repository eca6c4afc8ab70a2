"""Concurrency limits with the unmodified official client: strategies at both levels, several keys, timeouts, the debugger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hatchet_sdk import Hatchet

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import EngineProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.limited import Job, build_limited

pytestmark = pytest.mark.compat
DONE = {"COMPLETED", "FAILED", "CANCELLED"}


worker = worker_for_all("limited", {"slots": 200, "program": "limited"})


def lines_of(engine: EngineProcess, task: str, kind: str | None = None) -> list[dict[str, Any]]:
    lines = journal.read(engine.client_environment()["JOURNAL"])
    return [line for line in lines if line.get("task") == task and kind in (None, line["kind"])]


def most_at_once(lines: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> dict[Any, int]:
    """How many of one key ran at one time, at most."""
    running: dict[Any, int] = {}
    most: dict[Any, int] = {}
    for line in sorted(lines, key=lambda one: (one["at"], one["kind"] == "begun")):
        name = key(line)
        running[name] = running.get(name, 0) + (1 if line["kind"] == "begun" else -1)
        most[name] = max(most.get(name, 0), running[name])
    return most


async def start(task: Any, *jobs: Job) -> list[str]:
    references = await task.aio_run_many([task.create_bulk_run_item(job) for job in jobs], wait_for_result=False)
    return [reference.workflow_run_id for reference in references]


def statuses(hatchet: Hatchet, runs: list[str]) -> list[str]:
    return [hatchet.runs.get_status(run).value for run in runs]


async def settled(hatchet: Hatchet, runs: list[str]) -> list[str]:
    """The statuses once all runs have ended."""

    def look() -> list[str] | None:
        found = statuses(hatchet, runs)
        return found if set(found) <= DONE else None

    return await asyncio.to_thread(wait_for, "all runs have ended", look)


async def begun(engine: EngineProcess, task: str, number: int) -> None:
    def look() -> bool:
        return any(line["number"] == number for line in lines_of(engine, task, "begun"))

    await asyncio.to_thread(wait_for, f"{task} {number} has begun", look)


async def test_B07_no_more_than_two_at_a_time(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["two_at_a_time"]
    results = await task.aio_run_many([task.create_bulk_run_item(Job(number=n, seconds=0.3)) for n in range(5)])
    assert [result["number"] for result in results] == list(range(5))
    assert most_at_once(lines_of(engine, task.name), lambda line: "all") == {"all": 2}


async def test_B10_the_newest_of_ten_stays(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["newest_wins"]
    runs = []
    for number in range(10):
        runs += await start(task, Job(number=number, seconds=0.3 if number == 9 else 30))
        await begun(engine, task.name, number)
    assert await settled(hatchet, runs) == ["CANCELLED"] * 9 + ["COMPLETED"]


async def test_B13_B15_the_first_stays_and_after_it_another(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["first_wins"]
    first = await start(task, Job(number=0, seconds=1))
    others = await start(task, *(Job(number=n) for n in range(1, 11)))
    assert await settled(hatchet, [*first, *others]) == ["COMPLETED"] + ["CANCELLED"] * 10
    assert await settled(hatchet, await start(task, Job(number=11))) == ["COMPLETED"]


async def test_B16_each_group_has_its_own_limit(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["by_group"]
    await task.aio_run_many([task.create_bulk_run_item(Job(number=n, group="ab"[n % 2], seconds=0.5)) for n in range(4)])
    lines = lines_of(engine, task.name)
    assert most_at_once(lines, lambda line: line["group"]) == {"a": 1, "b": 1}
    assert most_at_once(lines, lambda line: "all") == {"all": 2}


@pytest.mark.parametrize(("name", "first", "last"), [("two_limits",) * 3, ("WholeLimited", "first", "second")])
async def test_B17_B18_two_limits_hold_at_task_and_at_workflow_level(
    engine: EngineProcess, hatchet: Hatchet, name: str, first: str, last: str
) -> None:
    task = build_limited(hatchet)[name]
    jobs = [Job(number=n, digit=str(n % 2), group="abcdef"[n * n % 6], seconds=0.02) for n in range(100)]
    assert await settled(hatchet, await start(task, *jobs)) == ["COMPLETED"] * 100
    lines = [*lines_of(engine, first, "begun"), *lines_of(engine, last, "ended")]
    assert max(most_at_once(lines, lambda line: line["digit"]).values()) <= 8
    assert max(most_at_once(lines, lambda line: line["group"]).values()) <= 3


async def test_B19_a_burst_against_two_limits_settles(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["Burst"]
    runs = await start(task, *(Job(number=n, group=str(n % 2), digit=str(n % 3), seconds=0.05) for n in range(20)))
    found = await settled(hatchet, runs)
    assert set(found) == {"COMPLETED", "CANCELLED"}
    assert found[-2:] == ["COMPLETED", "COMPLETED"]


async def test_B20_both_fail_by_their_timeout_one_after_the_other(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["too_slow"]
    runs = await start(task, *(Job(number=n, seconds=30) for n in range(2)))
    assert await settled(hatchet, runs) == ["FAILED", "FAILED"]
    first, second = lines_of(engine, task.name, "begun")
    assert second["at"] - first["at"] > 0.9


async def test_a_name_with_tenant_scope_counts_runs_of_several_workflows_together(
    engine: EngineProcess, hatchet: Hatchet
) -> None:
    tasks = build_limited(hatchet)
    runs = []
    for name in ("shares", "shares_too", "SharesAsWhole") * 2:
        runs += await start(tasks[name], Job(group="ada", digit="ada", seconds=0.1))
    other = await start(tasks["shares"], Job(group="bob", seconds=0.1))
    assert await settled(hatchet, [*runs, *other]) == ["COMPLETED"] * 7
    names = ("shares", "shares_too", "shares_first", "shares_last")
    lines = [line for name in names for line in lines_of(engine, name) if line["group"] == "ada"]
    assert len(lines) == 16
    assert most_at_once(lines, lambda line: "all") == {"all": 1}


async def test_a_computed_number_of_runs_is_each_runs_own(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["sized"]
    runs = await start(
        task, *(Job(number=n, group=group, most=most, seconds=0.3) for group, most in (("a", 1), ("b", 2)) for n in range(4))
    )
    assert await settled(hatchet, runs) == ["COMPLETED"] * 8
    assert most_at_once(lines_of(engine, task.name), lambda line: line["group"]) == {"a": 1, "b": 2}
    [none] = await start(task, Job(most=0))
    assert await settled(hatchet, [none]) == ["FAILED"]
    message = (await hatchet.runs.aio_get(none)).tasks[0].error_message or ""
    assert "failed to parse step expression (input.most): it must give a whole number of runs" in message


async def test_B09_a_key_that_cannot_be_computed_fails_the_run_at_once(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_limited(hatchet)["no_such_key"]
    [run] = await start(task, Job())
    assert await settled(hatchet, [run]) == ["FAILED"]
    details = await hatchet.runs.aio_get(run)
    assert "failed to parse step expression (input.missing)" in (details.tasks[0].error_message or "")
    assert not lines_of(engine, task.name)


def test_B01_B02_B03_the_debugger_of_expressions(hatchet: Hatchet) -> None:
    assert hatchet.cel.debug("input.n > 2", {"n": 3}).result.output is True  # type: ignore[union-attr]
    assert hatchet.cel.debug("input.n > 4", {"n": 3}).result.output is False  # type: ignore[union-attr]
    missing = hatchet.cel.debug("input.m > 4", {"n": 3}).result
    assert missing.status == "failure"
    assert "Key not found" in missing.error
    assert hatchet.cel.debug("'text'", {}).result.status == "failure"
