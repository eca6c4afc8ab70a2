"""Conditions with the unmodified official client: sleeps, events, parents' outputs; waiting, skipping, cancelling."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hatchet_sdk import Hatchet

from tests.compatibility.conftest import worker_for_all
from tests.compatibility.processes import EngineProcess, wait_for
from tests.compatibility.programs.conditional import Number, build_conditional

pytestmark = pytest.mark.compat
SKIPPED = {"skipped": True}
DONE = {"COMPLETED", "FAILED", "CANCELLED"}


worker = worker_for_all("conditional", {"slots": 50, "program": "conditional"})


def statuses(hatchet: Hatchet, run: str) -> dict[str, str]:
    """By task, as run details tell them."""
    return {name: task.status.value for name, task in hatchet.runs.get_details(run).task_runs.items()}


async def until(what: str, holds: Any) -> Any:
    return await asyncio.to_thread(wait_for, what, holds)


async def settled(hatchet: Hatchet, run: str) -> str:
    def look() -> str | None:
        found = hatchet.runs.get_status(run).value
        return str(found) if found in DONE else None

    return str(await until("the run has ended", look))


async def waiting(hatchet: Hatchet, run: str, *tasks: str) -> None:
    """The start has ended, and these tasks wait for their conditions; the run reads RUNNING meanwhile (W13.4)."""

    def look() -> bool:
        found = statuses(hatchet, run)
        return found.get("start") == "COMPLETED" and all(found.get(task) == "QUEUED" for task in tasks)

    await until(f"{tasks} wait", look)
    assert hatchet.runs.get_details(run).status.value == "RUNNING"


@pytest.mark.parametrize(("number", "ran", "skipped"), [(60, "right", "left"), (10, "left", "right")])
async def test_A19_A24_A25_A27_A28_A31_a_sleep_and_branches_that_are_skipped(
    hatchet: Hatchet, number: int, ran: str, skipped: str
) -> None:
    workflow = build_conditional(hatchet)["Branches"]
    began = time.monotonic()
    result = await workflow.aio_run(Number(number=number))
    assert time.monotonic() - began >= 1
    assert result["after_sleep"]["slept"] == {"sleep:1s": {"sleep_duration": "1s"}}
    assert (result[skipped], result["skipped_by_one_of_two"], result["skipped_with_its_parent"]) == (SKIPPED,) * 3
    assert result["join"] == {"ran": [ran], "sum": result[ran]["number"]}


async def test_A20_A21_A22_A29_A36_A37_W5_14_events_satisfy_skip_and_choose(hatchet: Hatchet) -> None:
    workflow = build_conditional(hatchet)["Events"]
    hatchet.event.push("events:go", {"n": 0})
    reference = await workflow.aio_run_no_wait(Number(number=1))
    run = reference.workflow_run_id
    await waiting(hatchet, run, "by_event", "by_its_number", "by_its_scope", "skipped_by_event", "by_output_or_event")
    hatchet.event.push("events:pick", {"number": 6})
    hatchet.event.push("events:pick", {"other": 7})
    hatchet.event.push("events:pick", {"number": 7})
    shown = await hatchet.runs.aio_get(run)  # with what each task waits for, which this client ignores
    assert {task.display_name.rpartition("-")[0] for task in shown.tasks if task.status.value == "QUEUED"} >= {
        "by_event",
        "by_its_scope",
    }
    assert (await hatchet.workflows.aio_get(shown.run.workflow_id)).name == "Events"
    for scope in (None, "us", "eu"):
        hatchet.event.push("events:scoped", {"scope": scope}, scope=scope)
    hatchet.event.push("events:skip", {})
    hatchet.event.push("events:go", {"n": 1})
    result = await reference.aio_result()
    assert result["by_event"] == {"triggers": {"events:go": {"n": 1}}}, "not the one from before the task waited"
    assert result["by_its_number"] == {"triggers": {"picked": {"number": 7}}}
    assert result["by_its_scope"] == {"triggers": {"events:scoped": {"scope": "eu"}}}, "a condition with a scope hears no other"
    assert (result["skipped_by_event"], result["skipped_by_sleep"]) == (SKIPPED, SKIPPED)
    assert result["by_output_or_event"] == {"number": 5}
    listed = (await hatchet.runs.aio_get(run)).tasks
    assert {task.status.value for task in listed} == {"COMPLETED"}, "a skipped task is listed as completed (W5.15)"


@pytest.mark.parametrize("cause", ["output", "event"])
async def test_A32_A33_a_cancelled_task_cancels_what_is_below_and_its_run(hatchet: Hatchet, cause: str) -> None:
    workflow = build_conditional(hatchet)["Cancelled"]
    reference = await workflow.aio_run_no_wait(Number(number=60 if cause == "output" else 1))
    if cause == "event":
        await waiting(hatchet, reference.workflow_run_id, "fragile")
        hatchet.event.push("cancelled:abort", {})
    assert await settled(hatchet, reference.workflow_run_id) == "CANCELLED"
    assert await reference.aio_result() == {"start": {"number": 60 if cause == "output" else 1}}
    assert statuses(hatchet, reference.workflow_run_id) == {"start": "COMPLETED", "fragile": "CANCELLED", "below": "CANCELLED"}


async def test_W11_12_W11_13_events_from_before_a_task_waits(hatchet: Hatchet) -> None:
    for n, scope in ((2, "eu"), (3, "eu"), (1, "eu"), (4, "us")):
        hatchet.event.push("backward:go", {"n": n}, scope=scope)
    hatchet.event.push("backward:stop", {})
    result = await build_conditional(hatchet)["Backward"].aio_run()
    assert result == {
        "looks_back": {"triggers": {"backward:go": {"n": 3}}},
        "skipped_by_the_past": SKIPPED,
        "not_skipped": {"number": 2},
    }


async def test_W5_17_a_workflow_of_one_task_waits_too(hatchet: Hatchet) -> None:
    result = await build_conditional(hatchet)["Single"].aio_run()
    assert result["only"] == {"triggers": {"sleep:1s": {"sleep_duration": "1s"}}}


async def test_A89_W8_10_a_replay_judges_the_new_output(hatchet: Hatchet) -> None:
    reference = await build_conditional(hatchet)["Fickle"].aio_run_no_wait()
    run = reference.workflow_run_id
    assert await settled(hatchet, run) == "CANCELLED"
    assert statuses(hatchet, run) == {"says": "COMPLETED", "listens": "CANCELLED"}
    hatchet.runs.replay(run)
    await until("the replay has ended", lambda: set(statuses(hatchet, run).values()) == {"COMPLETED"})


async def test_kill_9_sleeps_and_what_was_seen_survive_the_engine(hatchet: Hatchet, engine: EngineProcess) -> None:
    """The engine dies while a task sleeps, and after one of its two events: neither is lost, neither counts twice."""
    reference = await build_conditional(hatchet)["Patient"].aio_run_no_wait()
    run = reference.workflow_run_id
    await until("the task waits", lambda: statuses(hatchet, run).get("waits") == "QUEUED")
    hatchet.event.push("patient:one", {"n": 1})
    engine.kill()
    await asyncio.to_thread(engine.start)
    hatchet.event.push("patient:two", {"n": 2})
    assert await settled(hatchet, run) == "COMPLETED"
    triggers = hatchet.runs.get_details(run).task_runs["waits"].output["triggers"]  # type: ignore[index]
    assert triggers == {"patient:one": {"n": 1}, "patient:two": {"n": 2}, "sleep:2s": {"sleep_duration": "2s"}}
