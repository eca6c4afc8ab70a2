"""Workers over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from limpet.core.ids import SECOND_US
from limpet.core.inputs import LabelsUpserted, WorkerPaused
from limpet.core.rows import TaskStatus
from limpet.core.views import SlotView

from .world import NOW, OTHER, TENANT, World

LIST = f"/api/v1/tenants/{TENANT.id}/worker"
NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"


async def names(http: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await http.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["rows"]]


async def test_a_worker_is_shown_with_slots_labels_and_runtime(world: World, http: httpx.AsyncClient) -> None:
    slots = (SlotView("default", 100, 98), SlotView("durable", 10, 10))
    view = await world.worker_joins("north", "greet:greet", slots=slots)
    (row,) = (await http.get(LIST)).json()["rows"]
    assert row["metadata"]["id"] == view.worker_id
    assert row["slotConfig"] == {"default": {"available": 98, "limit": 100}, "durable": {"available": 10, "limit": 10}}
    assert [(label["key"], label["value"]) for label in row["labels"]] == [("region", "eu"), ("memory", "16")]
    assert row["runtimeInfo"]["language"] == "PYTHON"
    assert row["type"] == "SELFHOSTED"
    assert row["actions"] == ["greet:greet"]


@pytest.mark.parametrize(
    ("runtime", "language"),
    [
        (b'{"language":"GO"}', "GOLANG"),
        (b'{"language":1}', "GOLANG"),
        (b'{"language":3}', "TYPESCRIPT"),
        (b'{"language":"COBOL"}', None),
    ],
)
async def test_trap_4_languages_have_other_names_here(
    world: World, http: httpx.AsyncClient, runtime: bytes, language: str | None
) -> None:
    await world.worker_joins("north", runtime=runtime)
    assert (await http.get(LIST)).json()["rows"][0]["runtimeInfo"]["language"] == language


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "ACTIVE"),
        ({"paused": True}, "PAUSED"),
        ({"seen_at": NOW - 5 * SECOND_US}, "ACTIVE"),
        ({"seen_at": NOW - 5 * SECOND_US - 1}, "INACTIVE"),
        ({"seen_at": NOW - 6 * SECOND_US, "paused": True}, "INACTIVE"),
        ({"seen_at": None}, "INACTIVE"),
        ({"lost_at": NOW}, "INACTIVE"),
        ({"gone_at": NOW}, "INACTIVE"),
    ],
)
async def test_WK13_silence_comes_before_pause(
    world: World, http: httpx.AsyncClient, fields: dict[str, Any], status: str
) -> None:
    view = await world.worker_joins("north", **fields)
    assert (await http.get(f"/api/v1/workers/{view.worker_id}")).json()["status"] == status
    assert await names(http, statuses=[status]) == ["north"]
    assert await names(http, statuses=[each for each in ("ACTIVE", "PAUSED", "INACTIVE") if each != status]) == []


async def test_LB24_workers_are_found_by_labels_all_of_which_must_hold(world: World, http: httpx.AsyncClient) -> None:
    await world.worker_joins("north", labels=(("region", "eu"), ("memory", 16), ("url", "http://x")))
    await world.worker_joins("south", labels=(("region", "eu"), ("memory", 32)))
    assert await names(http, labels=["region:eu"]) == ["north", "south"]
    assert await names(http, labels=["region:eu", "memory:16"]) == ["north"]
    assert await names(http, labels=["memory=32"]) == ["south"]
    assert await names(http, labels=["url:http://x"]) == ["north"]
    assert await names(http, labels=["region:us"]) == []
    assert (await http.get(LIST, params={"labels": "region"})).status_code == 400


async def test_workers_come_in_pages(world: World, http: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await world.worker_joins(name)
    assert await names(http, limit=2) == ["a", "b"]
    assert await names(http, limit=2, offset=2) == ["c"]


async def test_one_worker_is_shown_with_its_workflows_and_tasks(world: World, http: httpx.AsyncClient) -> None:
    greet = await world.workflow("Greet")
    await world.workflow("other")
    view = await world.worker_joins("north", "greet:Greet")
    running, ended = await world.run("Greet", TaskStatus.RUNNING), await world.run("Greet", TaskStatus.COMPLETED)
    for record in (running, ended):
        await world.change(record.tasks[0], worker_key=view.key)
    world.receipts[running.run.id] = NOW - SECOND_US
    found = (await http.get(f"/api/v1/workers/{view.worker_id}")).json()
    assert found["registeredWorkflows"] == [{"id": greet.id, "name": "Greet"}]
    assert [(slot["stepRunId"], slot["status"]) for slot in found["slots"]] == [(running.run.id, "RUNNING")]
    assert found["slots"][0]["startedAt"].startswith("2026-09-21T14:13:19")
    assert {step["metadata"]["id"]: step["status"] for step in found["recentStepRuns"]} == {
        running.run.id: "RUNNING",
        ended.run.id: "SUCCEEDED",
    }


async def test_WK32_a_worker_is_paused_and_let_work_again(world: World, http: httpx.AsyncClient) -> None:
    view = await world.worker_joins("north")
    path = f"/api/v1/workers/{view.worker_id}"
    assert (await http.patch(path, json={"isPaused": True})).json()["status"] == "PAUSED"
    assert (await http.patch(path, json={"isPaused": False})).json()["status"] == "ACTIVE"
    assert [item for _, item in world.submitted] == [WorkerPaused(view.worker_id, True), WorkerPaused(view.worker_id, False)]


async def test_a_change_without_a_wish_changes_nothing(world: World, http: httpx.AsyncClient) -> None:
    view = await world.worker_joins("north")
    assert (await http.patch(f"/api/v1/workers/{view.worker_id}", json={})).status_code == 200
    assert world.submitted == []


async def test_LB19_a_label_is_taken_away(world: World, http: httpx.AsyncClient) -> None:
    view = await world.worker_joins("north", labels=(("region", "eu"), ("a/b", 1)))
    answer = await http.delete(f"/api/v1/workers/{view.worker_id}/labels/a/b")
    assert (answer.status_code, answer.content) == (204, b"")
    assert world.submitted == [(TENANT.id, LabelsUpserted(view.worker_id, (), ("a/b",)))]
    again = await http.delete(f"/api/v1/workers/{view.worker_id}/labels/a/b")
    assert again.status_code == 404
    assert "a/b" in again.json()["errors"][0]["description"]


@pytest.mark.parametrize("worker", ["no-id", NOBODY])
async def test_an_unknown_worker_is_a_404(http: httpx.AsyncClient, worker: str) -> None:
    path = f"/api/v1/workers/{worker}"
    for answer in (await http.get(path), await http.patch(path, json={"isPaused": True}), await http.delete(f"{path}/labels/x")):
        assert answer.status_code == 404


async def test_another_tenants_workers_are_not_listed(world: World, http: httpx.AsyncClient) -> None:
    await world.worker_joins("theirs", no=OTHER.no)
    assert await names(http) == []
