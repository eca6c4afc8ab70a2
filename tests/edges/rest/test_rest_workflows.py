"""Workflows and the tenant over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from limpet.core.definitions import Feature, StickyStrategy, TaskDefinition, WorkflowDefinition
from limpet.core.ids import SECOND_US, ActionId
from limpet.core.inputs import WorkflowDeleted
from limpet.core.pause_inputs import WorkflowPaused
from limpet.core.pause_rows import PausedStart
from limpet.testing.builders import event, make_task, make_workflow, output_of, sleep

from .world import OTHER, TENANT, World, task

LIST = f"/api/v1/tenants/{TENANT.id}/workflows"
NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"


async def names(http: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await http.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["rows"]]


async def test_W1_6_workflows_are_found_by_a_part_of_their_name_the_exact_one_first(
    world: World, http: httpx.AsyncClient
) -> None:
    for name in ("a-greet", "greet", "Greeting", "other"):
        await world.workflow(name)
    assert await names(http, name="greet") == ["greet", "Greeting", "a-greet"]
    assert await names(http, name="greet", limit=1) == ["greet"]
    assert await names(http, name="nothing") == []
    assert len(await names(http)) == 4


async def test_a_workflow_has_its_graph_and_versions(world: World, http: httpx.AsyncClient) -> None:
    steps = (task("fetch", "Report"), task("write", "Report", parents=("fetch",)))
    row = await world.workflow("Report", *steps, description="writes it", on_failure=task("mop-up", "Report"))
    found = (await http.get(f"/api/v1/workflows/{row.id}")).json()
    assert found["metadata"]["id"] == row.id
    assert (found["name"], found["description"], found["isPaused"], found["tags"]) == ("Report", "writes it", False, [])
    graph, mop_up = found["jobs"]
    assert [(step["readableId"], step["parents"], step["children"]) for step in graph["steps"]] == [
        ("fetch", [], ["write"]),
        ("write", ["fetch"], []),
    ]
    assert [step["readableId"] for step in mop_up["steps"]] == ["mop-up"]
    assert graph["steps"][0]["timeout"] == "60s"
    assert [version["order"] for version in found["versions"]] == [1]


async def test_W5_1_a_workflow_shows_the_conditions_of_its_tasks_group_by_group(world: World, http: httpx.AsyncClient) -> None:
    steps = make_workflow(
        "Report",
        "fetch",
        make_task(
            "write", "fetch",
            wait_for=[[sleep(60), event("paid", "input.n > 1", scope="eu")], event("open")], skip_if=[output_of("fetch", "output.n == 0")],
        ),
    ).tasks  # fmt: skip
    row = await world.workflow("Report", *steps)
    [graph] = (await http.get(f"/api/v1/workflows/{row.id}")).json()["jobs"]
    assert [step["conditions"] for step in graph["steps"]] == [
        [],
        [
            {"listName": "wait_for", "anyOf": ["a sleep of 60s", "event paid of scope eu where input.n > 1"]},
            {"listName": "wait_for", "anyOf": ["event open"]},
            {"listName": "skip_if", "anyOf": ["the output of fetch where output.n == 0"]},
        ],
    ]


async def test_trap_7_versions_are_told_newest_first_with_their_order(world: World, http: httpx.AsyncClient) -> None:
    row = await world.workflow("greet")
    only = TaskDefinition("greet", ActionId("greet:greet"), execution_timeout_us=1_500_000)
    definition = WorkflowDefinition(
        "greet", (only,), version="v2", sticky=StickyStrategy.HARD, default_priority=3, input_schema=b'{"type":"object"}'
    )
    second = await world.version(row, definition, 2)
    path = f"/api/v1/workflows/{row.id}/versions"
    newest = (await http.get(path)).json()
    assert (newest["metadata"]["id"], newest["order"], newest["version"]) == (second.id, 2, "v2")
    assert (newest["sticky"], newest["defaultPriority"], newest["scheduleTimeout"]) == ("HARD", 3, "300s")
    assert newest["inputJsonSchema"] == {"type": "object"}
    assert newest["jobs"][0]["steps"][0]["timeout"] == "1500ms"
    assert newest["workflowConfig"]["name"] == "greet"
    first_id = newest["workflow"]["versions"][1]["metadata"]["id"]
    first = (await http.get(path, params={"version": first_id.upper()})).json()
    assert (first["metadata"]["id"], first["order"], first["version"]) == (first_id, 1, "1")
    assert (await http.get(path, params={"version": NOBODY})).status_code == 404


async def test_what_the_engine_does_not_carry_out_is_said_on_the_workflow(world: World, http: httpx.AsyncClient) -> None:
    row = await world.workflow("nightly")
    assert (await http.get(LIST)).json()["rows"][0]["warnings"] == []
    only = TaskDefinition("nightly", ActionId("nightly:nightly"))
    await world.version(row, WorkflowDefinition("nightly", (only,), undelivered=((Feature.DURABLE, "task nightly"),)), 2)
    [warning] = (await http.get(LIST)).json()["rows"][0]["warnings"]
    assert warning.startswith("Workflow nightly, task nightly: this engine does not carry out durable tasks yet;")
    assert (await http.get(f"/api/v1/workflows/{row.id}")).json()["warnings"] == [warning]


async def test_trap_9_deleting_a_workflow_answers_nothing(world: World, http: httpx.AsyncClient) -> None:
    row = await world.workflow("greet")
    path = f"/api/v1/workflows/{row.id}"
    answer = await http.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert world.submitted == [(TENANT.id, WorkflowDeleted(row.id))]
    assert await names(http) == []
    assert (await http.delete(path)).status_code == 404


@pytest.mark.parametrize("suffix", ["", "/versions"])
@pytest.mark.parametrize("workflow", ["no-id", NOBODY])
async def test_an_unknown_workflow_is_a_404(http: httpx.AsyncClient, workflow: str, suffix: str) -> None:
    assert (await http.get(f"/api/v1/workflows/{workflow}{suffix}")).status_code == 404


async def test_another_tenants_workflows_are_not_listed(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("theirs", no=OTHER.no)
    assert await names(http) == []


async def test_the_tenant_says_V1_so_that_clients_do_not_warn(http: httpx.AsyncClient) -> None:
    found = (await http.get(f"/api/v1/tenants/{TENANT.id}")).json()
    assert found["metadata"]["id"] == TENANT.id
    assert (found["version"], found["name"], found["slug"]) == ("V1", "Blue Team", "blue-team")
    assert (found["serverUrl"], found["dataRetentionPeriod"]) == ("http://127.0.0.1:1", "720h")
    assert found["analyticsOptOut"] is True


async def test_the_tenant_in_the_path_is_read_in_any_case(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"/api/v1/tenants/{TENANT.id.upper()}")).status_code == 200


PAUSE = {
    "action": "pause",
    "pausedWorkflowQueueTTL": "1m30s",
    "pausedWorkflowCronRunQueueBehavior": "DROP",
    "pausedWorkflowScheduledRunQueueBehavior": "QUEUE",
}


async def test_W15_5_a_workflow_is_paused_and_goes_on_and_shows_it(world: World, http: httpx.AsyncClient) -> None:
    row = await world.workflow("greet")
    path = f"/api/v1/workflows/{row.id}"
    paused = (await http.patch(path, json={"pause": PAUSE})).json()
    assert world.submitted[-1][1] == WorkflowPaused(row.id, 90 * SECOND_US, PausedStart.DROP, PausedStart.QUEUE)
    told = ("isPaused", "pausedWorkflowCronRunQueueBehavior", "pausedWorkflowScheduledRunQueueBehavior")
    assert [paused[name] for name in told] == [True, "DROP", "QUEUE"]
    assert (await http.get(path)).json() == paused == (await http.get(LIST)).json()["rows"][0]
    assert (await http.get(f"{path}/versions")).json()["workflow"]["isPaused"] is True
    assert (await http.patch(path, json={})).json() == paused, "nothing asked, nothing changed"
    resumed = (await http.patch(path, json={"pause": {"action": "unpause"}})).json()
    assert [resumed[name] for name in told] == [False, None, None]


@pytest.mark.parametrize(
    "pause",
    [
        {},
        {"action": "stop"},
        {"action": "pause"},
        PAUSE | {"pausedWorkflowQueueTTL": "soon"},
        PAUSE | {"pausedWorkflowQueueTTL": "0s"},
        PAUSE | {"pausedWorkflowCronRunQueueBehavior": "KEEP"},
    ],
)
async def test_W15_5_a_pause_that_cannot_be_read_is_refused(world: World, http: httpx.AsyncClient, pause: dict[str, str]) -> None:
    row = await world.workflow("greet")
    answer = await http.patch(f"/api/v1/workflows/{row.id}", json={"pause": pause})
    assert answer.status_code == 400, answer.text
    assert (await http.get(f"/api/v1/workflows/{row.id}")).json()["isPaused"] is False
